//! Reservations and volumes: keeping a part of an offer, giving it back, what is mounted.

use super::{Ledger, PAGE_MAX, Refusal};
use crate::record::{Maker, ReservationRecord, VolumeRecord, VolumeState};
use crate::state::Reservation;
use crate::turn::{Offer, RESERVES_PER_TURN_MAX, Reserve, VolumeChange};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AMOUNT_MAX, Instant, Label, OfferId, PortSet, ReservationId, Resources, TaskSpec, check_name,
};

/// The labels of one reservation together, in bytes.
pub const LABELS_BYTES_MAX: usize = 16 << 10;
/// The labels of one reservation.
pub const LABELS_MAX: usize = 64;
/// Volumes of one reservation.
pub const VOLUMES_MAX: usize = 100;
/// Volumes that one turn may make and destroy.
pub const VOLUME_CHANGES_PER_TURN_MAX: usize = 100;
/// The latest end of a reservation from now, in milliseconds: ten years.
pub const UNTIL_MS_MAX: u64 = 10 * 366 * 24 * 3_600_000;

/// What comes of keeping a part of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Its name from now on.
    pub reservation: ReservationId,
    /// The same as an offer of this turn.
    pub offer: OfferId,
}

/// What is wrong with what is to be reserved, whoever asks.
pub(crate) fn invalid_reservation(amount: &Resources, labels: &[Label]) -> Option<String> {
    if amount.is_none() {
        return Some("amount: it is nothing; reserve some cpu, memory, disk or device".into());
    }
    if amount.ports > 0 {
        return Some(
            "amount.ports: ports cannot be reserved; tasks on a reservation take those of the agent"
                .into(),
        );
    }
    if let Some(kind) = amount.invalid() {
        return Some(format!("amount.{kind}: it is out of range"));
    }
    if labels.len() > LABELS_MAX {
        return Some(format!(
            "labels: at most {LABELS_MAX}, not {}",
            labels.len()
        ));
    }
    let bytes: usize = labels.iter().map(|l| l.key.len() + l.value.len()).sum();
    if bytes > LABELS_BYTES_MAX {
        return Some(format!(
            "labels: at most {LABELS_BYTES_MAX} bytes together, not {bytes}"
        ));
    }
    let twice = |(i, label): (usize, &Label)| {
        let before = &labels[..i];
        before
            .iter()
            .any(|other| other.key == label.key)
            .then(|| format!("labels[{i}]: the key {:?} is there twice", label.key))
    };
    labels.iter().enumerate().find_map(twice)
}

/// What is wrong with the end of a reservation, whoever asks.
pub(crate) fn invalid_until(until: Option<Instant>, now: Instant) -> Option<String> {
    let until = until?;
    if until <= now {
        return Some("until: it is over already".into());
    }
    (until.since_ms(now) > UNTIL_MS_MAX)
        .then(|| format!("until: at most {UNTIL_MS_MAX} ms from now; without it there is no end"))
}

/// What is wrong with a volume to be made in a reservation, whoever asks.
pub(crate) fn invalid_volume(
    reservation: &Reservation,
    name: &str,
    size_bytes: u64,
) -> Option<Refusal> {
    if let Err(error) = check_name(name) {
        return Some(Refusal::Invalid(format!("volume name: {error}")));
    }
    if size_bytes == 0 || size_bytes > AMOUNT_MAX {
        return Some(Refusal::Invalid(format!(
            "size-bytes: from 1 to {AMOUNT_MAX}, not {size_bytes}"
        )));
    }
    let record = &reservation.record;
    if let Some(known) = record.volume(name) {
        let how = if known.state == VolumeState::Destroying {
            " and being destroyed; try again when that is done, or choose another name"
        } else {
            ""
        };
        return Some(Refusal::Invalid(format!(
            "volume {name}: there is one of this name in reservation {}{how}",
            record.id
        )));
    }
    if record.volumes.len() >= VOLUMES_MAX {
        return Some(Refusal::Limit(format!(
            "volumes-max: at most {VOLUMES_MAX} volumes in one reservation"
        )));
    }
    let free = reservation.free().disk_bytes;
    (free < size_bytes).then(|| {
        Refusal::Insufficient(format!(
            "volume {name}: needs {size_bytes} bytes of disk, reservation {} has {free} free",
            record.id
        ))
    })
}

