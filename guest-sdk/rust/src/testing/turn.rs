//! One turn of the fake cluster: the calls are checked at once against what the turn began with, and noted down.

use super::world::World;
use crate::host::{Host, Streams};
use crate::types::*;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// What a panic carries when the test asked for it.
pub(super) struct InjectedFault;

/// A launch that is going to be committed.
pub(super) struct Launch {
    pub task: Task,
    pub status: TaskStatus,
    pub demand: Option<String>,
    pub charged: Resources,
}

/// All that a turn asked for.
#[derive(Default)]
pub(super) struct Effects {
    pub state: BTreeMap<String, Option<Vec<u8>>>,
    pub timers: BTreeMap<String, Option<InstantMs>>,
    pub want: Option<Vec<Demand>>,
    pub launches: Vec<Launch>,
    pub kills: Vec<TaskId>,
    pub revive: bool,
    pub stream_writes: Vec<(u64, Vec<u8>)>,
    pub stream_closes: Vec<u64>,
}

/// The host of one turn.
pub(super) struct TurnHost<'a> {
    world: &'a World,
    effects: RefCell<Effects>,
    left: RefCell<BTreeMap<OfferId, Offer>>,
    launched: RefCell<BTreeMap<TaskId, usize>>,
    calls: Cell<u64>,
    bytes: Cell<usize>,
    fault_at: Option<u64>,
}

