//! Why a demand waits.

use alloc::string::String;
use alloc::vec::Vec;
use mezzo_types::Demand;

/// The answer for one framework.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Explanation {
    /// Its installed name.
    pub framework: String,
    /// What holds for all of its demands, such as that it is quarantined; empty if nothing does.
    pub state: String,
    /// One entry a demand.
    pub demands: Vec<DemandExplanation>,
}

/// The answer for one demand.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DemandExplanation {
    /// What is wanted.
    pub demand: Demand,
    /// Agents on which it would fit now.
    pub agents_fit: u64,
    /// Each agent on which it would not, under the first thing that fails; with `agents_fit` the
    /// counts add up to `agents`.
    pub reasons: Vec<ReasonCount>,
    /// All agents.
    pub agents: u64,
    /// One sentence: what would change it.
    pub hint: String,
}

/// So many agents fail here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReasonCount {
    /// Such as `short of cpu` or `condition rack equals r7`.
    pub reason: String,
    /// How many.
    pub agents: u64,
    /// Whether the reason would go away without a change to the cluster: an agent that is in use
    /// or silent, against one that is too small.
    pub passing: bool,
}
