//! Volumes: folders that outlive tasks. Whether one may be destroyed is decided here; what is in them
//! is nobody's business.

use crate::{Action, Agent, Launch};
use alloc::string::String;
use alloc::vec::Vec;
use mezzo_types::{ReservationId, Run};

/// Which volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// Of which reservation.
    pub reservation: ReservationId,
    /// Unique there.
    pub name: String,
}

impl Launch {
    /// The volumes that it has mounted, each with its path in the sandbox.
    pub fn volumes(&self) -> impl Iterator<Item = (Volume, &str)> {
        let of = self.reservation;
        self.spec.mounts.iter().filter_map(move |mount| {
            let volume = Volume {
                reservation: of?,
                name: mount.volume.clone(),
            };
            Some((volume, mount.path.as_str()))
        })
    }
}

impl Agent {
    /// The master asks for it only when no task uses the volume. A run that it has given up may be
    /// here all the same: its data is not taken from under it.
    pub(crate) fn destroy_volume(&mut self, volume: Volume, out: &mut Vec<Action>) {
        if self.is_mounted(&volume) {
            self.doomed.insert(volume);
        } else {
            out.push(Action::DestroyVolume(volume));
        }
    }

    /// A run has ended: what waited for that is destroyed.
    pub(crate) fn destroy_doomed(&mut self, run: Run, out: &mut Vec<Action>) {
        if self.doomed.is_empty() {
            return;
        }
        let launch = self.runs.get(&run).map(|life| &life.launch);
        let left: Vec<Volume> = launch
            .into_iter()
            .flat_map(Launch::volumes)
            .map(|(volume, _)| volume)
            .filter(|volume| self.doomed.contains(volume) && !self.is_mounted(volume))
            .collect();
        for volume in left {
            self.doomed.remove(&volume);
            out.push(Action::DestroyVolume(volume));
        }
    }

    fn is_mounted(&self, volume: &Volume) -> bool {
        self.runs.values().any(|life| {
            !life.status.state.is_final()
                && life.launch.volumes().any(|(mounted, _)| mounted == *volume)
        })
    }
}
