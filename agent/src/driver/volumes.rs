//! Volumes as the driver handles them: made, destroyed elsewhere, mounted into sandboxes.

use super::{Driver, Input};
use crate::sandbox;
use mezzo_agent_core::{Launch, Volume};
use mezzo_proto::v1;
use mezzo_types::Reason;
use std::path::PathBuf;

impl Driver {
    pub(super) fn create_volume(&self, volume: &Volume) {
        // The master waits for the end of the one before.
        if self.going.contains(volume) {
            return tracing::warn!(?volume, "not made while it is being destroyed");
        }
        match self.volumes.create(volume) {
            Ok(()) => self.report(volume, true),
            // Said again at the next session; until then whatever mounts it fails.
            Err(error) => tracing::error!(?volume, "could not be made: {error}"),
        }
    }

    /// Elsewhere, for there may be much in it.
    pub(super) fn destroy_volume(&mut self, volume: Volume) {
        if !self.going.insert(volume.clone()) {
            return;
        }
        let (volumes, own) = (self.volumes.clone(), self.own.clone());
        self.runtime.spawn_blocking(move || {
            let result = volumes.destroy(&volume);
            let _ = own.send(Input::Destroyed(volume, result));
        });
    }

    pub(super) fn destroyed(&mut self, volume: Volume, result: std::io::Result<()>) {
        self.going.remove(&volume);
        match result {
            Ok(()) => self.report(&volume, false),
            Err(error) => tracing::error!(?volume, "could not be destroyed: {error}"),
        }
    }

    fn report(&self, volume: &Volume, exists: bool) {
        self.say(v1::from_agent::Message::VolumeReport(v1::VolumeReport {
            reservation: volume.reservation.0,
            name: volume.name.clone(),
            exists,
        }));
    }

    /// The folder of each volume that a task mounts, and where in its sandbox it is to be.
    pub(super) fn mounts(&self, launch: &Launch) -> Result<Vec<(PathBuf, String)>, String> {
        let found = launch.volumes().map(|(volume, path)| {
            let folder = self.volumes.find(&volume).map_err(|error| {
                format!(
                    "volume {} of reservation {} is not on this agent ({error}): its data was lost, or it could not be made; once it is destroyed and created again it is empty",
                    volume.name, volume.reservation
                )
            })?;
            Ok((folder, path.to_string()))
        });
        found.collect()
    }

    /// Makes the sandbox, with its links to volumes if it is to have any.
    pub(super) fn sandbox(
        &self,
        launch: &Launch,
        mounts: &[(PathBuf, String)],
    ) -> Result<PathBuf, (Reason, String)> {
        let sandbox = sandbox::make(&self.runs.folder(launch.run), &launch.spec.files)
            .map_err(|error| (Reason::SandboxFailed, format!("make the sandbox: {error}")))?;
        for (folder, path) in mounts {
            sandbox::link(&sandbox, path, folder).map_err(|error| {
                let message = format!("the volume cannot be mounted at {path:?}: {error}");
                (Reason::VolumeFailed, message)
            })?;
        }
        Ok(sandbox)
    }
}
