//! Why a demand waits.

use crate::action::{Answer, RefusedKind};
use crate::cluster::Cluster;
use crate::framework::Host;
use crate::record::How;
use crate::state::{AgentState, FrameworkState};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use mezzo_types::{AgentId, Demand, FrameworkId, RequestId};

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

    /// Why a framework's demands wait; one of them, or all.
    #[must_use]
    pub fn explain(&self, id: FrameworkId, only: Option<&str>) -> Option<Explanation> {
        let framework = self.state.frameworks.get(&id)?;
        let host = self.hosts.get(&id)?;
        let demands = framework.demands.iter().enumerate();
        let demands = demands.filter(|(_, demand)| only.is_none_or(|name| demand.name == name));
        let state = self.explain_framework(framework, host);
        Some(Explanation {
            framework: framework.record.name.to_string(),
            demands: demands
                .map(|(i, demand)| self.explain_demand(id, host, i, demand, &state))
                .collect(),
            state,
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

    fn explain_demand(
        &self,
        framework: FrameworkId,
        host: &Host,
        at: usize,
        demand: &Demand,
        state: &str,
    ) -> DemandExplanation {
        let mut fit = 0;
        let mut reasons: BTreeMap<(bool, String), u64> = BTreeMap::new();
        for (id, agent) in &self.state.agents {
            match self.first_failing(host, at, demand, *id, agent) {
                None => fit += 1,
                Some((passing, reason)) => *reasons.entry((passing, reason)).or_default() += 1,
            }
        }
        let mut reasons: Vec<ReasonCount> = reasons
            .into_iter()
            .map(|((passing, reason), agents)| ReasonCount {
                reason,
                agents,
                passing,
            })
            .collect();
        reasons.sort_by(|a, b| {
            b.agents
                .cmp(&a.agents)
                .then_with(|| a.reason.cmp(&b.reason))
        });
        let hint = if let Some(quota) = self.quota_in_the_way(framework, demand) {
            quota
        } else if state.is_empty() {
            hint(demand, fit, &reasons)
        } else {
            format!("the framework has no turns now: {state}")
        };
        DemandExplanation {
            demand: demand.clone(),
            agents_fit: fit,
            reasons,
            agents: self.state.agents.len() as u64,
            hint,
        }
    }

    /// What fails first on one agent, and whether it may pass by itself.
    fn first_failing(
        &self,
        host: &Host,
        at: usize,
        demand: &Demand,
        id: AgentId,
        agent: &AgentState,
    ) -> Option<(bool, String)> {
        let facts = &agent.record.info.facts;
        if let Some(condition) = host.conditions.get(at).and_then(|c| c.first_failing(facts)) {
            let words = format!(
                "condition {} {} {}",
                condition.attribute,
                condition.test.as_str(),
                condition.value
            );
            return Some((false, words.trim_end().to_string()));
        }
        if let Some(kind) = facts.total.short_of(&demand.each) {
            return Some((false, format!("too small: not enough {kind} in all")));
        }
        if let Some(port) = demand
            .fixed_ports
            .iter()
            .find(|port| !facts.port_set.contains(**port))
        {
            return Some((false, format!("port {port} is not given out there")));
        }
        if let Some(leaving) = &agent.record.leaving {
            let word = match leaving.how {
                How::Deactivated => "deactivated by an operator",
                How::Draining { .. } => "being drained by an operator",
                How::Gone => "gone for good",
            };
            return Some((leaving.how == How::Deactivated, word.into()));
        }
        let Some(free) = self.free(id) else {
            return Some((
                true,
                if agent.record.silent_since.is_some() {
                    "silent"
                } else {
                    "not connected"
                }
                .into(),
            ));
        };
        let mut unused = facts.total.clone();
        unused.take(&agent.used);
        if let Some(kind) = unused.short_of(&demand.each) {
            return Some((true, format!("short of {kind}: in use")));
        }
        if let Some(port) = demand
            .fixed_ports
            .iter()
            .find(|port| agent.ports_used.contains(**port))
        {
            return Some((true, format!("port {port} is in use")));
        }
        if let Some(kind) = free.short_of(&demand.each) {
            return Some((
                true,
                format!("short of {kind}: offered to a turn that is running"),
            ));
        }
        let seen = host.seen.contains(crate::allocate::slot(id))
            && !host.again.contains(&id)
            && self
                .links
                .get(&id)
                .is_some_and(|link| link.improved <= host.looked);
        seen.then(|| (true, "offered, and left by the framework".into()))
    }
}

fn hint(demand: &Demand, fit: u64, reasons: &[ReasonCount]) -> String {
    if fit > 0 {
        return format!("{fit} agents have room: the framework is being offered them");
    }
    match reasons {
        [] => "there are no agents yet; start one with `mezzo agent --master ADDRESS`".into(),
        reasons if reasons.iter().all(|reason| !reason.passing) => {
            let most = &reasons[0];
            format!(
                "no agent can ever run it as the cluster is ({}: {} agents); ask for less, or add an agent that has what it needs",
                most.reason, most.agents
            )
        }
        reasons => {
            let most = reasons
                .iter()
                .find(|reason| reason.passing)
                .unwrap_or(&reasons[0]);
            format!(
                "demand {} goes on when this passes: {} ({} agents)",
                demand.name, most.reason, most.agents
            )
        }
    }
}
