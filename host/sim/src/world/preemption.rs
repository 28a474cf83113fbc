//! Preemption: who is ended for whom, and that it was right to.
//!
//! Only tasks that said they may be, with a priority of 0 or less. Never cascading: within a role only
//! for a demand of a priority above 0, whose own tasks cannot be preempted; from other roles only for
//! what a role lacks of its guarantee, and only what they have above theirs. Never without need: there
//! is no agent on which a piece would have fitted.
//!
//! Reckoned from the records, from what turns were offered and from what stands claimed; not from the
//! core's sums. A step has only a before and an after: what held at either of them was right.

use super::guarantees::top;
use super::{Master, World};
use mezzo_core::fit::Conditions;
use mezzo_core::turn::Task;
use mezzo_core::{Batch, Claim, Record, State, Takes};
use mezzo_types::{AgentId, Demand, FrameworkId, Instant, Reason, Resources, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is used and free at one instant.
#[derive(Debug, Default)]
pub struct Sums {
    /// Of each agent that can be offered: neither used, nor offered, nor claimed.
    free: BTreeMap<AgentId, Resources>,
    roles: BTreeMap<String, Role>,
}

/// What a top-level role has.
#[derive(Clone, Debug, Default)]
struct Role {
    /// Its tasks and reservations, what it is being offered, and what is claimed for it.
    charged: Resources,
    /// Its tasks and reservations, without tasks that are being preempted.
    lasts: Resources,
    /// What is being taken back for it from other roles.
    awaits: Resources,
    guarantee: [u64; 5],
    limit: Option<[u64; 5]>,
}

/// What is known of claims and of ends that were asked for, of one master.
#[derive(Debug, Default)]
pub struct Known {
    /// Tasks that somebody asked the end of.
    dying: BTreeSet<Run>,
    /// Claims that stand, and whether each takes back what its role is guaranteed.
    claims: BTreeMap<(FrameworkId, Instant), bool>,
}

/// What a step has begun with, as far as preemption goes.
#[derive(Debug, Default)]
pub struct Before {
    /// Only if needs are checked in this step.
    sums: Option<Sums>,
}

impl Known {
    /// As a new master finds it.
    pub fn of(state: &State) -> Known {
        let tasks = state.frameworks.values().flat_map(|it| it.tasks.values());
        let dying = tasks.filter(|task| task.kill.is_some());
        Known {
            dying: dying.map(|task| task.record.run).collect(),
            claims: BTreeMap::new(),
        }
    }

    /// The tasks that this batch begins to preempt.
    pub fn preempted(&mut self, batch: &Batch) -> Vec<Run> {
        let mut preempted = Vec::new();
        for record in &batch.records {
            let Record::Kill(run, kill) = record else {
                continue;
            };
            if self.dying.insert(*run) && kill.reason == Reason::Preempted {
                preempted.push(*run);
            }
        }
        preempted
    }
}

impl World {
    /// What the next step begins with.
    pub(super) fn before_preemption(&self, in_full: bool) -> Before {
        let master = self.master.as_ref();
        let master = master.filter(|it| in_full && it.cluster.state().preemptible > 0);
        Before {
            sums: master.map(|master| master.sums(None)),
        }
    }
}

impl Master {
    /// The preemptions of a step were right.
    pub(super) fn check_preempted(
        &mut self,
        victims: &[Run],
        before: &Before,
    ) -> Result<(), String> {
        let state = self.cluster.state();
        let victims: Vec<&Arc<Task>> = victims.iter().filter_map(|run| state.task(*run)).collect();
        let known = &self.known.claims;
        let is_new = |claim: &&Claim| {
            matches!(claim.takes, Takes::Of(_)) && !known.contains_key(&name(claim))
        };
        let claims = self.cluster.claims();
        let new: Vec<&Claim> = claims.iter().filter(is_new).collect();
        let stand = claims.iter().map(|claim| {
            let for_a_guarantee = match known.get(&name(claim)) {
                Some(known) => *known,
                None => !of_others(state, claim, &victims).is_empty(),
            };
            (name(claim), for_a_guarantee)
        });
        let stand = stand.collect();
        for task in &victims {
            let record = &task.record;
            if !record.spec.preemptible || record.priority > 0 {
                return Err(format!(
                    "run {} is preempted: preemptible {}, priority {}",
                    record.run, record.spec.preemptible, record.priority
                ));
            }
            if !new.iter().any(|claim| may_take(state, claim, task)) {
                return Err(format!(
                    "run {} is preempted for nobody who may: {new:?}",
                    record.run
                ));
            }
        }
        if let Some(before) = &before.sums {
            for claim in new {
                let at_first = is_wrong(state, claim, &victims, before);
                let then = is_wrong(state, claim, &victims, &self.sums(Some(claim)));
                if let (Some(what), Some(_)) = (at_first, then) {
                    return Err(format!("{what}: {claim:?}"));
                }
            }
        }
        self.known.claims = stand;
        Ok(())
    }

    /// What is used and free now, as if one of the claims had nothing yet.
    fn sums(&self, but: Option<&Claim>) -> Sums {
        let state = self.cluster.state();
        let mut sums = Sums::default();
        for id in self.welcome.values() {
            let agent = state.agents.get(id);
            if let Some(agent) = agent.filter(|it| it.record.leaving.is_none()) {
                let total = agent.record.info.facts.total.clone();
                sums.free.insert(*id, total);
            }
        }
        for (name, role) in state.roles.iter().filter(|(name, _)| !name.contains('/')) {
            let sum = sums.roles.entry(name.to_string()).or_default();
            if let Some(quota) = &role.quota {
                sum.guarantee = quota.guarantee.plain();
                sum.limit = Some(quota.limit());
            }
        }
        for framework in state.frameworks.values() {
            let alive = framework.tasks.values();
            for task in alive.filter(|task| !task.status.state.is_final()) {
                let kill = task.kill.as_ref().map(|kill| kill.reason);
                let lasts = kill != Some(Reason::Preempted);
                let amount = task.record.charged();
                sums.charge(&framework.record.role, task.record.agent, &amount, lasts);
            }
        }
        for id in state.reservations.keys() {
            let known = state.reservation(*id).map(|known| &known.record);
            if let Some(record) = known.filter(|record| record.within.is_none()) {
                sums.charge(&record.role, record.agent, &record.amount, true);
            }
        }
        for (turn, leases) in &self.leases {
            let role = self.roles.get(turn).map_or("", |role| role.as_str());
            for (agent, amount) in leases {
                sums.charge(role, *agent, amount, false);
            }
        }
        let same = |claim: &Claim| but.is_some_and(|but| name(but) == name(claim));
        for claim in self.cluster.claims().iter().filter(|claim| !same(claim)) {
            let role = role_of(state, &claim.framework);
            for (agent, part) in &claim.parts {
                sums.charge(role, *agent, &part.amount, false);
            }
            // What is being taken back for it, it will have.
            let for_a_guarantee = self.known.claims.get(&name(claim)) == Some(&true);
            if let (true, Takes::Of(wanted)) = (for_a_guarantee, &claim.takes) {
                let sum = sums.roles.entry(role.to_string()).or_default();
                for (agent, wanted) in wanted {
                    let mut more = wanted.clone();
                    if let Some(part) = claim.parts.get(agent) {
                        more.take(&part.amount);
                    }
                    sum.awaits.add(&more);
                }
            }
        }
        sums
    }
}

impl Sums {
    fn charge(&mut self, role: &str, agent: AgentId, amount: &Resources, lasts: bool) {
        if let Some(free) = self.free.get_mut(&agent) {
            free.take(amount);
        }
        let role = self.roles.entry(top(role).to_string()).or_default();
        role.charged.add(amount);
        if lasts {
            role.lasts.add(amount);
        }
    }

    /// The agent on which a piece would fit, within what quota leaves to the role.
    fn would_fit(&self, state: &State, role: &str, demand: &Demand) -> Option<AgentId> {
        let mut each = demand.each.clone();
        each.ports = each.ports.max(demand.fixed_ports.len() as u64);
        if !self.has_room(role, &each) {
            return None;
        }
        let conditions = Conditions::compile(&demand.conditions).ok()?;
        let fits = |(id, free): &(&AgentId, &Resources)| {
            let agent = state.agents.get(id);
            free.contains(&each)
                && agent.is_some_and(|agent| {
                    let used = |port| agent.ports_used.contains(port);
                    conditions.hold(&agent.record.info.facts)
                        && !demand.fixed_ports.iter().any(|port| used(*port))
                })
        };
        self.free.iter().find(fits).map(|(id, _)| *id)
    }

    fn has_room(&self, role: &str, each: &Resources) -> bool {
        let mut free = [0; 5];
        for of_agent in self.free.values() {
            for (all, free) in free.iter_mut().zip(of_agent.plain()) {
                *all += free;
            }
        }
        let mut kept = [0; 5];
        let others = self.roles.iter().filter(|(name, _)| *name != role);
        for (_, other) in others {
            for (i, kept) in kept.iter_mut().enumerate() {
                *kept += other.guarantee[i].saturating_sub(other.charged.plain()[i]);
            }
        }
        let own = self.roles.get(role).cloned().unwrap_or_default();
        let (each, charged) = (each.plain(), own.charged.plain());
        (0..5).all(|i| {
            let limit = own.limit.map_or(u64::MAX, |limit| limit[i]);
            each[i] == 0 || charged[i] + each[i] <= limit && free[i] >= kept[i] + each[i]
        })
    }
}

/// What tells a claim from others.
fn name(claim: &Claim) -> (FrameworkId, Instant) {
    (claim.framework, claim.until)
}

/// A framework's top-level role.
fn role_of<'a>(state: &'a State, id: &FrameworkId) -> &'a str {
    let framework = state.frameworks.get(id);
    framework.map_or("", |it| top(&it.record.role))
}

