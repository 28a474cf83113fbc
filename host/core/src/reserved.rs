//! Reservations in the durable state: what each is made of, and what uses it.

use crate::record::{Maker, ReservationRecord, TaskRecord, VolumeState};
use crate::state::{CorruptRecord, State};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;
use mezzo_types::{ReservationId, Resources, Run, TaskSpec};

/// A part of an agent that is kept for a role, and what of it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// As it was made, with its volumes as they are.
    pub record: Arc<ReservationRecord>,
    /// By tasks that have not ended; without their ports.
    pub used: Resources,
    /// By smaller reservations within it.
    pub refined: Resources,
    /// Those.
    pub parts: BTreeSet<ReservationId>,
    /// The tasks that have not ended.
    pub users: BTreeSet<Run>,
    /// How many of them have each volume mounted.
    pub mounted: BTreeMap<Arc<str>, u32>,
}

impl Reservation {
    /// One that nothing uses.
    #[must_use]
    pub fn new(record: Arc<ReservationRecord>) -> Reservation {
        Reservation {
            record,
            used: Resources::NONE,
            refined: Resources::NONE,
            parts: BTreeSet::new(),
            users: BTreeSet::new(),
            mounted: BTreeMap::new(),
        }
    }

    /// What no task, volume or smaller reservation uses.
    #[must_use]
    pub fn free(&self) -> Resources {
        let mut free = self.record.amount.clone();
        free.take(&self.used);
        free.take(&self.refined);
        let volumes = self.record.volumes.iter().map(|volume| volume.size_bytes);
        free.disk_bytes = free.disk_bytes.saturating_sub(volumes.sum());
        free
    }

    /// Whether nothing uses it.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.users.is_empty() && self.parts.is_empty() && self.record.volumes.is_empty()
    }

    /// A task uses it from now on; its run is not counted.
    pub(crate) fn launch(&mut self, task: &TaskSpec) {
        self.used.add(&without_ports(task));
        for mount in &task.mounts {
            *self
                .mounted
                .entry(Arc::from(mount.volume.as_str()))
                .or_default() += 1;
        }
    }

    /// Whether demands need not name it to be served from it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.record.made_by, Maker::Framework(_))
    }

    /// Whether a task has the volume mounted.
    #[must_use]
    pub fn is_mounted(&self, volume: &str) -> bool {
        self.mounted.contains_key(volume)
    }

    /// The volumes that a task could mount.
    pub fn free_volumes(&self) -> impl Iterator<Item = &Arc<str>> {
        let volumes = self.record.volumes.iter();
        volumes
            .filter(|volume| volume.state != VolumeState::Destroying)
            .map(|volume| &volume.name)
            .filter(|name| !self.is_mounted(name))
    }
}

impl State {
    /// The reservation of that number.
    #[must_use]
    pub fn reservation(&self, id: ReservationId) -> Option<&Arc<Reservation>> {
        self.roles
            .get(self.reservations.get(&id)?)?
            .reservations
            .get(&id)
    }

    /// The role, and those above it, the nearest first.
    pub(crate) fn roles_above(role: &str) -> impl Iterator<Item = &str> {
        core::iter::successors(Some(role), |role| role.rsplit_once('/').map(|(up, _)| up))
    }

    fn change_reservation(
        &mut self,
        id: ReservationId,
        change: impl FnOnce(&mut Reservation),
    ) -> Result<(), CorruptRecord> {
        let unknown = || CorruptRecord(format!("there is no reservation {id}"));
        let role = self.reservations.get(&id).ok_or_else(unknown)?;
        let role = self.roles.get_mut(role).ok_or_else(unknown)?;
        let known = role.reservations.get(&id).ok_or_else(unknown)?;
        let mut known = Reservation::clone(known);
        change(&mut known);
        role.reservations.insert(id, Arc::new(known));
        Ok(())
    }

