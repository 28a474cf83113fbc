//! Foreign, truncated, damaged and newer data is reported as such, and never altered.

use mezzo_registry::suite::{batch, contents, put};
use mezzo_registry::{Embedded, EmbeddedLimits, LoadError, Registry};
use std::path::{Path, PathBuf};

fn open(path: &Path) -> Result<Embedded, LoadError> {
    Embedded::open(path, EmbeddedLimits::default())
}

fn filled() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("registry");
    let mut registry = open(&path).expect("it opens");
    for version in 0..20 {
        let writes = (0..50)
            .map(|i| put(&format!("key/{version}/{i}"), &[version as u8; 100]))
            .collect();
        registry
            .commit(version, &[batch(writes)])
            .expect("it commits");
    }
    (folder, path)
}

#[test]
fn a_second_process_is_refused() {
    let (_folder, path) = filled();
    let first = open(&path).expect("it opens");
    let error = open(&path).expect_err("it is in use");
    assert!(
        matches!(&error, LoadError::InUse { pid, .. } if *pid == std::process::id().to_string()),
        "{error}"
    );
    drop(first);
    open(&path).expect("it is free again");
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let (_folder, path) = filled();
    std::fs::write(path.join("FORMAT"), "mezzo registry, format 2\n").expect("writable");
    let error = open(&path).expect_err("it is newer");
    assert!(
        error
            .to_string()
            .contains("format 2, this version reads up to 1"),
        "{error}"
    );
}

#[test]
fn a_foreign_folder_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("holiday.txt"), "sea").expect("writable");
    let error = open(folder.path()).expect_err("it is not ours");
    assert!(matches!(error, LoadError::Foreign { .. }), "{error}");
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("readable")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["holiday.txt"], "nothing was added");
}

#[test]
fn a_missing_file_is_not_a_new_registry() {
    let (_folder, path) = filled();
    std::fs::remove_file(path.join("records.redb")).expect("writable");
    let error = open(&path).expect_err("the file is gone");
    assert!(matches!(error, LoadError::Corrupt { .. }), "{error}");
    assert!(!path.join("records.redb").exists());
}

/// Damages the file in some way: it is refused and not altered, or every value is right.
fn damage(change: impl FnOnce(&mut Vec<u8>)) -> bool {
    let (_folder, path) = filled();
    let file = path.join("records.redb");
    let good = contents(&mut open(&path).expect("it opens"));
    let mut bytes = std::fs::read(&file).expect("readable");
    change(&mut bytes);
    std::fs::write(&file, &bytes).expect("writable");
    match open(&path) {
        Ok(mut registry) => {
            assert!(
                contents(&mut registry) == good,
                "wrong data was taken for good"
            );
            false
        }
        Err(error) => {
            assert!(matches!(error, LoadError::Corrupt { .. }), "{error}");
            assert!(
                std::fs::read(&file).expect("readable") == bytes,
                "a refused file was altered"
            );
            true
        }
    }
}

#[test]
fn truncated_files_are_refused() {
    for part in [1, 9, 320, 4_096, 30_000] {
        assert!(damage(|bytes| bytes.truncate(part)), "cut to {part} bytes");
    }
    assert!(
        damage(|bytes| bytes.truncate(bytes.len() / 2)),
        "cut to half"
    );
}

#[test]
fn a_foreign_file_is_refused() {
    assert!(damage(|bytes| *bytes = b"SQLite format 3\0".repeat(1_000)));
}

#[test]
fn flipped_bits_never_give_wrong_data() {
    let mut refused = 0;
    for i in 0..60 {
        refused += usize::from(damage(|bytes| {
            let at = bytes.len() / 60 * i + i * 7;
            bytes[at] ^= 0x10;
        }));
    }
    // Many places hold nothing: what matters is that no flip gives wrong data.
    assert!(refused > 5, "only {refused} of 60 flips were noticed");
}
