//! One turn of the fake cluster: the calls are checked at once against what the turn began with, and noted down.

use super::reservations::FakeReservation;
use super::task::is_name;
use super::world::World;
use crate::host::{Host, Streams};
use crate::types::*;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// Reservations that one demand may name.
const RESERVATIONS_MAX: usize = 1_000;

/// What a panic carries when the test asked for it.
pub(super) struct InjectedFault;

/// A launch that is going to be committed.
pub(super) struct Launch {
    pub task: Task,
    pub status: TaskStatus,
    pub demand: Option<String>,
    /// What it takes of its offer.
    pub charged: Resources,
    /// The reservation that the offer is of.
    pub reservation: Option<ReservationId>,
}

/// All that a turn asked for.
#[derive(Default)]
pub(super) struct Effects {
    pub state: BTreeMap<String, Option<Vec<u8>>>,
    pub timers: BTreeMap<String, Option<InstantMs>>,
    pub want: Option<Vec<Demand>>,
    pub launches: Vec<Launch>,
    /// Reservations that it has made.
    pub reserves: Vec<ReservationId>,
    /// All reservations as they are after it.
    pub reservations: BTreeMap<ReservationId, FakeReservation>,
    /// What is left of its offers.
    pub left: BTreeMap<OfferId, Offer>,
    /// The next number to give away.
    pub next_id: u64,
    pub kills: Vec<TaskId>,
    pub revive: bool,
    pub stream_writes: Vec<(u64, Vec<u8>)>,
    pub stream_closes: Vec<u64>,
}

/// The host of one turn.
pub(super) struct TurnHost<'a> {
    pub(super) world: &'a World,
    pub(super) setup: &'a Setup,
    pub(super) effects: RefCell<Effects>,
    pub(super) left: RefCell<BTreeMap<OfferId, Offer>>,
    /// Whose ports tasks take that are launched on a reservation of this turn.
    pub(super) ports_of: RefCell<BTreeMap<OfferId, OfferId>>,
    pub(super) reservations: RefCell<BTreeMap<ReservationId, FakeReservation>>,
    last_id: Cell<u64>,
    pub(super) launched: RefCell<BTreeMap<TaskId, usize>>,
    calls: Cell<u64>,
    bytes: Cell<usize>,
    fault_at: Option<u64>,
}

impl<'a> TurnHost<'a> {
    pub fn new(
        world: &'a World,
        setup: &'a Setup,
        offers: &[Offer],
        fault_at: Option<u64>,
    ) -> TurnHost<'a> {
        TurnHost {
            world,
            setup,
            ports_of: RefCell::default(),
            reservations: RefCell::new(world.reservations.clone()),
            last_id: Cell::new(world.next_id),
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
        Effects {
            reservations: self.reservations.into_inner(),
            left: self.left.into_inner(),
            next_id: self.last_id.get(),
            ..self.effects.into_inner()
        }
    }

    /// A number that nothing has yet.
    pub(super) fn fresh_id(&self) -> u64 {
        self.last_id.set(self.last_id.get() + 1);
        self.last_id.get()
    }

    /// Whether the turn handed over more than it may.
    pub fn overrun(&self) -> Option<String> {
        let (bytes, max) = (self.bytes.get(), self.world.limits.turn_bytes_max);
        (bytes > max)
            .then(|| format!("boundary-bytes-max: at most {max} bytes in a turn, not {bytes}"))
    }

    /// Counts a call, and the bytes that go with it; here a fault that was asked for strikes.
    pub(super) fn call(&self, bytes: usize) {
        if self.fault_at == Some(self.calls.get()) {
            // Without the panic hook: it is no news to the test.
            std::panic::resume_unwind(Box::new(InjectedFault));
        }
        self.calls.set(self.calls.get() + 1);
        self.bytes.set(self.bytes.get() + bytes);
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
            if demand.reservations.len() > RESERVATIONS_MAX {
                return invalid("more than 1,000 reservations");
            }
            if demand.together && !demand.reservations.is_empty() {
                return invalid("what is wanted `together` cannot be served from reservations");
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
        let bytes = labels
            .iter()
            .map(|label| label.key.len() + label.value.len());
        self.call(bytes.sum());
        self.keep(offer, amount, labels, until)
    }

    fn unreserve(&self, reservation: ReservationId) -> Result<(), Refusal> {
        self.call(0);
        self.give_back(reservation)
    }

    fn create_volume(
        &self,
        reservation: ReservationId,
        name: &str,
        size_bytes: u64,
    ) -> Result<(), Refusal> {
        self.call(name.len());
        self.make_volume(reservation, name, size_bytes)
    }

    fn destroy_volume(&self, reservation: ReservationId, name: &str) -> Result<(), Refusal> {
        self.call(name.len());
        self.end_volume(reservation, name)
    }

    fn reservations(&self, after: Option<ReservationId>, limit: u32) -> Vec<Reservation> {
        self.call(0);
        self.list_reservations(after, limit)
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
