//! Everything that the core asks of its driver.

use crate::explain::Explanation;
use crate::record::{Batch, TaskRecord};
use crate::turn::{StreamWrite, Turn, WebResponse};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentId, FrameworkId, InstanceId, Reason, RequestId, ReservationId, Run, SessionId, Term,
};

/// One thing to do. `Commit`, `Turn` and `DropInstance` are done at once, in order; all others pass
/// through the [`crate::outbox::Outbox`], which holds them until the newest `Commit` before them is
/// durable.
#[derive(Clone, Debug)]
pub enum Action {
    /// Make a batch durable, after all earlier ones.
    Commit(Batch),
    /// Run a turn and tell [`crate::Event::TurnEnded`]. Never more at once than
    /// [`crate::ClusterLimits::turns_max`].
    Turn(Box<Turn>),
    /// Forget an instance. A turn in it is not running.
    DropInstance(InstanceId),

    /// The session stands; tell the agent its number.
    Welcome {
        /// Which session.
        session: SessionId,
        /// Who it is.
        agent: AgentId,
        /// To be remembered by the agent.
        term: Term,
    },
    /// End the session and say why.
    Refuse {
        /// Which session.
        session: SessionId,
        /// For the agent's log.
        why: String,
        /// Whether it is worth trying again.
        again: bool,
    },
    /// Start tasks on the session's agent; several are one group.
    Launch {
        /// Where to.
        session: SessionId,
        /// The framework's installed name.
        framework: Arc<str>,
        /// What to start.
        tasks: Vec<Arc<TaskRecord>>,
    },
    /// End a run on the session's agent.
    Kill {
        /// Where to.
        session: SessionId,
        /// Which.
        run: Run,
        /// From the first signal to the last, in milliseconds.
        grace_ms: u64,
        /// Why.
        reason: Reason,
    },
    /// Make the folder of a volume on the session's agent; once it is there, it says so.
    CreateVolume {
        /// Where to.
        session: SessionId,
        /// Of which reservation.
        reservation: ReservationId,
        /// Which.
        volume: Arc<str>,
    },
    /// Destroy a volume on the session's agent; once that is done, it says so.
    DestroyVolume {
        /// Where to.
        session: SessionId,
        /// Of which reservation.
        reservation: ReservationId,
        /// Which.
        volume: Arc<str>,
    },
    /// A status is durable.
    Acknowledge {
        /// Where to.
        session: SessionId,
        /// Of which run.
        run: Run,
        /// Which status.
        sequence: u64,
    },
    /// Answer a request.
    Reply(RequestId, Answer),
    /// Send a piece of a response stream, or end it.
    Stream(StreamWrite),
    /// What only the eyes of people need: it is neither durable nor decided on.
    Observe(Observation),
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is installed or upgraded.
    Framework(FrameworkId),
    /// It is reserved.
    Reserved(ReservationId),
    /// Why demands wait.
    Explained(Explanation),
    /// From a framework's own API; without a body if a stream follows.
    Web(WebResponse),
    /// Nothing has changed.
    Refused(Refused),
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What kind of reason.
    pub kind: RefusedKind,
    /// What failed, what was expected, what to do next.
    pub message: String,
}

/// The kinds of reason; the API maps each to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedKind {
    /// There is no such thing.
    NotFound,
    /// The name is taken, or the thing is in the wrong state.
    Conflict,
    /// A rule of the field is broken.
    Invalid,
    /// A limit is reached.
    Limit,
    /// The framework could not take it now.
    Unavailable,
    /// The framework failed; the message has the fault's number.
    Fault,
}

/// Soft facts for the read model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// An agent has a session, or has none any more.
    Session(AgentId, bool),
    /// A framework has a live instance, or has none.
    Live(FrameworkId, bool),
    /// A turn of a framework has ended: CPU time in microseconds, offers, launches, clean or not.
    Turn {
        /// Whose.
        framework: FrameworkId,
        /// In microseconds.
        cpu_us: u64,
        /// How many it was offered.
        offers: u32,
        /// How many it launched.
        launches: u32,
        /// Whether it committed.
        clean: bool,
    },
}
