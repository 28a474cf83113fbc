//! Preemption: taking back what preemptible tasks use, for a role below its guarantee or for a demand
//! of a higher priority within its role. Which tasks end is in `victims.rs`.
//!
//! Never without need: only for a demand of a framework that has found nothing for
//! `preempt_after_ms`, and never more than is lacking; what others are taking back for the same role
//! counts as had already. What the tasks leave is claimed for the demand (`claims.rs`).
//! Never cascading: who is ended was launched with a priority of at most 0, so its demand takes back
//! nothing within its role; and its role keeps its guarantee, so it takes back nothing elsewhere.

use crate::claims::{Claim, Takes};
use crate::cluster::{Cluster, Deadline};
use crate::fit::Conditions;
use crate::quota::top;
use crate::state::{FrameworkState, State};
use crate::turn::Launch;
use crate::victims::{Hunt, Right};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use mezzo_types::{AgentId, Demand, FrameworkId, Instant, OfferId, Reason, Resources, Run};

/// Pieces that are taken back at once.
const PIECES_MAX: u64 = 16;
/// Demands of a framework for which tasks are looked for at once; the others have their turn later.
const DEMANDS_MAX: usize = 8;
/// The wait before the next time doubles at most so often, as long as nothing came of it.
const DOUBLINGS_MAX: u32 = 4;
/// After the last grace a claim waits so much longer, in milliseconds.
const CLAIM_SLACK_MS: u64 = 30_000;

/// What of a framework's taking back lasts as long as this leadership.
#[derive(Debug, Default)]
pub struct Preempting {
    /// When it is looked at.
    due: Option<Instant>,
    /// How often in a row nothing came of it.
    failed: u32,
    /// At which of its demands to begin.
    next: usize,
    /// The demand for which was taken back what these offers are of.
    offers: Option<(String, BTreeSet<OfferId>)>,
    /// Tasks that were ended for it last.
    victims: Vec<Run>,
}

impl Cluster {
    /// If a framework may take back for something that it wants, it is looked at after a while.
    pub(crate) fn await_preemption(&mut self, id: FrameworkId) {
        if self.state.preemptible == 0 {
            return;
        }
        let (Some(framework), Some(host)) = (self.state.frameworks.get(&id), self.hosts.get(&id))
        else {
            return;
        };
        let may = |demand: &Demand| self.right(framework, demand).is_some();
        if host.preempting.due.is_some() || !framework.demands.iter().any(may) {
            return;
        }
        let now = self.now;
        let after_ms = self.limits.preempt_after_ms;
        if let Some(host) = self.hosts.get_mut(&id) {
            let doublings = host.preempting.failed.min(DOUBLINGS_MAX);
            let due = now.after_ms(after_ms.saturating_mul(1 << doublings));
            host.preempting.due = Some(due);
            self.deadlines.insert((due, Deadline::Preempt(id)));
        }
    }

    /// A role is promised something else: its frameworks may take back from now on.
    pub(crate) fn await_preemptions_of(&mut self, role: &str) {
        let below = |name: &str| State::roles_above(name).any(|above| above == role);
        let roles = self.state.roles.iter().filter(|(name, _)| below(name));
        let frameworks: Vec<FrameworkId> = roles
            .flat_map(|(_, role)| role.frameworks.iter().copied())
            .collect();
        for id in frameworks {
            self.await_preemption(id);
        }
    }

    /// The first preemptible task is there: whoever waits may take back from now on.
    pub(crate) fn await_all_preemptions(&mut self) {
        let all: Vec<FrameworkId> = self.hosts.keys().copied().collect();
        for id in all {
            self.await_preemption(id);
        }
    }

    /// By what right a demand may take back.
    fn right(&self, framework: &FrameworkState, demand: &Demand) -> Option<Right> {
        if demand.count == 0 || demand.together || !demand.reservations.is_empty() {
            return None;
        }
        if self.lacking_pieces(&framework.record.role, &demand.each) > 0 {
            return Some(Right::Guarantee);
        }
        (demand.priority > 0).then_some(Right::Priority)
    }

    /// How many such pieces a role lacks of its guarantee, of the resources that it names. What is
    /// being taken back for it counts as had.
    fn lacking_pieces(&self, role: &str, each: &Resources) -> u64 {
        let role = top(role);
        let quota = self.state.roles.get(role).and_then(|r| r.quota.as_ref());
        let Some(guarantee) = quota.map(|quota| quota.guarantee.plain()) else {
            return 0;
        };
        let mut charged = self.shares.of_role(role).cloned().unwrap_or_default();
        for claim in &self.claims {
            let theirs = self.state.frameworks.get(&claim.framework);
            if theirs.is_some_and(|theirs| top(&theirs.record.role) == role) {
                charged.add(&claim.lacks());
            }
        }
        let (charged, each) = (charged.plain(), each.plain());
        let named = (0..5).filter(|i| guarantee[*i] > 0 && each[*i] > 0);
        named
            .map(|i| guarantee[i].saturating_sub(charged[i]) / each[i])
            .min()
            .unwrap_or(0)
    }

