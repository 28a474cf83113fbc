//! What waits for the driver's thread: events in the order in which they came, and how far the
//! registry has got. Two lanes, so that a driver that waits for the registry can hear from it.

use mezzo_core::Event;
use mezzo_types::BatchId;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Why a leadership is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The master is asked to stop.
    Stopped,
    /// The registry did not take a batch, or nobody knows whether it did.
    Lost(String),
}

/// See the module.
#[derive(Debug)]
pub struct Mailbox {
    inner: Mutex<Inner>,
    wake: Condvar,
    room: Notify,
    events_max: usize,
    unsaved_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Event>,
    durable: BatchId,
    /// Bytes of batches that are on their way to the disk.
    unsaved_bytes: usize,
    ending: Option<Ending>,
}

/// What the driver wakes up for.
#[derive(Debug, Default)]
pub struct Mail {
    /// In order.
    pub events: VecDeque<Event>,
    /// The newest batch that is durable.
    pub durable: BatchId,
    /// Nothing more is to be done.
    pub ending: Option<Ending>,
}

impl Mailbox {
    /// An empty one. `events_max` holds for those that can wait; `unsaved_bytes_max` is how much may
    /// be on its way to the registry before the driver is given no more events.
    #[must_use]
    pub fn new(events_max: usize, unsaved_bytes_max: usize) -> Mailbox {
        Mailbox {
            inner: Mutex::default(),
            wake: Condvar::new(),
            room: Notify::new(),
            events_max,
            unsaved_bytes_max,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event that cannot wait: an end of a turn, of a session, of a request.
    pub fn post(&self, event: Event) {
        self.lock().events.push_back(event);
        self.wake.notify_one();
    }

    /// Adds an event once there is room.
    pub async fn post_when_room(&self, event: Event) {
        loop {
            let room = self.room.notified();
            {
                let mut inner = self.lock();
                if inner.events.len() < self.events_max || inner.ending.is_some() {
                    inner.events.push_back(event);
                    self.wake.notify_one();
                    return;
                }
            }
            room.await;
        }
    }

    /// A batch of so many bytes is on its way.
    pub fn saving(&self, bytes: usize) {
        self.lock().unsaved_bytes += bytes;
    }

    /// Batches up to this one are durable; together they had so many bytes.
    pub fn saved(&self, batch: BatchId, bytes: usize) {
        let mut inner = self.lock();
        inner.durable = inner.durable.max(batch);
        inner.unsaved_bytes = inner.unsaved_bytes.saturating_sub(bytes);
        drop(inner);
        self.wake.notify_one();
    }

    /// Ends the leadership; the first reason counts.
    pub fn end(&self, ending: Ending) {
        self.lock().ending.get_or_insert(ending);
        self.wake.notify_one();
        self.room.notify_waiters();
    }

    /// Waits until there is something, or until `deadline`. `seen` is what the driver knows to be
    /// durable already; with `held` it takes no events, only news of the registry.
    #[must_use]
    pub fn wait(&self, seen: BatchId, deadline: Option<Duration>, held: bool) -> Mail {
        let until = deadline.map(|after| Instant::now() + after);
        let mut inner = self.lock();
        loop {
            let takes_events = !held && inner.unsaved_bytes <= self.unsaved_bytes_max;
            let news = inner.durable > seen
                || inner.ending.is_some()
                || (takes_events && !inner.events.is_empty());
            let now = Instant::now();
            let late = takes_events && until.is_some_and(|until| until <= now);
            if news || late {
                let events = if takes_events {
                    std::mem::take(&mut inner.events)
                } else {
                    VecDeque::new()
                };
                let mail = Mail {
                    events,
                    durable: inner.durable,
                    ending: inner.ending.clone(),
                };
                drop(inner);
                self.room.notify_waiters();
                return mail;
            }
            inner = match until.filter(|_| takes_events) {
                Some(until) => {
                    let left = until.saturating_duration_since(now);
                    self.wake
                        .wait_timeout(inner, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .wake
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_waits_for_the_registry_hears_from_it_alone() {
        let mailbox = Mailbox::new(10, 100);
        mailbox.saving(101);
        mailbox.post(Event::Tick);
        mailbox.saved(BatchId(1), 0);
        let mail = mailbox.wait(BatchId(0), None, false);
        assert!(mail.events.is_empty());
        assert_eq!(mail.durable, BatchId(1));
        mailbox.saved(BatchId(2), 101);
        let mail = mailbox.wait(BatchId(1), None, false);
        assert_eq!((mail.events.len(), mail.durable), (1, BatchId(2)));
        mailbox.post(Event::Tick);
        mailbox.saved(BatchId(3), 0);
        let mail = mailbox.wait(BatchId(2), None, true);
        assert_eq!((mail.events.len(), mail.durable), (0, BatchId(3)));
    }

    #[tokio::test]
    async fn an_event_without_room_waits_for_it() {
        let mailbox = Mailbox::new(1, 100);
        mailbox.post_when_room(Event::Tick).await;
        let second = mailbox.post_when_room(Event::Tick);
        tokio::pin!(second);
        let mut noop = std::task::Context::from_waker(std::task::Waker::noop());
        let polled = second.as_mut().poll(&mut noop);
        assert!(polled.is_pending(), "there is no room");
        assert_eq!(mailbox.wait(BatchId(0), None, false).events.len(), 1);
        second.await;
        assert_eq!(mailbox.wait(BatchId(0), None, false).events.len(), 1);
    }
}
