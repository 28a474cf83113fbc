//! Preemption: taking back what preemptible tasks use, for a role below its guarantee or for a demand
//! of a higher priority within its role.
//!
//! Never without need: only for a demand that has found nothing for `preempt_after_ms`, on agents that
//! meet its conditions, and never more than it lacks. The fewest tasks are ended, the youngest and
//! least important first, with their grace; what they leave is claimed for the demand (`claims.rs`).
//! Never cascading: who is ended was launched with a priority of at most 0, so its demand takes back
//! nothing within its role; and its role keeps its guarantee, so it takes back nothing elsewhere.

use crate::claims::{Claim, Takes};
use crate::cluster::{Cluster, Deadline};
use crate::fit::Conditions;
use crate::quota::{Room, top};
use crate::record::Quota;
use crate::state::FrameworkState;
use crate::turn::Task;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use mezzo_types::{AgentId, Demand, FrameworkId, Instant, Reason, Resources, Run, TaskState};

/// Pieces that are taken back at once.
const PIECES_MAX: u64 = 16;
/// The wait before the next time doubles at most so often, as long as nothing came of it.
const DOUBLINGS_MAX: u32 = 6;
/// After the last grace a claim waits so much longer, in milliseconds.
const CLAIM_SLACK_MS: u64 = 30_000;

/// What of a framework's taking back lasts as long as this leadership.
#[derive(Debug, Default)]
pub struct Preempting {
    /// When it is looked at.
    due: Option<Instant>,
    /// How often in a row nothing came of it.
    failed: u32,
}

/// For what, and so from whom, is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    /// From other roles, as far as they are above their guarantees.
    Guarantee,
    /// From tasks of a smaller priority in the same role.
    Priority,
}

/// The tasks to end on one agent so that a piece fits.
#[derive(Clone, Debug)]
struct Plan {
    victims: Vec<Arc<Task>>,
}

/// What one demand takes back, as far as it is chosen.
#[derive(Debug)]
struct Hunt<'d> {
    demand: &'d Demand,
    /// What one piece needs, fixed ports included.
    each: Resources,
    right: Right,
    role: Arc<str>,
    /// What the role may get more, those chosen counted as ended already.
    room: Room,
    /// What other roles have above their guarantees, those chosen counted as ended already.
    spare: BTreeMap<Arc<str>, [u64; 5]>,
    /// Where pieces are to be had.
    wanted: BTreeMap<AgentId, Resources>,
    victims: BTreeMap<Run, Arc<Task>>,
}

impl Plan {
    /// Smaller is better: fewest, then those whose oldest is youngest.
    fn cost(&self) -> (usize, Reverse<Instant>) {
        let oldest = self.victims.iter().map(|task| task.record.launched).min();
        (self.victims.len(), Reverse(oldest.unwrap_or_default()))
    }
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

    /// How many such pieces a role lacks of its guarantee, of the resources that it names.
    fn lacking_pieces(&self, role: &str, each: &Resources) -> u64 {
        let role = top(role);
        let quota = self.state.roles.get(role).and_then(|r| r.quota.as_ref());
        let Some(guarantee) = quota.map(|quota| quota.guarantee.plain()) else {
            return 0;
        };
        let mut has = self.shares.of_role(role).cloned().unwrap_or_default();
        has.add(&self.awaited(role));
        let charged = has.plain();
        let pieces = (0..5).filter(|i| guarantee[*i] > 0 && each.plain()[*i] > 0);
        pieces
            .map(|i| guarantee[i].saturating_sub(charged[i]) / each.plain()[i])
            .min()
            .unwrap_or(0)
    }

    /// What is being taken back for a role and has not come yet.
    fn awaited(&self, role: &str) -> Resources {
        let mut awaited = Resources::NONE;
        for claim in &self.claims {
            let framework = self.state.frameworks.get(&claim.framework);
            let (Takes::Of(wanted), Some(framework)) = (&claim.takes, framework) else {
                continue;
            };
            if top(&framework.record.role) != role {
                continue;
            }
            for (agent, wanted) in wanted {
                let mut more = wanted.clone();
                if let Some(part) = claim.parts.get(agent) {
                    more.take(&part.amount);
                }
                awaited.add(&more);
            }
        }
        awaited
    }

