//! The nouns that master and agents share, as plain data: ids, resources, agents, tasks, statuses,
//! demands and conditions, with the rules for what is a valid value of each.
//!
//! Owns no behaviour beyond checking and arithmetic. It is `no_std`, does no I/O and knows neither
//! time nor wasm: what a value *means* to the cluster is decided in `mezzo-core`, to a machine in
//! `mezzo-agent-core`.
#![no_std]
extern crate alloc;

mod agent;
mod demand;
mod digest;
mod ids;
mod name;
mod ports;
mod reason;
mod resources;
mod status;
mod task;

pub use agent::{AgentFacts, AgentInfo, Attribute, AttributeValue, ReservedShare, Runtime};
pub use demand::{Comparison, Condition, Demand, PATTERN_BYTES_MAX, Preference, RESERVATIONS_MAX};
pub use digest::{Digest, InvalidDigest};
pub use ids::{
    AgentId, BatchId, FrameworkId, InstanceId, OfferId, RequestId, ReservationId, Run, SessionId,
    Term, TurnId,
};
pub use name::{InvalidName, NAME_BYTES_MAX, TaskId, check_name};
pub use ports::PortSet;
pub use reason::Reason;
pub use resources::{AMOUNT_MAX, ResourceKind, Resources};
pub use status::{Status, TaskState};
pub use task::{
    AssignedPort, EnvVar, File, InvalidTask, Label, Mount, PortRequest, TaskLimits, TaskSpec,
    Workload,
};

/// Milliseconds since the Unix epoch.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Instant(pub u64);

impl Instant {
    /// This much later; stays at the end of time rather than wrap.
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Instant {
        Instant(self.0.saturating_add(ms))
    }

    /// How long it is from `earlier` to here; 0 if it is not earlier.
    #[must_use]
    pub fn since_ms(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
