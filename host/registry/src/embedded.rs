//! The registry in a folder of its own, kept by redb.
//!
//! Owns the format around the library: a header file that says what the folder is, a lock, a
//! checksum on every value, and the promise that opening never changes what it refuses. The choice
//! of library is decision 0001.

mod file;
mod folder;

use crate::{Batch, CommitError, LoadError, Registry, Version};
use file::GuardedFile;
use folder::Folder;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::{Path, PathBuf};

/// The version of the folder's layout.
pub const FORMAT: u32 = 1;

const RECORDS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("records");
const LOG: TableDefinition<u64, &[u8]> = TableDefinition::new("log");

/// Limits of the embedded registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedLimits {
    /// Keys, values and headers of one commit, in bytes.
    pub batch_bytes_max: usize,
    /// Headers that are kept in the log.
    pub log_entries_max: u64,
    /// Memory for pages, in bytes.
    pub cache_bytes: usize,
}

impl Default for EmbeddedLimits {
    fn default() -> EmbeddedLimits {
        EmbeddedLimits {
            batch_bytes_max: 256 << 20,
            log_entries_max: 100_000,
            cache_bytes: 16 << 20,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Embedded {
    folder: Folder,
    limits: EmbeddedLimits,
    /// None after a failed write, until it is opened anew.
    database: Option<Database>,
    version: Version,
}

impl Embedded {
    /// Opens the registry in `folder`, or makes one if the folder is absent or empty.
    pub fn open(folder: &Path, limits: EmbeddedLimits) -> Result<Embedded, LoadError> {
        let folder = Folder::open(folder)?;
        let (database, version) = open_database(&folder, limits)?;
        Ok(Embedded {
            folder,
            limits,
            database: Some(database),
            version,
        })
    }

    /// Opens again after the library has given up on a failed write.
    fn reopen(&mut self) -> Result<&Database, LoadError> {
        if self.database.is_none() {
            let (database, version) = open_database(&self.folder, self.limits)?;
            (self.database, self.version) = (Some(database), version);
        }
        self.database
            .as_ref()
            .ok_or_else(|| self.corrupt("it could not be opened again"))
    }

    fn corrupt(&self, problem: impl std::fmt::Display) -> LoadError {
        LoadError::Corrupt {
            path: self.folder.records(),
            problem: problem.to_string(),
        }
    }

    fn write(&mut self, batches: &[Batch]) -> Result<Version, redb::Error> {
        let Some(database) = self.database.as_ref() else {
            return Err(redb::Error::DatabaseClosed);
        };
        let transaction = database.begin_write()?;
        let mut version = self.version;
        {
            let mut records = transaction.open_table(RECORDS)?;
            let mut log = transaction.open_table(LOG)?;
            let mut sealed = Vec::new();
            for batch in batches {
                version += 1;
                seal(&version.to_be_bytes(), &batch.header, &mut sealed);
                log.insert(version, sealed.as_slice())?;
                for write in &batch.writes {
                    match &write.value {
                        Some(value) => {
                            seal(&write.key, value, &mut sealed);
                            records.insert(write.key.as_slice(), sealed.as_slice())?;
                        }
                        None => drop(records.remove(write.key.as_slice())?),
                    }
                }
            }
            let old = version.saturating_sub(self.limits.log_entries_max);
            loop {
                let oldest = log.first()?.map(|(oldest, _)| oldest.value());
                match oldest {
                    Some(oldest) if oldest <= old => drop(log.remove(oldest)?),
                    _ => break,
                }
            }
        }
        transaction.commit()?;
        Ok(version)
    }
}

impl Registry for Embedded {
    fn load(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<Version, LoadError> {
        let path = self.folder.records();
        let database = self.reopen()?;
        let corrupt = |e: redb::Error| LoadError::Corrupt {
            path: path.clone(),
            problem: e.to_string(),
        };
        read_all(database, each)
            .map_err(corrupt)?
            .map_err(|problem| LoadError::Corrupt {
                path: path.clone(),
                problem,
            })?;
        Ok(self.version)
    }

    fn commit(&mut self, expected: Version, batches: &[Batch]) -> Result<Version, CommitError> {
        let bytes = batches.iter().map(size).sum();
        if bytes > self.limits.batch_bytes_max {
            return Err(CommitError::TooLarge {
                limit: self.limits.batch_bytes_max,
                bytes,
            });
        }
        if self.database.is_none() {
            self.reopen().map_err(|e| {
                if is_full(&e) {
                    CommitError::Full(e.to_string())
                } else {
                    CommitError::Unknown(e.to_string())
                }
            })?;
        }
        if self.version != expected {
            return Err(CommitError::Conflict {
                expected,
                found: self.version,
            });
        }
        let error = match self.write(batches) {
            Ok(version) => {
                self.version = version;
                return Ok(version);
            }
            Err(error) => error,
        };
        // The library takes no more after a failed write. What really is on the disk is read again.
        self.database = None;
        let wanted = expected + batches.len() as Version;
        match self.reopen().map(|_| ()) {
            Ok(()) if self.version == wanted => Ok(wanted),
            Ok(()) if self.version == expected && is_full_write(&error) => {
                Err(CommitError::Full(error.to_string()))
            }
            Err(again) if is_full_write(&error) && is_full(&again) => {
                Err(CommitError::Full(error.to_string()))
            }
            _ => Err(CommitError::Unknown(error.to_string())),
        }
    }

    fn log(&mut self, after: Version, limit: usize) -> Result<Vec<(Version, Vec<u8>)>, LoadError> {
        let path = self.folder.records();
        let database = self.reopen()?;
        let corrupt = |e: redb::Error| LoadError::Corrupt {
            path: path.clone(),
            problem: e.to_string(),
        };
        read_log(database, after, limit).map_err(corrupt)
    }

    fn close(mut self: Box<Self>) -> Result<(), LoadError> {
        self.database = None;
        Ok(())
    }
}

fn size(batch: &Batch) -> usize {
    let writes = batch
        .writes
        .iter()
        .map(|write| write.key.len() + write.value.as_ref().map_or(0, Vec::len));
    batch.header.len() + writes.sum::<usize>()
}

/// Opens the file behind a guard that keeps every write in memory until all pages, checksums and
/// values have been read and found good.
fn open_database(
    folder: &Folder,
    limits: EmbeddedLimits,
) -> Result<(Database, Version), LoadError> {
    let path = folder.records();
    let (file, guard) = GuardedFile::open(&path)?;
    let corrupt = |problem: String| LoadError::Corrupt {
        path: path.clone(),
        problem,
    };
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let database = Database::builder()
            .set_cache_size(limits.cache_bytes)
            .set_check_integrity_on_open(true)
            .create_with_backend(file)
            .map_err(|e| e.to_string())?;
        // Reading everything once, before anything is written: each value proves itself.
        read_all(&database, &mut |_, _| ()).map_err(|e| e.to_string())??;
        let last = read_log_end(&database).map_err(|e| e.to_string())?;
        Ok::<_, String>((database, last))
    }));
    match opened {
        Ok(Ok(opened)) => {
            guard
                .release()
                .map_err(|source| LoadError::Io { path, source })?;
            Ok(opened)
        }
        Ok(Err(problem)) => Err(corrupt(problem)),
        Err(_) => Err(corrupt("its pages contradict each other".into())),
    }
}

fn read_all(
    database: &Database,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<Result<(), String>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(RECORDS) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Ok(())),
        Err(error) => return Err(error.into()),
    };
    for entry in table.iter()? {
        let (key, sealed) = entry?;
        match unseal(key.value(), sealed.value()) {
            Some(value) => each(key.value(), value),
            None => {
                return Ok(Err(format!(
                    "the value of key {:?} has a wrong checksum",
                    String::from_utf8_lossy(key.value())
                )));
            }
        }
    }
    Ok(Ok(()))
}

