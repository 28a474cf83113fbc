//! Writes the SDK and the contract into a project's own folder, so that it builds with nothing but its compiler. It
//! owns that folder: what belongs there is written where it differs, so that compilers see no change where there is
//! none, and what an older tool has left is removed.

use crate::error::{Error, Result, Tried};
use crate::language::Language;
use crate::manifest;
use crate::pack;
use crate::project::Project;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What tools leave beside sources; it stays.
const LEFT_BY_TOOLS: [&str; 3] = ["target", "__pycache__", "node_modules"];

/// The project has the SDK of its language, as this tool knows it, and the contract.
pub fn unpack(project: &Project) -> Result<()> {
    let own = project.own();
    write(&own.join(".gitignore"), b"*\n")?;
    folder(&own.join("wit"), pack::below("wit"))?;
    let sdk = own.join("sdk").join(project.language.as_str());
    let files: Vec<_> = pack::below(&format!("sdk/{}", project.language)).collect();
    if files.is_empty() {
        return Err(Error::NoSdk(project.language.title()));
    }
    folder(
        &sdk,
        files
            .into_iter()
            .filter(|(name, _)| !is_rust_manifest(project, name)),
    )?;
    if project.language == Language::Rust {
        let text = manifest::standalone(
            pack::text("sdk/rust/Cargo.toml"),
            pack::text("workspace.toml"),
        )?;
        write(&sdk.join("Cargo.toml"), text.as_bytes())?;
    }
    Ok(())
}

/// In this checkout it takes its versions from the workspace, so it is written for itself.
fn is_rust_manifest(project: &Project, name: &str) -> bool {
    project.language == Language::Rust && name == "Cargo.toml"
}

fn folder<'a>(to: &Path, files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<()> {
    let mut kept = BTreeSet::new();
    for (name, bytes) in files {
        let path = to.join(name);
        write(&path, bytes)?;
        kept.insert(path);
    }
    kept.insert(to.join("Cargo.toml"));
    sweep(to, &kept)
}

/// Writes a file if it does not say that already.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).at(folder)?;
    }
    std::fs::write(path, bytes).at(path)
}

fn sweep(folder: &Path, kept: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).at(folder)? {
        let entry = entry.at(folder)?;
        let path = entry.path();
        let by_tools = LEFT_BY_TOOLS.iter().any(|name| entry.file_name() == *name);
        if entry.file_type().at(&path)?.is_dir() {
            if !by_tools {
                sweep(&path, kept)?;
            }
        } else if !kept.contains(&path) {
            std::fs::remove_file(&path).at(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::World;

    #[test]
    fn what_is_there_is_left_alone_and_what_is_old_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Project {
            folder: folder.path().to_path_buf(),
            name: "a".into(),
            language: Language::Rust,
            world: World::Framework,
        };
        unpack(&project).expect("it is unpacked");
        let sdk = project.own().join("sdk/rust");
        let old = sdk.join("src/old.rs");
        std::fs::write(&old, "").expect("it is written");
        let kept = sdk.join("target/debug/x");
        std::fs::create_dir_all(kept.parent().expect("it has one")).expect("it is made");
        std::fs::write(&kept, "").expect("it is written");
        let source = sdk.join("src/lib.rs");
        let modified = || {
            std::fs::metadata(&source)
                .and_then(|m| m.modified())
                .expect("it is there")
        };
        let before = modified();

        unpack(&project).expect("it is unpacked again");
        assert!(!old.exists() && kept.exists());
        assert_eq!(modified(), before);
        assert!(project.own().join("wit/worlds.wit").is_file());
    }
}
