//! C++: Clang compiles the project's `src`, the SDK's sources and the C bindings, and links a module for WASI preview 1,
//! which becomes the component here. A source is compiled again when it, or any header, is newer than its object.

use crate::bind;
use crate::component::component;
use crate::error::{Error, Result, Tried};
use crate::project::Project;
use crate::tools;
use crate::unpack::write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The packages of Debian and of <https://apt.llvm.org>.
const INSTALL: &str = "apt-get install clang-22 lld-22 libc++-22-dev-wasm32 libc++abi-22-dev-wasm32 libclang-rt-22-dev-wasm32 wasi-libc";

const NEEDED_FOR: &str = "a framework in C++";

/// Newest first; the plain name may be any version.
const COMPILERS: [&str; 3] = ["clang++-23", "clang++-22", "clang++"];

/// Debian has its headers and libraries under this name of the target.
const TARGET: &str = "--target=wasm32-wasi";

pub fn build(project: &Project) -> Result<Vec<u8>> {
    let compiler = tools::need(&COMPILERS, NEEDED_FOR, INSTALL)?;
    let own = project.own();
    let bindings = own.join("bindings");
    for (name, bytes) in bind::c(project.world)? {
        write(&bindings.join(name), &bytes)?;
    }
    let sdk = own.join("sdk/cpp");
    let (source, include) = (project.folder.join("src"), sdk.join("include"));
    let folders = [&source, &sdk.join("src"), &bindings];
    let mut files = Vec::new();
    for folder in folders.into_iter().chain([&include]) {
        walk(folder, &mut files)?;
    }
    let newest_header = newest(files.iter().filter(|file| !is_source(file)))?;
    let work = Work {
        project,
        compiler: &compiler,
        include: [&include, &bindings, &source],
        objects: own.join("objects"),
        newest_header,
    };
    let sources = files.iter().filter(|file| is_source(file));
    let objects: Vec<PathBuf> = sources
        .map(|file| work.object(file))
        .collect::<Result<_>>()?;
    if objects.is_empty() {
        return Err(Error::Component {
            component: project.component(),
            why: format!("there is no .cpp file in {}", source.display()),
        });
    }
    let module = own.join("module.wasm");
    work.link(&objects, &module)?;
    component(&std::fs::read(&module).at(&module)?, project.world)
}

/// Exceptions are off: there is no unwinder, and a trap undoes the turn anyway.
const FLAGS: [&str; 3] = [TARGET, "-Wno-deprecated", "-O2"];

struct Work<'a> {
    project: &'a Project,
    compiler: &'a Path,
    include: [&'a PathBuf; 3],
    objects: PathBuf,
    newest_header: SystemTime,
}

impl Work<'_> {
    /// The object of a source, compiled if need be.
    fn object(&self, source: &Path) -> Result<PathBuf> {
        let name = source.strip_prefix(&self.project.folder).unwrap_or(source);
        let name = name.to_string_lossy().replace(['/', '.'], "_");
        let object = self.objects.join(format!("{name}.o"));
        let newest = self.newest_header.max(modified(source)?);
        if modified(&object).is_ok_and(|made| made > newest) {
            return Ok(object);
        }
        std::fs::create_dir_all(&self.objects).at(&self.objects)?;
        let mut command = tools::command(self.compiler, &self.project.folder);
        command.args(FLAGS);
        match source.extension().is_some_and(|extension| extension == "c") {
            true => command.args(["-x", "c"]),
            false => command.args(["-std=c++20", "-fno-exceptions"]),
        };
        for folder in self.include {
            command.arg("-I").arg(folder);
        }
        tools::run(command.arg("-c").arg(source).arg("-o").arg(&object))?;
        Ok(object)
    }

    fn link(&self, objects: &[PathBuf], module: &Path) -> Result<()> {
        let mut command = tools::command(self.compiler, &self.project.folder);
        command
            .args(FLAGS)
            .args(["-mexec-model=reactor", "-Wl,--strip-all"])
            .args(objects)
            .arg("-o")
            .arg(module);
        tools::run(&mut command).map(drop)
    }
}

fn is_source(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("cpp" | "cc" | "cxx" | "c"))
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).at(folder)? {
        entries.push(entry.at(folder)?.path());
    }
    // Objects are linked in the same order everywhere.
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => walk(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

fn newest<'a>(files: impl Iterator<Item = &'a PathBuf>) -> Result<SystemTime> {
    files
        .map(|file| modified(file))
        .try_fold(SystemTime::UNIX_EPOCH, |newest, time| Ok(newest.max(time?)))
}

fn modified(file: &Path) -> Result<SystemTime> {
    std::fs::metadata(file)
        .and_then(|metadata| metadata.modified())
        .at(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_from_headers() {
        for (file, expected) in [
            ("a.cpp", true),
            ("a.c", true),
            ("a.hpp", false),
            ("a.h", false),
        ] {
            assert_eq!(is_source(Path::new(file)), expected, "{file}");
        }
    }
}
