//! Which tasks end for a demand: the fewest, the least important and youngest first.
//!
//! Tasks of one group share their fate, so they are taken together and counted as many. For each agent
//! there is at most one plan; the cheapest is taken, and the others are made anew where that has
//! changed what they rest on.

use crate::cluster::Cluster;
use crate::fit::Conditions;
use crate::quota::{Room, top};
use crate::turn::Task;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use mezzo_types::{AgentId, Demand, FrameworkId, Instant, Resources, Run, TaskState};

/// For what, and so from whom, is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// From other roles, as far as they are above their guarantees.
    Guarantee,
    /// From tasks of a smaller priority in the same role.
    Priority,
}

/// Tasks that end together, all on one agent.
type Unit = Vec<Arc<Task>>;

/// The tasks to end on one agent so that a piece fits.
#[derive(Clone, Debug)]
struct Plan {
    units: Vec<Unit>,
}

/// What one demand takes back, as far as it is chosen.
#[derive(Debug)]
pub struct Hunt<'d> {
    demand: &'d Demand,
    /// What one piece needs, fixed ports included.
    each: Resources,
    right: Right,
    role: Arc<str>,
    /// What is left of the role's limit, and what is free beside what is kept for others; those chosen
    /// counted as ended already.
    limit: Room,
    beyond: Room,
    spare: Spare,
    /// Where pieces are to be had.
    wanted: BTreeMap<AgentId, Resources>,
    victims: BTreeSet<Run>,
}

/// What roles with quota have above their guarantees.
#[derive(Clone, Debug)]
struct Spare {
    of: Arc<BTreeMap<Arc<str>, [u64; 5]>>,
    /// By those that are chosen.
    spent: BTreeMap<Arc<str>, [u64; 5]>,
}

impl Spare {
    /// A role without quota has spare whatever it has; so has one of what it is promised nothing of.
    fn has(&self, role: &str, amount: &Resources) -> bool {
        let Some(spare) = self.of.get(role) else {
            return true;
        };
        let spent = self.spent.get(role).copied().unwrap_or_default();
        (0..5).all(|i| spare[i].saturating_sub(spent[i]) >= amount.plain()[i])
    }

    fn spend(&mut self, role: &str, amount: &Resources) {
        if let Some((role, _)) = self.of.get_key_value(role) {
            let spent = self.spent.entry(Arc::clone(role)).or_default();
            for (spent, n) in spent.iter_mut().zip(amount.plain()) {
                *spent = spent.saturating_add(n);
            }
        }
    }
}

impl Plan {
    /// Smaller is better: fewest tasks, then those whose oldest is youngest.
    fn cost(&self) -> (usize, Reverse<Instant>) {
        let tasks = || self.units.iter().flatten();
        let oldest = tasks().map(|task| task.record.launched).min();
        (tasks().count(), Reverse(oldest.unwrap_or_default()))
    }
}

fn sum(unit: &Unit) -> Resources {
    let mut sum = Resources::NONE;
    for task in unit {
        sum.add(&task.record.charged());
    }
    sum
}

impl<'d> Hunt<'d> {
    pub(crate) fn new(
        cluster: &Cluster,
        demand: &'d Demand,
        right: Right,
        role: &Arc<str>,
    ) -> Hunt<'d> {
        let mut each = demand.each.clone();
        each.ports = each.ports.max(demand.fixed_ports.len() as u64);
        Hunt {
            demand,
            each,
            right,
            role: Arc::clone(role),
            limit: cluster.limit_room(role),
            beyond: cluster.beyond_room(role),
            spare: cluster.spare(),
            wanted: BTreeMap::new(),
            victims: BTreeSet::new(),
        }
    }

    /// Where pieces are to be had, and which tasks are to end for them.
    pub(crate) fn chosen(self) -> (BTreeMap<AgentId, Resources>, Vec<Run>) {
        (self.wanted, self.victims.into_iter().collect())
    }

    /// What tasks of a unit leave counts for the role: its own under its limit too.
    fn give(&self, limit: &mut Room, beyond: &mut Room, amount: &Resources) {
        beyond.give(amount);
        if self.right == Right::Priority {
            limit.give(amount);
        }
    }
}

