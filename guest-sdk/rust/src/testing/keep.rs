//! The calls about reservations and volumes in a turn of the fake cluster, with the master's rules. What they change
//! is the turn's own copy of all reservations, which becomes the cluster's when the turn commits.

use super::reservations::FakeReservation;
use super::task::is_name;
use super::turn::TurnHost;
use crate::types::*;

/// Reservations that one turn may make.
const RESERVES_PER_TURN_MAX: usize = 1_000;

/// Volumes of one reservation.
const VOLUMES_MAX: usize = 100;

/// The labels of one reservation together, in bytes.
const LABELS_BYTES_MAX: usize = 16 << 10;

/// The largest number that the contract knows.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Entries in one answer of `reservations`.
const PAGE_MAX: u32 = 1_000;

impl TurnHost<'_> {
    pub(super) fn keep(
        &self,
        offer_id: OfferId,
        amount: &Resources,
        labels: &[Label],
        until: Option<InstantMs>,
    ) -> Result<Reserved, Refusal> {
        check_reservation(amount, labels)?;
        if until.is_some_and(|until| until <= self.world.now) {
            return invalid("until: it is over already");
        }
        let mut effects = self.effects.borrow_mut();
        let made = effects.reserves.len();
        if made >= RESERVES_PER_TURN_MAX {
            return limit("reserves-per-turn-max", RESERVES_PER_TURN_MAX);
        }
        let mut reservations = self.reservations.borrow_mut();
        let max = self.world.limits.reservations_max;
        if reservations.len() >= max {
            return limit("reservations-max", max);
        }
        let mut left = self.left.borrow_mut();
        let offer = left
            .get_mut(&offer_id)
            .ok_or_else(|| Refusal::Unknown(format!("offer {offer_id} is not one of this turn")))?;
        if !offer.free.holds(amount) {
            let text = format!("amount: offer {offer_id} has too little left");
            return Err(Refusal::Insufficient(text));
        }
        offer.free.take(amount);
        let (agent, within) = (offer.agent, offer.reservation);
        let reserved = Reserved {
            reservation: self.fresh_id(),
            offer: self.fresh_id(),
        };
        let new = Offer {
            id: reserved.offer,
            agent,
            free: amount.clone(),
            reservation: Some(reserved.reservation),
            volumes: Vec::new(),
        };
        left.insert(new.id, new);
        let mut ports_of = self.ports_of.borrow_mut();
        let ports = ports_of.get(&offer_id).copied().unwrap_or(offer_id);
        ports_of.insert(reserved.offer, ports);
        if let Some(whole) = within.and_then(|id| reservations.get_mut(&id)) {
            whole.view.free.take(amount);
            whole.parts += 1;
        }
        let setup = &self.setup;
        let view = Reservation {
            id: reserved.reservation,
            agent,
            role: setup.role.clone(),
            made_by: format!("framework/{}", setup.name),
            amount: amount.clone(),
            free: amount.clone(),
            volumes: Vec::new(),
            labels: labels.to_vec(),
            until,
            ending: false,
        };
        reservations.insert(view.id, FakeReservation::new(view, within));
        effects.reserves.push(reserved.reservation);
        Ok(reserved)
    }

    pub(super) fn give_back(&self, id: ReservationId) -> Result<(), Refusal> {
        let mut reservations = self.reservations.borrow_mut();
        let known = reservations.get_mut(&id).ok_or_else(|| unknown(id))?;
        let uses = [
            ("tasks", known.users),
            ("volumes", known.view.volumes.len()),
            ("smaller reservations", known.parts),
        ];
        if let Some((what, n)) = uses.into_iter().find(|(_, n)| *n > 0) {
            return invalid(&format!("reservation {id} is in use by {n} {what}"));
        }
        known.view.ending = true;
        for offer in self.left.borrow_mut().values_mut() {
            if offer.reservation == Some(id) {
                offer.free = Resources::default();
            }
        }
        Ok(())
    }

    pub(super) fn make_volume(
        &self,
        id: ReservationId,
        name: &str,
        size_bytes: u64,
    ) -> Result<(), Refusal> {
        let mut reservations = self.reservations.borrow_mut();
        let known = reservations.get_mut(&id).ok_or_else(|| unknown(id))?;
        let mut left = self.left.borrow_mut();
        let mut offers = left.values_mut();
        let Some(offer) = offers.find(|offer| offer.reservation == Some(id)) else {
            let text = format!("reservation {id} is not offered in this turn");
            return Err(Refusal::Unknown(text));
        };
        check_volume_name(name)?;
        if !(1..=NUMBER_MAX).contains(&size_bytes) {
            return invalid(&format!("size-bytes: from 1 to {NUMBER_MAX}"));
        }
        if known.volume(name).is_some() {
            return invalid(&format!("volume {name}: there is one of this name"));
        }
        if known.view.volumes.len() >= VOLUMES_MAX {
            return limit("volumes-max", VOLUMES_MAX);
        }
        if known.view.free.disk_bytes < size_bytes {
            let text = format!("volume {name}: reservation {id} has too little disk free");
            return Err(Refusal::Insufficient(text));
        }
        known.create_volume(name, size_bytes);
        offer.free.disk_bytes = offer.free.disk_bytes.saturating_sub(size_bytes);
        offer.volumes.push(name.to_owned());
        Ok(())
    }

    pub(super) fn end_volume(&self, id: ReservationId, name: &str) -> Result<(), Refusal> {
        check_volume_name(name)?;
        let mut reservations = self.reservations.borrow_mut();
        let known = reservations.get_mut(&id).ok_or_else(|| unknown(id))?;
        match known.volume(name) {
            None => Err(no_volume(id, name)),
            Some(volume) if volume.in_use => {
                invalid(&format!("volume {name} of reservation {id} is in use"))
            }
            Some(_) => {
                known.destroy_volume(name);
                Ok(())
            }
        }
    }

    pub(super) fn list_reservations(
        &self,
        after: Option<ReservationId>,
        limit: u32,
    ) -> Vec<Reservation> {
        let reservations = self.reservations.borrow();
        let later = reservations
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| **id > after));
        later
            .take(limit.min(PAGE_MAX) as usize)
            .map(|(_, known)| known.view.clone())
            .collect()
    }

    /// Whether a task may have its volumes, and may be what it says it is, on an offer. `own_group` are the mounts of
    /// tasks that this turn launched in the same group.
    pub(super) fn check_mounts(
        &self,
        task: &Task,
        offer: &Offer,
        known: Option<&FakeReservation>,
        own_group: impl Fn(&str) -> usize,
    ) -> Result<(), Refusal> {
        let id = &task.id;
        let (Some(reservation), Some(known)) = (offer.reservation, known) else {
            return match task.mounts.first() {
                None => Ok(()),
                Some(mount) => invalid(&format!(
                    "task {id}: volume {} is of no reservation",
                    mount.volume
                )),
            };
        };
        if task.preemptible {
            return invalid(&format!(
                "task {id}: it may not be preemptible on a reservation"
            ));
        }
        for mount in &task.mounts {
            let name = mount.volume.as_str();
            let volume = known
                .volume(name)
                .ok_or_else(|| no_volume(reservation, name))?;
            if volume.destroying {
                return invalid(&format!("task {id}: volume {name} is being destroyed"));
            }
            let users = known.mounted.get(name).copied().unwrap_or(0);
            if users > own_group(name) {
                return invalid(&format!(
                    "task {id}: volume {name} is in use by another task"
                ));
            }
        }
        Ok(())
    }
}