impl<'a> TurnHost<'a> {
    pub fn new(world: &'a World, offers: &[Offer], fault_at: Option<u64>) -> TurnHost<'a> {
        TurnHost {
            world,
            effects: RefCell::default(),
            left: RefCell::new(
                offers
                    .iter()
                    .map(|offer| (offer.id, offer.clone()))
                    .collect(),
            ),
            launched: RefCell::default(),
            calls: Cell::new(0),
            bytes: Cell::new(0),
            fault_at,
        }
    }

    pub fn finish(self) -> Effects {
        self.effects.into_inner()
    }

    /// Whether the turn handed over more than it may.
    pub fn overrun(&self) -> Option<String> {
        let (bytes, max) = (self.bytes.get(), self.world.limits.turn_bytes_max);
        (bytes > max)
            .then(|| format!("boundary-bytes-max: at most {max} bytes in a turn, not {bytes}"))
    }

    /// Counts a call, and the bytes that go with it; here a fault that was asked for strikes.
    fn call(&self, bytes: usize) {
        if self.fault_at == Some(self.calls.get()) {
            // Without the panic hook: it is no news to the test.
            std::panic::resume_unwind(Box::new(InjectedFault));
        }
        self.calls.set(self.calls.get() + 1);
        self.bytes.set(self.bytes.get() + bytes);
    }

    fn launch_all(
        &self,
        placements: &[Placement],
        group: Option<&str>,
    ) -> Result<Vec<Launched>, Refusal> {
        self.call(
            placements
                .iter()
                .map(|placement| task_bytes(&placement.task))
                .sum(),
        );
        let limits = &self.world.limits;
        let in_turn = self.effects.borrow().launches.len() + placements.len();
        if in_turn > limits.launches_per_turn_max {
            return Err(Refusal::Limit(format!(
                "launches-per-turn-max: {}",
                limits.launches_per_turn_max
            )));
        }
        if in_turn + self.world.tasks.len() > limits.tasks_max {
            return Err(Refusal::Limit(format!("tasks-max: {}", limits.tasks_max)));
        }
        // All or none: work on copies, keep them at the end.
        let mut left = self.left.borrow().clone();
        let mut ids = BTreeSet::new();
        let mut launches = Vec::with_capacity(placements.len());
        for placement in placements {
            if !ids.insert(placement.task.id.as_str()) {
                return Err(Refusal::Invalid(format!(
                    "task {}: the id is in use",
                    placement.task.id
                )));
            }
            launches.push(self.check(
                placement,
                group,
                &mut left,
                in_turn - placements.len() + launches.len(),
            )?);
        }
        let answer = launches.iter().map(launched).collect();
        *self.left.borrow_mut() = left;
        let mut effects = self.effects.borrow_mut();
        let wanted = effects
            .want
            .get_or_insert_with(|| self.world.demands.clone());
        for launch in &launches {
            let demand = launch.demand.as_ref();
            if let Some(demand) = wanted.iter_mut().find(|own| Some(&own.name) == demand) {
                demand.count = demand.count.saturating_sub(1);
            }
        }
        for launch in launches {
            self.launched
                .borrow_mut()
                .insert(launch.task.id.clone(), effects.launches.len());
            effects.launches.push(launch);
        }
        Ok(answer)
    }

    fn check(
        &self,
        placement: &Placement,
        group: Option<&str>,
        left: &mut BTreeMap<OfferId, Offer>,
        nth: usize,
    ) -> Result<Launch, Refusal> {
        let task = &placement.task;
        check_task(task)?;
        if self.world.tasks.contains_key(&task.id) || self.launched.borrow().contains_key(&task.id)
        {
            return Err(Refusal::Invalid(format!(
                "task {}: the id is in use",
                task.id
            )));
        }
        if let Some(demand) = &placement.demand {
            let effects = self.effects.borrow();
            let wanted = effects.want.as_ref().unwrap_or(&self.world.demands);
            if !wanted.iter().any(|own| own.name == *demand) {
                return Err(Refusal::Unknown(format!("demand {demand}: no such demand")));
            }
        }
        let offer = left.get_mut(&placement.offer).ok_or_else(|| {
            Refusal::Unknown(format!("offer {} is not one of this turn", placement.offer))
        })?;
        let agent = self
            .world
            .agents
            .get(&offer.agent)
            .ok_or_else(|| Refusal::Unknown(format!("agent {} has left", offer.agent)))?;
        let runtime = runtime(&task.workload);
        if !agent.info.runtimes.iter().any(|own| own == runtime) {
            return Err(Refusal::Invalid(format!(
                "task {}: the agent does not run `{runtime}`",
                task.id
            )));
        }
        let mut charged = task.resources.clone();
        charged.ports = u32::try_from(task.ports.len()).unwrap_or(u32::MAX);
        if !offer.free.holds(&charged) {
            return Err(Refusal::Insufficient(format!(
                "task {}: offer {} has too little left",
                task.id, offer.id
            )));
        }
        let taken: BTreeSet<u16> = self.fixed_in_turn(offer.agent);
        if let Some(port) = task
            .ports
            .iter()
            .filter_map(|port| port.fixed)
            .find(|port| agent.fixed_used.contains(port) || taken.contains(port))
        {
            return Err(Refusal::Insufficient(format!(
                "task {}: port {port} is taken",
                task.id
            )));
        }
        offer.free.take(&charged);
        let run = self.world.next_run + nth as u64;
        Ok(Launch {
            status: pending(task, run, group, &agent.info, self.world.now),
            task: task.clone(),
            demand: placement.demand.clone(),
            charged,
        })
    }

    fn fixed_in_turn(&self, agent: AgentId) -> BTreeSet<u16> {
        let effects = self.effects.borrow();
        let own = effects
            .launches
            .iter()
            .filter(|launch| launch.status.agent == agent);
        own.flat_map(|launch| launch.task.ports.iter().filter_map(|port| port.fixed))
            .collect()
    }
}

/// The rules that need no cluster.
fn check_task(task: &Task) -> Result<(), Refusal> {
    let invalid = |field: &str, rule: &str| {
        Err(Refusal::Invalid(format!(
            "task {}: {field}: {rule}",
            task.id
        )))
    };
    if !is_name(&task.id) {
        return invalid(
            "id",
            "1 to 128 of a-z A-Z 0-9 . _ -, the first a letter or a digit",
        );
    }
    let argv = match &task.workload {
        Workload::Process(process) => &process.argv,
        Workload::Module(module) => &module.argv,
        Workload::Container(_) => return Ok(()),
    };
    if argv.first().is_none_or(String::is_empty) {
        return invalid("argv[0]", "a program; it may not be empty");
    }
    if task
        .env
        .iter()
        .any(|var| var.name.is_empty() || var.name.contains(['=', '\0']))
    {
        return invalid("env", "a name, not empty, without `=` and NUL");
    }
    if task.runtime_max_ms == Some(0) {
        return invalid("runtime-max-ms", "at least 1");
    }
    if let Some(extra) = task.extra.first() {
        return invalid("extra", &format!("`{}` is not known", extra.key));
    }
    Ok(())
}

/// Whether a text may name a task, a demand or a group.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(allowed)
}