/// A reservation's record with one more volume.
pub(crate) fn with_volume(
    record: &ReservationRecord,
    name: &str,
    size_bytes: u64,
    made: Instant,
) -> ReservationRecord {
    let mut record = record.clone();
    let at = record
        .volumes
        .partition_point(|volume| &*volume.name < name);
    let volume = VolumeRecord {
        name: Arc::from(name),
        size_bytes,
        made,
        state: VolumeState::Making,
    };
    record.volumes.insert(at, volume);
    record
}

/// A reservation's record with another state of one volume.
pub(crate) fn with_volume_state(
    record: &ReservationRecord,
    name: &str,
    state: VolumeState,
) -> ReservationRecord {
    let mut record = record.clone();
    for volume in &mut record.volumes {
        if &*volume.name == name {
            volume.state = state;
        }
    }
    record
}

/// Why a reservation cannot be given back yet.
pub(crate) fn in_use(reservation: &Reservation) -> Option<String> {
    let id = reservation.record.id;
    let uses = [
        ("task", "end", reservation.users.len()),
        ("volume", "destroy", reservation.record.volumes.len()),
        ("smaller reservation", "give back", reservation.parts.len()),
    ];
    let (what, end, n) = uses.into_iter().find(|(.., n)| *n > 0)?;
    let (more, them) = if n == 1 { ("", "it") } else { ("s", "them") };
    Some(format!(
        "reservation {id} is in use by {n} {what}{more}; {end} {them} first"
    ))
}

impl Ledger {
    /// `driver.reserve`
    pub fn reserve(
        &mut self,
        offer_id: OfferId,
        amount: Resources,
        labels: Vec<Label>,
        until: Option<Instant>,
    ) -> Result<Reserved, Refusal> {
        if let Some(problem) = invalid_reservation(&amount, &labels) {
            return Err(Refusal::Invalid(problem));
        }
        if let Some(problem) = invalid_until(until, self.turn.now) {
            return Err(Refusal::Invalid(problem));
        }
        let made = self.effects.reserves.len() as u64;
        if made >= RESERVES_PER_TURN_MAX {
            return Err(Refusal::Limit(format!(
                "reserves-per-turn-max: at most {RESERVES_PER_TURN_MAX} reservations in a turn"
            )));
        }
        let known: usize = self.turn.view.reservations.iter().map(|r| r.len()).sum();
        let max = self.turn.limits.reservations_max;
        if known as u64 + made >= max {
            return Err(Refusal::Limit(format!(
                "reservations-max: at most {max} reservations of its role and those above it"
            )));
        }
        let offer = self
            .left
            .get_mut(&offer_id)
            .ok_or_else(|| Refusal::Unknown(format!("offer {offer_id} is not one of this turn")))?;
        if let Some(kind) = offer.free.short_of(&amount) {
            return Err(Refusal::Insufficient(format!(
                "needs {} of {kind}, offer {offer_id} has {} left",
                amount.amount(&kind),
                offer.free.amount(&kind)
            )));
        }
        let first = self.turn.first_reservation.0;
        let reserved = Reserved {
            reservation: ReservationId(first + 2 * made),
            offer: OfferId(first + 2 * made + 1),
        };
        offer.free.take(&amount);
        let (agent, within) = (offer.agent, offer.reservation);
        let ports_of = self.ports_of.get(&offer_id).copied();
        self.ports_of
            .insert(reserved.offer, ports_of.unwrap_or(offer_id));
        let new = Offer {
            id: reserved.offer,
            agent,
            free: amount.clone(),
            port_set: PortSet::default(),
            reservation: Some(reserved.reservation),
            volumes: Vec::new(),
        };
        self.left.insert(reserved.offer, new);
        if let Some(whole) = within.and_then(|id| self.reservation_mut(id)) {
            whole.refined.add(&amount);
            whole.parts.insert(reserved.reservation);
        }
        let record = ReservationRecord {
            id: reserved.reservation,
            agent,
            role: Arc::clone(&self.turn.role),
            amount: amount.clone(),
            within,
            made_by: Maker::Framework(Arc::clone(&self.turn.name)),
            made: self.turn.now,
            labels: labels.clone(),
            until,
            ending: false,
            volumes: Vec::new(),
        };
        self.reserved
            .insert(record.id, Reservation::new(Arc::new(record)));
        self.effects.reserves.push(Reserve {
            id: reserved.reservation,
            offer: offer_id,
            agent,
            within,
            amount,
            labels,
            until,
        });
        Ok(reserved)
    }