    /// A framework has waited for long enough, if it still waits.
    pub(crate) fn on_preempt_due(&mut self, id: FrameworkId) {
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        host.preempting.due = None;
        let able = host.turn.is_none() && host.instance.is_some();
        let first = host.preempting.next;
        let Some(framework) = self.state.frameworks.get(&id) else {
            return;
        };
        if framework.record.quarantined || framework.record.removing {
            return;
        }
        // Who still has something to look at may find what it wants.
        let newest = self.offerable.last_key_value().map_or(0, |(news, _)| *news);
        let looking = self.behind(id).is_some_and(|behind| behind < newest);
        if able && !looking && self.claim_of(id).is_none() && !self.victims_live(id) {
            let demands = Arc::clone(&framework.demands);
            let mut rights: Vec<(usize, &Demand, Right)> = demands
                .iter()
                .enumerate()
                .filter_map(|(at, demand)| Some((at, demand, self.right(framework, demand)?)))
                .collect();
            rights.sort_by_key(|(at, demand, _)| (Reverse(demand.priority), *at));
            let begin = first.checked_rem(rights.len()).unwrap_or(0);
            rights.rotate_left(begin);
            let mut tried = 0;
            let done = rights
                .into_iter()
                .take(DEMANDS_MAX)
                .any(|(_, demand, right)| {
                    tried += 1;
                    self.preempt(id, demand, right)
                });
            if let Some(host) = self.hosts.get_mut(&id) {
                host.preempting.next = if done { 0 } else { first.wrapping_add(tried) };
                // Until it launches on what it is given, nothing has come of it.
                host.preempting.failed = host.preempting.failed.saturating_add(1);
            }
        }
        self.await_preemption(id);
    }

    /// Whether tasks that were ended for a framework are still there, on agents that can be reached:
    /// then no others are ended in their place.
    fn victims_live(&self, id: FrameworkId) -> bool {
        let victims = self.hosts.get(&id).map(|host| &host.preempting.victims);
        let mut victims = victims.into_iter().flatten();
        victims.any(|run| {
            self.state.task(*run).is_some_and(|task| {
                !task.status.state.is_final() && self.session_of(task.record.agent).is_some()
            })
        })
    }

    /// Ends tasks for a demand, and claims what they leave; whether there were any.
    fn preempt(&mut self, id: FrameworkId, demand: &Demand, right: Right) -> bool {
        let Some(framework) = self.state.frameworks.get(&id) else {
            return false;
        };
        let role = Arc::clone(&framework.record.role);
        let pieces = match right {
            Right::Guarantee => self.lacking_pieces(&role, &demand.each),
            Right::Priority => u64::from(demand.count),
        };
        let pieces = pieces.min(u64::from(demand.count)).min(PIECES_MAX);
        let Ok(conditions) = Conditions::compile(&demand.conditions) else {
            return false;
        };
        let mut hunt = Hunt::new(self, demand, right, &role);
        self.hunt(&mut hunt, &conditions, pieces);
        let (wanted, victims) = hunt.chosen();
        if victims.is_empty() {
            return false;
        }
        self.take_back(id, demand, conditions, wanted, victims);
        true
    }

    fn take_back(
        &mut self,
        id: FrameworkId,
        demand: &Demand,
        conditions: Conditions,
        wanted: BTreeMap<AgentId, Resources>,
        victims: Vec<Run>,
    ) {
        let mut longest_ms = 0;
        if let Some(host) = self.hosts.get_mut(&id) {
            host.preempting.victims.clone_from(&victims);
        }
        for run in victims {
            let grace_ms = self.state.task(run).map(|t| t.record.spec.kill_grace_ms);
            let grace_ms = grace_ms.unwrap_or(0).min(self.limits.preempt_grace_ms_max);
            longest_ms = grace_ms.max(longest_ms);
            self.kill(run, Some(grace_ms), Reason::Preempted);
        }
        let agents: Vec<AgentId> = wanted.keys().copied().collect();
        let claim = Claim {
            framework: id,
            demand: demand.clone(),
            until: self.now.after_ms(longest_ms.saturating_add(CLAIM_SLACK_MS)),
            takes: Takes::Of(wanted),
            conditions,
            parts: BTreeMap::new(),
        };
        self.claim(claim, &agents);
    }

    /// What was taken back for a framework is offered to it.
    pub(crate) fn await_use(&mut self, id: FrameworkId, demand: &str, offers: BTreeSet<OfferId>) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.preempting.offers = Some((demand.into(), offers));
        }
    }

    /// A framework launches: if that is on what was taken back, and for the demand for which it was,
    /// it was needed.
    pub(crate) fn launched(&mut self, id: FrameworkId, launch: &Launch) {
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        let preempting = &mut host.preempting;
        let used = preempting.offers.as_ref().is_some_and(|(demand, offers)| {
            launch.demand.as_deref() == Some(demand) && offers.contains(&launch.offer)
        });
        if used {
            preempting.failed = 0;
        }
    }
}
