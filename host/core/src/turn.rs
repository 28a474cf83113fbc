//! What one turn sees and what comes of it: plain data that the sandbox, the simulator and the core
//! exchange. The rules of what a guest's call may do stand in `ledger.rs`.

use crate::limits::FrameworkLimits;
use crate::map::Map;
use crate::state::Reservation;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentId, AgentInfo, AssignedPort, Demand, Digest, FrameworkId, InstanceId, Instant, Label,
    OfferId, PortSet, RequestId, ReservationId, Resources, Run, Status, TaskId, TaskLimits,
    TaskSpec, TurnId,
};

/// One transaction with one framework: calls into one instance, one after another. Cheap to make,
/// whatever the framework's size; nothing in it changes while it is held.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Names it in [`crate::Event::TurnEnded`].
    pub id: TurnId,
    /// Whose turn it is.
    pub framework: FrameworkId,
    /// Its installed name.
    pub name: Arc<str>,
    /// Who is charged.
    pub role: Arc<str>,
    /// In which copy of the component. One that the sandbox does not know is made; then the first
    /// call is always [`Call::Start`].
    pub instance: InstanceId,
    /// Of what it is a copy.
    pub component: Digest,
    /// What the turn may use.
    pub limits: Arc<FrameworkLimits>,
    /// What a task's description may use.
    pub task_limits: TaskLimits,
    /// The instant that the guest sees.
    pub now: Instant,
    /// Feeds the guest's random numbers.
    pub seed: u64,
    /// In this order, each only if the one before it returned.
    pub calls: Vec<Call>,
    /// What can be launched on.
    pub offers: Vec<Offer>,
    /// The framework's side of the cluster.
    pub view: View,
    /// Runs from here on are this turn's, as many as it may launch.
    pub first_run: Run,
    /// Reservations and their offers from here on are this turn's, two numbers for each of
    /// [`RESERVES_PER_TURN_MAX`].
    pub first_reservation: ReservationId,
}

/// Reservations that one turn may make.
pub const RESERVES_PER_TURN_MAX: u64 = 1_000;

/// One call into the guest.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `scheduler.start`
    Start(Setup),
    /// `scheduler.handle`
    Handle(Vec<GuestEvent>),
    /// `web.handle`
    Web(WebRequest),
}

/// What an instance is told first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The framework's installed name.
    pub name: Arc<str>,
    /// Its role.
    pub role: Arc<str>,
    /// Its options, JSON.
    pub options: Arc<str>,
    /// The component whose state it finds.
    pub upgraded_from: Option<Digest>,
}

/// One event for the guest.
#[derive(Clone, Debug, PartialEq)]
pub enum GuestEvent {
    /// New or changed agents.
    Agents(Vec<Arc<AgentInfo>>),
    /// Agents that have left for good.
    AgentsGone(Vec<AgentId>),
    /// Tasks whose latest status is not handled yet.
    Statuses(Vec<Arc<Task>>),
    /// A timer fired.
    Timer(Arc<str>),
    /// New options, JSON.
    Options(Arc<str>),
    /// Streams whose client has gone.
    StreamsClosed(Vec<RequestId>),
    /// [`Turn::offers`].
    Offers,
}

/// What one agent has free for the framework in this turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Names it in launches.
    pub id: OfferId,
    /// Whose resources.
    pub agent: AgentId,
    /// How much; `ports` is the size of `port_set`.
    pub free: Resources,
    /// Which ports.
    pub port_set: PortSet,
    /// The reservation that it is of; none: what is unreserved.
    pub reservation: Option<ReservationId>,
    /// That reservation's volumes that no task uses.
    pub volumes: Vec<Arc<str>>,
}

/// A framework's side of the cluster as the turn began.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Its tasks.
    pub tasks: Map<TaskId, Arc<Task>>,
    /// Their descriptions together, in bytes.
    pub tasks_bytes: u64,
    /// Its durable state.
    pub state: Map<Arc<str>, Arc<[u8]>>,
    /// Keys and values of `state` together, in bytes.
    pub state_bytes: u64,
    /// What it wants.
    pub demands: Arc<Vec<Demand>>,
    /// Its timers.
    pub timers: Arc<BTreeMap<Arc<str>, Instant>>,
    /// The agents that it has been told of, or is being told of in this turn.
    pub agents: Map<AgentId, Arc<AgentInfo>>,
    /// Its open response streams.
    pub streams: Arc<Vec<RequestId>>,
    /// Of its role, and of each role above it that has any.
    pub reservations: Vec<Map<ReservationId, Arc<Reservation>>>,
}

impl View {
    /// A reservation of its role, or of one above it.
    #[must_use]
    pub fn reservation(&self, id: ReservationId) -> Option<&Arc<Reservation>> {
        self.reservations
            .iter()
            .find_map(|of_role| of_role.get(&id))
    }
}

/// A task as the master keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What was launched.
    pub record: Arc<crate::record::TaskRecord>,
    /// Where the agent can be reached.
    pub address: Arc<str>,
    /// Where it stands.
    pub status: Status,
    /// The agent's number of that status; 0 when the master made it.
    pub sequence: u64,
    /// Whether a committed turn has had that status.
    pub handled: bool,
    /// Whether somebody asked for its end.
    pub kill: Option<crate::record::KillRecord>,
}

