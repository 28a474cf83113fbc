//! A task's own folder. Everything is opened through a handle of that folder, so that no path, link
//! or file leaves it.

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use mezzo_types::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The sandbox's name in a run's folder.
pub const SANDBOX: &str = "sandbox";

/// Makes the sandbox of a run and puts its files in. Repeating it does no harm.
pub fn make(run_folder: &Path, files: &[File]) -> std::io::Result<PathBuf> {
    let path = run_folder.join(SANDBOX);
    match std::fs::create_dir(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if !files.is_empty() {
        let sandbox = Dir::open_ambient_dir(&path, ambient_authority())?;
        for file in files {
            put(&sandbox, file)
                .map_err(|e| std::io::Error::new(e.kind(), format!("file {:?}: {e}", file.path)))?;
        }
    }
    Ok(path)
}

/// Puts a link to a folder outside into the sandbox. Repeating it does no harm.
pub fn link(sandbox: &Path, path: &str, folder: &Path) -> std::io::Result<()> {
    let sandbox = Dir::open_ambient_dir(sandbox, ambient_authority())?;
    if let Some((folders, _)) = path.rsplit_once('/') {
        sandbox.create_dir_all(folders)?;
    }
    match sandbox.symlink_contents(folder, path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            match sandbox.read_link_contents(path) {
                Ok(there) if there == folder => Ok(()),
                _ => Err(error),
            }
        }
        linked => linked,
    }
}

fn put(sandbox: &Dir, file: &File) -> std::io::Result<()> {
    if let Some((folders, _)) = file.path.rsplit_once('/') {
        sandbox.create_dir_all(folders)?;
    }
    let mode = if file.executable { 0o755 } else { 0o644 };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    sandbox
        .open_with(&file.path, &options)?
        .write_all(&file.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_linked_once_and_only_inside() {
        let (folder, outside) = (tempfile::tempdir(), tempfile::tempdir());
        let (folder, outside) = (folder.expect("a folder"), outside.expect("a folder"));
        let sandbox = make(folder.path(), &[]).expect("made");
        for path in ["data", "deep/er/data"] {
            link(&sandbox, path, outside.path()).expect("linked");
            link(&sandbox, path, outside.path()).expect("repeating it does no harm");
            std::fs::write(sandbox.join(path).join("file"), path).expect("writable");
            let text = std::fs::read_to_string(outside.path().join("file"));
            assert_eq!(text.expect("readable"), path);
        }
        link(&sandbox, "data", folder.path()).expect_err("another folder is there");
        std::fs::create_dir(sandbox.join("taken")).expect("writable");
        link(&sandbox, "taken", outside.path()).expect_err("something else is there");
        std::os::unix::fs::symlink(folder.path(), sandbox.join("way-out")).expect("a link");
        for bad in ["../data", "way-out/data", "/data"] {
            link(&sandbox, bad, outside.path()).expect_err(bad);
        }
        assert!(!folder.path().join("data").exists());
    }

    #[test]
    fn nothing_leaves_the_sandbox() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("outside"), "mine").expect("writable");
        let file = |path: &str| File {
            path: path.into(),
            content: b"theirs".to_vec(),
            executable: true,
        };
        let sandbox = make(folder.path(), &[file("bin/tool"), file("note")]).expect("good files");
        assert_eq!(
            std::fs::read(sandbox.join("bin/tool")).expect("it is there"),
            b"theirs"
        );
        std::os::unix::fs::symlink(folder.path(), sandbox.join("way-out")).expect("a link");
        for bad in ["../outside", "/etc/passwd", "way-out/outside"] {
            make(folder.path(), &[file(bad)]).expect_err(bad);
        }
        assert_eq!(
            std::fs::read(folder.path().join("outside")).expect("readable"),
            b"mine"
        );
    }
}
