//! What is durable in the fake cluster, and how a turn's effects become so.

use super::offers;
use super::reservations::FakeReservation;
use super::turn::Effects;
use crate::types::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What the fake cluster enforces; the defaults are the master's.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Launches in one turn.
    pub launches_per_turn_max: usize,
    /// Tasks that have not been forgotten.
    pub tasks_max: usize,
    /// Offers in one turn.
    pub offers_per_turn_max: usize,
    /// Statuses in one turn.
    pub statuses_per_turn_max: usize,
    /// Bytes that the framework hands over in one turn.
    pub turn_bytes_max: usize,
    /// Bytes of durable state.
    pub state_bytes_max: usize,
    /// Bytes of one durable value.
    pub value_bytes_max: usize,
    /// Demands at a time.
    pub demands_max: usize,
    /// Reservations with which it may still make another.
    pub reservations_max: usize,
    /// Timers at a time.
    pub timers_max: usize,
    /// Response streams at a time.
    pub streams_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            launches_per_turn_max: 10_000,
            tasks_max: 100_000,
            offers_per_turn_max: 1_000,
            statuses_per_turn_max: 1_000,
            turn_bytes_max: 16 << 20,
            state_bytes_max: 64 << 20,
            value_bytes_max: 1 << 20,
            demands_max: 1_000,
            reservations_max: 10_000,
            timers_max: 1_000,
            streams_max: 100,
        }
    }
}

/// One task of the framework, as the master and its agent know it.
#[derive(Debug, Clone)]
pub struct FakeTask {
    /// As launched.
    pub task: Task,
    /// What the framework is told.
    pub status: TaskStatus,
    /// The reservation that it runs on, if it does.
    pub reservation: Option<ReservationId>,
    /// When it began to run.
    pub(super) running_since: Option<InstantMs>,
    /// Asked to stop.
    pub(super) kill: bool,
}

/// One agent.
#[derive(Debug)]
pub(super) struct FakeAgent {
    pub info: Agent,
    pub free: Resources,
    pub fixed_used: BTreeSet<u16>,
    /// The framework knows it as it is.
    pub told: bool,
    /// It was offered, and nothing improved since.
    pub seen: bool,
    /// It does not answer: nothing of it changes.
    pub silent: bool,
}

#[derive(Debug, Default)]
pub(super) struct FakeStream {
    pub body: Vec<u8>,
    pub open: bool,
    pub client_gone: bool,
}

/// What one turn was told, to be taken as handled once it has committed.
#[derive(Default)]
pub(super) struct Told {
    pub agents: Vec<AgentId>,
    pub gone: Vec<AgentId>,
    pub statuses: Vec<(TaskId, TaskState)>,
    pub timers: Vec<String>,
    pub streams: Vec<u64>,
    pub offers: Vec<Offer>,
    pub options: bool,
}

pub(super) struct World {
    pub now: InstantMs,
    pub limits: Limits,
    pub agents: BTreeMap<AgentId, FakeAgent>,
    pub gone: Vec<AgentId>,
    pub reservations: BTreeMap<ReservationId, FakeReservation>,
    pub tasks: BTreeMap<TaskId, FakeTask>,
    /// Tasks with a status that the framework has not handled.
    pub unhandled: BTreeSet<TaskId>,
    /// Every launch that was ever committed.
    pub history: Vec<Task>,
    pub killed: Vec<TaskId>,
    pub demands: Vec<Demand>,
    pub state: BTreeMap<String, Vec<u8>>,
    pub timers: BTreeMap<String, InstantMs>,
    pub streams: BTreeMap<u64, FakeStream>,
    pub streams_gone: Vec<u64>,
    pub log: RefCell<Vec<(Level, String)>>,
    pub last_revive: Option<InstantMs>,
    pub next_id: u64,
    pub next_run: u64,
}

impl World {
    pub fn new() -> World {
        World {
            now: 1_700_000_000_000,
            limits: Limits::default(),
            agents: BTreeMap::new(),
            gone: Vec::new(),
            reservations: BTreeMap::new(),
            tasks: BTreeMap::new(),
            unhandled: BTreeSet::new(),
            history: Vec::new(),
            killed: Vec::new(),
            demands: Vec::new(),
            state: BTreeMap::new(),
            timers: BTreeMap::new(),
            streams: BTreeMap::new(),
            streams_gone: Vec::new(),
            log: RefCell::default(),
            last_revive: None,
            next_id: 1,
            next_run: 1,
        }
    }

    pub fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A new instance is told of every agent and may see every offer.
    pub fn new_instance(&mut self) {
        for agent in self.agents.values_mut() {
            agent.told = false;
        }
        self.clear_seen();
        self.gone.clear();
        self.streams_gone.clear();
    }

    pub fn clear_seen(&mut self) {
        for agent in self.agents.values_mut() {
            agent.seen = false;
        }
        for reservation in self.reservations.values_mut() {
            reservation.seen = false;
        }
    }

