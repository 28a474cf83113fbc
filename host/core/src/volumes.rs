//! Volumes: made and destroyed on agents, said again until the agent has answered.
//!
//! A volume's space is used from the moment it is asked for until its agent says that its data is
//! gone. An agent is told to destroy one only when no task has it mounted.

use crate::action::{Action, Answer, RefusedKind};
use crate::cluster::Cluster;
use crate::ledger::{Refusal, invalid_volume, with_volume, with_volume_state};
use crate::record::{Record, ReservationRecord, VolumeState};
use crate::reservations::no_reservation;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{AgentId, RequestId, ReservationId, SessionId};

impl Cluster {
    pub(crate) fn on_create_volume(
        &mut self,
        id: RequestId,
        reservation: ReservationId,
        name: &str,
        size_bytes: u64,
    ) {
        let Some(known) = self.state.reservation(reservation) else {
            return self.refuse(id, RefusedKind::NotFound, no_reservation(reservation));
        };
        if known.record.ending {
            let message = format!("reservation {reservation} was given back");
            return self.refuse(id, RefusedKind::Conflict, message);
        }
        if let Some(refusal) = invalid_volume(known, name, size_bytes) {
            let (kind, message) = match refusal {
                Refusal::Limit(message) => (RefusedKind::Limit, message),
                Refusal::Insufficient(message) => (RefusedKind::Conflict, message),
                Refusal::Invalid(message)
                | Refusal::Unknown(message)
                | Refusal::Forbidden(message)
                | Refusal::Other(message) => (RefusedKind::Invalid, message),
            };
            return self.refuse(id, kind, message);
        }
        if self.lent.contains_key(&reservation) {
            let message = format!(
                "reservation {reservation} is being offered to a framework; try again in a moment"
            );
            return self.refuse(id, RefusedKind::Unavailable, message);
        }
        self.create_volume(reservation, name, size_bytes);
        self.reply(id, Answer::Done);
    }

    /// Makes a volume, unless its reservation went meanwhile: then what mounts it is lost.
    pub(crate) fn create_volume(&mut self, id: ReservationId, name: &str, size_bytes: u64) {
        let Some(known) = self.state.reservation(id) else {
            return;
        };
        if known.record.ending || known.record.volume(name).is_some() {
            return;
        }
        let record = with_volume(&known.record, name, size_bytes, self.now);
        self.change_volumes(record);
        self.send_volume(id, name);
        // Its disk is smaller, but whoever wants the volume can have it now.
        self.reservation_improved(id);
    }

    fn change_volumes(&mut self, record: ReservationRecord) {
        self.record(Record::Reservation(Arc::new(record)));
    }

    pub(crate) fn on_destroy_volume(
        &mut self,
        id: RequestId,
        reservation: ReservationId,
        name: &str,
    ) {
        let Some(known) = self.state.reservation(reservation) else {
            return self.refuse(id, RefusedKind::NotFound, no_reservation(reservation));
        };
        if known.record.volume(name).is_none() {
            let message = format!("reservation {reservation} has no volume {name:?}");
            return self.refuse(id, RefusedKind::NotFound, message);
        }
        if known.is_mounted(name) {
            let message = format!(
                "volume {name} of reservation {reservation} is in use by a task; end that first"
            );
            return self.refuse(id, RefusedKind::Conflict, message);
        }
        self.destroy_volume(reservation, name);
        self.reply(id, Answer::Done);
    }

    /// Destroys a volume. Should a task have mounted it meanwhile, that is ended by itself first.
    pub(crate) fn destroy_volume(&mut self, id: ReservationId, name: &str) {
        let Some(known) = self.state.reservation(id) else {
            return;
        };
        if known.record.volume(name).is_some() && !known.is_mounted(name) {
            let record = with_volume_state(&known.record, name, VolumeState::Destroying);
            self.change_volumes(record);
            self.send_volume(id, name);
        }
    }

    /// Tells a reservation's agent what is to become of a volume; without a session it is told when it
    /// is back.
    fn send_volume(&mut self, id: ReservationId, name: &str) {
        let Some(known) = self.state.reservation(id) else {
            return;
        };
        let (Some(session), Some(volume)) = (
            self.session_of(known.record.agent),
            known.record.volume(name),
        ) else {
            return;
        };
        let (volume, state) = (Arc::clone(&volume.name), volume.state);
        match state {
            VolumeState::Making => self.show(Action::CreateVolume {
                session,
                reservation: id,
                volume,
            }),
            VolumeState::Destroying => self.show(Action::DestroyVolume {
                session,
                reservation: id,
                volume,
            }),
            VolumeState::Ready => {}
        }
    }

    /// An agent is back: what it may not have heard.
    pub(crate) fn send_all_volumes(&mut self, agent: AgentId) {
        let known = self.state.agents.get(&agent);
        let ids: Vec<ReservationId> = known.map_or_else(Vec::new, |known| {
            known.reservations.iter().copied().collect()
        });
        for id in ids {
            let Some(known) = self.state.reservation(id).cloned() else {
                continue;
            };
            for volume in &known.record.volumes {
                self.send_volume(id, &volume.name);
            }
        }
    }

    pub(crate) fn on_volume_reported(
        &mut self,
        session: SessionId,
        id: ReservationId,
        name: &str,
        exists: bool,
    ) {
        let agent = self.sessions.get(&session).copied();
        let Some(known) = self.state.reservation(id) else {
            return;
        };
        if agent != Some(known.record.agent) {
            return;
        }
        let record = Arc::clone(&known.record);
        match record.volume(name).map(|volume| volume.state) {
            Some(VolumeState::Making) if exists => {
                self.change_volumes(with_volume_state(&record, name, VolumeState::Ready));
            }
            Some(VolumeState::Destroying) if !exists => {
                let mut record = ReservationRecord::clone(&record);
                record.volumes.retain(|volume| &*volume.name != name);
                self.change_volumes(record);
                self.reservation_improved(id);
                self.finish_reservation(id);
            }
            _ => {}
        }
    }
}
