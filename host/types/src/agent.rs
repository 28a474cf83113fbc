//! What is known of an agent.

use crate::{AgentId, Instant, PortSet, Resources};
use alloc::string::String;
use alloc::vec::Vec;

/// A kind of workload that an agent can run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// A native program.
    Process,
    /// An OCI container.
    Container,
    /// A WebAssembly component.
    Module,
}

impl Runtime {
    /// Every runtime.
    pub const ALL: [Runtime; 3] = [Runtime::Process, Runtime::Container, Runtime::Module];

    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Runtime::Process => "process",
            Runtime::Container => "container",
            Runtime::Module => "module",
        }
    }
}

/// What is known under one attribute's name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttributeValue {
    /// Compared letter by letter.
    Text(String),
    /// Thousandths.
    NumberMilli(i64),
}

/// A fact about an agent that placement can test.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Attribute {
    /// Unique on one agent.
    pub name: String,
    /// Its value.
    pub value: AttributeValue,
}

/// What an agent says of itself when it joins.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AgentFacts {
    /// What the agent calls itself for as long as its folder exists: 1 to 128 characters of a name.
    pub identity: String,
    /// The machine's name.
    pub hostname: String,
    /// Where its tasks can be reached.
    pub address: String,
    /// The larger fault domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The smaller fault domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Sorted by name, each name once.
    #[serde(default)]
    pub attributes: Vec<Attribute>,
    /// All that it has; `ports` is the size of `port_set`.
    pub total: Resources,
    /// The ports that it gives out.
    #[serde(default)]
    pub port_set: PortSet,
    /// What it can run.
    pub runtimes: Vec<Runtime>,
    /// Its version of Mezzo.
    #[serde(default)]
    pub version: String,
    /// What of it its configuration keeps for roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<ReservedShare>,
}

/// A part of an agent that its configuration keeps for a role.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReservedShare {
    /// For whom.
    pub role: String,
    /// How much, without ports.
    pub amount: Resources,
}

/// An agent as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AgentInfo {
    /// Given by the master.
    pub id: AgentId,
    /// Given by the agent.
    #[serde(flatten)]
    pub facts: AgentFacts,
    /// When its tasks will be asked to end, if an operator drains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving_at: Option<Instant>,
}