    pub fn end_streams(&mut self) {
        for stream in self.streams.values_mut() {
            stream.open = false;
        }
    }

    /// Makes a clean turn's effects real.
    pub fn commit(&mut self, effects: Effects) {
        self.next_id = effects.next_id;
        self.keep(effects.reservations, &effects.reserves);
        for (key, value) in effects.state {
            match value {
                Some(value) => drop(self.state.insert(key, value)),
                None => drop(self.state.remove(&key)),
            }
        }
        for (name, due) in effects.timers {
            match due {
                Some(due) => drop(self.timers.insert(name, due)),
                None => drop(self.timers.remove(&name)),
            }
        }
        if let Some(mut demands) = effects.want {
            demands.retain(|demand| demand.count > 0);
            if demands.iter().any(|demand| self.asks_anew(demand)) {
                self.clear_seen();
            }
            self.demands = demands;
        }
        for launch in effects.launches {
            self.launch(launch);
        }
        self.finish_reservations();
        for task in effects.kills {
            self.kill(&task);
        }
        let second_ago = self.now.saturating_sub(1_000);
        if effects.revive && self.last_revive.is_none_or(|last| last <= second_ago) {
            self.last_revive = Some(self.now);
            self.clear_seen();
        }
        for (id, chunk) in effects.stream_writes {
            if let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.open) {
                stream.body.extend(chunk);
            }
        }
        for id in effects.stream_closes {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.open = false;
            }
        }
    }

    /// Whether a demand wants what was not wanted before: another shape, or more of it.
    fn asks_anew(&self, demand: &Demand) -> bool {
        let old = self.demands.iter().find(|old| old.name == demand.name);
        old.is_none_or(|old| {
            let same = Demand {
                count: old.count,
                ..demand.clone()
            } == *old;
            !same || demand.count > old.count
        })
    }

    /// Reservations as a turn leaves them; what it has made of unreserved resources is no longer free.
    fn keep(
        &mut self,
        reservations: BTreeMap<ReservationId, FakeReservation>,
        made: &[ReservationId],
    ) {
        // The turn's copy does not know what it has refused; another volume is something new to see.
        let before = std::mem::replace(&mut self.reservations, reservations);
        for (id, known) in &mut self.reservations {
            let same = |own: &&FakeReservation| own.view.volumes.len() >= known.view.volumes.len();
            known.seen = before.get(id).filter(same).is_some_and(|own| own.seen);
        }
        for known in made.iter().filter_map(|id| self.reservations.get(id)) {
            let agent = self.agents.get_mut(&known.view.agent);
            if let Some(agent) = agent.filter(|_| known.within.is_none()) {
                agent.free.take(&known.view.amount);
            }
        }
    }

    fn launch(&mut self, launch: super::turn::Launch) {
        if let Some(agent) = self.agents.get_mut(&launch.status.agent) {
            if launch.reservation.is_none() {
                agent.free.take(&launch.charged);
            } else {
                agent.free.ports = agent.free.ports.saturating_sub(launch.charged.ports);
            }
            agent
                .fixed_used
                .extend(launch.task.ports.iter().filter_map(|port| port.fixed));
        }
        self.next_run = self.next_run.max(launch.status.run + 1);
        self.history.push(launch.task.clone());
        let id = launch.task.id.clone();
        let task = FakeTask {
            task: launch.task,
            status: launch.status,
            reservation: launch.reservation,
            running_since: None,
            kill: false,
        };
        self.tasks.insert(id, task);
    }

    fn kill(&mut self, id: &str) {
        if let Some(task) = self
            .tasks
            .get_mut(id)
            .filter(|task| !task.status.state.is_final())
        {
            task.kill = true;
            self.killed.push(id.to_owned());
        }
    }

    /// What a committed turn was told need not be told again. Its effects come after: a list of demands that it
    /// changed lets it see every agent again.
    pub fn handled(&mut self, told: Told, effects: &Effects) {
        for id in told.agents {
            if let Some(agent) = self.agents.get_mut(&id) {
                agent.told = true;
            }
        }
        self.gone.retain(|id| !told.gone.contains(id));
        for (id, state) in told.statuses {
            self.unhandled.remove(&id);
            if state.is_final() {
                self.tasks.remove(&id);
            }
        }
        self.streams_gone.retain(|id| !told.streams.contains(id));
        for name in &told.timers {
            self.timers.remove(name);
        }
        for offer in offers::refused(self, &told.offers, effects) {
            match offer.reservation {
                Some(id) => {
                    if let Some(known) = self.reservations.get_mut(&id) {
                        known.seen = true;
                    }
                }
                None => {
                    if let Some(agent) = self.agents.get_mut(&offer.agent) {
                        agent.seen = true;
                    }
                }
            }
        }
    }
}
