//! Why something for an author could not be done, in words that say what to do next.

use std::path::{Path, PathBuf};

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program of the language is not there, or is too old.
    #[error("{what}, and {needed_for} needs it.\nInstall: {install}")]
    NoTool {
        /// What is missing, as a clause: `there is no program `go``.
        what: String,
        /// What cannot be done.
        needed_for: &'static str,
        /// A command or a page.
        install: String,
    },
    /// A compiler refused; it has said why on standard error.
    #[error("{command} ended with {status}; what it says stands above")]
    Failed {
        /// As it was started.
        command: String,
        /// How it ended.
        status: String,
    },
    /// A field of `mezzo.toml` says what cannot be.
    #[error("{}: {field}: {why}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Which field.
        field: String,
        /// What is wrong, and what is expected.
        why: String,
    },
    /// There is no project where one is expected.
    #[error(
        "{} has no mezzo.toml: is it a framework's folder? `mezzo framework new` makes one",
        folder.display()
    )]
    NoProject {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// `new` never writes over what is there.
    #[error("{} is already there; choose another name, or remove it", .0.display())]
    Exists(PathBuf),
    /// The name of a new framework cannot be one.
    #[error("{name:?} cannot be a framework's name: {why}")]
    Name {
        /// What was given.
        name: String,
        /// The rule.
        why: &'static str,
    },
    /// This build of Mezzo has no SDK for the language.
    #[error("this mezzo has no SDK for {0} yet")]
    NoSdk(&'static str),
    /// The generators could not make sense of something; a defect of ours or theirs, or another world's module.
    #[error("{what}: {why}")]
    Generator {
        /// What was tried.
        what: String,
        /// Their words.
        why: String,
    },
    /// What was built is not what `mezzo.toml` says.
    #[error("{}: {why}", component.display())]
    Component {
        /// The file.
        component: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A file or a program's start.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// What a step gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Puts the path, or what was tried, before an I/O error.
pub trait Tried<T> {
    /// For work on a file.
    fn at(self, path: &Path) -> Result<T>;
    /// For anything else.
    fn tried(self, what: &str) -> Result<T>;
}

impl<T> Tried<T> for std::io::Result<T> {
    fn at(self, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io {
            what: path.display().to_string(),
            source,
        })
    }

    fn tried(self, what: &str) -> Result<T> {
        self.map_err(|source| Error::Io {
            what: what.to_owned(),
            source,
        })
    }
}
