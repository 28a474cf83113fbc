//! What a guest's calls may do: each is checked at once against the turn, and what it asks for is
//! noted down. Nothing reaches the core before the turn has ended cleanly.
//!
//! Owns the rules of the contract's `driver`, `state`, `timers` and `streams`. The sandbox converts
//! values and calls it; native frameworks of the simulator call it as it is. All that comes in is
//! guest-controlled: it is checked, counted or refused.

use crate::fit::Conditions;
use crate::turn::{Effects, Launch, StreamWrite, Task, Turn, WebResponse};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentId, AgentInfo, AssignedPort, Demand, OfferId, RequestId, Resources, Run, Status, TaskId,
    TaskSpec, TaskState, check_name,
};

/// Entries in one answer of `tasks`, `agents` or `scan` at most.
pub const PAGE_MAX: usize = 1_000;
/// Bytes of keys and values in one answer of `scan` at most.
pub const SCAN_BYTES_MAX: usize = 4 << 20;
/// The longest key of the durable state, in bytes.
pub const KEY_BYTES_MAX: usize = 512;
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
    left: BTreeMap<OfferId, crate::turn::Offer>,
    /// Launched in this turn, as the guest will see them.
    launched: BTreeMap<TaskId, Arc<Task>>,
    groups: BTreeSet<Arc<str>>,
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

    /// `driver.launch`
    pub fn launch(&mut self, placements: Vec<Placement>) -> Result<Vec<Launched>, Refusal> {
        self.launch_all(placements, None)
    }

    /// `driver.launch-group`
    pub fn launch_group(
        &mut self,
        group: &str,
        placements: Vec<Placement>,
    ) -> Result<Vec<Launched>, Refusal> {
        check_name(group).map_err(|e| Refusal::Invalid(format!("group: {e}")))?;
        let group: Arc<str> = Arc::from(group);
        let known = |task: &Arc<Task>| task.record.group.as_ref() == Some(&group);
        if self.groups.contains(&group) || self.turn.view.tasks.values().any(known) {
            return Err(Refusal::Invalid(format!(
                "group {group}: the name is in use"
            )));
        }
        let agents: BTreeSet<AgentId> = placements
            .iter()
            .filter_map(|p| self.left.get(&p.offer))
            .map(|offer| offer.agent)
            .collect();
        if agents.len() > 1 {
            return Err(Refusal::Invalid(format!(
                "group {group}: its tasks must be on one agent"
            )));
        }
        let launched = self.launch_all(placements, Some(Arc::clone(&group)))?;
        self.groups.insert(group);
        Ok(launched)
    }

    /// All or none: what was taken from offers for the first ones goes back if a later one is refused.
    fn launch_all(
        &mut self,
        placements: Vec<Placement>,
        group: Option<Arc<str>>,
    ) -> Result<Vec<Launched>, Refusal> {
        let limits = Arc::clone(&self.turn.limits);
        let in_turn = (self.effects.launches.len() + placements.len()) as u64;
        if in_turn > limits.launches_per_turn_max {
            return Err(Refusal::Limit(format!(
                "launches-per-turn-max: at most {} launches in a turn, not {in_turn}",
                limits.launches_per_turn_max
            )));
        }
        let tasks = in_turn + self.turn.view.tasks.len() as u64;
        if tasks > limits.tasks_max {
            return Err(Refusal::Limit(format!(
                "tasks-max: at most {} tasks, not {tasks}",
                limits.tasks_max
            )));
        }
        let more: u64 = placements.iter().map(|p| p.task.bytes()).sum();
        let tasks_bytes = self.tasks_bytes.saturating_add(more);
        if tasks_bytes > limits.tasks_bytes_max {
            return Err(Refusal::Limit(format!(
                "tasks-bytes-max: the descriptions of all tasks together may have {} bytes, not {tasks_bytes}; wait until some have ended",
                limits.tasks_bytes_max
            )));
        }
        let mut undo = Undo {
            launches: self.effects.launches.len(),
            offers: BTreeMap::new(),
            tasks: Vec::new(),
            demands: placements
                .iter()
                .any(|p| p.demand.is_some())
                .then(|| self.demands.clone()),
        };
        let mut answer = Vec::with_capacity(placements.len());
        for placement in placements {
            match self.launch_one(placement, group.as_ref(), &mut undo) {
                Ok(launched) => answer.push(launched),
                Err(refusal) => {
                    self.undo(undo);
                    return Err(refusal);
                }
            }
        }
        self.tasks_bytes = tasks_bytes;
        Ok(answer)
    }

    fn undo(&mut self, undo: Undo) {
        self.effects.launches.truncate(undo.launches);
        self.left.extend(undo.offers);
        for task in undo.tasks {
            self.launched.remove(&task);
        }
        if let Some(demands) = undo.demands {
            self.demands = demands;
            self.served = None;
        }
    }

    fn launch_one(
        &mut self,
        placement: Placement,
        group: Option<&Arc<str>>,
        undo: &mut Undo,
    ) -> Result<Launched, Refusal> {
        let Placement {
            offer: offer_id,
            demand,
            mut task,
        } = placement;
        task.resources.ports = task.ports.len() as u64;
        task.check(&self.turn.task_limits)
            .map_err(|e| Refusal::Invalid(format!("task {}: {e}", task.id)))?;
        if self.turn.view.tasks.contains_key(&task.id) || self.launched.contains_key(&task.id) {
            return Err(Refusal::Invalid(format!(
                "task {}: the id is in use until the task has ended and its final status is handled",
                task.id
            )));
        }
        let demand = demand.map(|name| self.known_demand(&name)).transpose()?;
        let offer = self
            .left
            .get_mut(&offer_id)
            .ok_or_else(|| Refusal::Unknown(format!("offer {offer_id} is not one of this turn")))?;
        let agent = self
            .turn
            .view
            .agents
            .get(&offer.agent)
            .map(Arc::clone)
            .ok_or_else(|| Refusal::Unknown(format!("agent {} has left", offer.agent)))?;
        let runtime = task.workload.runtime();
        if !agent.facts.runtimes.contains(&runtime) {
            return Err(Refusal::Invalid(format!(
                "task {}: agent {} does not run workloads of the kind `{}`",
                task.id,
                agent.facts.hostname,
                runtime.as_str()
            )));
        }
        if let Some(kind) = offer.free.short_of(&task.resources) {
            return Err(Refusal::Insufficient(format!(
                "task {}: needs {} of {kind}, offer {offer_id} has {} left",
                task.id,
                task.resources.amount(&kind),
                offer.free.amount(&kind)
            )));
        }
        undo.offers.entry(offer_id).or_insert_with(|| offer.clone());
        let ports = assign_ports(&task, &mut offer.port_set)?;
        offer.free.take(&task.resources);
        if demand.is_some() {
            self.serve_demand();
        }
        let run = Run(self.turn.first_run.0 + self.effects.launches.len() as u64);
        let launched = Launched {
            task: task.id.clone(),
            run,
            ports: ports.clone(),
        };
        let launch = Launch {
            run,
            offer: offer_id,
            agent: agent.id,
            demand,
            group: group.cloned(),
            ports,
            spec: Arc::new(task),
        };
        undo.tasks.push(launched.task.clone());
        self.launched.insert(
            launched.task.clone(),
            Arc::new(pending(&self.turn, &launch, &agent.facts.address)),
        );
        self.effects.launches.push(launch);
        Ok(launched)
    }

    /// Where in the list the demand is. A demand whose count is used up stays until the turn ends.
    fn known_demand(&mut self, name: &str) -> Result<Arc<str>, Refusal> {
        if let Some((_, served)) = self.served.as_ref().filter(|(_, served)| &**served == name) {
            return Ok(Arc::clone(served));
        }
        let demands = self
            .demands
            .get_or_insert_with(|| Vec::clone(&self.turn.view.demands));
        let at = demands.iter().position(|d| d.name == name);
        let at = at.ok_or_else(|| Refusal::Unknown(format!("demand {name}: no such demand")))?;
        let name: Arc<str> = Arc::from(name);
        self.served = Some((at, Arc::clone(&name)));
        Ok(name)
    }

    /// One piece of the demand that [`Ledger::known_demand`] found last is served.
    fn serve_demand(&mut self) {
        let Some((at, _)) = self.served else { return };
        if let Some(demand) = self
            .demands
            .as_mut()
            .and_then(|demands| demands.get_mut(at))
        {
            demand.count = demand.count.saturating_sub(1);
        }
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

    /// `state.get`
    #[must_use]
    pub fn state_get(&self, key: &str) -> Option<&Arc<[u8]>> {
        match self.effects.state.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.turn.view.state.get(key),
        }
    }

    /// `state.set`
    pub fn state_set(&mut self, key: &str, value: Vec<u8>) -> Result<(), String> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(format!(
                "a key has 1 to {KEY_BYTES_MAX} bytes, this one {}",
                key.len()
            ));
        }
        let limits = &self.turn.limits;
        if value.len() as u64 > limits.value_bytes_max {
            return Err(format!(
                "value-bytes-max: at most {} bytes, not {}",
                limits.value_bytes_max,
                value.len()
            ));
        }
        let before = self.state_get(key).map_or(0, |old| key.len() + old.len()) as u64;
        let bytes = self.state_bytes - before + (key.len() + value.len()) as u64;
        if bytes > limits.state_bytes_max {
            return Err(format!(
                "state-bytes-max: at most {} bytes in all, not {bytes}",
                limits.state_bytes_max
            ));
        }
        self.state_bytes = bytes;
        self.effects
            .state
            .insert(Arc::from(key), Some(Arc::from(value)));
        Ok(())
    }

    /// `state.delete`
    pub fn state_delete(&mut self, key: &str) {
        let Some(old) = self.state_get(key) else {
            return;
        };
        self.state_bytes -= (key.len() + old.len()) as u64;
        self.effects.state.insert(Arc::from(key), None);
    }

    /// `state.scan`
    #[must_use]
    pub fn state_scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(Arc<str>, Arc<[u8]>)> {
        let from = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        let wanted = |key: &str| after.is_none_or(|after| key > after) && key.starts_with(prefix);
        let old = self
            .turn
            .view
            .state
            .range_from(from)
            .map(|(k, v)| (k, Some(v)));
        let new = self
            .effects
            .state
            .range::<str, _>((
                core::ops::Bound::Included(from),
                core::ops::Bound::Unbounded,
            ))
            .map(|(k, v)| (k, v.as_ref()));
        let mut page = Vec::new();
        let mut bytes = 0;
        for (key, value) in merge_pairs(old, new)
            .skip_while(|(k, _)| !wanted(k))
            .take_while(|(k, _)| wanted(k))
        {
            let Some(value) = value else { continue };
            bytes += key.len() + value.len();
            if page.len() == limit.min(PAGE_MAX) || (bytes > SCAN_BYTES_MAX && !page.is_empty()) {
                break;
            }
            page.push((Arc::clone(key), Arc::clone(value)));
        }
        page
    }

    /// `timers.set`
    pub fn timer_set(&mut self, name: &str, after_ms: u64) -> Result<(), String> {
        if name.is_empty() || name.len() > TIMER_NAME_BYTES_MAX {
            return Err(format!(
                "a timer's name has 1 to {TIMER_NAME_BYTES_MAX} bytes, this one {}",
                name.len()
            ));
        }
        if !self.timer_is_set(name) {
            if self.timers as u64 >= self.turn.limits.timers_max {
                return Err(format!(
                    "timers-max: at most {} timers",
                    self.turn.limits.timers_max
                ));
            }
            self.timers += 1;
        }
        self.effects.timers.insert(Arc::from(name), Some(after_ms));
        Ok(())
    }

    /// `timers.cancel`
    pub fn timer_cancel(&mut self, name: &str) {
        if self.timer_is_set(name) {
            self.timers -= 1;
            self.effects.timers.insert(Arc::from(name), None);
        }
    }

    fn timer_is_set(&self, name: &str) -> bool {
        match self.effects.timers.get(name) {
            Some(changed) => changed.is_some(),
            None => self.turn.view.timers.contains_key(name),
        }
    }

    /// The answer of `web.handle` to a request of this turn; without a body it opens a stream.
    pub fn respond(&mut self, request: RequestId, response: WebResponse) -> Result<(), Refusal> {
        if !(200..600).contains(&response.status) {
            return Err(Refusal::Invalid(format!(
                "a response has a status from 200 to 599, not {}",
                response.status
            )));
        }
        if response.body.is_none() {
            let max = self.turn.limits.streams_max;
            if self.turn.view.streams.len() as u64 >= max {
                return Err(Refusal::Limit(format!(
                    "streams-max: at most {max} streams"
                )));
            }
            self.effects.opened = Some(request);
        }
        self.effects.response = Some(response);
        Ok(())
    }

    /// `streams.write`. The turn's own request counts as open: its answer decides whether it becomes
    /// a stream, and what was written to it is dropped if it does not.
    pub fn stream_write(&mut self, request: RequestId, chunk: Vec<u8>) -> bool {
        let open = self.stream_is_open(request);
        if open {
            self.effects.streams.push(StreamWrite {
                request,
                chunk: Some(chunk),
            });
        }
        open
    }

    /// `streams.close`
    pub fn stream_close(&mut self, request: RequestId) {
        if self.stream_is_open(request) {
            self.closed.insert(request);
            self.effects.streams.push(StreamWrite {
                request,
                chunk: None,
            });
        }
    }

    fn stream_is_open(&self, request: RequestId) -> bool {
        let own = || {
            self.turn
                .calls
                .iter()
                .any(|c| matches!(c, crate::Call::Web(r) if r.id == request))
        };
        !self.closed.contains(&request) && (self.turn.view.streams.contains(&request) || own())
    }
}

