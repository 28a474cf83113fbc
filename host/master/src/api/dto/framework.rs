//! Frameworks, what they want and why it waits.

use super::Resources;
use crate::api::json::Object;
use crate::view::Inner;
use mezzo_core::state::FrameworkState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of frameworks.
#[derive(Debug, Serialize, ToSchema)]
pub struct FrameworkPage {
    /// By name.
    pub frameworks: Vec<Framework>,
    /// The `after` of the next page.
    pub next: Option<String>,
}

/// An installed framework.
#[derive(Debug, Serialize, ToSchema)]
pub struct Framework {
    /// Given by the master.
    pub id: u64,
    /// Unique among the installed.
    pub name: String,
    /// Who is charged.
    pub role: String,
    /// The digest of what runs.
    pub component: String,
    /// Whether it has an HTTP API.
    pub web: bool,
    /// Whether that is closed after too many faults.
    pub web_closed: bool,
    /// `live`, `starting`, `restarting`, `quarantined` or `removing`.
    pub state: &'static str,
    /// Whether it has a live instance.
    pub live: bool,
    /// When it was installed.
    pub installed_ms: u64,
    /// When its component was replaced.
    pub upgraded_ms: Option<u64>,
    /// The component before this one.
    pub upgraded_from: Option<String>,
    /// Who installed it.
    pub principal: String,
    /// The operator's.
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
    /// By name, see the guide.
    #[schema(value_type = LimitsChange)]
    pub limits: mezzo_core::FrameworkLimits,
    /// Tasks that have not ended.
    pub tasks: usize,
    /// By them.
    pub used: Resources,
    /// What it still wants.
    pub demands: Vec<Demand>,
    /// Keys and values of its durable state.
    pub state_bytes: u64,
    /// Faults in a row.
    pub faults: u64,
    /// Of its HTTP API, within the quiet time.
    pub web_faults: u64,
    /// The newest.
    pub last_fault: Option<Fault>,
    /// CPU time in turns since this master leads, in microseconds.
    pub cpu_us: u64,
    /// Turns that committed since this master leads.
    pub turns: u64,
}

impl Framework {
    /// A framework as it is seen.
    pub fn of(inner: &Inner, framework: &FrameworkState) -> Framework {
        let record = &framework.record;
        let live = inner.live.contains(&record.id);
        let work = inner.work.get(&record.id).copied().unwrap_or_default();
        let alive = framework.tasks.values();
        let alive = alive.filter(|task| !task.status.state.is_final());
        Framework {
            id: record.id.0,
            name: record.name.to_string(),
            role: record.role.to_string(),
            component: record.component.to_string(),
            web: record.web,
            web_closed: record.web_closed,
            state: state(record, live),
            live,
            installed_ms: record.installed.0,
            upgraded_ms: record.upgraded.map(|at| at.0),
            upgraded_from: record.upgraded_from.map(|digest| digest.to_string()),
            principal: record.principal.to_string(),
            options: serde_json::from_str(&record.options).unwrap_or_default(),
            limits: (*record.limits).clone(),
            tasks: alive.count(),
            used: (&framework.used).into(),
            demands: framework.demands.iter().map(Demand::from).collect(),
            state_bytes: framework.state_bytes,
            faults: record.faults,
            web_faults: record.web_faults,
            last_fault: record.last_fault.as_deref().map(Fault::from),
            cpu_us: work.cpu_us,
            turns: work.turns,
        }
    }
}

fn state(record: &mezzo_core::record::FrameworkRecord, live: bool) -> &'static str {
    if record.removing {
        "removing"
    } else if record.quarantined {
        "quarantined"
    } else if live {
        "live"
    } else if record.faults > 0 || record.web_faults > 0 {
        "restarting"
    } else {
        "starting"
    }
}

/// Why a turn was undone.
#[derive(Debug, Serialize, ToSchema)]
pub struct Fault {
    /// Its number, as in the log and in an answer 500.
    pub id: u64,
    /// When.
    pub at_ms: u64,
    /// Such as `trap`.
    pub kind: &'static str,
    /// `start`, `handle` or `web`.
    pub call: String,
    /// What happened.
    pub message: String,
    /// What the call was told.
    pub events: String,
}

