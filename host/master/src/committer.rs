//! Makes batches durable: one thread, everything that waits in one write.
//!
//! After a write it feeds the view and then tells the driver, so that nobody hears of what the view
//! does not show yet. A full disk is waited out; any other failure ends the leadership.

use crate::keys;
use crate::mailbox::{Ending, Mailbox};
use crate::view::View;
use mezzo_core::Batch;
use mezzo_registry::{CommitError, Registry};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Batches that go in one write at most; their bytes are bounded by the mailbox.
const GROUP_MAX: usize = 4_096;

/// A batch, and its form in the registry.
#[derive(Debug)]
pub struct Saving {
    /// What the core decided.
    pub batch: Batch,
    /// In the registry's form.
    pub encoded: mezzo_registry::Batch,
    /// Of `encoded`.
    pub bytes: usize,
}

impl Saving {
    /// Encodes a batch.
    #[must_use]
    pub fn new(batch: Batch) -> Saving {
        let encoded = keys::encode(&batch);
        let writes = encoded.writes.iter();
        let bytes = encoded.header.len()
            + writes
                .map(|w| w.key.len() + w.value.as_ref().map_or(0, Vec::len))
                .sum::<usize>();
        Saving {
            batch,
            encoded,
            bytes,
        }
    }
}

/// Whether the registry takes commits, for `/readyz` and people.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<String>>);

impl Health {
    /// Why nothing is acknowledged at the moment; none if all is well.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, problem: Option<String>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *held != problem {
            match &problem {
                Some(problem) => tracing::error!(
                    "{problem}; nothing is acknowledged until there is room, and then it goes on by itself"
                ),
                None => tracing::info!("the registry takes commits again"),
            }
        }
        *held = problem;
    }
}

/// The thread's state.
#[derive(Debug)]
pub struct Committer {
    /// The newest batch in the registry.
    pub version: u64,
    /// Fed with what is durable.
    pub view: Arc<View>,
    /// The driver's.
    pub mailbox: Arc<Mailbox>,
    /// Said to people.
    pub health: Arc<Health>,
    /// How long to wait before a full disk is tried again.
    pub full_retry: Duration,
}

impl Committer {
    /// Commits until the driver hangs up or the leadership is lost. Gives the registry back.
    pub fn run(
        mut self,
        mut registry: Box<dyn Registry>,
        batches: &Receiver<Saving>,
    ) -> Box<dyn Registry> {
        while let Ok(first) = batches.recv() {
            let mut group = vec![first];
            while group.len() < GROUP_MAX
                && let Ok(next) = batches.try_recv()
            {
                group.push(next);
            }
            if let Err(lost) = self.commit(&mut *registry, group, batches) {
                self.mailbox.end(Ending::Lost(lost));
                break;
            }
        }
        registry
    }

    fn commit(
        &mut self,
        registry: &mut dyn Registry,
        mut group: Vec<Saving>,
        batches: &Receiver<Saving>,
    ) -> Result<(), String> {
        let mut encoded: Vec<mezzo_registry::Batch> = group
            .iter_mut()
            .map(|saving| std::mem::take(&mut saving.encoded))
            .collect();
        loop {
            match registry.commit(self.version, &encoded) {
                Ok(version) => {
                    self.version = version;
                    self.health.set(None);
                    return self.publish(&group);
                }
                Err(CommitError::Full(what)) => {
                    self.health
                        .set(Some(format!("no space is left for the registry: {what}")));
                    let until = Instant::now() + self.full_retry;
                    loop {
                        let left = until.saturating_duration_since(Instant::now());
                        // A driver that hangs up must not wait for a disk.
                        match batches.recv_timeout(left) {
                            Ok(mut next) => {
                                encoded.push(std::mem::take(&mut next.encoded));
                                group.push(next);
                            }
                            Err(RecvTimeoutError::Timeout) => break,
                            Err(RecvTimeoutError::Disconnected) => {
                                return Err("stopped while the registry had no space".into());
                            }
                        }
                    }
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn publish(&self, group: &[Saving]) -> Result<(), String> {
        for saving in group {
            if let Err(error) = self.view.apply(&saving.batch) {
                return Err(error.to_string());
            }
        }
        let bytes = group.iter().map(|saving| saving.bytes).sum();
        if let Some(last) = group.last() {
            self.mailbox.saved(last.batch.id, bytes);
        }
        Ok(())
    }
}