/// What is taken back for a claim from each other role.
fn of_others<'a>(
    state: &'a State,
    claim: &Claim,
    victims: &[&Arc<Task>],
) -> BTreeMap<&'a str, Resources> {
    let Takes::Of(wanted) = &claim.takes else {
        return BTreeMap::new();
    };
    let mut taken: BTreeMap<&str, Resources> = BTreeMap::new();
    let own = role_of(state, &claim.framework);
    for record in victims.iter().map(|task| &task.record) {
        let role = role_of(state, &record.framework);
        if role != own && wanted.contains_key(&record.agent) {
            taken.entry(role).or_default().add(&record.charged());
        }
    }
    taken
}

/// Whether there is a right by which a claim may be fed by a task's end.
fn may_take(state: &State, claim: &Claim, task: &Task) -> bool {
    let Takes::Of(wanted) = &claim.takes else {
        return false;
    };
    if !wanted.contains_key(&task.record.agent) {
        return false;
    }
    let of = |id: &FrameworkId| state.frameworks.get(id).map(|it| &*it.record.role);
    let (whose, theirs) = (of(&claim.framework), of(&task.record.framework));
    if whose == theirs {
        let priority = claim.demand.priority;
        return priority > 0 && priority > task.record.priority;
    }
    // By guarantee; whether it lacks as much is seen from the sums.
    whose.map(top) != theirs.map(top)
}

