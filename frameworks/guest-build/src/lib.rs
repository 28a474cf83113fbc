//! Builds guest packages of this workspace to WebAssembly components, from a build script. It owns the nested cargo
//! call: its target folder, its environment, and what the outer build has to watch; not what becomes of the files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What guests are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// The profile of the workspace that they are built with.
pub const PROFILE: &str = "guest";

/// Why a guest could not be built.
#[derive(Debug)]
pub enum Error {
    /// A variable that cargo sets for build scripts is not there.
    NotABuildScript(&'static str),
    /// The folder above the calling package that has a `Cargo.lock` was not found.
    NoWorkspace(PathBuf),
    /// The toolchain has no standard library for [`TARGET`].
    TargetMissing,
    /// A program could not be started, or a file not be copied.
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Cargo ended with an error; its own words.
    Cargo {
        /// What was built.
        packages: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// Cargo succeeded, but the file is not where it should be.
    NoOutput(PathBuf),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::NotABuildScript(name) => {
                write!(f, "{name} is not set: call this from a build script")
            }
            Error::NoWorkspace(from) => {
                write!(f, "there is no Cargo.lock above {}", from.display())
            }
            Error::TargetMissing => write!(
                f,
                "the Rust target {TARGET} is not installed, and frameworks are built for it. \
                 Run: rustup target add {TARGET}"
            ),
            Error::Io { what, source } => write!(f, "{what}: {source}"),
            Error::Cargo { packages, stderr } => {
                write!(f, "building {packages} for {TARGET} failed:\n{stderr}")
            }
            Error::NoOutput(path) => {
                write!(
                    f,
                    "cargo made no {}: is the crate-type cdylib?",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for Error {}

/// Builds the packages and copies each component to `$OUT_DIR/<package>.wasm`. `sources` are the folders of those
/// packages, relative to the workspace; the SDK, the contract and the lock file are watched in any case.
pub fn build(packages: &[&str], sources: &[&str]) -> Result<(), Error> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let own = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = workspace_above(&own)?;
    watch(&workspace, sources);
    target_is_there()?;
    let target_dir = target_dir(&out);
    run_cargo(&workspace, &target_dir, packages)?;
    for package in packages {
        copy(&target_dir, &out, package)?;
    }
    Ok(())
}

/// Like [`build`]; what went wrong ends the build script with nothing but the message.
pub fn build_or_exit(packages: &[&str], sources: &[&str]) {
    if let Err(error) = build(packages, sources) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn variable(name: &'static str) -> Result<OsString, Error> {
    std::env::var_os(name).ok_or(Error::NotABuildScript(name))
}

fn workspace_above(from: &Path) -> Result<PathBuf, Error> {
    let found = from
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file());
    found
        .map(Path::to_path_buf)
        .ok_or_else(|| Error::NoWorkspace(from.to_path_buf()))
}

fn watch(workspace: &Path, sources: &[&str]) {
    let common = [
        "Cargo.toml",
        "Cargo.lock",
        "wit",
        "guest-sdk/rust/src",
        "guest-sdk/rust/Cargo.toml",
    ];
    for path in common.iter().chain(sources) {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
}

fn target_is_there() -> Result<(), Error> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir", "--target", TARGET]);
    let output = command.output().map_err(|source| Error::Io {
        what: "starting rustc".to_owned(),
        source,
    })?;
    let folder = String::from_utf8_lossy(&output.stdout);
    let found = output.status.success() && Path::new(folder.trim()).is_dir();
    if found {
        Ok(())
    } else {
        Err(Error::TargetMissing)
    }
}

/// All build scripts of one cargo target folder share one nested folder, so that what guests have in common is built
/// once. It cannot be the outer folder itself: the outer cargo holds its lock.
fn target_dir(out: &Path) -> PathBuf {
    let build = out
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|n| n == "build"));
    match build.and_then(Path::parent).and_then(Path::parent) {
        Some(outer) => outer.join("guests"),
        None => out.join("guests"),
    }
}

fn run_cargo(workspace: &Path, target_dir: &Path, packages: &[&str]) -> Result<(), Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_the_outer_build) {
            command.env_remove(name);
        }
    }
    command
        .current_dir(workspace)
        .args([
            "build",
            "--locked",
            "--profile",
            PROFILE,
            "--target",
            TARGET,
        ])
        .arg("--target-dir")
        .arg(target_dir);
    for package in packages {
        command.args(["--package", package]);
    }
    let output = command.output().map_err(|source| Error::Io {
        what: "starting cargo".to_owned(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Cargo {
        packages: packages.join(", "),
        stderr,
    })
}

/// Whether a variable speaks of the outer build (its flags, target, profile, wrapper) and would bend the nested one.
/// What says where cargo finds its home, its registries and its job server stays.
fn is_of_the_outer_build(name: &str) -> bool {
    const KEPT: [&str; 6] = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    let about_cargo = name.starts_with("CARGO") || name.starts_with("RUSTC");
    let flags = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "TARGET",
        "HOST",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
    ];
    (about_cargo && !KEPT.iter().any(|kept| name.starts_with(kept))) || flags.contains(&name)
}

fn copy(target_dir: &Path, out: &Path, package: &str) -> Result<(), Error> {
    let built = target_dir.join(TARGET).join(PROFILE);
    let program = built.join(format!("{package}.wasm"));
    let library = built.join(format!("{}.wasm", package.replace('-', "_")));
    let from = if program.is_file() { program } else { library };
    if !from.is_file() {
        return Err(Error::NoOutput(from));
    }
    let to = out.join(format!("{package}.wasm"));
    std::fs::copy(&from, &to)
        .map(|_| ())
        .map_err(|source| Error::Io {
            what: format!("copying {} to {}", from.display(), to.display()),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nested_build_keeps_the_registries_and_drops_the_flags() {
        for dropped in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "RUSTC_WRAPPER",
            "CARGO_PROFILE_DEV_LTO",
            "CARGO",
        ] {
            assert!(is_of_the_outer_build(dropped), "{dropped}");
        }
        for kept in [
            "PATH",
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_REGISTRIES_X_INDEX",
            "RUSTUP_TOOLCHAIN",
            "CARGO_MAKEFLAGS",
        ] {
            assert!(!is_of_the_outer_build(kept), "{kept}");
        }
    }

    #[test]
    fn the_nested_folder_lies_beside_the_profiles() {
        let check =
            |out: &str, expected: &str| assert_eq!(target_dir(Path::new(out)), Path::new(expected));
        check(
            "/w/target/debug/build/mezzo-bundle-1/out",
            "/w/target/guests",
        );
        check("/elsewhere/out", "/elsewhere/out/guests");
    }

    #[test]
    fn a_missing_target_says_what_to_do() {
        assert!(
            Error::TargetMissing
                .to_string()
                .ends_with("rustup target add wasm32-wasip2")
        );
    }
}
