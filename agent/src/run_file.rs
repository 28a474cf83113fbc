//! Files in a run's folder, read with care: a task runs as the same user, and may have put a pipe, a
//! link or an endless file in the place of one.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What the shim, the runner and the agent write down is not longer, in bytes.
pub const NOTE_BYTES_MAX: u64 = 64 << 10;

/// Opens a file for reading. Follows no link and waits for nobody.
pub fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(wrong("it is no regular file"));
    }
    Ok(file)
}

/// All of a file, if it is not longer than that.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if length as u64 > bytes_max {
        return Err(wrong("it is longer than any that was written there"));
    }
    Ok(bytes)
}

/// All of a short text.
pub fn read_note(path: &Path) -> Result<String> {
    String::from_utf8(read(path, NOTE_BYTES_MAX)?).map_err(|_| wrong("it is no text"))
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_short_files_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("note"), "fine").expect("writable");
        assert_eq!(read_note(&path("note")).expect("a note"), "fine");
        std::os::unix::fs::symlink(path("note"), path("link")).expect("a link");
        std::os::unix::fs::symlink("/dev/zero", path("endless")).expect("a link");
        let fifo = std::process::Command::new("mkfifo")
            .arg(path("fifo"))
            .status();
        assert!(fifo.expect("there is mkfifo").success());
        for bad in ["link", "endless", "fifo", "."] {
            read_note(&path(bad)).expect_err(bad);
        }
        let long = vec![b'x'; usize::try_from(NOTE_BYTES_MAX).expect("small") + 1];
        std::fs::write(path("long"), &long[1..]).expect("writable");
        assert!(read_note(&path("long")).is_ok());
        std::fs::write(path("long"), long).expect("writable");
        read_note(&path("long")).expect_err("one byte too long");
    }
}
