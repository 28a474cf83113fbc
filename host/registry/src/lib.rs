//! Where the master's records live: keys and values that are committed in batches, and components
//! by digest.
//!
//! Owns durability: a batch is there as a whole or not at all, and once `commit` has returned it is
//! there after a `kill -9`. It knows bytes only; what they mean is the core's business. Every
//! implementation passes the public suite in [`suite`].

mod blobs;
mod embedded;
mod memory;
pub mod suite;

pub use blobs::{BlobError, Blobs, FileBlobs, MemoryBlobs};
pub use embedded::{Embedded, EmbeddedLimits, FORMAT};
pub use memory::Memory;

use std::path::PathBuf;

/// The number of the last committed batch; 0 while there is none.
pub type Version = u64;

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Compared byte by byte; `load` goes through them in order.
    pub key: Vec<u8>,
    /// What the key holds from now on; none takes it away.
    pub value: Option<Vec<u8>>,
}

/// Changes that become durable together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Kept in the log, for audits; not looked at.
    pub header: Vec<u8>,
    /// In this order: a later one of the same key counts.
    pub writes: Vec<Write>,
}

/// See the module.
pub trait Registry: Send {
    /// Calls `each` with every key and its value, in the order of keys. Returns the version.
    fn load(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<Version, LoadError>;

    /// Makes batches durable, all of them or none, as versions `expected + 1` and on. Returns the
    /// new version.
    fn commit(&mut self, expected: Version, batches: &[Batch]) -> Result<Version, CommitError>;

    /// The headers of the batches after `after`, oldest first, at most `limit`. Old ones are
    /// forgotten from a named number on.
    fn log(&mut self, after: Version, limit: usize) -> Result<Vec<(Version, Vec<u8>)>, LoadError>;

    /// Lets go of files and locks. Dropping without it is like a crash: nothing is lost.
    fn close(self: Box<Self>) -> Result<(), LoadError>;
}

/// Why the records cannot be read. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The files belong to something else.
    #[error(
        "{path}: not a Mezzo registry ({problem}); choose another data folder, it was left as it is"
    )]
    Foreign {
        /// Where.
        path: PathBuf,
        /// What is there instead.
        problem: String,
    },
    /// Written by a newer Mezzo.
    #[error(
        "{path}: the registry has format {found}, this version reads up to {known}; use the Mezzo that wrote it, or a newer one"
    )]
    Newer {
        /// Where.
        path: PathBuf,
        /// What it says of itself.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
    /// Bytes have changed, or are missing.
    #[error(
        "{path}: the registry is damaged ({problem}); it was left as it is: restore a backup of the data folder"
    )]
    Corrupt {
        /// Where.
        path: PathBuf,
        /// What was found.
        problem: String,
    },
    /// Another process has it open.
    #[error("{path}: in use by the process {pid}; only one master can use a data folder")]
    InUse {
        /// Where.
        path: PathBuf,
        /// Who, as far as it said so.
        pid: String,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

/// Why a commit did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else has committed: nothing of this was applied.
    #[error("the registry is at version {found}, not {expected}: somebody else leads")]
    Conflict {
        /// What the caller believed.
        expected: Version,
        /// What is so.
        found: Version,
    },
    /// No space is left: nothing was applied. The same call may succeed later.
    #[error("no space is left for the registry: {0}")]
    Full(String),
    /// Larger than [`EmbeddedLimits::batch_bytes_max`]: nothing was applied.
    #[error("batch-bytes-max: at most {limit} bytes in one commit, not {bytes}")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// What it would have been.
        bytes: usize,
    },
    /// It may have been applied or not: read the registry again.
    #[error("it is unknown whether the registry took the batch: {0}")]
    Unknown(String),
}