fn read_log_end(database: &Database) -> Result<Version, redb::Error> {
    let transaction = database.begin_read()?;
    match transaction.open_table(LOG) {
        Ok(log) => Ok(log.last()?.map_or(0, |(version, _)| version.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn read_log(
    database: &Database,
    after: Version,
    limit: usize,
) -> Result<Vec<(Version, Vec<u8>)>, redb::Error> {
    let transaction = database.begin_read()?;
    let log = match transaction.open_table(LOG) {
        Ok(log) => log,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut headers = Vec::new();
    for entry in log.range(after.saturating_add(1)..)?.take(limit) {
        let (version, sealed) = entry?;
        let header = unseal(&version.value().to_be_bytes(), sealed.value());
        let damaged = || {
            redb::Error::Corrupted(format!(
                "the header of batch {} has a wrong checksum",
                version.value()
            ))
        };
        headers.push((version.value(), header.ok_or_else(damaged)?.to_vec()));
    }
    Ok(headers)
}

/// A value behind a checksum over its key and itself.
fn seal(key: &[u8], value: &[u8], sealed: &mut Vec<u8>) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    sealed.clear();
    sealed.extend_from_slice(&hasher.finalize().to_le_bytes());
    sealed.extend_from_slice(value);
}

fn unseal<'a>(key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (checksum, value) = sealed.split_first_chunk::<4>()?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    (hasher.finalize().to_le_bytes() == *checksum).then_some(value)
}

fn is_full(error: &LoadError) -> bool {
    matches!(error, LoadError::Io { source, .. } if out_of_space(source))
        || matches!(error, LoadError::Corrupt { problem, .. } if problem.contains("No space left"))
}

fn is_full_write(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(source) => out_of_space(source),
        _ => false,
    }
}

fn out_of_space(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Where the library's file is.
pub(crate) fn records_file(folder: &Path) -> PathBuf {
    folder.join("records.redb")
}