    /// A framework has waited for long enough, if it still waits.
    pub(crate) fn on_preempt_due(&mut self, id: FrameworkId) {
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        host.preempting.due = None;
        let able = host.turn.is_none() && host.instance.is_some();
        let Some(framework) = self.state.frameworks.get(&id) else {
            return;
        };
        if framework.record.quarantined || framework.record.removing {
            return;
        }
        // Who still has something to look at may find what it wants.
        let newest = self.offerable.last_key_value().map_or(0, |(news, _)| *news);
        let looking = self.behind(id).is_some_and(|behind| behind < newest);
        if able && !looking && self.claim_of(id).is_none() {
            let demands = Arc::clone(&framework.demands);
            let mut rights: Vec<(usize, &Demand, Right)> = demands
                .iter()
                .enumerate()
                .filter_map(|(at, demand)| Some((at, demand, self.right(framework, demand)?)))
                .collect();
            rights.sort_by_key(|(at, demand, _)| (Reverse(demand.priority), *at));
            for (_, demand, right) in rights {
                if self.preempt(id, demand, right) {
                    break;
                }
            }
        }
        self.await_preemption(id);
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
        let mut each = demand.each.clone();
        each.ports = each.ports.max(demand.fixed_ports.len() as u64);
        let mut hunt = Hunt {
            demand,
            each,
            right,
            room: match right {
                // It has a right to this, whatever is kept for others: they have the same.
                Right::Guarantee => self.room_within_limit(&role),
                Right::Priority => self.room_of(&role),
            },
            role,
            spare: self.spare(),
            wanted: BTreeMap::new(),
            victims: BTreeMap::new(),
        };
        let suits = |agent: &&AgentId| self.suits(**agent, demand, &conditions);
        let agents: Vec<AgentId> = self
            .state
            .preemptible_on
            .keys()
            .filter(suits)
            .copied()
            .collect();
        let mut plans: BTreeMap<AgentId, Plan> = BTreeMap::new();
        for agent in &agents {
            plans.extend(self.plan(&hunt, *agent).map(|plan| (*agent, plan)));
        }
        for _ in 0..pieces {
            let best = plans.iter().min_by_key(|(_, plan)| plan.cost());
            let Some((agent, plan)) = best.map(|(agent, plan)| (*agent, plan.clone())) else {
                break;
            };
            self.choose(&mut hunt, agent, plan);
            // What others can give has changed, on every agent: a role may be down to its guarantee,
            // or the limit is nearer.
            let good = |(other, plan): &(AgentId, Plan)| {
                *other != agent && self.is_still_good(&hunt, plan)
            };
            for (other, plan) in core::mem::take(&mut plans) {
                let pair = (other, plan);
                let plan = if good(&pair) {
                    Some(pair.1)
                } else {
                    self.plan(&hunt, other)
                };
                plans.extend(plan.map(|plan| (other, plan)));
            }
        }
        let Hunt {
            wanted, victims, ..
        } = hunt;
        if victims.is_empty() {
            return false;
        }
        self.take_back(id, demand, wanted, victims.into_values().collect());
        true
    }

    /// One more piece is to be had on an agent.
    fn choose(&self, hunt: &mut Hunt<'_>, agent: AgentId, plan: Plan) {
        for task in plan.victims {
            self.spend(&task, &mut hunt.spare);
            if hunt.right == Right::Priority {
                hunt.room.give(&task.record.charged());
            }
            hunt.victims.insert(task.record.run, task);
        }
        hunt.room.take(&hunt.each);
        hunt.wanted.entry(agent).or_default().add(&hunt.each);
    }

    fn take_back(
        &mut self,
        id: FrameworkId,
        demand: &Demand,
        wanted: BTreeMap<AgentId, Resources>,
        victims: Vec<Arc<Task>>,
    ) {
        let mut longest_ms = 0;
        for task in victims {
            let grace_ms = task.record.spec.kill_grace_ms;
            let grace_ms = grace_ms.min(self.limits.preempt_grace_ms_max);
            longest_ms = grace_ms.max(longest_ms);
            self.kill(task.record.run, Some(grace_ms), Reason::Preempted);
        }
        // Until it launches on what it is given, nothing has come of it.
        if let Some(host) = self.hosts.get_mut(&id) {
            host.preempting.failed = host.preempting.failed.saturating_add(1);
        }
        let agents: Vec<AgentId> = wanted.keys().copied().collect();
        let claim = Claim {
            framework: id,
            demand: demand.clone(),
            until: self.now.after_ms(longest_ms.saturating_add(CLAIM_SLACK_MS)),
            takes: Takes::Of(wanted),
            parts: BTreeMap::new(),
        };
        self.claim(claim, &agents);
    }