impl From<&mezzo_core::turn::Fault> for Fault {
    fn from(fault: &mezzo_core::turn::Fault) -> Fault {
        Fault {
            id: fault.id,
            at_ms: fault.at.0,
            kind: fault.kind.as_str(),
            call: fault.call.to_string(),
            message: fault.message.to_string(),
            events: fault.events.to_string(),
        }
    }
}

/// What a framework still wants.
#[derive(Debug, Serialize, ToSchema)]
pub struct Demand {
    /// Unique among the framework's demands.
    pub name: String,
    /// The least that an offer must hold.
    pub each: Resources,
    /// How many such pieces.
    pub count: u32,
    /// All must hold: `attribute`, `test`, `value`.
    #[schema(value_type = Vec<Object>)]
    pub conditions: Vec<mezzo_types::Condition>,
    /// Ports that must be free.
    pub fixed_ports: Vec<u16>,
    /// `any`, `most-free` or `least-free`.
    #[schema(value_type = String)]
    pub prefer: mezzo_types::Preference,
    /// It is served from these alone; empty: from what is unreserved, and from what is kept for its
    /// role.
    pub reservations: Vec<u64>,
    /// All pieces at once, or none.
    pub together: bool,
    /// Within the role; 0 for what is not urgent.
    pub priority: i32,
}

impl From<&mezzo_types::Demand> for Demand {
    fn from(demand: &mezzo_types::Demand) -> Demand {
        Demand {
            name: demand.name.clone(),
            each: (&demand.each).into(),
            count: demand.count,
            conditions: demand.conditions.clone(),
            fixed_ports: demand.fixed_ports.clone(),
            prefer: demand.prefer,
            reservations: demand.reservations.iter().map(|id| id.0).collect(),
            together: demand.together,
            priority: demand.priority,
        }
    }
}

/// Why a framework's demands wait, and its tasks of which nothing is heard.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// Whose.
    pub framework: String,
    /// What holds for all of them; empty if nothing does.
    pub state: String,
    /// One entry a demand.
    pub demands: Vec<DemandExplanation>,
    /// Tasks that were launched and of which nothing is heard, at most 100; none if one demand was
    /// asked for.
    pub pending: Vec<PendingTask>,
    /// How many more there are.
    pub pending_more: u64,
}

/// A task that was launched and of which nothing is heard.
#[derive(Debug, Serialize, ToSchema)]
pub struct PendingTask {
    /// The framework's name for it.
    pub task: String,
    /// Where it is to run, or ran when last heard of.
    pub agent: u64,
    /// `pending` or `unreachable`.
    pub state: &'static str,
    /// Since when.
    pub since_ms: u64,
    /// What it waits for.
    pub reason: String,
    /// What would change it.
    pub remedy: String,
}

/// Why a demand waits.
#[derive(Debug, Serialize, ToSchema)]
pub struct DemandExplanation {
    /// Which.
    pub demand: Demand,
    /// Agents on which it would fit now.
    pub agents_fit: u64,
    /// Why it would not on the others.
    pub reasons: Vec<ReasonCount>,
    /// All agents.
    pub agents: u64,
    /// What would change it.
    pub hint: String,
}

/// So many agents fail here.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReasonCount {
    /// In words.
    pub reason: String,
    /// How many.
    pub agents: u64,
    /// Whether it goes away without a change to the cluster.
    pub passing: bool,
    /// What would change it.
    pub remedy: String,
}

