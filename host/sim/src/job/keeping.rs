//! What a framework keeps of offers: now and then a part of one becomes a reservation, mostly with a
//! volume, on which its tasks run from then on; and it is given back when nothing is left to run there,
//! or before.

use super::playing::{Place, Playing, of_kept, single};
use mezzo_core::record::{Maker, VolumeState};
use mezzo_core::state::Reservation;
use mezzo_core::turn::Offer;
use mezzo_types::{ReservationId, Resources};
use std::sync::Arc;

/// The volume of each reservation that has one.
const VOLUME: &str = "data";
/// What is not unused yet is looked at again after so long, in milliseconds.
const LOOK_AGAIN_MS: u64 = 2_000;
/// Reservations that are looked at in a turn, at most.
const LOOKED_AT_MAX: usize = 1_000;

impl Playing<'_> {
    /// What it has made itself and not given back.
    fn own(&self) -> Vec<Reservation> {
        if self.kind.framework.keeps_per_mille == 0 {
            return Vec::new();
        }
        let name = &self.ledger.turn().name;
        let is_own = |known: &Reservation| {
            let by = &known.record.made_by;
            !known.record.ending && matches!(by, Maker::Framework(by) if by == name)
        };
        let mut known = self.ledger.reservations(None, LOOKED_AT_MAX);
        known.retain(is_own);
        known
    }

    /// The names of those.
    pub(super) fn kept(&self) -> Vec<ReservationId> {
        self.own().iter().map(|known| known.record.id).collect()
    }

    /// Keeps a part of the first offer, and mostly launches on it, if chance wants it.
    pub(super) fn keep_of(&mut self, offers: &mut [Offer]) {
        let per_mille = self.kind.framework.keeps_per_mille;
        let Some(offer) = offers.first_mut() else {
            return;
        };
        if self.has_no_singles() || !self.chance.chance(per_mille) {
            return;
        }
        let sizes = 0..self.kind.sizes.len();
        let Some(size) = sizes
            .rev()
            .find(|size| offer.free.contains(&self.kind.sizes[*size]))
        else {
            return;
        };
        let each = self.kind.sizes[size].clone();
        let ends_ms = self.chance.between(1_000, 20_000);
        let now = self.ledger.turn().now;
        let until = self.chance.chance(500).then(|| now.after_ms(ends_ms));
        let new = self
            .ledger
            .reserve(offer.id, each.clone(), vec![], until)
            .expect("what is offered can be kept");
        offer.free.take(&each);
        self.wants_anew = true;
        let mut free = Offer {
            id: new.offer,
            free: each.clone(),
            reservation: Some(new.reservation),
            ..offer.clone()
        };
        if each.disk_bytes > 0 && self.chance.chance(800) {
            self.ledger
                .create_volume(new.reservation, VOLUME, each.disk_bytes)
                .expect("there is room for it");
            free.free.disk_bytes = 0;
            free.volumes = vec![Arc::from(VOLUME)];
        }
        if self.chance.chance(800) {
            self.launch_one_by_one(free, single);
        }
    }

    /// Launches on a reservation: its own, or one that operators made for its role.
    pub(super) fn launch_on_reserved(&mut self, offer: Offer) {
        let own = self.kept();
        if offer.reservation.is_some_and(|id| own.contains(&id)) {
            self.launch_one_by_one(offer, of_kept);
        } else {
            self.launch_one_by_one(offer, single);
        }
        self.wants_anew = true;
    }

    /// Each task has a volume for its disk, as long as there is one that nobody uses.
    fn launch_one_by_one(&mut self, offer: Offer, demand: fn(usize) -> String) {
        let (mut free, mut volumes) = (offer.free, offer.volumes);
        for size in (0..self.kind.sizes.len()).rev() {
            loop {
                let mut each: Resources = self.kind.sizes[size].clone();
                if !volumes.is_empty() {
                    each.disk_bytes = 0;
                }
                if !free.contains(&each) {
                    break;
                }
                let Some(number) = self.next(size) else { break };
                free.take(&each);
                let place = Place {
                    offer: offer.id,
                    demand: demand(size),
                    each,
                    reserved: Some(volumes.pop()),
                };
                let placement = self.placement(number, place);
                self.ledger
                    .launch(vec![placement])
                    .expect("what is reserved fits");
            }
        }
    }

    /// What it keeps and nothing uses is given back when nothing is left to run there, and now and then
    /// before; its volume goes first. Nobody says when that is gone, so it looks again.
    pub(super) fn give_back(&mut self) {
        let own = self.own();
        if own.is_empty() {
            return;
        }
        self.ledger
            .timer_set("kept", LOOK_AGAIN_MS)
            .expect("one timer");
        let done = self.has_no_singles();
        for known in own {
            let id = known.record.id;
            let used = !known.users.is_empty() || !known.used.is_none();
            if used || !(done || self.chance.chance(200)) {
                continue;
            }
            let volumes = &known.record.volumes;
            for volume in volumes
                .iter()
                .filter(|it| it.state != VolumeState::Destroying)
            {
                self.ledger
                    .destroy_volume(id, &volume.name)
                    .expect("nobody uses it");
            }
            if volumes.is_empty() {
                self.ledger.unreserve(id).expect("nothing uses it");
                self.wants_anew = true;
            }
        }
    }
}