    pub(crate) fn apply_reservation(
        &mut self,
        record: &Arc<ReservationRecord>,
    ) -> Result<(), CorruptRecord> {
        let id = record.id;
        if self.reservations.contains_key(&id) {
            return self.change_reservation(id, |known| known.record = Arc::clone(record));
        }
        let Some(agent) = self.agents.get_mut(&record.agent) else {
            return Err(CorruptRecord(format!(
                "reservation {id} is on agent {}, which is unknown",
                record.agent
            )));
        };
        agent.reservations.insert(id);
        if record.within.is_none() {
            agent.used.add(&record.amount);
        }
        let above = self.role_of(record.within)?;
        if let Some(within) = record.within {
            self.change_reservation(within, |whole| {
                whole.refined.add(&record.amount);
                whole.parts.insert(id);
            })?;
        }
        self.reservations.insert(id, Arc::clone(&record.role));
        let role = self.role(&record.role);
        role.holds += 1;
        role.reservations
            .insert(id, Arc::new(Reservation::new(Arc::clone(record))));
        self.change_used(&record.role, above.as_deref(), |used| {
            used.add(&record.amount);
        });
        Ok(())
    }

    /// The role of the reservation that one is a part of.
    pub(crate) fn role_of(
        &self,
        within: Option<ReservationId>,
    ) -> Result<Option<Arc<str>>, CorruptRecord> {
        let Some(within) = within else {
            return Ok(None);
        };
        let role = self.reservations.get(&within).cloned();
        role.map(Some)
            .ok_or_else(|| CorruptRecord(format!("there is no reservation {within}")))
    }

    pub(crate) fn apply_reservation_removed(
        &mut self,
        id: ReservationId,
    ) -> Result<(), CorruptRecord> {
        let known = self.reservation(id).cloned();
        let known = known
            .ok_or_else(|| CorruptRecord(format!("there is no reservation {id} to remove")))?;
        if !known.users.is_empty() || !known.parts.is_empty() {
            return Err(CorruptRecord(format!(
                "reservation {id} is removed, but in use"
            )));
        }
        let record = &known.record;
        if let Some(agent) = self.agents.get_mut(&record.agent) {
            agent.reservations.remove(&id);
            if record.within.is_none() {
                agent.used.take(&record.amount);
            }
        }
        let above = self.role_of(record.within)?;
        if let Some(within) = record.within {
            self.change_reservation(within, |whole| {
                whole.refined.take(&record.amount);
                whole.parts.remove(&id);
            })?;
        }
        self.change_used(&record.role, above.as_deref(), |used| {
            let _ = used.take(&record.amount);
        });
        self.reservations.remove(&id);
        let role = self.role(&record.role);
        role.holds -= 1;
        role.reservations.remove(&id);
        self.drop_role(&record.role);
        Ok(())
    }

    /// A task is launched on its reservation, if it has one.
    pub(crate) fn use_reservation(&mut self, task: &TaskRecord) {
        let Some(id) = task.reservation else {
            return;
        };
        // A task that has ended, and is not forgotten yet, may outlive its reservation; on recovery
        // its end is read after this.
        let _ = self.change_reservation(id, |reservation| {
            reservation.users.insert(task.run);
            reservation.launch(&task.spec);
        });
    }

    /// A task has ended on its reservation, if it had one.
    pub(crate) fn leave_reservation(&mut self, task: &TaskRecord) {
        let Some(id) = task.reservation else {
            return;
        };
        // On recovery it may be gone already: see above.
        let _ = self.change_reservation(id, |reservation| {
            reservation.used.take(&without_ports(&task.spec));
            reservation.users.remove(&task.run);
            for mount in &task.spec.mounts {
                let volume = mount.volume.as_str();
                match reservation.mounted.get_mut(volume) {
                    Some(tasks) if *tasks > 1 => *tasks -= 1,
                    _ => drop(reservation.mounted.remove(volume)),
                }
            }
        });
    }
}

fn without_ports(task: &TaskSpec) -> Resources {
    Resources {
        ports: 0,
        ..task.resources.clone()
    }
}
