//! Why a component was refused. Every text names the cause and what would be right.

use crate::linker::{OFFERED, PACKAGE, VERSION};
use mezzo_types::Digest;

/// Why [`crate::Sandbox::prepare`] refused a component. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The bytes are no WebAssembly.
    #[error("this is no WebAssembly component: {0}")]
    NotWasm(&'static str),
    /// A core module.
    #[error(
        "this is a WebAssembly core module, not a component: build it for wasm32-wasip2, or make a component of it with `wasm-tools component new`"
    )]
    CoreModule,
    /// Larger than the limit.
    #[error("the component has {bytes} bytes; component_bytes_max is {max}")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What it may have.
        max: usize,
    },
    /// The bytes are not those that the digest names.
    #[error("the component's digest is {found}, not {expected}: it was damaged on the way")]
    WrongDigest {
        /// What was said.
        expected: Digest,
        /// What is.
        found: Digest,
    },
    /// It breaks a rule of WebAssembly, or uses a part of it that is off.
    #[error("the component is not valid: {0}")]
    Invalid(String),
    /// It asks the compiler for too much.
    #[error("the component has {what} {found}; {limit} is {max}")]
    Structure {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        found: u64,
        /// The limit's name.
        limit: &'static str,
        /// The limit.
        max: u64,
    },
    /// It imports what is not offered.
    #[error("the component imports `{name}`, which is not offered here: {hint}")]
    Import {
        /// As the component names it.
        name: String,
        /// What is offered.
        hint: String,
    },
    /// It lacks the export that makes it a framework.
    #[error(
        "the component does not export `{missing}`, which every framework does; it exports {found}. {hint}"
    )]
    Export {
        /// What is missing.
        missing: String,
        /// What there is.
        found: String,
        /// What to do.
        hint: &'static str,
    },
    /// An import or export has the right name and another type.
    #[error("the component does not fit {PACKAGE}@{VERSION}: {0}")]
    Signature(String),
    /// The compiler gave up.
    #[error("the component could not be compiled: {0}")]
    Compile(String),
    /// The compiler used more than it may.
    #[error(
        "compiling the component takes more than {limit} = {max} ({words}): split its largest functions, or have the operator raise the limit"
    )]
    CompileLimit {
        /// The limit's name.
        limit: &'static str,
        /// The limit.
        max: u64,
        /// How it was noticed.
        words: String,
    },
    /// Too many wait for the compiler; the component was not looked at any further.
    #[error(
        "the compiler is at work and {limit} = {max} components wait for it already: try again in a while"
    )]
    Busy {
        /// The limit's name.
        limit: &'static str,
        /// The limit.
        max: usize,
    },
    /// It compiles, and fails while an instance is made.
    #[error("no instance of the component can be made: {0}")]
    Instantiate(String),
    /// The host's own trouble: the same component may be accepted another time.
    #[error("{what}: {source}")]
    Host {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl Refused {
    /// The host's trouble with a file or a process.
    pub(crate) fn host(what: impl Into<String>, source: std::io::Error) -> Refused {
        Refused::Host {
            what: what.into(),
            source,
        }
    }

    pub(crate) fn import(name: &str) -> Refused {
        let hint = if name.starts_with(PACKAGE) {
            format!(
                "this master serves {PACKAGE}@{VERSION} and later 0.1.x with the interfaces {}",
                OFFERED.join(", ")
            )
        } else if name.starts_with("wasi:http") {
            "a framework has no network; its HTTP API is the export `web`".to_owned()
        } else if name.starts_with("wasi:") {
            "frameworks get WASI 0.2.x (cli, io, clocks, random, filesystem, sockets), with nothing in it".to_owned()
        } else {
            format!("frameworks import {PACKAGE}@{VERSION} and WASI 0.2.x only")
        };
        Refused::Import {
            name: crate::fault::printable(name, 200),
            hint,
        }
    }
}