/// An HTTP request to the framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebRequest {
    /// Names its response stream.
    pub id: RequestId,
    /// Such as `GET`.
    pub method: String,
    /// Without the prefix, with the query.
    pub path: String,
    /// Without credentials and cookies, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// All of it.
    pub body: Vec<u8>,
    /// Who asks.
    pub principal: String,
}

/// The framework's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebResponse {
    /// 200 to 599.
    pub status: u16,
    /// As the guest gave them; the API filters them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// All of it, or none if `streams` sends it.
    pub body: Option<Vec<u8>>,
}

/// Everything that a clean turn asks for, already checked against the [`Turn`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// What is kept of offers, in the order asked for; before the launches.
    pub reserves: Vec<Reserve>,
    /// Volumes to be made and destroyed, in the order asked for; before the launches.
    pub volumes: Vec<VolumeChange>,
    /// Reservations that are given back; after the launches.
    pub unreserves: Vec<ReservationId>,
    /// In the order asked for.
    pub launches: Vec<Launch>,
    /// Runs to end, with their grace in milliseconds (none: the task's own).
    pub kills: Vec<(Run, Option<u64>)>,
    /// The new list, if `want` or a launch for a demand has changed it.
    pub want: Option<Vec<Demand>>,
    /// Whether `revive` was called.
    pub revive: bool,
    /// What each changed key holds now.
    pub state: BTreeMap<Arc<str>, Option<Arc<[u8]>>>,
    /// What each changed timer is set to, in milliseconds from now.
    pub timers: BTreeMap<Arc<str>, Option<u64>>,
    /// To the turn's request.
    pub response: Option<WebResponse>,
    /// The turn's request, if its answer goes on as a stream.
    pub opened: Option<RequestId>,
    /// In the order written.
    pub streams: Vec<StreamWrite>,
}

/// One launch of a clean turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// One of the turn's.
    pub run: Run,
    /// One of the turn's.
    pub offer: OfferId,
    /// That offer's.
    pub agent: AgentId,
    /// The demand whose count goes down.
    pub demand: Option<Arc<str>>,
    /// That demand's priority.
    pub priority: i32,
    /// The reservation that the offer is of.
    pub reservation: Option<ReservationId>,
    /// The group that it belongs to.
    pub group: Option<Arc<str>>,
    /// In the order of the spec's ports.
    pub ports: Vec<AssignedPort>,
    /// What to run.
    pub spec: Arc<TaskSpec>,
}

/// A part of an offer that is kept from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Reserve {
    /// One of the turn's.
    pub id: ReservationId,
    /// One of the turn's; not that of another new reservation.
    pub offer: OfferId,
    /// That offer's.
    pub agent: AgentId,
    /// The reservation that the offer is of.
    pub within: Option<ReservationId>,
    /// How much, without ports.
    pub amount: Resources,
    /// As the framework wants them.
    pub labels: Vec<Label>,
    /// When it ends if nothing uses it then.
    pub until: Option<Instant>,
}

/// A volume to be made or destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeChange {
    /// Of which reservation.
    pub reservation: ReservationId,
    /// Which volume.
    pub name: Arc<str>,
    /// How large it is to be, in bytes; none destroys it.
    pub size_bytes: Option<u64>,
}

/// A change to a response stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamWrite {
    /// Which stream.
    pub request: RequestId,
    /// A piece; none closes it.
    pub chunk: Option<Vec<u8>>,
}

/// Why a turn was undone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// In which call: `start`, `handle` or `web`.
    pub call: Arc<str>,
    /// For people: what happened, and where in the guest if it is known.
    pub message: Arc<str>,
    /// When; filled in by the core.
    #[serde(default)]
    pub at: Instant,
    /// A number to find it by, in the log and in an answer 500; filled in by the core.
    #[serde(default)]
    pub id: u64,
    /// The events of the call, in words; filled in by the core.
    #[serde(default)]
    pub events: Arc<str>,
}

/// The kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The guest broke a rule of WebAssembly or gave up (`unreachable`, a panic, `exit`).
    Trap,
    /// `turn_cpu_ms` or `start_ms` of CPU time is used up.
    CpuLimit,
    /// `turn_wall_ms` or `start_ms` of wall time is used up.
    WallLimit,
    /// Its stack is used up.
    StackLimit,
    /// It asked for more than `memory_bytes`, and trapped on being refused.
    MemoryLimit,
    /// `boundary_bytes_max` is used up.
    BoundaryLimit,
    /// It broke a rule of the component model: a bad pointer, text that is no UTF-8.
    Malformed,
    /// `start` returned an error.
    StartRefused,
    /// The component could not be compiled or instantiated.
    Instantiate,
    /// The host's own mistake: the instance is dropped, the master goes on.
    Host,
}

impl FaultKind {
    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FaultKind::Trap => "trap",
            FaultKind::CpuLimit => "cpu-limit",
            FaultKind::WallLimit => "wall-limit",
            FaultKind::StackLimit => "stack-limit",
            FaultKind::MemoryLimit => "memory-limit",
            FaultKind::BoundaryLimit => "boundary-limit",
            FaultKind::Malformed => "malformed",
            FaultKind::StartRefused => "start-refused",
            FaultKind::Instantiate => "instantiate",
            FaultKind::Host => "host",
        }
    }
}