/// What is wrong with taking back these tasks for a claim, with so much used and free.
fn is_wrong(state: &State, claim: &Claim, victims: &[&Arc<Task>], sums: &Sums) -> Option<String> {
    let (role, Takes::Of(wanted)) = (role_of(state, &claim.framework), &claim.takes) else {
        return None;
    };
    if let Some(agent) = sums.would_fit(state, role, &claim.demand) {
        return Some(format!(
            "a piece fits on agent {agent}, and tasks are preempted"
        ));
    }
    let mut all = Resources::NONE;
    wanted.values().for_each(|amount| all.add(amount));
    if all.pieces(&claim.demand.each) > u64::from(claim.demand.count) {
        return Some("more is preempted than is wanted".into());
    }
    let taken = of_others(state, claim, victims);
    if taken.is_empty() {
        return None;
    }
    let own = sums.roles.get(role).cloned().unwrap_or_default();
    let mut charged = own.charged;
    charged.add(&own.awaits);
    let (charged, all) = (charged.plain(), all.plain());
    let promised = (0..5).filter(|i| own.guarantee[*i] > 0 && all[*i] > 0);
    let mut promised = promised.peekable();
    let lacks =
        promised.peek().is_some() && promised.all(|i| charged[i] + all[i] <= own.guarantee[i]);
    if !lacks {
        return Some(format!(
            "role {role} has {charged:?} of the {:?} that it is guaranteed, and takes back {all:?}",
            own.guarantee
        ));
    }
    taken.into_iter().find_map(|(role, taken)| {
        let theirs = sums.roles.get(role).cloned().unwrap_or_default();
        let (lasts, taken) = (theirs.lasts.plain(), taken.plain());
        let good = |i: usize| taken[i] == 0 || lasts[i] >= theirs.guarantee[i] + taken[i];
        (!(0..5).all(good)).then(|| {
            format!(
                "role {role} has {lasts:?} and is guaranteed {:?}, and {taken:?} is taken back from it",
                theirs.guarantee
            )
        })
    })
}