    /// A framework has launched something: what was taken back for it was needed.
    pub(crate) fn preemption_was_needed(&mut self, id: FrameworkId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.preempting.failed = 0;
        }
    }

    /// What each role with quota has above its guarantee, without what is asked to end already.
    fn spare(&self) -> BTreeMap<Arc<str>, [u64; 5]> {
        let roles = self
            .state
            .roles
            .iter()
            .filter(|(name, _)| !name.contains('/'));
        let mut spare = roles
            .filter_map(|(name, role)| {
                let quota: &Quota = role.quota.as_ref()?;
                let mut spare = role.used.plain();
                for (spare, promised) in spare.iter_mut().zip(quota.guarantee.plain()) {
                    *spare = spare.saturating_sub(promised);
                }
                Some((Arc::clone(name), spare))
            })
            .collect();
        let runs = self.state.preemptible_on.values().flatten();
        for task in runs.filter_map(|run| self.state.task(*run)) {
            if task.kill.is_some() {
                self.spend(task, &mut spare);
            }
        }
        spare
    }

    /// Whether a task's role keeps its guarantee without it.
    fn can_spare(&self, task: &Task, spare: &BTreeMap<Arc<str>, [u64; 5]>) -> bool {
        let framework = self.state.frameworks.get(&task.record.framework);
        let spare = framework.and_then(|f| spare.get(top(&f.record.role)));
        let uses = task.record.spec.resources.plain();
        // A resource of which nothing is promised is spared freely.
        spare.is_none_or(|spare| spare.iter().zip(uses).all(|(spare, n)| *spare >= n))
    }

    /// A task counts as ended.
    fn spend(&self, task: &Task, spare: &mut BTreeMap<Arc<str>, [u64; 5]>) {
        let framework = self.state.frameworks.get(&task.record.framework);
        if let Some(spare) = framework.and_then(|f| spare.get_mut(top(&f.record.role))) {
            for (spare, n) in spare.iter_mut().zip(task.record.spec.resources.plain()) {
                *spare = spare.saturating_sub(n);
            }
        }
    }

    fn is_still_good(&self, hunt: &Hunt<'_>, plan: &Plan) -> bool {
        if hunt.right == Right::Priority {
            return hunt.room.pieces(&hunt.each) > 0;
        }
        let mut left = hunt.spare.clone();
        plan.victims.iter().all(|task| {
            let can = self.can_spare(task, &left);
            self.spend(task, &mut left);
            can
        })
    }

    /// Whether a demand could run on an agent if there were room.
    fn suits(&self, agent: AgentId, demand: &Demand, conditions: &Conditions) -> bool {
        let Some(known) = self.state.agents.get(&agent) else {
            return false;
        };
        let facts = &known.record.info.facts;
        let taken =
            |port: &u16| !facts.port_set.contains(*port) || known.ports_used.contains(*port);
        self.free(agent).is_some()
            && facts.total.contains(&demand.each)
            && !demand.fixed_ports.iter().any(taken)
            && conditions.hold(facts)
    }

    /// The fewest tasks of an agent, the least important and youngest first, without which one more
    /// piece fits; none if it does not fit without all of them.
    fn plan(&self, hunt: &Hunt<'_>, agent: AgentId) -> Option<Plan> {
        let mut free = self.free(agent)?;
        let (mut room, mut spare) = (hunt.room.clone(), hunt.spare.clone());
        let mut candidates: Vec<Arc<Task>> = Vec::new();
        let runs = self.state.preemptible_on.get(&agent)?;
        for task in runs.iter().filter_map(|run| self.state.task(*run)) {
            if hunt.victims.contains_key(&task.record.run) {
                free.add(&task.record.charged());
            } else if self.may_take(hunt, task) {
                candidates.push(Arc::clone(task));
            }
        }
        let each = &hunt.each;
        let mut need = each.clone();
        need.add(hunt.wanted.get(&agent).unwrap_or(&Resources::NONE));
        let age = |task: &Arc<Task>| Reverse((task.record.launched, task.record.run));
        candidates.sort_by_key(|task| (task.record.priority, age(task)));
        let enough = |free: &Resources, room: &Room| free.contains(&need) && room.pieces(each) > 0;
        let mut victims: Vec<Arc<Task>> = Vec::new();
        for task in candidates {
            if enough(&free, &room) {
                break;
            }
            if hunt.right == Right::Guarantee && !self.can_spare(&task, &spare) {
                continue;
            }
            self.spend(&task, &mut spare);
            free.add(&task.record.charged());
            if hunt.right == Right::Priority {
                room.give(&task.record.charged());
            }
            victims.push(task);
        }
        if !enough(&free, &room) {
            return None;
        }
        // A later one may have made an earlier one unnecessary.
        let mut at = 0;
        while at < victims.len() {
            let charged = victims[at].record.charged();
            let (mut less_free, mut less_room) = (free.clone(), room.clone());
            less_free.take(&charged);
            if hunt.right == Right::Priority {
                less_room.take(&charged);
            }
            if enough(&less_free, &less_room) {
                (free, room) = (less_free, less_room);
                victims.remove(at);
            } else {
                at += 1;
            }
        }
        (!victims.is_empty()).then_some(Plan { victims })
    }

    /// Whether a task may be ended.
    fn may_take(&self, hunt: &Hunt<'_>, task: &Task) -> bool {
        let framework = self.state.frameworks.get(&task.record.framework);
        let Some(theirs) = framework.map(|f| &*f.record.role) else {
            return false;
        };
        let alive = !task.status.state.is_final() && task.status.state != TaskState::Unreachable;
        let right = match hunt.right {
            Right::Guarantee => top(theirs) != top(&hunt.role),
            Right::Priority => *theirs == *hunt.role && task.record.priority < hunt.demand.priority,
        };
        alive && task.kill.is_none() && right
    }
}