    /// `driver.unreserve`
    pub fn unreserve(&mut self, id: ReservationId) -> Result<(), Refusal> {
        let known = self.known_reservation(id)?;
        if known.record.made_by == Maker::AgentConfiguration {
            return Err(Refusal::Forbidden(format!(
                "reservation {id} was made by its agent's configuration, and goes when that no longer names it"
            )));
        }
        if let Some(problem) = in_use(known) {
            return Err(Refusal::Invalid(problem));
        }
        if let Some(known) = self.reservation_mut(id) {
            let mut record = ReservationRecord::clone(&known.record);
            record.ending = true;
            known.record = Arc::new(record);
        }
        // What was to be launched on it later in the turn finds nothing left.
        for offer in self.left.values_mut() {
            if offer.reservation == Some(id) {
                (offer.free, offer.port_set) = (Resources::NONE, PortSet::default());
            }
        }
        if !self.effects.unreserves.contains(&id) {
            self.effects.unreserves.push(id);
        }
        Ok(())
    }

    /// `driver.create-volume`
    pub fn create_volume(
        &mut self,
        id: ReservationId,
        name: &str,
        size_bytes: u64,
    ) -> Result<(), Refusal> {
        let known = self.known_reservation(id)?;
        let offered = self
            .left
            .values()
            .find(|offer| offer.reservation == Some(id));
        // Without its offer in hand, somebody else may be using up its disk.
        let Some(offer) = offered.map(|offer| offer.id) else {
            return Err(Refusal::Unknown(format!(
                "reservation {id} is not offered in this turn; want it by a demand that names it"
            )));
        };
        if known.record.ending {
            return Err(Refusal::Invalid(format!(
                "reservation {id} was given back in this turn"
            )));
        }
        if let Some(refusal) = invalid_volume(known, name, size_bytes) {
            return Err(refusal);
        }
        self.check_volume_changes()?;
        let now = self.turn.now;
        if let Some(known) = self.reservation_mut(id) {
            known.record = Arc::new(with_volume(&known.record, name, size_bytes, now));
        }
        let name: Arc<str> = Arc::from(name);
        if let Some(offer) = self.left.get_mut(&offer) {
            offer.free.disk_bytes = offer.free.disk_bytes.saturating_sub(size_bytes);
            offer.volumes.push(Arc::clone(&name));
        }
        self.effects.volumes.push(VolumeChange {
            reservation: id,
            name,
            size_bytes: Some(size_bytes),
        });
        Ok(())
    }

    /// `driver.destroy-volume`
    pub fn destroy_volume(&mut self, id: ReservationId, name: &str) -> Result<(), Refusal> {
        let known = self.known_reservation(id)?;
        if known.record.volume(name).is_none() {
            return Err(unknown_volume(id, name));
        }
        if known.is_mounted(name) {
            return Err(Refusal::Invalid(format!(
                "volume {name} of reservation {id} is in use by a task; end that first"
            )));
        }
        self.check_volume_changes()?;
        if let Some(known) = self.reservation_mut(id) {
            known.record = Arc::new(with_volume_state(
                &known.record,
                name,
                VolumeState::Destroying,
            ));
        }
        self.effects.volumes.push(VolumeChange {
            reservation: id,
            name: Arc::from(name),
            size_bytes: None,
        });
        Ok(())
    }