/// What to put back when one of several launches is refused.
struct Undo {
    launches: usize,
    offers: BTreeMap<OfferId, crate::turn::Offer>,
    tasks: Vec<TaskId>,
    /// The list before, if a launch may have changed it.
    demands: Option<Option<Vec<Demand>>>,
}

fn assign_ports(
    task: &TaskSpec,
    free: &mut mezzo_types::PortSet,
) -> Result<Vec<AssignedPort>, Refusal> {
    // By number first, so that a picked port is never one that the task itself names.
    for fixed in task.ports.iter().filter_map(|p| p.fixed) {
        if !free.remove(fixed) {
            return Err(Refusal::Insufficient(format!(
                "task {}: port {fixed} is not in the offer",
                task.id
            )));
        }
    }
    let picked = task.ports.iter().filter(|p| p.fixed.is_none()).count();
    let mut picked = free
        .take_first(picked)
        .ok_or_else(|| {
            Refusal::Insufficient(format!(
                "task {}: the offer has too few ports left",
                task.id
            ))
        })?
        .into_iter();
    Ok(task
        .ports
        .iter()
        .filter_map(|p| {
            Some(AssignedPort {
                name: p.name.clone(),
                number: p.fixed.or_else(|| picked.next())?,
            })
        })
        .collect())
}

