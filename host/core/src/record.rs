//! The durable facts. The cluster's state is the set of its records: each has a key, a later one
//! of the same key replaces it, and some take keys away.
//!
//! A record carries its own field names (the store keeps it as MessagePack with names), so that a
//! later version can add a field with a default and still read what this one wrote.

use crate::limits::FrameworkLimits;
use crate::turn::Fault;
use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentId, AgentInfo, AssignedPort, BatchId, Demand, Digest, FrameworkId, Instant, Label,
    ReservationId, Resources, Run, Status, TaskId, TaskSpec, Term,
};

/// The version of the records' meaning. A store that holds a larger one is refused.
pub const FORMAT: u32 = 1;

/// What every batch says of itself; the log of these is the audit log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Header {
    /// See [`FORMAT`].
    pub format: u32,
    /// The leadership that wrote it.
    pub term: Term,
    /// When it was decided.
    pub at: Instant,
    /// Who asked: a person's or program's principal, `framework/…`, `agent/…`, or `master`.
    pub principal: Arc<str>,
    /// What happened, such as `turn-ended`.
    pub cause: Arc<str>,
}

/// Records that become durable together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Numbered without gaps.
    pub id: BatchId,
    /// Who, when, why.
    pub header: Header,
    /// In the order in which they apply.
    pub records: Vec<Record>,
}

/// One durable fact.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// The cluster itself.
    Cluster(ClusterRecord),
    /// An agent, as it last joined.
    Agent(Arc<AgentRecord>),
    /// An agent that is gone has no task left: its key goes.
    AgentRemoved(AgentId),
    /// An agent that may never join again; none lets its identity be used anew.
    Gone(AgentId, Option<GoneRecord>),
    /// A role that an operator has spoken of.
    Role(RoleRecord),
    /// An operator speaks of it no more; if nothing holds it, it is gone.
    RoleRemoved(Arc<str>),
    /// An installed framework.
    Framework(Arc<FrameworkRecord>),
    /// It is gone, with its demands, timers and state. (Its tasks have their own records.)
    FrameworkRemoved(FrameworkId),
    /// What a framework still wants; an empty list takes the key away.
    Demands(FrameworkId, Arc<Vec<Demand>>),
    /// When a framework's timer fires; none takes it away.
    Timer(FrameworkId, Arc<str>, Option<Instant>),
    /// A framework's value; none takes it away.
    State(FrameworkId, Arc<str>, Option<Value>),
    /// A part of an agent that is kept for a role, with its volumes.
    Reservation(Arc<ReservationRecord>),
    /// It was given back, and nothing uses it: its key goes.
    ReservationRemoved(ReservationId),
    /// A launch.
    Task(Arc<TaskRecord>),
    /// The latest of a run. Until there is one, the run is pending.
    Status(Run, StatusRecord),
    /// Somebody asked for the run's end.
    Kill(Run, KillRecord),
    /// The run has ended and its framework has handled it: all its keys go.
    TaskForgotten(Run),
    /// Who may use the API; none takes it away.
    Principal(Arc<str>, Option<PrincipalRecord>),
}

/// Bytes, kept shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(pub Arc<[u8]>);

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Value, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Value;
            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
                Ok(Value(Arc::from(bytes)))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

/// The cluster's name, its leadership, and which numbers are used up.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ClusterRecord {
    /// Drawn at random once.
    pub name: Arc<str>,
    /// The newest leadership.
    pub term: Term,
    /// The newest agent's.
    pub last_agent: AgentId,
    /// The newest framework's.
    pub last_framework: FrameworkId,
    /// Runs, offers, turns, instances and requests may have used any number below this one.
    pub numbers_below: u64,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AgentRecord {
    /// As it last joined.
    #[serde(flatten)]
    pub info: Arc<AgentInfo>,
    /// When it first joined.
    pub joined: Instant,
    /// Since when it is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_since: Option<Instant>,
    /// What an operator has decided about it, if it is to get no more tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Leaving>,
}

impl AgentRecord {
    /// Whether it is gone for good, and kept only for the tasks that it had.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(&self.leaving, Some(leaving) if leaving.how == How::Gone)
    }
}

/// Why an agent gets no more tasks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Leaving {
    /// What becomes of those that it has.
    pub how: How,
    /// When that was decided.
    pub since: Instant,
    /// By whom.
    pub principal: Arc<str>,
}

/// What becomes of the tasks of an agent that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// They go on.
    Deactivated,
    /// They are asked to end.
    Draining {
        /// When.
        at: Instant,
        /// From the first signal to the last, in milliseconds; none: each task's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grace_ms: Option<u64>,
    },
    /// They are lost, and so is the agent.
    Gone,
}

/// An agent that may never join again.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GoneRecord {
    /// What it calls itself.
    pub identity: Arc<str>,
    /// Since when.
    pub at: Instant,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RoleRecord {
    /// Its name.
    pub name: Arc<str>,
    /// Its part of the cluster against other roles' weights; at least 1.
    pub weight: u32,
    /// What it is promised and held to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// What a role is promised and held to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Quota {
    /// So much is kept for it.
    pub guarantee: Resources,
    /// It gets no more than that, of each resource that is named here.
    pub limit_cpu_milli: Option<u64>,
    /// In bytes.
    pub limit_memory_bytes: Option<u64>,
    /// In bytes.
    pub limit_disk_bytes: Option<u64>,
    /// Whole devices.
    pub limit_gpus: Option<u64>,
}

