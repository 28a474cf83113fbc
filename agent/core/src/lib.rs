//! What an agent does with each run: events in, actions out.
//!
//! Owns the life of a run from the launch to the forgetting of its acknowledged end: when it is
//! started, when it is signalled, which status is said and said again. It does no I/O and reads no
//! clock; `mezzo-agent` around it starts processes, keeps files and talks to the master.
//!
//! The number of a status follows from its state alone ([`sequence`]), so an agent that was killed
//! and started again says the same numbers without having written any of them down.
#![no_std]
extern crate alloc;

mod life;
mod volumes;

pub use life::{Agent, sequence};
pub use volumes::Volume;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{Reason, ReservationId, Run, Status, TaskSpec, Term};

/// A run that is to be destroyed and has not ended is destroyed again so often, in milliseconds.
pub const DESTROY_AGAIN_MS: u64 = 1_000;
/// First delay before an unacknowledged status is said again, in milliseconds; it doubles.
pub const RETRY_MS: u64 = 1_000;
/// Longest delay before an unacknowledged status is said again, in milliseconds.
pub const RETRY_MS_MAX: u64 = 60_000;
/// Kills of unknown runs that are remembered, so that a launch that comes later does not start.
pub const TOMBSTONES_MAX: usize = 10_000;

/// A task to be run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Launch {
    /// Never reused.
    pub run: Run,
    /// The framework's installed name.
    pub framework: String,
    /// What runs.
    pub spec: Arc<TaskSpec>,
    /// In the order of the spec's ports.
    pub ports: Vec<u16>,
    /// What it runs on; its mounts are volumes of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ReservationId>,
}

/// Why a run was asked to end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kill {
    /// From the first signal to the last, in milliseconds.
    pub grace_ms: u64,
    /// Whoever asked, or [`Reason::RuntimeMax`].
    pub reason: Reason,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What is left of a run after the agent was started anew, as its files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What was asked for.
    pub launch: Launch,
    /// Whether somebody had asked for its end.
    pub kill: Option<Kill>,
    /// What became of it.
    pub trace: Trace,
}

/// How far a run had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Nothing shows that its program was executed, and nobody has asked for its end.
    NotStarted,
    /// It runs under its shim, since then (milliseconds since the epoch).
    Running(u64),
    /// It has ended.
    Ended(Ending),
}

/// Why a run is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The program ended, and nothing of it is left.
    Exit(Exit),
    /// It could not be started, or is lost: the reason and words for people.
    Failed(Reason, String),
}

/// What can happen to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A deadline of [`Agent::next_deadline`] may have passed.
    Tick,
    /// The master accepted the session, under this term.
    SessionOpened(Term),
    /// The session has ended.
    SessionClosed,
    /// Tasks to be run; several are one group and accepted together.
    Launch(Term, Vec<Launch>),
    /// A run is to end.
    Kill(Term, Run, Kill),
    /// A volume is to be there.
    CreateVolume(Term, Volume),
    /// A volume and its data are to go, once no run has it mounted.
    DestroyVolume(Term, Volume),
    /// The master has this status and all before it.
    Acknowledged(Run, u64),
    /// Its program was executed.
    Started(Run),
    /// It is over.
    Ended(Run, Ending),
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keep the launch in a file before anything else of it is done.
    Keep(Launch),
    /// Keep that its end was asked for.
    KeepKill(Run, Kill),
    /// Make its sandbox and start it. Answered by `Started` or `Ended`.
    Start(Run),
    /// Signal all of its processes: the polite signal.
    Terminate(Run),
    /// Signal all of its processes: the last signal.
    Destroy(Run),
    /// Say a status to the master: its number and the status.
    Say(Run, u64, Status),
    /// Say that a run that was to be killed has never been here.
    SayUnknown(Run),
    /// Make a volume's folder, unless it is there, and say that it is.
    CreateVolume(Volume),
    /// Destroy a volume's folder, and say so once nothing is left of it.
    DestroyVolume(Volume),
    /// Its end is acknowledged: only its output is kept, for a while.
    Forget(Run),
}
