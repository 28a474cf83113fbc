//! Server-sent events over the contract's streams.

use crate::Cx;
use serde::Serialize;
use std::collections::BTreeMap;

/// One event as it goes over the wire.
pub fn event(name: &str, data: &impl Serialize) -> Vec<u8> {
    match serde_json::to_string(data) {
        Ok(json) => format!("event: {name}\ndata: {json}\n\n").into_bytes(),
        Err(error) => panic!("an event is no JSON: {error}"),
    }
}

/// Who listens to which topic. It lives in memory only: streams end with the instance, and clients ask again.
#[derive(Debug)]
pub struct Broadcast<T> {
    listeners: BTreeMap<T, Vec<u64>>,
    count: usize,
}

impl<T: Ord> Default for Broadcast<T> {
    fn default() -> Self {
        Broadcast {
            listeners: BTreeMap::new(),
            count: 0,
        }
    }
}

impl<T: Ord> Broadcast<T> {
    /// How many listen in all.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether somebody listens to this topic: there is no need to make events that nobody hears.
    pub fn heard(&self, topic: &T) -> bool {
        self.listeners.contains_key(topic)
    }

    /// Adds the stream that answers request `id`.
    pub fn join(&mut self, topic: T, id: u64) {
        self.listeners.entry(topic).or_default().push(id);
        self.count += 1;
    }

    /// Sends to all who listen to the topic; those that have gone are left out from now on.
    pub fn send(&mut self, cx: &mut Cx<'_>, topic: &T, chunk: &[u8]) {
        if let Some(ids) = self.listeners.get_mut(topic) {
            let before = ids.len();
            ids.retain(|id| cx.stream_write(*id, chunk));
            self.count -= before - ids.len();
            if ids.is_empty() {
                self.listeners.remove(topic);
            }
        }
    }

    /// Like [`Broadcast::send`], as long as `budget` (in bytes) lasts: whoever it does not reach is cut off, since a
    /// piece that is left out would go unnoticed. Returns how many were.
    pub fn send_within(
        &mut self,
        cx: &mut Cx<'_>,
        topic: &T,
        chunk: &[u8],
        budget: &mut usize,
    ) -> usize {
        let Some(ids) = self.listeners.get_mut(topic) else {
            return 0;
        };
        let (before, mut cut) = (ids.len(), 0);
        ids.retain(|id| {
            if chunk.len() > *budget {
                cx.stream_close(*id);
                cut += 1;
                return false;
            }
            *budget -= chunk.len();
            cx.stream_write(*id, chunk)
        });
        self.count -= before - ids.len();
        if ids.is_empty() {
            self.listeners.remove(topic);
        }
        cut
    }

    /// Ends all streams of a topic.
    pub fn close(&mut self, cx: &mut Cx<'_>, topic: &T) {
        for id in self.listeners.remove(topic).unwrap_or_default() {
            cx.stream_close(id);
            self.count -= 1;
        }
    }

    /// Forgets streams whose client has gone: for [`crate::Framework::streams_closed`].
    pub fn gone(&mut self, ids: &[u64]) {
        let count = &mut self.count;
        self.listeners.retain(|_, listeners| {
            let before = listeners.len();
            listeners.retain(|id| !ids.contains(id));
            *count -= before - listeners.len();
            !listeners.is_empty()
        });
    }
}
