//! What a guest's calls may do: each is checked at once against the turn, and what it asks for is
//! noted down. Nothing reaches the core before the turn has ended cleanly.
//!
//! Owns the rules of the contract's `driver`, `state`, `timers` and `streams`. The sandbox converts
//! values and calls it; native frameworks of the simulator call it as it is. All that comes in is
//! guest-controlled: it is checked, counted or refused.

mod keep;
mod launch;
mod reserve;
mod streams;

use crate::fit::Conditions;
use crate::state::Reservation;
use crate::turn::{Effects, Offer, Task, Turn};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentId, AgentInfo, AssignedPort, Comparison, Demand, OfferId, RequestId, ReservationId,
    Resources, Run, TaskId, TaskSpec,
};

pub use reserve::{LABELS_BYTES_MAX, Reserved, VOLUMES_MAX};
pub(crate) use reserve::{
    in_use, invalid_reservation, invalid_until, invalid_volume, with_volume, with_volume_state,
};

/// Entries in one answer of `tasks`, `agents` or `scan` at most.
pub const PAGE_MAX: usize = 1_000;
/// Bytes of keys and values in one answer of `scan` at most.
pub const SCAN_BYTES_MAX: usize = 4 << 20;
/// The longest key of the durable state, in bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// Demands of one framework that are wanted together.
pub const GANGS_MAX: usize = 10;
/// Conditions with patterns in all demands of one framework.
pub const PATTERNS_MAX: usize = 64;
/// Reservations that all demands of one framework name.
pub const NAMES_MAX: usize = 10_000;
/// The longest name of a timer, in bytes.
pub const TIMER_NAME_BYTES_MAX: usize = 128;

/// Why a call was refused; nothing of the call took effect. The cases are the contract's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the contract (wit/driver.wit) documents the cases"
)]
pub enum Refusal {
    Unknown(String),
    Insufficient(String),
    Invalid(String),
    Forbidden(String),
    Limit(String),
    Other(String),
}

/// One task on one offer, as the guest asks for it.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Of this turn.
    pub offer: OfferId,
    /// The demand that it serves.
    pub demand: Option<String>,
    /// What to run; `resources.ports` may be 0 and is filled in.
    pub task: TaskSpec,
}

/// What came of one placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// As asked for.
    pub task: TaskId,
    /// This run of it.
    pub run: Run,
    /// In the order of the spec's ports.
    pub ports: Vec<AssignedPort>,
}

/// The account of one turn.
#[derive(Debug)]
pub struct Ledger {
    turn: Turn,
    effects: Effects,
    /// What is left of each offer that was used.
    left: BTreeMap<OfferId, Offer>,
    /// Whose ports tasks take that are launched on a reservation made in this turn.
    ports_of: BTreeMap<OfferId, OfferId>,
    /// Launched in this turn, as the guest will see them.
    launched: BTreeMap<TaskId, Arc<Task>>,
    groups: BTreeSet<Arc<str>>,
    /// Reservations that this turn has changed or made, as they are now.
    reserved: BTreeMap<ReservationId, Reservation>,
    /// Descriptions of all tasks, those of this turn included.
    tasks_bytes: u64,
    state_bytes: u64,
    timers: usize,
    closed: BTreeSet<RequestId>,
    /// The list of demands as it stands, once `want` or a launch has changed it.
    demands: Option<Vec<Demand>>,
    /// The demand that was launched for last: mostly it is the next one's too.
    served: Option<(usize, Arc<str>)>,
}

impl Ledger {
    /// Opens the account of a turn.
    #[must_use]
    pub fn new(turn: Turn) -> Ledger {
        let left = turn
            .offers
            .iter()
            .map(|offer| (offer.id, offer.clone()))
            .collect();
        Ledger {
            tasks_bytes: turn.view.tasks_bytes,
            state_bytes: turn.view.state_bytes,
            timers: turn.view.timers.len(),
            left,
            turn,
            effects: Effects::default(),
            launched: BTreeMap::new(),
            groups: BTreeSet::new(),
            reserved: BTreeMap::new(),
            ports_of: BTreeMap::new(),
            closed: BTreeSet::new(),
            demands: None,
            served: None,
        }
    }

    /// The turn that it accounts for.
    #[must_use]
    pub fn turn(&self) -> &Turn {
        &self.turn
    }

    /// Closes the account: all that a clean turn asks for.
    #[must_use]
    pub fn finish(mut self) -> Effects {
        self.effects.want = self
            .demands
            .map(|demands| demands.into_iter().filter(|d| d.count > 0).collect());
        self.effects
    }

    /// `driver.want`. Launches before it in the turn do not count against the new list.
    pub fn want(&mut self, demands: Vec<Demand>) -> Result<(), Refusal> {
        let max = self.turn.limits.demands_max;
        if demands.len() as u64 > max {
            return Err(Refusal::Limit(format!(
                "demands-max: at most {max} demands, not {}",
                demands.len()
            )));
        }
        check_together(&demands, self.turn.limits.launches_per_turn_max)?;
        let mut names = BTreeSet::new();
        for demand in &demands {
            if let Some(problem) = demand.invalid() {
                return Err(Refusal::Invalid(problem));
            }
            if !names.insert(demand.name.as_str()) {
                return Err(Refusal::Invalid(format!(
                    "demand {}: the name is in the list twice",
                    demand.name
                )));
            }
            Conditions::compile(&demand.conditions)
                .map_err(|e| Refusal::Invalid(format!("demand {}: {e}", demand.name)))?;
        }
        self.demands = Some(demands);
        self.served = None;
        Ok(())
    }