impl From<mezzo_core::explain::Explanation> for Explanation {
    fn from(explanation: mezzo_core::explain::Explanation) -> Explanation {
        let reason = |r: mezzo_core::explain::ReasonCount| ReasonCount {
            reason: r.reason,
            agents: r.agents,
            passing: r.passing,
            remedy: r.remedy,
        };
        let pending = |t: mezzo_core::explain::PendingTask| PendingTask {
            task: t.task,
            agent: t.agent.0,
            state: t.state.as_str(),
            since_ms: t.since.0,
            reason: t.reason,
            remedy: t.remedy,
        };
        let demands = explanation.demands.into_iter();
        Explanation {
            framework: explanation.framework,
            state: explanation.state,
            demands: demands
                .map(|d| DemandExplanation {
                    demand: (&d.demand).into(),
                    agents_fit: d.agents_fit,
                    reasons: d.reasons.into_iter().map(reason).collect(),
                    agents: d.agents,
                    hint: d.hint,
                })
                .collect(),
            pending: explanation.pending.into_iter().map(pending).collect(),
            pending_more: explanation.pending_more,
        }
    }
}

/// A change to a framework; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// All of them anew.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub options: Option<serde_json::Map<String, serde_json::Value>>,
    /// Those that change.
    #[serde(default)]
    #[schema(value_type = Option<LimitsChange>)]
    pub limits: Option<Object<LimitsChange>>,
}

/// How to end quarantine.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resume {
    /// Marks the event that failed alone as handled.
    pub skip: bool,
}

macro_rules! limits {
    ($($name:ident: $least:literal ..= $most:expr),* $(,)?) => {
        /// Limits of a framework; the guide says what each means.
        #[derive(Clone, Debug, Default, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct LimitsChange {
            $(pub $name: Option<u64>,)*
        }

        impl LimitsChange {
            /// These limits with what changes; else the one that is out of range, and why.
            pub fn onto(
                &self,
                mut limits: mezzo_core::FrameworkLimits,
            ) -> Result<mezzo_core::FrameworkLimits, (&'static str, String)> {
                $(if let Some(value) = self.$name {
                    let (least, most): (u64, u64) = ($least, $most);
                    if value < least || value > most {
                        let problem = format!("from {least} to {most}, not {value}");
                        return Err((stringify!($name), problem));
                    }
                    limits.$name = value;
                })*
                Ok(limits)
            }
        }
    };
}

/// The longest time that a limit may grant, in milliseconds: a day.
const MS_MAX: u64 = 86_400_000;
/// The largest size: what a 32-bit memory holds.
const BYTES_MAX: u64 = 4 << 30;
/// The largest count.
const COUNT_MAX: u64 = 10_000_000;

limits! {
    turn_cpu_ms: 1..=MS_MAX,
    turn_wall_ms: 1..=MS_MAX,
    start_ms: 1..=MS_MAX,
    memory_bytes: 65_536..=BYTES_MAX,
    boundary_bytes_max: 1_024..=BYTES_MAX,
    state_bytes_max: 0..=BYTES_MAX,
    value_bytes_max: 0..=BYTES_MAX,
    log_bytes_per_s: 0..=BYTES_MAX,
    tasks_max: 0..=COUNT_MAX,
    tasks_bytes_max: 0..=BYTES_MAX,
    launches_per_turn_max: 0..=COUNT_MAX,
    offers_per_turn_max: 1..=COUNT_MAX,
    events_per_turn_max: 1..=COUNT_MAX,
    timers_max: 0..=COUNT_MAX,
    demands_max: 0..=COUNT_MAX,
    reservations_max: 0..=COUNT_MAX,
    request_bytes_max: 0..=BYTES_MAX,
    requests_queued_max: 1..=COUNT_MAX,
    streams_max: 0..=COUNT_MAX,
    faults_max: 1..=COUNT_MAX,
    web_faults_max: 1..=COUNT_MAX,
    quiet_ms: 1..=MS_MAX,
    restart_delay_ms: 0..=MS_MAX,
    restart_delay_ms_max: 0..=MS_MAX,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_the_core_can_be_set_within_reason() {
        let defaults = mezzo_core::FrameworkLimits::default();
        let text = serde_json::to_string(&defaults).expect("JSON");
        let change: LimitsChange = serde_json::from_str(&text).expect("the same names");
        assert_eq!(change.onto(defaults.clone()), Ok(defaults.clone()));
        let huge = LimitsChange {
            memory_bytes: Some(u64::MAX),
            ..LimitsChange::default()
        };
        assert_eq!(huge.onto(defaults).expect_err("huge").0, "memory_bytes");
    }
}
