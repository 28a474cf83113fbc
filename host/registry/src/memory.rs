//! A registry that is gone with its process: for tests and the simulator.

use crate::{Batch, CommitError, LoadError, Registry, Version};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keys, values and headers in memory. Clones share them, so that a test can "restart" on the same
/// data.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    live: BTreeMap<Vec<u8>, Vec<u8>>,
    headers: Vec<Vec<u8>>,
}

impl Memory {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for Memory {
    fn load(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<Version, LoadError> {
        let contents = self.contents();
        for (key, value) in &contents.live {
            each(key, value);
        }
        Ok(contents.headers.len() as Version)
    }

    fn commit(&mut self, expected: Version, batches: &[Batch]) -> Result<Version, CommitError> {
        let mut contents = self.contents();
        let found = contents.headers.len() as Version;
        if found != expected {
            return Err(CommitError::Conflict { expected, found });
        }
        for batch in batches {
            contents.headers.push(batch.header.clone());
            for write in &batch.writes {
                match &write.value {
                    Some(value) => contents.live.insert(write.key.clone(), value.clone()),
                    None => contents.live.remove(&write.key),
                };
            }
        }
        Ok(contents.headers.len() as Version)
    }

    fn log(&mut self, after: Version, limit: usize) -> Result<Vec<(Version, Vec<u8>)>, LoadError> {
        let contents = self.contents();
        let numbered = (1..).zip(contents.headers.iter().cloned());
        Ok(numbered
            .filter(|(version, _)| *version > after)
            .take(limit)
            .collect())
    }

    fn close(self: Box<Self>) -> Result<(), LoadError> {
        Ok(())
    }
}