impl Cluster {
    /// Chooses tasks so that up to so many pieces fit.
    pub(crate) fn hunt(&self, hunt: &mut Hunt<'_>, conditions: &Conditions, pieces: u64) {
        let suits = |agent: &&AgentId| self.suits(**agent, hunt.demand, conditions);
        let agents: Vec<AgentId> = self
            .state
            .preemptible_on
            .keys()
            .filter(suits)
            .copied()
            .collect();
        let mut plans: BTreeMap<AgentId, Plan> = BTreeMap::new();
        for agent in &agents {
            plans.extend(self.plan(hunt, *agent).map(|plan| (*agent, plan)));
        }
        for _ in 0..pieces {
            let best = plans.iter().min_by_key(|(_, plan)| plan.cost());
            let Some((agent, plan)) = best.map(|(agent, plan)| (*agent, plan.clone())) else {
                break;
            };
            self.choose(hunt, agent, plan);
            for (other, plan) in core::mem::take(&mut plans) {
                let plan = if other != agent && self.is_still_good(hunt, &plan) {
                    Some(plan)
                } else {
                    self.plan(hunt, other)
                };
                plans.extend(plan.map(|plan| (other, plan)));
            }
        }
    }

    /// One more piece is to be had on an agent.
    fn choose(&self, hunt: &mut Hunt<'_>, agent: AgentId, plan: Plan) {
        for unit in plan.units {
            let amount = sum(&unit);
            hunt.spare.spend(self.top_role_of(&unit), &amount);
            let (mut limit, mut beyond) = (hunt.limit.clone(), hunt.beyond.clone());
            hunt.give(&mut limit, &mut beyond, &amount);
            (hunt.limit, hunt.beyond) = (limit, beyond);
            hunt.victims.extend(unit.iter().map(|task| task.record.run));
        }
        hunt.limit.take(&hunt.each);
        hunt.beyond.take(&hunt.each);
        hunt.wanted.entry(agent).or_default().add(&hunt.each);
    }

    /// What others can give has changed, on every agent: a role may be down to its guarantee, or a
    /// limit nearer.
    fn is_still_good(&self, hunt: &Hunt<'_>, plan: &Plan) -> bool {
        let mut spare = hunt.spare.clone();
        let (mut limit, mut beyond) = (hunt.limit.clone(), hunt.beyond.clone());
        let spared = plan.units.iter().all(|unit| {
            let (role, amount) = (self.top_role_of(unit), sum(unit));
            let has = hunt.right == Right::Priority || spare.has(role, &amount);
            spare.spend(role, &amount);
            hunt.give(&mut limit, &mut beyond, &amount);
            has
        });
        spared && limit.pieces(&hunt.each) > 0 && beyond.pieces(&hunt.each) > 0
    }

    /// What each role with quota has above its guarantee, without what was asked to end already.
    fn spare(&self) -> Spare {
        let mut ending: BTreeMap<&str, Resources> = BTreeMap::new();
        for task in self
            .state
            .dying
            .iter()
            .filter_map(|run| self.state.task(*run))
        {
            let role = self.role_of_framework(task.record.framework);
            ending
                .entry(top(role))
                .or_default()
                .add(&task.record.charged());
        }
        let roles = self
            .state
            .roles
            .iter()
            .filter(|(name, _)| !name.contains('/'));
        let of = roles.filter_map(|(name, role)| {
            let promised = role.quota.as_ref()?.guarantee.plain();
            let ending = ending.get(&**name).map_or([0; 5], Resources::plain);
            let used = role.used.plain();
            // Of what nothing is promised all may be spared.
            let spare = core::array::from_fn(|i| match promised[i] {
                0 => u64::MAX,
                promised => used[i].saturating_sub(ending[i]).saturating_sub(promised),
            });
            Some((Arc::clone(name), spare))
        });
        Spare {
            of: Arc::new(of.collect()),
            spent: BTreeMap::new(),
        }
    }

    fn role_of_framework(&self, id: FrameworkId) -> &str {
        let framework = self.state.frameworks.get(&id);
        framework.map_or("", |framework| &framework.record.role)
    }

