//! The registry's folder: what it says of itself, and who uses it.

use super::{FORMAT, records_file};
use crate::LoadError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The first line of the header file, before the format's number.
const MAGIC: &str = "mezzo registry, format ";

/// A folder that is ours alone until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held for its lock, which the kernel releases even after `kill -9`.
    _lock: File,
}

impl Folder {
    /// Checks what is there before anything is written; makes a new one only of an absent or empty
    /// folder.
    pub fn open(path: &Path) -> Result<Folder, LoadError> {
        let io = |source| LoadError::Io {
            path: path.to_path_buf(),
            source,
        };
        let header = path.join("FORMAT");
        let known = match std::fs::read_to_string(&header) {
            Ok(text) => {
                check_header(path, &text)?;
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                check_empty(path)?;
                false
            }
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(LoadError::Foreign {
                    path: header,
                    problem: "its FORMAT file is no text".into(),
                });
            }
            Err(source) => {
                return Err(LoadError::Io {
                    path: header,
                    source,
                });
            }
        };
        if known && !records_file(path).exists() {
            return Err(LoadError::Corrupt {
                path: records_file(path),
                problem: "the file is missing".into(),
            });
        }
        std::fs::create_dir_all(path).map_err(io)?;
        let lock = lock(path)?;
        if !known {
            create(path).map_err(io)?;
        }
        Ok(Folder {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    /// The library's file.
    pub fn records(&self) -> PathBuf {
        records_file(&self.path)
    }
}

fn check_header(path: &Path, text: &str) -> Result<(), LoadError> {
    let found = text
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.trim_end().parse::<u32>().ok());
    match found {
        Some(found) if found > FORMAT => Err(LoadError::Newer {
            path: path.to_path_buf(),
            found,
            known: FORMAT,
        }),
        Some(0) | None => Err(LoadError::Foreign {
            path: path.join("FORMAT"),
            problem: "its FORMAT file is not ours".into(),
        }),
        Some(_) => Ok(()),
    }
}

/// What a crash between two steps of [`create`] leaves is ours as well.
fn check_empty(path: &Path) -> Result<(), LoadError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(LoadError::Io {
                path: path.to_path_buf(),
                source,
            });
        }
    };
    for entry in entries {
        let entry = entry.map_err(|source| LoadError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        let empty = entry.metadata().is_ok_and(|meta| meta.len() == 0);
        let ours = match entry.file_name().to_str() {
            Some("LOCK" | "FORMAT.new") => true,
            Some("records.redb") => empty,
            _ => false,
        };
        if !ours {
            let problem = format!("it holds {:?} and no FORMAT file", entry.file_name());
            return Err(LoadError::Foreign {
                path: path.to_path_buf(),
                problem,
            });
        }
    }
    Ok(())
}

/// The empty file first, the header last: a header says that the file is there.
fn create(path: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(records_file(path))?
        .sync_all()?;
    let new = path.join("FORMAT.new");
    let mut header = File::create(&new)?;
    writeln!(header, "{MAGIC}{FORMAT}")?;
    header.sync_all()?;
    std::fs::rename(&new, path.join("FORMAT"))?;
    File::open(path)?.sync_all()
}

fn lock(path: &Path) -> Result<File, LoadError> {
    let file = path.join("LOCK");
    let io = |source| LoadError::Io {
        path: file.clone(),
        source,
    };
    let mut lock = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&file)
        .map_err(io)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = lock.read_to_string(&mut pid);
            return Err(LoadError::InUse {
                path: path.to_path_buf(),
                pid: pid.trim().to_string(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    // For the one who finds it taken; a full disk only makes that message poorer.
    let _ = lock.set_len(0);
    let _ = lock.seek(SeekFrom::Start(0));
    let _ = writeln!(lock, "{}", std::process::id());
    Ok(lock)
}