fn runtime(workload: &Workload) -> &'static str {
    match workload {
        Workload::Process(_) => "process",
        Workload::Container(_) => "container",
        Workload::Module(_) => "module",
    }
}

fn task_bytes(task: &Task) -> usize {
    let argv = match &task.workload {
        Workload::Process(process) => &process.argv,
        Workload::Container(container) => &container.argv,
        Workload::Module(module) => &module.argv,
    };
    let env = task.env.iter().map(|var| var.name.len() + var.value.len());
    let labels = task
        .labels
        .iter()
        .map(|label| label.key.len() + label.value.len());
    let files = task
        .files
        .iter()
        .map(|file| file.path.len() + file.content.len());
    size_of::<Placement>()
        + task.id.len()
        + task.name.len()
        + argv
            .iter()
            .map(String::len)
            .chain(env)
            .chain(labels)
            .chain(files)
            .sum::<usize>()
}

fn pending(
    task: &Task,
    run: u64,
    group: Option<&str>,
    agent: &Agent,
    now: InstantMs,
) -> TaskStatus {
    let number =
        |nth: usize| 20_000 + u16::try_from((run as usize * 16 + nth) % 40_000).unwrap_or(0);
    let ports = task
        .ports
        .iter()
        .enumerate()
        .map(|(nth, port)| AssignedPort {
            name: port.name.clone(),
            number: port.fixed.unwrap_or_else(|| number(nth)),
        });
    TaskStatus {
        task: task.id.clone(),
        run,
        group: group.map(str::to_owned),
        labels: task.labels.clone(),
        agent: agent.id,
        state: TaskState::Pending,
        reason: String::new(),
        message: String::new(),
        exit_code: None,
        address: agent.address.clone(),
        ports: ports.collect(),
        since: now,
    }
}

fn launched(launch: &Launch) -> Launched {
    Launched {
        task: launch.task.id.clone(),
        run: launch.status.run,
        ports: launch.status.ports.clone(),
    }
}

