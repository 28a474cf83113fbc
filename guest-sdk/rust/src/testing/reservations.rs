//! Reservations and volumes of the fake cluster: what each is, what uses it, and what operators do with them. The
//! calls of a framework are in `keep.rs`.

use super::Cluster;
use super::world::World;
use crate::framework::Framework;
use crate::types::*;
use std::collections::BTreeMap;

/// Who has made what a test reserves.
const OPERATOR: &str = "operator";

/// One reservation.
#[derive(Debug, Clone)]
pub(super) struct FakeReservation {
    /// As a framework sees it, at any time.
    pub view: Reservation,
    /// The larger one that it is a part of.
    pub within: Option<ReservationId>,
    /// Smaller ones within it.
    pub parts: usize,
    /// Tasks that have not ended.
    pub users: usize,
    /// How many of them have each volume mounted.
    pub mounted: BTreeMap<String, usize>,
    /// It was offered and refused, and nothing improved since.
    pub seen: bool,
}

impl FakeReservation {
    pub fn new(view: Reservation, within: Option<ReservationId>) -> FakeReservation {
        FakeReservation {
            view,
            within,
            parts: 0,
            users: 0,
            mounted: BTreeMap::new(),
            seen: false,
        }
    }

    pub fn is_unused(&self) -> bool {
        self.users == 0 && self.parts == 0 && self.view.volumes.is_empty()
    }

    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.view.volumes.iter().find(|volume| volume.name == name)
    }

    /// Whether a demand may be served from it, whatever is free of it.
    pub fn serves(&self, demand: &Demand) -> bool {
        if demand.count == 0 || demand.together || self.view.ending {
            false
        } else if demand.reservations.is_empty() {
            !self.view.made_by.starts_with("framework/")
        } else {
            demand.reservations.contains(&self.view.id)
        }
    }

    /// The volumes that a task could mount.
    pub fn free_volumes(&self) -> Vec<String> {
        let volumes = self.view.volumes.iter();
        let free = volumes.filter(|volume| !volume.destroying && !volume.in_use);
        free.map(|volume| volume.name.clone()).collect()
    }

    /// A task runs on it from now on.
    pub fn launch(&mut self, task: &Task) {
        self.view.free.take(&without_ports(task));
        self.users += 1;
        for mount in &task.mounts {
            *self.mounted.entry(mount.volume.clone()).or_default() += 1;
        }
        self.note_uses();
    }

    /// A task has ended on it.
    pub fn leave(&mut self, task: &Task) {
        self.view.free.add(&without_ports(task));
        self.users -= 1;
        self.seen = false;
        for mount in &task.mounts {
            if let Some(tasks) = self.mounted.get_mut(&mount.volume) {
                *tasks -= 1;
            }
        }
        self.mounted.retain(|_, tasks| *tasks > 0);
        self.note_uses();
    }

    fn note_uses(&mut self) {
        for volume in &mut self.view.volumes {
            volume.in_use = self.mounted.contains_key(&volume.name);
        }
    }

    pub fn create_volume(&mut self, name: &str, size_bytes: u64) {
        let at = self
            .view
            .volumes
            .partition_point(|volume| *volume.name < *name);
        let volume = Volume {
            name: name.to_owned(),
            size_bytes,
            destroying: false,
            in_use: false,
        };
        self.view.volumes.insert(at, volume);
        self.view.free.disk_bytes -= size_bytes;
        self.seen = false;
    }

    pub fn destroy_volume(&mut self, name: &str) {
        for volume in &mut self.view.volumes {
            volume.destroying |= volume.name == name;
        }
    }

    /// Its agent has destroyed the data of what is being destroyed.
    fn finish_volumes(&mut self) {
        let mut freed = 0;
        self.view.volumes.retain(|volume| {
            freed += volume.size_bytes * u64::from(volume.destroying);
            !volume.destroying
        });
        self.view.free.disk_bytes += freed;
        self.seen &= freed == 0;
    }
}

/// What a task takes of a reservation.
pub(super) fn without_ports(task: &Task) -> Resources {
    Resources {
        ports: 0,
        ..task.resources.clone()
    }
}

impl<F: Framework> Cluster<F> {
    /// An operator reserves a part of an agent for the framework's role: it is offered to every demand that names no
    /// other. Panics if the agent has less, or if ports are asked for.
    pub fn reserve(&mut self, agent: AgentId, amount: Resources) -> ReservationId {
        assert_eq!(amount.ports, 0, "ports cannot be reserved");
        let id = self.world.fresh_id();
        match self.world.agents.get_mut(&agent) {
            Some(known) if known.free.holds(&amount) => known.free.take(&amount),
            Some(known) => panic!("agent {agent} has {:?} free, not {amount:?}", known.free),
            None => panic!("there is no agent {agent}"),
        }
        let view = Reservation {
            id,
            agent,
            role: self.setup.role.clone(),
            made_by: OPERATOR.to_owned(),
            free: amount.clone(),
            amount,
            volumes: Vec::new(),
            labels: Vec::new(),
            until: None,
            ending: false,
        };
        let new = FakeReservation::new(view, None);
        self.world.reservations.insert(id, new);
        id
    }

    /// All reservations, by id, as they are.
    pub fn reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.world.reservations.values().map(|known| &known.view)
    }

    /// One of them; panics when there is none.
    pub fn reservation(&self, id: ReservationId) -> &Reservation {
        match self.world.reservations.get(&id) {
            Some(known) => &known.view,
            None => panic!("there is no reservation {id}"),
        }
    }
}

impl World {
    /// What was given back goes as soon as nothing uses it.
    pub(super) fn finish_reservations(&mut self) {
        let over = |known: &FakeReservation| known.view.ending && known.is_unused();
        self.remove_reservations(over);
    }

    /// Time has passed `until` for those that end by themselves.
    pub(super) fn reservations_due(&mut self, before: InstantMs) {
        let now = self.now;
        self.remove_reservations(|known| {
            let due = known.view.until;
            due.is_some_and(|due| before < due && due <= now) && known.is_unused()
        });
    }

    /// Takes away those that nothing uses and that `over` names, smaller ones before those that they are a part of.
    fn remove_reservations(&mut self, over: impl Fn(&FakeReservation) -> bool) {
        let next = |world: &World| {
            let mut all = world.reservations.iter();
            all.find(|(_, known)| over(known)).map(|(id, _)| *id)
        };
        while let Some(gone) = next(self).and_then(|id| self.reservations.remove(&id)) {
            let whole = gone.within.and_then(|id| self.reservations.get_mut(&id));
            if let Some(whole) = whole {
                whole.view.free.add(&gone.view.amount);
                whole.parts -= 1;
                whole.seen = false;
            } else if let Some(agent) = self.agents.get_mut(&gone.view.agent) {
                agent.free.add(&gone.view.amount);
                agent.seen = false;
            }
        }
    }

    /// Agents that answer destroy what they were told to.
    pub(super) fn destroy_volumes(&mut self) {
        for known in self.reservations.values_mut() {
            let agent = self.agents.get(&known.view.agent);
            if agent.is_some_and(|agent| !agent.silent) {
                known.finish_volumes();
            }
        }
    }
}