fn pending(turn: &Turn, launch: &Launch, address: &str) -> Task {
    Task {
        record: Arc::new(crate::record::TaskRecord {
            run: launch.run,
            framework: turn.framework,
            agent: launch.agent,
            ports: launch.ports.clone(),
            group: launch.group.clone(),
            launched: turn.now,
            spec: Arc::clone(&launch.spec),
        }),
        address: Arc::from(address),
        status: Status::new(TaskState::Pending, turn.now),
        sequence: 0,
        handled: true,
        kill: None,
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

type Pair<'a> = (&'a Arc<str>, Option<&'a Arc<[u8]>>);

/// Two sorted maps in order; where both have a key, the new one counts.
fn merge_pairs<'a>(
    old: impl Iterator<Item = Pair<'a>>,
    new: impl Iterator<Item = Pair<'a>>,
) -> impl Iterator<Item = Pair<'a>> {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    core::iter::from_fn(move || match (old.peek(), new.peek()) {
        (Some((a, _)), Some((b, _))) if a < b => old.next(),
        (Some((a, _)), Some((b, _))) => {
            if a == b {
                old.next();
            }
            new.next()
        }
        (Some(_), None) => old.next(),
        (None, _) => new.next(),
    })
}

/// What a demand asks for, `count` times, as far as one agent's free resources hold it.
#[must_use]
pub fn pieces(demand: &Demand, free: &Resources) -> u64 {
    free.pieces(&demand.each).min(u64::from(demand.count))
}
