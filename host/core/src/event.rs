//! Everything that can happen to a cluster.

use crate::limits::FrameworkLimits;
pub use crate::quota::RoleChange;
use crate::turn::{Effects, Fault, WebRequest};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentFacts, AgentId, BatchId, Digest, Instant, Label, RequestId, ReservationId, Resources, Run,
    SessionId, Status, TurnId,
};

/// One thing that happened. The driver passes each to [`crate::Cluster::step`] once, in the order in
/// which it learned of them.
#[derive(Clone, Debug)]
pub enum Event {
    /// This process leads from now on. The first event of a `Cluster`, once.
    Led {
        /// The cluster's name if it is new; random text.
        name: String,
        /// The newest batch in the registry.
        last_batch: BatchId,
    },
    /// A deadline of [`crate::Cluster::next_deadline`] may have passed.
    Tick,
    /// An agent opened a session. Answered by `Welcome` or `Refuse`.
    AgentConnected {
        /// Drawn by the driver.
        session: SessionId,
        /// What it says of itself.
        facts: AgentFacts,
        /// Every run that it keeps: its number, the status' number, the status.
        runs: Vec<(Run, u64, Status)>,
    },
    /// A session has ended.
    AgentDisconnected(SessionId),
    /// An agent reported a run's latest status. Answered by `Acknowledge`.
    StatusReported {
        /// By whom.
        session: SessionId,
        /// Of what.
        run: Run,
        /// Grows with each status of the run.
        sequence: u64,
        /// The status.
        status: Status,
    },
    /// An agent was asked to kill a run that it never had, and will not start it.
    KillUnknown(SessionId, Run),
    /// An agent has a volume now, or has it no more. Said again until the master no longer asks.
    VolumeReported {
        /// By whom.
        session: SessionId,
        /// Of which reservation.
        reservation: ReservationId,
        /// Which.
        volume: String,
        /// Whether its folder is there.
        exists: bool,
    },
    /// A turn is over.
    TurnEnded {
        /// Which.
        turn: TurnId,
        /// What it asks for, or why it is undone.
        result: Result<Effects, Fault>,
        /// CPU time spent, in microseconds.
        cpu_us: u64,
    },
    /// Somebody asks for something; answered by `Reply` with the same number.
    Asked(RequestId, Request),
    /// The client of a request or stream has gone.
    RequestGone(RequestId),
}

/// What an operator decides about an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentChange {
    /// It is offered again.
    Activate,
    /// It is not offered any more; its tasks go on.
    Deactivate,
    /// It is not offered any more; its tasks are asked to end.
    Drain {
        /// From now on, in milliseconds; until then frameworks are told.
        after_ms: u64,
        /// From the first signal to the last, in milliseconds; none: each task's own.
        grace_ms: Option<u64>,
    },
    /// It never comes back: its tasks are lost, and it is refused should it come.
    Gone,
}

/// What people and programs may ask for. Those that change something carry the principal.
#[derive(Clone, Debug)]
pub enum Request {
    /// Install a framework whose component is in the store and fits a world.
    Install(Install),
    /// Give a framework another component, other options or other limits.
    Upgrade(Upgrade),
    /// Drop the instance and start another.
    Restart {
        /// Whose.
        framework: String,
        /// Who asks.
        principal: Arc<str>,
    },
    /// End quarantine and open the web API again.
    Resume {
        /// Whose.
        framework: String,
        /// Whether the event that failed alone counts as handled.
        skip: bool,
        /// Who asks.
        principal: Arc<str>,
    },
    /// Kill its tasks and take it away once they have ended.
    Remove {
        /// Which.
        framework: String,
        /// Who asks.
        principal: Arc<str>,
    },
    /// Ask for a task's end.
    KillTask {
        /// Whose.
        framework: String,
        /// Which.
        task: String,
        /// From the first signal to the last, in milliseconds; none: the task's own.
        grace_ms: Option<u64>,
        /// Who asks.
        principal: Arc<str>,
    },
    /// Take an agent out, or back in.
    ChangeAgent {
        /// Which.
        agent: AgentId,
        /// What becomes of it.
        change: AgentChange,
        /// Who asks.
        principal: Arc<str>,
    },
    /// Set a role's weight or quota.
    SetRole {
        /// Which.
        role: String,
        /// To what.
        change: RoleChange,
        /// Who asks.
        principal: Arc<str>,
    },
    /// Speak no more of a role.
    RemoveRole {
        /// Which.
        role: String,
        /// Who asks.
        principal: Arc<str>,
    },
    /// Keep a part of an agent for a role.
    Reserve(Reserve),
    /// Give a reservation back.
    Unreserve {
        /// Which.
        reservation: ReservationId,
        /// Who asks.
        principal: Arc<str>,
    },
    /// Make a volume in a reservation.
    CreateVolume {
        /// Where.
        reservation: ReservationId,
        /// Unique there.
        name: String,
        /// Of the reservation's disk.
        size_bytes: u64,
        /// Who asks.
        principal: Arc<str>,
    },
    /// Destroy a volume and its data.
    DestroyVolume {
        /// Where.
        reservation: ReservationId,
        /// Which.
        name: String,
        /// Who asks.
        principal: Arc<str>,
    },
    /// Give a principal a token, or take it away.
    SetPrincipal {
        /// Whose.
        name: String,
        /// SHA-256 of the token, hexadecimal; none takes it away.
        token_sha256: Option<String>,
        /// Who asks.
        principal: Arc<str>,
    },
    /// Why do a framework's demands wait? All of them, or one.
    Explain {
        /// Whose.
        framework: String,
        /// Which.
        demand: Option<String>,
    },
    /// To a framework's own API.
    Web {
        /// Whose.
        framework: String,
        /// Its `id` is the request's number.
        request: WebRequest,
    },
}

/// A framework to be.
#[derive(Clone, Debug)]
pub struct Install {
    /// Unique among the installed.
    pub name: String,
    /// Who is charged.
    pub role: String,
    /// In the store, compiled and checked.
    pub component: Digest,
    /// Whether it exports `web`.
    pub web: bool,
    /// A JSON object; the driver has checked that it is one.
    pub options: String,
    /// What it may use.
    pub limits: FrameworkLimits,
    /// Who asks.
    pub principal: Arc<str>,
}

/// A part of an agent that is to be kept for a role.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// Of which agent.
    pub agent: AgentId,
    /// For whom.
    pub role: String,
    /// How much, without ports.
    pub amount: Resources,
    /// A reservation of which it is to be a part; none: of what is unreserved.
    pub within: Option<ReservationId>,
    /// For people and frameworks.
    pub labels: Vec<Label>,
    /// When it ends if nothing uses it then.
    pub until: Option<Instant>,
    /// Who asks.
    pub principal: Arc<str>,
}

/// A change to a framework; what is none stays.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// Whose.
    pub framework: String,
    /// In the store, compiled and checked; and whether it exports `web`.
    pub component: Option<(Digest, bool)>,
    /// A JSON object; the driver has checked that it is one.
    pub options: Option<String>,
    /// What it may use.
    pub limits: Option<FrameworkLimits>,
    /// Who asks.
    pub principal: Arc<str>,
}