    fn top_role_of(&self, unit: &Unit) -> &str {
        let framework = unit.first().map(|task| task.record.framework);
        framework.map_or("", |id| top(self.role_of_framework(id)))
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

    /// The fewest tasks of an agent without which one more piece fits; none if it does not fit without
    /// all of them.
    fn plan(&self, hunt: &Hunt<'_>, agent: AgentId) -> Option<Plan> {
        // A port that is fixed is there once: one piece an agent.
        if !hunt.demand.fixed_ports.is_empty() && hunt.wanted.contains_key(&agent) {
            return None;
        }
        let mut free = self.free(agent)?;
        let mut units: BTreeMap<(FrameworkId, Result<Arc<str>, Run>), Unit> = BTreeMap::new();
        for run in self.state.preemptible_on.get(&agent)? {
            let Some(task) = self.state.task(*run) else {
                continue;
            };
            if hunt.victims.contains(run) {
                free.add(&task.record.charged());
                continue;
            }
            let group = task.record.group.clone().ok_or(*run);
            let key = (task.record.framework, group);
            units.entry(key).or_default().push(Arc::clone(task));
        }
        let mut units: Vec<Unit> = units
            .into_values()
            .filter(|unit| self.may_take(hunt, unit))
            .collect();
        let order = |unit: &Unit| {
            let priority = unit.iter().map(|task| task.record.priority).max();
            let age = unit.iter().map(|t| (t.record.launched, t.record.run)).min();
            (unit.len(), priority, Reverse(age))
        };
        units.sort_by_key(order);
        let mut need = hunt.each.clone();
        need.add(hunt.wanted.get(&agent).unwrap_or(&Resources::NONE));
        let (mut limit, mut beyond) = (hunt.limit.clone(), hunt.beyond.clone());
        let mut spare = hunt.spare.clone();
        let enough = |free: &Resources, limit: &Room, beyond: &Room| {
            let rooms = limit.pieces(&hunt.each).min(beyond.pieces(&hunt.each));
            free.contains(&need) && rooms > 0
        };
        let mut chosen: Vec<Unit> = Vec::new();
        for unit in units {
            if enough(&free, &limit, &beyond) {
                break;
            }
            let (role, amount) = (self.top_role_of(&unit), sum(&unit));
            if hunt.right == Right::Guarantee && !spare.has(role, &amount) {
                continue;
            }
            spare.spend(role, &amount);
            free.add(&amount);
            hunt.give(&mut limit, &mut beyond, &amount);
            chosen.push(unit);
        }
        if !enough(&free, &limit, &beyond) {
            return None;
        }
        // A later one may have made an earlier one unnecessary.
        let mut at = 0;
        while at < chosen.len() {
            let amount = sum(&chosen[at]);
            let mut less = (free.clone(), limit.clone(), beyond.clone());
            less.0.take(&amount);
            less.2.take(&amount);
            if hunt.right == Right::Priority {
                less.1.take(&amount);
            }
            if enough(&less.0, &less.1, &less.2) {
                (free, limit, beyond) = less;
                chosen.remove(at);
            } else {
                at += 1;
            }
        }
        (!chosen.is_empty()).then_some(Plan { units: chosen })
    }

    /// Whether all tasks of a unit may be ended.
    fn may_take(&self, hunt: &Hunt<'_>, unit: &Unit) -> bool {
        let Some(first) = unit.first() else {
            return false;
        };
        let theirs = self.role_of_framework(first.record.framework);
        let may = |task: &Arc<Task>| {
            let alive =
                !task.status.state.is_final() && task.status.state != TaskState::Unreachable;
            let right = match hunt.right {
                Right::Guarantee => top(theirs) != top(&hunt.role),
                Right::Priority => {
                    *theirs == *hunt.role && task.record.priority < hunt.demand.priority
                }
            };
            alive && task.kill.is_none() && right
        };
        // Of a group all must be: those that are not would end with them.
        let group = first.record.group.as_ref().and_then(|group| {
            let framework = self.state.frameworks.get(&first.record.framework)?;
            let members = framework.groups.get(group)?;
            let members = members.iter().filter_map(|run| self.state.task(*run));
            Some(members.filter(|task| !task.status.state.is_final()).count())
        });
        unit.iter().all(may) && group.is_none_or(|members| members == unit.len())
    }
}