fn check_reservation(amount: &Resources, labels: &[Label]) -> Result<(), Refusal> {
    if !Resources::default().holds(amount) {
        if amount.ports > 0 {
            return invalid("amount.ports: ports cannot be reserved");
        }
    } else {
        return invalid("amount: it is nothing");
    }
    let bytes: usize = labels
        .iter()
        .map(|label| label.key.len() + label.value.len())
        .sum();
    if bytes > LABELS_BYTES_MAX {
        return invalid(&format!(
            "labels: at most {LABELS_BYTES_MAX} bytes together"
        ));
    }
    let mut keys: Vec<&str> = labels.iter().map(|label| label.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.len() < labels.len() {
        return invalid("labels: a key is there twice");
    }
    Ok(())
}

fn check_volume_name(name: &str) -> Result<(), Refusal> {
    if is_name(name) {
        Ok(())
    } else {
        invalid("volume name: 1 to 128 of a-z A-Z 0-9 . _ -, the first a letter or a digit")
    }
}

fn invalid<T>(text: &str) -> Result<T, Refusal> {
    Err(Refusal::Invalid(text.to_owned()))
}

fn limit<T>(name: &str, max: usize) -> Result<T, Refusal> {
    Err(Refusal::Limit(format!("{name}: at most {max}")))
}

fn unknown(id: ReservationId) -> Refusal {
    Refusal::Unknown(format!(
        "reservation {id} is none of the framework's role, nor of one above it"
    ))
}

fn no_volume(id: ReservationId, name: &str) -> Refusal {
    Refusal::Unknown(format!(
        "volume {name}: there is none of this name in reservation {id}"
    ))
}
