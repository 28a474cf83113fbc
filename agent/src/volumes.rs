//! Volumes: `volumes/<reservation>/<name>/`, made and destroyed when the master says so, and never
//! otherwise: a folder that no master speaks of stays where it is.
//!
//! What is made is synced, for it outlives the boot. Sizes are the master's bookkeeping: a folder is
//! not held to any.

use crate::{Error, ended, io};
use mezzo_agent_core::Volume;
use std::fs::File;
use std::io::{Error as IoError, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// All volumes of an agent.
#[derive(Clone, Debug)]
pub struct Volumes {
    root: PathBuf,
}

impl Volumes {
    /// Uses the agent's folder.
    pub fn open(folder: &Path) -> std::result::Result<Volumes, Error> {
        let root = folder.join("volumes");
        let made = make(folder, &root);
        made.map_err(io(format!("make {}", root.display())))?;
        Ok(Volumes { root })
    }

    /// Makes a volume. One that is there stays as it is.
    pub fn create(&self, volume: &Volume) -> Result<()> {
        let (reservation, path) = self.place(volume)?;
        make(&self.root, &reservation)?;
        make(&reservation, &path)
    }

    /// Where a volume is, if it is there. It is never made here: an empty folder in place of data that
    /// was lost would be taken for the data.
    pub fn find(&self, volume: &Volume) -> Result<PathBuf> {
        let (_, path) = self.place(volume)?;
        match path.symlink_metadata()?.is_dir() {
            true => Ok(path),
            false => Err(ErrorKind::NotADirectory.into()),
        }
    }

    /// Destroys a volume, or what an earlier try has left of it. It is put aside first: what is half
    /// gone is never mounted.
    pub fn destroy(&self, volume: &Volume) -> Result<()> {
        let (reservation, path) = self.place(volume)?;
        // No volume's name begins like that.
        let aside = reservation.join(format!(".{}", volume.name));
        remove(&aside)?;
        match std::fs::rename(&path, &aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        sync(&reservation)?;
        remove(&aside)?;
        sync(&reservation)?;
        // The last one of its reservation leaves nothing behind; others keep the folder.
        let _ = std::fs::remove_dir(&reservation);
        Ok(())
    }

    /// The folder of its reservation, and its own. What the master says becomes no other path.
    fn place(&self, volume: &Volume) -> Result<(PathBuf, PathBuf)> {
        mezzo_types::check_name(&volume.name)
            .map_err(|problem| IoError::new(ErrorKind::InvalidInput, problem.to_string()))?;
        let reservation = self.root.join(volume.reservation.to_string());
        let path = reservation.join(&volume.name);
        Ok((reservation, path))
    }
}

/// Makes a folder in another, on the disk.
fn make(outer: &Path, path: &Path) -> Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if !path.symlink_metadata()?.is_dir() {
                return Err(ErrorKind::NotADirectory.into());
            }
        }
        made => made?,
    }
    sync(outer)
}

fn sync(folder: &Path) -> Result<()> {
    File::open(folder)?.sync_all()
}

fn remove(path: &Path) -> Result<()> {
    match ended::remove(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mezzo_types::ReservationId;

    fn volume(reservation: u64, name: &str) -> Volume {
        Volume {
            reservation: ReservationId(reservation),
            name: name.into(),
        }
    }

    #[test]
    fn a_volume_is_made_once_and_destroyed_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let volumes = Volumes::open(folder.path()).expect("opened");
        let (data, other) = (volume(7, "data"), volume(7, "other"));
        volumes.find(&data).expect_err("not made yet");
        volumes.create(&data).expect("made");
        volumes.create(&other).expect("made");
        let path = volumes.find(&data).expect("there");
        assert_eq!(path, folder.path().join("volumes/7/data"));
        std::fs::create_dir(path.join("inner")).expect("writable");
        std::fs::write(path.join("inner/file"), "kept").expect("writable");

        volumes.create(&data).expect("it is there");
        let again = Volumes::open(folder.path()).expect("opened");
        let path = again.find(&data).expect("there");
        assert_eq!(
            std::fs::read(path.join("inner/file")).expect("readable"),
            b"kept"
        );

        again.destroy(&data).expect("destroyed");
        again.find(&data).expect_err("gone");
        again.destroy(&data).expect("repeating it does no harm");
        again.find(&other).expect("untouched");
        again.destroy(&other).expect("destroyed");
        assert!(!folder.path().join("volumes/7").exists());
    }

    #[test]
    fn what_an_earlier_try_has_left_goes_with_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let volumes = Volumes::open(folder.path()).expect("opened");
        let data = volume(7, "data");
        volumes.create(&data).expect("made");
        let aside = folder.path().join("volumes/7/.data");
        std::fs::create_dir(&aside).expect("writable");
        std::fs::write(aside.join("half"), "").expect("writable");
        volumes.destroy(&data).expect("destroyed");
        assert!(!aside.exists());
        volumes.find(&data).expect_err("gone");
    }

    #[test]
    fn no_name_leads_elsewhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let volumes = Volumes::open(folder.path()).expect("opened");
        let outside = folder.path().join("outside");
        std::fs::create_dir(&outside).expect("writable");
        for bad in ["", ".", "..", "../../outside", "a/b", ".data", "/etc"] {
            volumes.create(&volume(7, bad)).expect_err(bad);
            volumes.find(&volume(7, bad)).expect_err(bad);
            volumes.destroy(&volume(7, bad)).expect_err(bad);
        }
        // A link in a volume's place is none.
        volumes.create(&volume(7, "data")).expect("made");
        std::os::unix::fs::symlink(&outside, folder.path().join("volumes/7/link")).expect("a link");
        volumes.create(&volume(7, "link")).expect_err("a link");
        volumes.find(&volume(7, "link")).expect_err("a link");
        assert!(outside.is_dir());
    }
}
