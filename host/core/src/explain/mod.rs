//! Why a demand waits, and why a task that was launched is not running yet; and what would change it.
//!
//! Owns the answer. What is in the way of a demand on each agent is decided in `roster.rs` and said in
//! `remedy.rs`; demands on reservations are in `reserved.rs`, gangs and preemption in `waiting.rs`,
//! tasks in `pending.rs`.

mod pending;
mod remedy;
mod reserved;
mod roster;
mod waiting;
pub(crate) mod words;

use crate::action::{Answer, RefusedKind};
use crate::cluster::Cluster;
use crate::fit::Conditions;
use crate::framework::Host;
use crate::state::FrameworkState;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use mezzo_types::{Demand, FrameworkId, RequestId};
pub use pending::{PENDING_SHOWN_MAX, PendingTask};
use remedy::Words;
use roster::Roster;
use words::count;

/// The answer for one framework.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Explanation {
    /// Its installed name.
    pub framework: String,
    /// What holds for all of its demands, such as that it is quarantined; empty if nothing does.
    pub state: String,
    /// One entry a demand.
    pub demands: Vec<DemandExplanation>,
    /// Its tasks that were launched and of which nothing is heard, up to [`PENDING_SHOWN_MAX`]; none if
    /// one demand was asked for.
    pub pending: Vec<PendingTask>,
    /// How many more there are.
    pub pending_more: u64,
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
    /// One sentence: what would change it.
    pub remedy: String,
}

impl Cluster {
    pub(crate) fn on_explain(&mut self, id: RequestId, framework: &str, demand: Option<&str>) {
        let Some(framework_id) = self.named(id, framework) else {
            return;
        };
        let Some(explanation) = self.explain(framework_id, demand) else {
            return;
        };
        if let Some(name) = demand.filter(|_| explanation.demands.is_empty()) {
            let message = format!(
                "framework {framework} has no demand {name:?}: it is satisfied, or was never made; `mezzo explain {framework}` lists all"
            );
            return self.refuse(id, RefusedKind::NotFound, message);
        }
        self.reply(id, Answer::Explained(explanation));
    }

    /// Why a framework's demands wait, one of them or all; and its tasks, unless one demand is asked for.
    #[must_use]
    pub fn explain(&self, id: FrameworkId, only: Option<&str>) -> Option<Explanation> {
        let framework = self.state.frameworks.get(&id)?;
        let host = self.hosts.get(&id)?;
        let state = self.explain_framework(framework, host);
        let (pending, pending_more) = match only {
            None => self.explain_pending(framework),
            Some(_) => (Vec::new(), 0),
        };
        Some(Explanation {
            framework: framework.record.name.to_string(),
            demands: self.explain_demands(id, framework, host, only, &state),
            state,
            pending,
            pending_more,
        })
    }

    fn explain_framework(&self, framework: &FrameworkState, host: &Host) -> String {
        let record = &framework.record;
        if record.removing {
            return "it is being removed".into();
        }
        if record.quarantined {
            let fault = record.last_fault.as_ref().map_or(String::new(), |f| {
                format!(
                    ": {} in {} ({}) on {}",
                    f.kind.as_str(),
                    f.call,
                    f.message,
                    f.events
                )
            });
            return format!(
                "it is quarantined after {} faults{fault}; `mezzo framework resume` ends it",
                record.faults
            );
        }
        if host.instance.is_none() && host.turn.is_none() && host.restart_at > self.now {
            return format!(
                "it is restarted in {} ms after a fault",
                host.restart_at.since_ms(self.now)
            );
        }
        String::new()
    }

    fn explain_demands(
        &self,
        id: FrameworkId,
        framework: &FrameworkState,
        host: &Host,
        only: Option<&str>,
        state: &str,
    ) -> Vec<DemandExplanation> {
        let demands = framework.demands.iter().enumerate();
        let mut demands = demands
            .filter(|(_, demand)| only.is_none_or(|name| demand.name == name))
            .peekable();
        let mut explained: Vec<DemandExplanation> = Vec::new();
        if demands.peek().is_none() {
            return explained;
        }
        let mut roster = Roster::new(self, host);
        let unconditional = Conditions::default();
        for (place, demand) in demands {
            // Many jobs want the same: it is looked for once.
            let known = explained
                .iter()
                .find(|other| other.demand.same_shape(demand));
            let (agents_fit, reasons) = match known {
                Some(known) => (known.agents_fit, known.reasons.clone()),
                None if !demand.reservations.is_empty() => {
                    self.explain_reserved(&framework.record.role, demand)
                }
                None => {
                    let conditions = host.conditions.get(place).unwrap_or(&unconditional);
                    self.explain_demand(&mut roster, demand, conditions)
                }
            };
            let pinned = !demand.reservations.is_empty();
            let quota = self.quota_in_the_way(id, demand).filter(|_| !pinned);
            let hint = if let Some(waits) = quota.or_else(|| self.explain_waiting(id, demand)) {
                waits
            } else if state.is_empty() {
                hint(demand, agents_fit, &reasons)
            } else {
                format!("the framework has no turns now: {state}")
            };
            explained.push(DemandExplanation {
                demand: demand.clone(),
                agents_fit,
                reasons,
                agents: self.state.agents.len() as u64,
                hint,
            });
        }
        explained
    }

    fn explain_demand<'a>(
        &self,
        roster: &mut Roster<'a>,
        demand: &'a Demand,
        conditions: &Conditions,
    ) -> (u64, Vec<ReasonCount>) {
        let sorted = roster.sort(demand, conditions);
        let words = Words {
            demand,
            rows: &roster.rows,
            now: self.now,
            agent_silent_ms: self.limits.agent_silent_ms,
        };
        let mut reasons: Vec<ReasonCount> =
            sorted.groups.iter().map(|group| words.say(group)).collect();
        reasons.sort_by(|a, b| {
            b.agents
                .cmp(&a.agents)
                .then_with(|| a.reason.cmp(&b.reason))
        });
        (sorted.fit, reasons)
    }
}

fn hint(demand: &Demand, fit: u64, reasons: &[ReasonCount]) -> String {
    match fit {
        0 => {}
        1 => return "1 agent has room: the framework is being offered it".into(),
        fit => return format!("{fit} agents have room: the framework is being offered them"),
    }
    let most = reasons.iter().find(|reason| reason.passing);
    match (most, reasons) {
        (_, []) => "there are no agents yet; start one with `mezzo agent --master ADDRESS`".into(),
        (None, [most, ..]) => format!(
            "no agent can ever run it as the cluster is ({}: {}); ask for less, or add an agent that has what it needs",
            most.reason,
            count(most.agents, "agent")
        ),
        (Some(most), _) => format!(
            "demand {} goes on when this passes: {} ({})",
            demand.name,
            most.reason,
            count(most.agents, "agent")
        ),
    }
}
