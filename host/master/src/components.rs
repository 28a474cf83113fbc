//! Components: checked, compiled and stored before anything names them, and taken away when nothing
//! does any more.

use crate::config::Limits;
use crate::lead::Lead;
use crate::view::Inner;
use mezzo_core::record::FrameworkRecord;
use mezzo_registry::{BlobError, Blobs, FileBlobs};
use mezzo_types::{Digest, Workload};
use mezzo_wasm::{Prepared, Refused};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The store. One thing at a time changes it, so that a component that is being installed is not
/// taken away by a removal beside it.
pub struct Components {
    blobs: FileBlobs,
    /// Where the blobs are, each under its digest: their age is that of their files.
    folder: PathBuf,
    one_bytes_max: u64,
    all_bytes_max: u64,
    /// Digests that an install holds at the moment.
    held: Mutex<Vec<Digest>>,
    /// Held by whoever makes room and then uses it.
    storing: Mutex<()>,
}

/// What a framework runs, and what it can be rolled back to.
pub fn needed(record: &FrameworkRecord) -> impl Iterator<Item = Digest> {
    [Some(record.component), record.upgraded_from]
        .into_iter()
        .flatten()
}

/// Every digest that a framework or a task that has not ended needs.
pub fn in_use(inner: &Inner) -> BTreeSet<Digest> {
    let frameworks = inner.state.frameworks.values();
    let by_tasks = frameworks.clone().flat_map(|f| f.tasks.values());
    let by_tasks = by_tasks
        .filter(|task| !task.status.state.is_final())
        .filter_map(|task| match &task.record.spec.workload {
            Workload::Module { component, .. } => Some(*component),
            _ => None,
        });
    frameworks
        .flat_map(|f| needed(&f.record))
        .chain(by_tasks)
        .collect()
}

/// Why a component was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It does not fit.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What is in use leaves no room for it.
    #[error(
        "there is no room for the component: {needed} bytes beside {used} that are in use, and components_bytes_max is {max}; remove frameworks that are not needed, or have the operator raise the limit"
    )]
    NoRoom {
        /// What it has.
        needed: u64,
        /// What cannot be taken away.
        used: u64,
        /// The limit.
        max: u64,
    },
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] BlobError),
}

/// A component that is stored and not taken away for as long as this is held.
pub struct Held {
    /// Which.
    pub digest: Digest,
    /// What is known of it.
    pub prepared: Prepared,
    /// Whether it was not in the store before.
    pub new: bool,
    components: Arc<Components>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.components.held();
        if let Some(at) = held.iter().position(|digest| *digest == self.digest) {
            held.swap_remove(at);
        }
    }
}

impl Components {
    /// Uses this folder.
    pub fn open(folder: &Path, limits: &Limits) -> Result<Components, BlobError> {
        Ok(Components {
            blobs: FileBlobs::open(folder)?,
            folder: folder.to_path_buf(),
            one_bytes_max: limits.component_bytes_max as u64,
            all_bytes_max: limits.components_bytes_max,
            held: Mutex::default(),
            storing: Mutex::default(),
        })
    }

    fn held(&self) -> MutexGuard<'_, Vec<Digest>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a component.
    pub fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, BlobError> {
        self.blobs.get(&digest.0)
    }

    /// Every component and its size in bytes.
    pub fn list(&self) -> Result<Vec<(Digest, u64)>, BlobError> {
        let all = self.blobs.list()?.into_iter();
        Ok(all.map(|(digest, size)| (Digest(digest), size)).collect())
    }

    /// Checks and compiles a framework's component, then stores it. Slow: not for an async thread.
    pub fn take_framework(self: &Arc<Self>, lead: &Lead, bytes: &[u8]) -> Result<Held, NotTaken> {
        let digest = Digest(sha2(bytes));
        let prepared = lead.sandbox.prepare(digest, bytes)?;
        let new = {
            // No removal comes between the look and the hold. One that another install holds may
            // be left by it, and then this one tidies up.
            let mut held = self.held();
            let stored = self.list()?.iter().any(|(stored, _)| *stored == digest);
            let new = !stored || held.contains(&digest);
            held.push(digest);
            new
        };
        let held = Held {
            digest,
            prepared,
            new,
            components: Arc::clone(self),
        };
        let stored = self.store(lead, digest, bytes);
        if stored.is_err() && new {
            lead.sandbox.forget(&digest);
        }
        stored.map(|()| held)
    }

    /// Checks and stores a component for module tasks; the agents compile it. Slow: not for an async
    /// thread.
    pub fn take_module(&self, lead: &Lead, bytes: &[u8]) -> Result<Digest, NotTaken> {
        mezzo_wasm::check_component(bytes)?;
        let digest = Digest(sha2(bytes));
        self.store(lead, digest, bytes)?;
        Ok(digest)
    }

    fn store(&self, lead: &Lead, digest: Digest, mut bytes: &[u8]) -> Result<(), NotTaken> {
        let _storing = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_room(lead, digest, bytes.len() as u64)?;
        self.blobs.put(&mut bytes, self.one_bytes_max)?;
        Ok(())
    }

    /// Takes components away that nothing uses, the oldest first, until this one fits. Nothing is
    /// taken away if that would not suffice.
    fn make_room(&self, lead: &Lead, digest: Digest, needed: u64) -> Result<(), NotTaken> {
        let held = self.held();
        let mut stored = self.list()?;
        // What is there already is only stored anew.
        stored.retain(|(stored, _)| *stored != digest);
        let mut all: u64 = stored.iter().map(|(_, size)| size).sum();
        if all.saturating_add(needed) <= self.all_bytes_max {
            return Ok(());
        }
        let used = in_use(&lead.view.read());
        stored.retain(|(digest, _)| !used.contains(digest) && !held.contains(digest));
        let unused: u64 = stored.iter().map(|(_, size)| size).sum();
        let used = all - unused;
        if used.saturating_add(needed) > self.all_bytes_max {
            let max = self.all_bytes_max;
            return Err(NotTaken::NoRoom { needed, used, max });
        }
        stored.sort_by_cached_key(|(digest, _)| self.age(*digest));
        for (digest, size) in stored {
            if all.saturating_add(needed) <= self.all_bytes_max {
                break;
            }
            self.delete(lead, digest)?;
            all -= size;
            tracing::info!(%digest, size, "a component that nothing uses made room for a new one");
        }
        Ok(())
    }

    /// When it was stored last.
    fn age(&self, digest: Digest) -> SystemTime {
        std::fs::metadata(self.folder.join(digest.hex()))
            .and_then(|file| file.modified())
            // One that cannot be looked at is of no use to anybody.
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Takes one away unless it is in use or held. Whether it was there.
    pub fn remove(&self, lead: &Lead, digest: Digest) -> Result<bool, BlobError> {
        // An install lets go once its framework is in the view: it is seen here or there.
        let held = self.held();
        if held.contains(&digest) || in_use(&lead.view.read()).contains(&digest) {
            return Ok(false);
        }
        self.delete(lead, digest)
    }

    fn delete(&self, lead: &Lead, digest: Digest) -> Result<bool, BlobError> {
        lead.sandbox.forget(&digest);
        self.blobs.delete(&digest.0)
    }
}

fn sha2(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
