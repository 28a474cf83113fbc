//! Folders of ended runs: kept for their output for a while, within bounds, then removed.

use std::io::{ErrorKind, Result};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The unit of `st_blocks`, in bytes, whatever the file system's own is.
const BLOCK_BYTES: u64 = 512;

/// How much is kept; whatever is beyond one of them goes, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Since its end, in seconds.
    pub seconds: u64,
    /// Folders.
    pub folders: usize,
    /// On the disk, together, in bytes.
    pub bytes: u64,
}

/// Removes what is beyond. Returns how many. One that cannot be removed holds up no other; the last
/// such error is the answer.
pub fn collect(folder: &Path, keep: Keep) -> Result<usize> {
    let mut ended: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let since = entry.metadata().and_then(|meta| meta.modified());
        ended.push((since.unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
    }
    ended.sort();
    let (mut kept, mut bytes) = (0, 0_u64);
    let mut removed = Ok(0);
    for (since, path) in ended.iter().rev() {
        let old = since
            .elapsed()
            .is_ok_and(|age| age.as_secs() > keep.seconds);
        if !old && kept < keep.folders {
            bytes = bytes.saturating_add(size(path));
            if bytes <= keep.bytes {
                kept += 1;
                continue;
            }
            // So do all that are older.
            kept = keep.folders;
        }
        match remove(path) {
            Ok(()) => removed = removed.map(|n| n + 1),
            Err(error) => removed = Err(error),
        }
    }
    removed
}

/// What a folder takes on the disk. What cannot be looked at counts as nothing.
fn size(path: &Path) -> u64 {
    let Ok(meta) = path.symlink_metadata() else {
        return 0;
    };
    let inside = match meta.is_dir().then(|| std::fs::read_dir(path)) {
        Some(Ok(entries)) => entries.flatten().map(|entry| size(&entry.path())).sum(),
        _ => 0,
    };
    meta.blocks() * BLOCK_BYTES + inside
}

/// A task may have taken the right to change a folder of its own away: it is given back.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open(path)?;
            std::fs::remove_dir_all(path)
        }
        removed => removed,
    }
}

fn open(path: &Path) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        // A link is none of ours to follow.
        if entry.file_type()?.is_dir() {
            open(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ALL: Keep = Keep {
        seconds: 1_000,
        folders: 10,
        bytes: 1 << 30,
    };

    /// Folders 1 to 4, 1 the oldest, each with 64 KiB in a folder of its own.
    fn four() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for n in 1..=4_u64 {
            let run = folder.path().join(n.to_string());
            std::fs::create_dir_all(run.join("sandbox")).expect("made");
            std::fs::write(run.join("sandbox/data"), vec![1; 64 << 10]).expect("writable");
            let since = SystemTime::now() - Duration::from_secs(100 - 10 * n);
            let run = std::fs::File::open(run).expect("there");
            run.set_modified(since).expect("its time is set");
        }
        folder
    }

    fn left(keep: Keep) -> Vec<String> {
        let folder = four();
        collect(folder.path(), keep).expect("removed");
        let names = std::fs::read_dir(folder.path()).expect("readable");
        let mut names: Vec<String> = names
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_go_by_age_by_number_and_by_size() {
        assert_eq!(left(ALL), ["1", "2", "3", "4"]);
        assert_eq!(left(Keep { seconds: 75, ..ALL }), ["3", "4"]);
        assert_eq!(left(Keep { folders: 3, ..ALL }), ["2", "3", "4"]);
        assert_eq!(
            left(Keep {
                bytes: 100 << 10,
                ..ALL
            }),
            ["4"]
        );
    }

    #[test]
    fn what_a_link_leads_to_stays_and_does_not_count() {
        let folder = four();
        let volume = tempfile::tempdir().expect("a folder");
        let data = volume.path().join("data");
        std::fs::write(&data, vec![1; 8 << 20]).expect("writable");
        for n in 1..=4 {
            let link = folder.path().join(n.to_string()).join("sandbox/volume");
            std::os::unix::fs::symlink(volume.path(), link).expect("a link");
        }
        let four_are_few = Keep {
            bytes: 4 << 20,
            ..ALL
        };
        assert_eq!(collect(folder.path(), four_are_few).expect("fine"), 0);
        let none = Keep { folders: 0, ..ALL };
        assert_eq!(collect(folder.path(), none).expect("removed"), 4);
        assert_eq!(data.metadata().expect("there").len(), 8 << 20);
    }

    #[test]
    fn folders_are_opened_and_links_are_not_followed() {
        let folder = four();
        let outside = tempfile::tempdir().expect("a folder");
        let (outside, inside) = (outside.path(), folder.path().join("1/sandbox"));
        std::fs::set_permissions(outside, std::fs::Permissions::from_mode(0o500)).expect("mine");
        std::os::unix::fs::symlink(outside, inside.join("link")).expect("a link");
        std::fs::set_permissions(&inside, std::fs::Permissions::from_mode(0o500)).expect("mine");
        open(&folder.path().join("1")).expect("opened");
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&inside), mode(outside)), (0o700, 0o500));
    }
}
