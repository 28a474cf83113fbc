//! Components: checked, compiled and stored before anything names them, and taken away when nothing
//! does any more.

use mezzo_registry::{BlobError, Blobs, FileBlobs};
use mezzo_types::Digest;
use mezzo_wasm::{Prepared, Refused, Sandbox};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The store. One thing at a time changes it, so that a component that is being installed is not
/// taken away by a removal beside it.
pub struct Components {
    blobs: FileBlobs,
    size_max: u64,
    /// Digests that an install holds at the moment.
    held: Mutex<Vec<Digest>>,
}

/// Why a component was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// It does not fit.
    #[error(transparent)]
    Refused(#[from] Refused),
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
    /// Uses this store.
    #[must_use]
    pub fn new(blobs: FileBlobs, size_max: u64) -> Components {
        Components {
            blobs,
            size_max,
            held: Mutex::default(),
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<Digest>> {
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
    pub fn take_framework(
        self: &Arc<Self>,
        sandbox: &Sandbox,
        bytes: &[u8],
    ) -> Result<Held, NotTaken> {
        let digest = Digest(sha2(bytes));
        let prepared = sandbox.prepare(digest, bytes)?;
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
        self.store(bytes)?;
        Ok(held)
    }

    /// Stores a component for module tasks; the agents compile it.
    pub fn take_module(&self, bytes: &[u8]) -> Result<Digest, NotTaken> {
        Ok(self.store(bytes)?)
    }

    fn store(&self, mut bytes: &[u8]) -> Result<Digest, BlobError> {
        let (digest, _) = self.blobs.put(&mut bytes, self.size_max)?;
        Ok(Digest(digest))
    }

    /// Takes one away unless it is in use or held. Whether it was there.
    pub fn remove(
        &self,
        digest: Digest,
        in_use: &BTreeSet<Digest>,
        sandbox: Option<&Sandbox>,
    ) -> Result<bool, BlobError> {
        let held = self.held();
        if in_use.contains(&digest) || held.contains(&digest) {
            return Ok(false);
        }
        if let Some(sandbox) = sandbox {
            sandbox.forget(&digest);
        }
        self.blobs.delete(&digest.0)
    }
}

fn sha2(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
