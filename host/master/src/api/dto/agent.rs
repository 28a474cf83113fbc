//! Agents and amounts.

use crate::view::Inner;
use mezzo_core::record::How;
use mezzo_core::state::AgentState;
use mezzo_types::AttributeValue;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Amounts; the last three are left out when they are nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Resources {
    /// Thousandths of one processor.
    pub cpu_milli: u64,
    /// Main memory.
    pub memory_bytes: u64,
    /// Space below the agent's work folder.
    pub disk_bytes: u64,
    /// Whole devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u64>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<u64>,
    /// Thousandths of what else the cluster names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, u64>,
}

impl From<&mezzo_types::Resources> for Resources {
    fn from(r: &mezzo_types::Resources) -> Resources {
        let some = |n: u64| (n > 0).then_some(n);
        Resources {
            cpu_milli: r.cpu_milli,
            memory_bytes: r.memory_bytes,
            disk_bytes: r.disk_bytes,
            gpus: some(r.gpus),
            ports: some(r.ports),
            custom: r.custom.clone(),
        }
    }
}

/// How much there is, and how much of it is in use.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsedOf {
    /// All.
    pub total: Resources,
    /// By tasks that have not ended, and by reservations, whatever uses those.
    pub used: Resources,
}

/// A page of agents.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentPage {
    /// By number.
    pub agents: Vec<Agent>,
    /// The `after` of the next page.
    pub next: Option<String>,
}

/// A machine that runs tasks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Agent {
    /// Given by the master.
    pub id: u64,
    /// Given by the agent.
    pub identity: String,
    /// The machine's name.
    pub hostname: String,
    /// Where its tasks can be reached.
    pub address: String,
    /// The larger fault domain.
    pub region: Option<String>,
    /// The smaller fault domain.
    pub zone: Option<String>,
    /// `connected`, `disconnected`, `silent` or `gone`.
    pub state: &'static str,
    /// `deactivated`, `draining`, `drained` (no task is left) or `gone`, if an operator has taken it
    /// out.
    pub leaving: Option<&'static str>,
    /// When a drained agent's tasks are asked to end.
    pub leaving_at_ms: Option<u64>,
    /// Since when it gets no more tasks.
    pub leaving_since_ms: Option<u64>,
    /// Who took it out.
    pub leaving_by: Option<String>,
    /// When it first joined.
    pub joined_ms: u64,
    /// Since when it is silent.
    pub silent_since_ms: Option<u64>,
    /// Texts, and numbers.
    #[schema(value_type = Object)]
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// What it can run.
    pub runtimes: Vec<&'static str>,
    /// Its version of Mezzo.
    pub version: String,
    /// All that it has.
    pub total: Resources,
    /// By tasks that have not ended, and by reservations, whatever uses those.
    pub used: Resources,
    /// The rest.
    pub free: Resources,
    /// By its reservations together, those within others not counted twice.
    pub reserved: Resources,
    /// Their numbers.
    pub reservations: Vec<u64>,
    /// Tasks that have not ended.
    pub tasks: usize,
}

impl Agent {
    /// An agent as it is seen.
    pub fn of(inner: &Inner, agent: &AgentState) -> Agent {
        let (info, facts) = (&agent.record.info, &agent.record.info.facts);
        let mut free = facts.total.clone();
        free.take(&agent.used);
        let runs = agent.runs.iter();
        let alive = |run: &&mezzo_types::Run| {
            let task = inner.state.task(**run);
            task.is_some_and(|task| !task.status.state.is_final())
        };
        let tasks = runs.filter(alive).count();
        let leaving = agent.record.leaving.as_ref();
        Agent {
            id: info.id.0,
            identity: facts.identity.clone(),
            hostname: facts.hostname.clone(),
            address: facts.address.clone(),
            region: facts.region.clone(),
            zone: facts.zone.clone(),
            state: inner.agent_state(info.id),
            leaving: leaving.map(|leaving| match leaving.how {
                How::Deactivated => "deactivated",
                How::Draining { .. } if tasks == 0 => "drained",
                How::Draining { .. } => "draining",
                How::Gone => "gone",
            }),
            leaving_at_ms: info.leaving_at.map(|at| at.0),
            leaving_since_ms: leaving.map(|leaving| leaving.since.0),
            leaving_by: leaving.map(|leaving| leaving.principal.to_string()),
            joined_ms: agent.record.joined.0,
            silent_since_ms: agent.record.silent_since.map(|at| at.0),
            attributes: facts
                .attributes
                .iter()
                .map(|a| (a.name.clone(), attribute(&a.value)))
                .collect(),
            runtimes: facts.runtimes.iter().map(|r| r.as_str()).collect(),
            version: facts.version.clone(),
            total: (&facts.total).into(),
            used: (&agent.used).into(),
            free: (&free).into(),
            reserved: (&reserved(inner, agent)).into(),
            reservations: agent.reservations.iter().map(|id| id.0).collect(),
            tasks,
        }
    }
}

fn reserved(inner: &Inner, agent: &AgentState) -> mezzo_types::Resources {
    let known = agent.reservations.iter();
    let known = known.filter_map(|id| inner.state.reservation(*id));
    let mut sum = mezzo_types::Resources::NONE;
    for whole in known.filter(|known| known.record.within.is_none()) {
        sum.add(&whole.record.amount);
    }
    sum
}

/// A number keeps its thousandths; a whole one has no point.
fn attribute(value: &AttributeValue) -> serde_json::Value {
    match value {
        AttributeValue::Text(text) => text.as_str().into(),
        AttributeValue::NumberMilli(milli) if milli % 1000 == 0 => (milli / 1000).into(),
        #[expect(
            clippy::cast_precision_loss,
            reason = "shown to people, not computed with"
        )]
        AttributeValue::NumberMilli(milli) => (*milli as f64 / 1000.0).into(),
    }
}
