//! Why a master cannot start or go on.

use std::net::SocketAddr;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("the master's setting `{field}`: {problem}")]
    Config {
        /// Which.
        field: &'static str,
        /// What was expected.
        problem: String,
    },
    /// The records cannot be read.
    #[error(transparent)]
    Registry(#[from] mezzo_registry::LoadError),
    /// The components cannot be kept.
    #[error(transparent)]
    Components(#[from] mezzo_registry::BlobError),
    /// A value is no record.
    #[error(
        "{0}; the registry was left as it is: use the Mezzo that wrote it, or restore a backup of the data folder"
    )]
    Unreadable(#[from] crate::keys::Unreadable),
    /// Records contradict each other.
    #[error("{0}; the registry was left as it is: restore a backup of the data folder")]
    Corrupt(#[from] mezzo_core::CorruptRecord),
    /// Records were written by a newer Mezzo.
    #[error(
        "the records have format {found}, this version reads up to {known}; use the Mezzo that wrote them, or a newer one"
    )]
    Newer {
        /// What they say of themselves.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
    /// Frameworks cannot be run.
    #[error(transparent)]
    Sandbox(#[from] mezzo_wasm::OpenError),
    /// Nobody can reach it.
    #[error(
        "listen on {address} (the setting `{field}`): {source}; is another master running? Choose another port, or 0 for a free one"
    )]
    Listen {
        /// Which setting.
        field: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// What it said.
        source: std::io::Error,
    },
    /// A framework that comes with Mezzo could not be installed.
    #[error("the built-in framework {name} could not be installed: {problem}")]
    Bundled {
        /// Which.
        name: String,
        /// Why.
        problem: String,
    },
}

pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}