    /// `driver.reservations`
    #[must_use]
    pub fn reservations(&self, after: Option<ReservationId>, limit: usize) -> Vec<Reservation> {
        let from = after.map_or(ReservationId(0), |id| ReservationId(id.0.saturating_add(1)));
        let limit = limit.min(PAGE_MAX);
        let mut page: BTreeMap<ReservationId, &Reservation> = BTreeMap::new();
        for of_role in &self.turn.view.reservations {
            let known = of_role.range_from(&from).take(limit);
            page.extend(known.map(|(id, known)| (*id, &**known)));
        }
        let changed = self.reserved.range(from..);
        page.extend(changed.map(|(id, changed)| (*id, changed)));
        page.into_values().take(limit).cloned().collect()
    }

    fn check_volume_changes(&self) -> Result<(), Refusal> {
        if self.effects.volumes.len() < VOLUME_CHANGES_PER_TURN_MAX {
            return Ok(());
        }
        Err(Refusal::Limit(format!(
            "volume-changes-per-turn-max: at most {VOLUME_CHANGES_PER_TURN_MAX} volumes made and destroyed in a turn"
        )))
    }

    fn known_reservation(&self, id: ReservationId) -> Result<&Reservation, Refusal> {
        let known = self.reserved.get(&id);
        known
            .or_else(|| self.turn.view.reservation(id).map(|known| &**known))
            .ok_or_else(|| {
                Refusal::Unknown(format!(
                    "reservation {id} is none of the framework's role, nor of one above it"
                ))
            })
    }

    /// The turn's own copy of a reservation.
    pub(super) fn reservation_mut(&mut self, id: ReservationId) -> Option<&mut Reservation> {
        if !self.reserved.contains_key(&id) {
            let known = self.turn.view.reservation(id)?;
            self.reserved.insert(id, Reservation::clone(known));
        }
        self.reserved.get_mut(&id)
    }

    /// Whether a task may have its volumes, and may be what it says it is on a reservation.
    pub(super) fn check_mounts(
        &self,
        task: &TaskSpec,
        reservation: Option<ReservationId>,
        group: Option<&Arc<str>>,
    ) -> Result<(), Refusal> {
        let Some(id) = reservation else {
            return match task.mounts.first() {
                None => Ok(()),
                Some(mount) => Err(Refusal::Invalid(format!(
                    "task {}: volume {} is of no reservation; launch it on the offer of one",
                    task.id, mount.volume
                ))),
            };
        };
        if task.preemptible {
            return Err(Refusal::Invalid(format!(
                "task {}: it may not be preemptible on a reservation, which nobody else could use",
                task.id
            )));
        }
        let known = self.known_reservation(id)?;
        for mount in &task.mounts {
            let name = mount.volume.as_str();
            match known.record.volume(name) {
                None => return Err(unknown_volume(id, name)),
                Some(volume) if volume.state == VolumeState::Destroying => {
                    return Err(Refusal::Invalid(format!(
                        "task {}: volume {name} of reservation {id} is being destroyed",
                        task.id
                    )));
                }
                Some(_) if known.is_mounted(name) && !self.mounted_in_group(id, name, group) => {
                    return Err(Refusal::Invalid(format!(
                        "task {}: volume {name} of reservation {id} is in use by another task",
                        task.id
                    )));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether only tasks that are launched in this turn in this group have the volume.
    fn mounted_in_group(&self, id: ReservationId, name: &str, group: Option<&Arc<str>>) -> bool {
        let before = self.turn.view.reservation(id);
        let mounts = |launch: &crate::turn::Launch| {
            launch.reservation == Some(id) && launch.spec.mounts.iter().any(|m| m.volume == name)
        };
        let mut launches = self.effects.launches.iter().filter(|l| mounts(l));
        group.is_some()
            && !before.is_some_and(|known| known.is_mounted(name))
            && launches.all(|launch| launch.group.as_ref() == group)
    }
}

fn unknown_volume(id: ReservationId, name: &str) -> Refusal {
    Refusal::Unknown(format!(
        "volume {name}: there is none of this name in reservation {id}"
    ))
}
