//! The agent: runs tasks on one machine for the master.
//!
//! Owns the doing: files, processes, sockets. What is to be done with a run is decided in
//! `mezzo-agent-core`; each task's parent is the shim (`agent/shim`), which outlives this process.
//!
//! | to find | open |
//! |---|---|
//! | every setting and limit | `config.rs` |
//! | what the machine has | `detect.rs` |
//! | who this agent is, over restarts | `identity.rs` |
//! | what is kept of a run, and recovery | `runs.rs` |
//! | what a lost shim left | `leftovers.rs` |
//! | the sandbox folder | `sandbox.rs` |
//! | volumes, which outlive tasks | `volumes.rs` |
//! | reading what a task wrote | `output.rs` |
//! | starting and signalling | `spawner.rs` |
//! | the loop around the state machine | `driver.rs` |
//! | the connection to the master | `session.rs` |
//! | components of module tasks | `components.rs` |

mod components;
mod config;
mod detect;
mod driver;
mod ended;
mod environment;
mod identity;
mod leftovers;
mod output;
mod run_file;
mod runs;
mod sandbox;
mod session;
mod spawner;
mod volumes;

pub use config::{Config, Limits, Program, Reserve};

use std::path::PathBuf;

/// Why an agent cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("the agent's setting `{field}`: {problem}")]
    Config {
        /// Which.
        field: &'static str,
        /// What was expected.
        problem: String,
    },
    /// Another agent uses the folder.
    #[error(
        "{folder}: in use by the agent with process number {pid}; each agent needs a folder of its own"
    )]
    InUse {
        /// The work folder.
        folder: PathBuf,
        /// As the other one wrote it down.
        pid: String,
    },
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// What it said.
        source: std::io::Error,
    },
    /// The master refuses this agent for good.
    #[error("the master refuses this agent: {0}")]
    Refused(String),
}

pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

/// Runs an agent until `shutdown` is ready. Its tasks run on; a later agent on the same folder finds
/// them.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    config.check()?;
    let folder = identity::Folder::open(&config.folder)?;
    let facts = detect::facts(&config, &folder.identity)?;
    let spawner = spawner::Spawner::start(&config)?;
    let runtimes = facts.runtimes.clone();
    let (driver, handle) = driver::Driver::new(
        config.clone(),
        &folder,
        facts.hostname.clone(),
        runtimes,
        spawner,
    )?;
    let thread = driver::start(driver)?;
    let session = session::run(config, folder, facts, handle.clone());
    let result = tokio::select! {
        result = session => result,
        () = shutdown => Ok(()),
    };
    handle.stop();
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    result
}