    /// `driver.revive`
    pub fn revive(&mut self) {
        self.effects.revive = true;
    }

    /// `driver.kill`
    pub fn kill(&mut self, task: &str, grace_ms: Option<u64>) -> Result<(), Refusal> {
        let max = self.turn.task_limits.kill_grace_ms_max;
        if grace_ms.is_some_and(|grace| grace > max) {
            return Err(Refusal::Invalid(format!("grace-ms: at most {max}")));
        }
        let run = match (self.launched.get(task), self.turn.view.tasks.get(task)) {
            (Some(task), _) | (None, Some(task)) if task.status.state.is_final() => return Ok(()),
            (Some(task), _) | (None, Some(task)) => task.record.run,
            (None, None) => return Err(Refusal::Unknown(format!("task {task}: no such task"))),
        };
        self.effects.kills.retain(|(other, _)| *other != run);
        self.effects.kills.push((run, grace_ms));
        Ok(())
    }

    /// `driver.tasks`
    #[must_use]
    pub fn tasks(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Task>> {
        let limit = limit.min(PAGE_MAX);
        let after = after.unwrap_or("");
        let old = self
            .turn
            .view
            .tasks
            .range_from(after)
            .filter(|(id, _)| id.as_str() > after);
        let new = self.launched.range::<str, _>((
            core::ops::Bound::Excluded(after),
            core::ops::Bound::Unbounded,
        ));
        merge(old, new).take(limit).cloned().collect()
    }

    /// `driver.find-task`
    #[must_use]
    pub fn find_task(&self, task: &str) -> Option<&Arc<Task>> {
        self.launched
            .get(task)
            .or_else(|| self.turn.view.tasks.get(task))
    }

    /// `driver.agents`
    #[must_use]
    pub fn agents(&self, after: Option<AgentId>, limit: usize) -> Vec<Arc<AgentInfo>> {
        let from = after.map_or(AgentId(0), |id| AgentId(id.0.saturating_add(1)));
        self.turn
            .view
            .agents
            .range_from(&from)
            .take(limit.min(PAGE_MAX))
            .map(|(_, agent)| Arc::clone(agent))
            .collect()
    }

    /// `driver.find-agent`
    #[must_use]
    pub fn find_agent(&self, agent: AgentId) -> Option<&Arc<AgentInfo>> {
        self.turn.view.agents.get(&agent)
    }
}

/// The values of two sorted maps in order; keys are in one of them only.
fn merge<'a, V: 'a>(
    old: impl Iterator<Item = (&'a TaskId, &'a V)>,
    new: impl Iterator<Item = (&'a TaskId, &'a V)>,
) -> impl Iterator<Item = &'a V> {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    core::iter::from_fn(move || {
        let take_old = match (old.peek(), new.peek()) {
            (Some((a, _)), Some((b, _))) => a <= b,
            (a, _) => a.is_some(),
        };
        if take_old { old.next() } else { new.next() }.map(|(_, v)| v)
    })
}

/// What of a list of demands is limited for all of them together: what the master does for each agent,
/// or for each of the list, in one step.
fn check_together(demands: &[Demand], launches_max: u64) -> Result<(), Refusal> {
    let count = |what: fn(&Demand) -> usize| demands.iter().map(what).sum::<usize>();
    let patterns = |demand: &Demand| {
        let conditions = demand.conditions.iter();
        conditions
            .filter(|condition| condition.test == Comparison::Matches)
            .count()
    };
    let limits = [
        (
            "gangs-max: demands that are wanted together",
            GANGS_MAX,
            count(|d| usize::from(d.together)),
        ),
        (
            "patterns-max: conditions with patterns",
            PATTERNS_MAX,
            count(patterns),
        ),
        (
            "names-max: names of reservations",
            NAMES_MAX,
            count(|d| d.reservations.len()),
        ),
    ];
    if let Some((what, max, found)) = limits.into_iter().find(|(_, max, found)| found > max) {
        return Err(Refusal::Limit(format!(
            "{what}: at most {max} in all demands, not {found}"
        )));
    }
    let large = |demand: &&Demand| demand.together && u64::from(demand.count) > launches_max;
    demands.iter().find(large).map_or(Ok(()), |demand| {
        Err(Refusal::Limit(format!(
            "demand {}: a gang of {} cannot be launched in one turn; launches-per-turn-max is {launches_max}",
            demand.name, demand.count
        )))
    })
}

/// What a demand asks for, `count` times, as far as one agent's free resources hold it.
#[must_use]
pub fn pieces(demand: &Demand, free: &Resources) -> u64 {
    free.pieces(&demand.each).min(u64::from(demand.count))
}