impl Quota {
    /// The limit in the order of [`Resources::plain`]; `u64::MAX` is none.
    #[must_use]
    pub fn limit(&self) -> [u64; 5] {
        [
            self.limit_cpu_milli,
            self.limit_memory_bytes,
            self.limit_disk_bytes,
            self.limit_gpus,
            None,
        ]
        .map(|limit| limit.unwrap_or(u64::MAX))
    }
}

/// An installed framework.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FrameworkRecord {
    /// Given by the master.
    pub id: FrameworkId,
    /// Unique among the installed.
    pub name: Arc<str>,
    /// Who is charged.
    pub role: Arc<str>,
    /// What runs.
    pub component: Digest,
    /// Whether the component exports `web`.
    pub web: bool,
    /// The operator's options, JSON.
    pub options: Arc<str>,
    /// What it may use.
    pub limits: Arc<FrameworkLimits>,
    /// Who installed it.
    pub principal: Arc<str>,
    /// When.
    pub installed: Instant,
    /// When this component replaced another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgraded: Option<Instant>,
    /// The component before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgraded_from: Option<Digest>,
    /// Faults in a row.
    #[serde(default)]
    pub faults: u64,
    /// Web faults within the quiet time.
    #[serde(default)]
    pub web_faults: u64,
    /// The newest fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<Arc<Fault>>,
    /// No more turns until an operator resumes it.
    #[serde(default)]
    pub quarantined: bool,
    /// No more requests until an operator resumes it.
    #[serde(default)]
    pub web_closed: bool,
    /// Being removed: its tasks are being killed.
    #[serde(default)]
    pub removing: bool,
}

/// A launch.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TaskRecord {
    /// Never reused.
    pub run: Run,
    /// Whose it is.
    pub framework: FrameworkId,
    /// Where it runs.
    pub agent: AgentId,
    /// Given from what the agent had free, in the order of the spec's ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<AssignedPort>,
    /// The group that it was launched in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Arc<str>>,
    /// When.
    pub launched: Instant,
    /// What runs.
    pub spec: Arc<TaskSpec>,
    /// The reservation that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ReservationId>,
    /// Of the demand that it was launched for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
}

fn is_zero(priority: &i32) -> bool {
    *priority == 0
}

impl TaskRecord {
    /// What it takes of its agent's unreserved part: on a reservation, no more than its ports.
    #[must_use]
    pub fn charged(&self) -> Cow<'_, Resources> {
        charged(&self.spec.resources, self.reservation)
    }

    /// The framework's name for it.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.spec.id
    }
}

/// The latest of a run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StatusRecord {
    /// The agent's number of it; 0 when the master made it.
    pub sequence: u64,
    /// What it is.
    pub status: Status,
    /// Whether a committed turn has had it.
    #[serde(default)]
    pub handled: bool,
}

/// Somebody asked for a run's end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KillRecord {
    /// From the first signal to the last, in milliseconds.
    pub grace_ms: u64,
    /// Why.
    pub reason: mezzo_types::Reason,
    /// When it was last asked for.
    pub at: Instant,
}

/// Who may use the API.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PrincipalRecord {
    /// SHA-256 of the token, hexadecimal.
    pub token_sha256: Arc<str>,
    /// When it was made.
    pub created: Instant,
}

/// What an amount takes of an agent's unreserved part if it is of this reservation, or of none.
pub(crate) fn charged(amount: &Resources, of: Option<ReservationId>) -> Cow<'_, Resources> {
    match of {
        None => Cow::Borrowed(amount),
        Some(_) => Cow::Owned(Resources {
            ports: amount.ports,
            ..Resources::NONE
        }),
    }
}

/// A part of an agent that is kept for a role.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReservationRecord {
    /// Never reused.
    pub id: ReservationId,
    /// Of which agent.
    pub agent: AgentId,
    /// For whom.
    pub role: Arc<str>,
    /// How much, without ports. Never changes.
    pub amount: Resources,
    /// The larger reservation that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<ReservationId>,
    /// Who made it.
    pub made_by: Maker,
    /// When.
    pub made: Instant,
    /// For people and frameworks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// When it ends if nothing uses it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
    /// It was given back: it goes as soon as nothing uses it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub ending: bool,
    /// In the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeRecord>,
}

impl ReservationRecord {
    /// The volume of that name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&VolumeRecord> {
        self.volumes.iter().find(|volume| &*volume.name == name)
    }
}

/// Who made a reservation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maker {
    /// A framework, by its installed name: it is offered only to demands that name it.
    Framework(Arc<str>),
    /// A person or a program.
    Principal(Arc<str>),
    /// The agent's configuration; it goes when the configuration no longer names it.
    AgentConfiguration,
}

/// Data that outlives tasks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VolumeRecord {
    /// Unique in its reservation.
    pub name: Arc<str>,
    /// Of the reservation's disk.
    pub size_bytes: u64,
    /// When it was asked for.
    pub made: Instant,
    /// How far it is.
    pub state: VolumeState,
}

/// How far a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeState {
    /// The agent has not said yet that it is there.
    Making,
    /// It is there.
    Ready,
    /// Its data is to be destroyed; the agent has not said yet that it is.
    Destroying,
}
