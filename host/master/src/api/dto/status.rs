//! The cluster, its roles, principals and components.

use super::UsedOf;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The cluster at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// Its name, drawn at random once.
    pub cluster: String,
    /// The master's version.
    pub version: &'static str,
    /// The leadership.
    pub term: u64,
    /// The newest durable batch.
    pub batch: u64,
    /// Since when this process runs.
    pub started_ms: u64,
    /// The master's clock.
    pub now_ms: u64,
    /// Who asks.
    pub principal: String,
    /// Whether facts can be made durable.
    pub registry: RegistryHealth,
    /// How many.
    pub agents: Agents,
    /// How many.
    pub frameworks: Frameworks,
    /// How many in each state.
    pub tasks: BTreeMap<&'static str, u64>,
    /// Of all agents.
    pub resources: UsedOf,
}

/// Whether facts can be made durable.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegistryHealth {
    /// `ok` or `full`.
    pub state: &'static str,
    /// Why nothing is acknowledged at the moment.
    pub message: String,
}

/// How many agents.
#[derive(Debug, Serialize, ToSchema)]
pub struct Agents {
    /// That ever joined.
    pub total: usize,
    /// With a session.
    pub connected: usize,
    /// Without one for longer than `agent_silent_ms`.
    pub silent: usize,
}

/// How many frameworks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Frameworks {
    /// Installed.
    pub total: usize,
    /// With a live instance.
    pub live: usize,
    /// Stopped after too many faults.
    pub quarantined: usize,
}

/// All roles.
#[derive(Debug, Serialize, ToSchema)]
pub struct Roles {
    /// By name.
    pub roles: Vec<Role>,
}

/// Who is charged and who shares.
#[derive(Debug, Serialize, ToSchema)]
pub struct Role {
    /// Its name.
    pub role: String,
    /// Its part against other roles' weights.
    pub weight: u32,
    /// So much is kept for it; null if nothing is.
    pub guarantee: Option<super::Resources>,
    /// It gets no more than that; null if it has no quota.
    pub limit: Option<Limit>,
    /// By tasks of its frameworks and of the roles below it, and by what is reserved for it and them.
    pub used: super::Resources,
    /// What of that is reserved, used or not.
    pub reserved: super::Resources,
    /// Its largest part of any resource of the cluster, in thousandths.
    pub share_milli: u64,
}

/// What an operator says of a role; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleSettings {
    /// From 1 to 1000000.
    pub weight: Option<u32>,
    /// So much is kept for it. Given without `limit`, it takes the limit away.
    pub guarantee: Option<Limit>,
    /// It gets no more than that, of what is named. Given without `guarantee`, it takes the guarantee
    /// away.
    pub limit: Option<Limit>,
}

/// An amount of some resources; what is null is not spoken of.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limit {
    /// Thousandths of one processor.
    pub cpu_milli: Option<u64>,
    /// Main memory.
    pub memory_bytes: Option<u64>,
    /// Space below the agents' work folders.
    pub disk_bytes: Option<u64>,
    /// Whole devices.
    pub gpus: Option<u64>,
}

impl From<&mezzo_core::record::Quota> for Limit {
    fn from(quota: &mezzo_core::record::Quota) -> Limit {
        Limit {
            cpu_milli: quota.limit_cpu_milli,
            memory_bytes: quota.limit_memory_bytes,
            disk_bytes: quota.limit_disk_bytes,
            gpus: quota.limit_gpus,
        }
    }
}

/// All principals.
#[derive(Debug, Serialize, ToSchema)]
pub struct Principals {
    /// By name.
    pub principals: Vec<Principal>,
}

/// Who may use the API.
#[derive(Debug, Serialize, ToSchema)]
pub struct Principal {
    /// Its name.
    pub name: String,
    /// When its token was made.
    pub created_ms: u64,
}

/// A principal's new token.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewToken {
    /// Whose.
    pub name: String,
    /// Shown this once.
    pub token: String,
}

/// All components.
#[derive(Debug, Serialize, ToSchema)]
pub struct Components {
    /// By digest.
    pub components: Vec<Component>,
}

/// A stored component.
#[derive(Debug, Serialize, ToSchema)]
pub struct Component {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Its size.
    pub size_bytes: u64,
    /// Who uses it, or could be rolled back to it.
    pub frameworks: Vec<String>,
}

/// A component that has just been stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComponentStored {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Its size.
    pub size_bytes: u64,
}

/// A framework's log.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogLines {
    /// Oldest first.
    pub lines: Vec<LogLine>,
}

/// A line of a framework's log.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogLine {
    /// When the master got it.
    pub at_ms: u64,
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// Without control characters.
    pub text: String,
}

impl From<crate::logs::Line> for LogLine {
    fn from(line: crate::logs::Line) -> LogLine {
        LogLine {
            at_ms: line.at_ms.0,
            level: line.level,
            text: line.text,
        }
    }
}