impl Host for TurnHost<'_> {
    fn want(&self, demands: &[Demand]) -> Result<(), Refusal> {
        self.call(0);
        let max = self.world.limits.demands_max;
        if demands.len() > max {
            return Err(Refusal::Limit(format!(
                "demands-max: at most {max}, not {}",
                demands.len()
            )));
        }
        let mut names = BTreeSet::new();
        for demand in demands {
            let invalid =
                |rule: &str| Err(Refusal::Invalid(format!("demand {}: {rule}", demand.name)));
            if !is_name(&demand.name) {
                return invalid("no valid name");
            }
            if !names.insert(&demand.name) {
                return invalid("the name is in the list twice");
            }
            if demand.each == Resources::default() && demand.fixed_ports.is_empty() {
                return invalid("`each` asks for nothing");
            }
            let bad = demand
                .conditions
                .iter()
                .find(|condition| !crate::condition::is_valid(condition));
            if let Some(condition) = bad {
                return invalid(&format!(
                    "the condition on {} cannot be read",
                    condition.attribute
                ));
            }
        }
        let wanted = demands
            .iter()
            .filter(|demand| demand.count > 0)
            .cloned()
            .collect();
        self.effects.borrow_mut().want = Some(wanted);
        Ok(())
    }

    fn revive(&self) {
        self.call(0);
        self.effects.borrow_mut().revive = true;
    }

    fn launch(&self, placements: &[Placement]) -> Result<Vec<Launched>, Refusal> {
        self.launch_all(placements, None)
    }

    fn launch_group(
        &self,
        group: &str,
        placements: &[Placement],
    ) -> Result<Vec<Launched>, Refusal> {
        let left = self.left.borrow().clone();
        let agents: BTreeSet<_> = placements
            .iter()
            .filter_map(|placement| left.get(&placement.offer))
            .map(|offer| offer.agent)
            .collect();
        if !is_name(group) || agents.len() > 1 {
            return Err(Refusal::Invalid(format!(
                "group {group}: a name, and one agent for all its tasks"
            )));
        }
        self.launch_all(placements, Some(group))
    }

    fn kill(&self, task: &str, _grace_ms: Option<u64>) -> Result<(), Refusal> {
        self.call(0);
        if !self.world.tasks.contains_key(task) && !self.launched.borrow().contains_key(task) {
            return Err(Refusal::Unknown(format!("task {task}: no such task")));
        }
        self.effects.borrow_mut().kills.push(task.to_owned());
        Ok(())
    }

    fn reserve(
        &self,
        offer: OfferId,
        amount: &Resources,
        labels: &[Label],
        until: Option<InstantMs>,
    ) -> Result<Reserved, Refusal> {
        self.call(0);
        let _ = (offer, amount, labels, until);
        Err(Refusal::Other("not yet".into()))
    }
    fn unreserve(&self, reservation: ReservationId) -> Result<(), Refusal> {
        let _ = reservation;
        Err(Refusal::Other("not yet".into()))
    }
    fn create_volume(
        &self,
        reservation: ReservationId,
        name: &str,
        size_bytes: u64,
    ) -> Result<(), Refusal> {
        let _ = (reservation, name, size_bytes);
        Err(Refusal::Other("not yet".into()))
    }
    fn destroy_volume(&self, reservation: ReservationId, name: &str) -> Result<(), Refusal> {
        let _ = (reservation, name);
        Err(Refusal::Other("not yet".into()))
    }
    fn reservations(&self, after: Option<ReservationId>, limit: u32) -> Vec<Reservation> {
        let _ = (after, limit);
        Vec::new()
    }

    fn tasks(&self, after: Option<&str>, limit: u32) -> Vec<TaskStatus> {
        self.call(0);
        let effects = self.effects.borrow();
        let mut all: BTreeMap<&str, &TaskStatus> = self
            .world
            .tasks
            .iter()
            .map(|(id, task)| (id.as_str(), &task.status))
            .collect();
        all.extend(
            effects
                .launches
                .iter()
                .map(|launch| (launch.task.id.as_str(), &launch.status)),
        );
        let later = all
            .into_iter()
            .filter(|(id, _)| after.is_none_or(|after| *id > after));
        later
            .take(limit.min(1_000) as usize)
            .map(|(_, status)| status.clone())
            .collect()
    }

    fn find_task(&self, task: &str) -> Option<TaskStatus> {
        self.call(0);
        let effects = self.effects.borrow();
        let new = self
            .launched
            .borrow()
            .get(task)
            .and_then(|nth| effects.launches.get(*nth))
            .map(|launch| &launch.status);
        new.or_else(|| self.world.tasks.get(task).map(|task| &task.status))
            .cloned()
    }

    fn agents(&self, after: Option<AgentId>, limit: u32) -> Vec<Agent> {
        self.call(0);
        let later = self
            .world
            .agents
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| **id > after));
        later
            .take(limit.min(1_000) as usize)
            .map(|(_, agent)| agent.info.clone())
            .collect()
    }

    fn find_agent(&self, agent: AgentId) -> Option<Agent> {
        self.call(0);
        self.world
            .agents
            .get(&agent)
            .map(|agent| agent.info.clone())
    }

    fn state_get(&self, key: &str) -> Option<Vec<u8>> {
        self.call(0);
        match self.effects.borrow().state.get(key) {
            Some(changed) => changed.clone(),
            None => self.world.state.get(key).cloned(),
        }
    }

    fn state_set(&self, key: &str, value: &[u8]) -> Result<(), String> {
        self.call(key.len() + value.len());
        let limits = &self.world.limits;
        if key.is_empty() || key.len() > 512 {
            return Err(format!("a key has 1 to 512 bytes, this one {}", key.len()));
        }
        if value.len() > limits.value_bytes_max {
            return Err(format!(
                "value-bytes-max: at most {} bytes, not {}",
                limits.value_bytes_max,
                value.len()
            ));
        }
        let mut effects = self.effects.borrow_mut();
        let size = |(key, value): (&String, &Vec<u8>)| key.len() + value.len();
        let kept = self
            .world
            .state
            .iter()
            .filter(|(own, _)| *own != key && !effects.state.contains_key(*own));
        let new = effects.state.iter().filter(|(own, _)| *own != key);
        let new = new.filter_map(|(key, value)| value.as_ref().map(|value| (key, value)));
        let bytes =
            kept.map(size).sum::<usize>() + new.map(size).sum::<usize>() + key.len() + value.len();
        if bytes > limits.state_bytes_max {
            return Err(format!(
                "state-bytes-max: at most {} bytes, not {bytes}",
                limits.state_bytes_max
            ));
        }
        effects.state.insert(key.to_owned(), Some(value.to_vec()));
        Ok(())
    }

    fn state_delete(&self, key: &str) {
        self.call(0);
        self.effects.borrow_mut().state.insert(key.to_owned(), None);
    }

    fn state_scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<(String, Vec<u8>)> {
        self.call(0);
        let effects = self.effects.borrow();
        let mut all: BTreeMap<&String, Option<&Vec<u8>>> = self
            .world
            .state
            .iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        all.extend(
            effects
                .state
                .iter()
                .map(|(key, value)| (key, value.as_ref())),
        );
        let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let found = all.into_iter().filter(|(key, _)| wanted(key));
        let found =
            found.filter_map(|(key, value)| value.map(|value| (key.clone(), value.clone())));
        found.take(limit.min(1_000) as usize).collect()
    }

    fn timer_set(&self, name: &str, after_ms: u64) -> Result<(), String> {
        self.call(0);
        if name.is_empty() || name.len() > 128 {
            return Err(format!(
                "a timer's name has 1 to 128 bytes, this one {}",
                name.len()
            ));
        }
        let mut effects = self.effects.borrow_mut();
        if self.world.timers.len() + effects.timers.len() >= self.world.limits.timers_max {
            return Err(format!(
                "timers-max: at most {} timers",
                self.world.limits.timers_max
            ));
        }
        effects.timers.insert(
            name.to_owned(),
            Some(self.world.now.saturating_add(after_ms)),
        );
        Ok(())
    }

    fn timer_cancel(&self, name: &str) {
        self.call(0);
        self.effects
            .borrow_mut()
            .timers
            .insert(name.to_owned(), None);
    }

    fn log(&self, level: Level, message: &str) {
        self.world
            .log
            .borrow_mut()
            .push((level, message.to_owned()));
    }
}

impl Streams for TurnHost<'_> {
    fn write(&self, request: u64, chunk: &[u8]) -> bool {
        self.call(chunk.len());
        let closed = self.effects.borrow().stream_closes.contains(&request);
        let open = self
            .world
            .streams
            .get(&request)
            .is_some_and(|stream| stream.open && !stream.client_gone);
        if open && !closed {
            self.effects
                .borrow_mut()
                .stream_writes
                .push((request, chunk.to_vec()));
        }
        open && !closed
    }

    fn close(&self, request: u64) {
        self.call(0);
        self.effects.borrow_mut().stream_closes.push(request);
    }
}
