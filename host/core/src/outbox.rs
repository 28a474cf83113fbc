//! What must wait until a batch is durable, in order.
//!
//! Pure, so that the driver and the simulator release in the same order. Everything that anybody
//! outside can see passes through here, even from a turn that wrote nothing: what it says may rest
//! on a batch that is still on its way to the disk.

use crate::action::{Action, Answer};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use mezzo_types::BatchId;

/// Actions and the batches they wait for.
#[derive(Debug, Default)]
pub struct Outbox {
    issued: BatchId,
    durable: BatchId,
    waiting: VecDeque<(BatchId, Action)>,
    bytes: usize,
}

impl Outbox {
    /// A batch was passed on to be made durable. Call it before `push`ing what came after it.
    pub fn issued(&mut self, batch: BatchId) {
        debug_assert!(batch > self.issued, "batches are issued in order");
        self.issued = batch;
    }

    /// Takes an action; gives it back at once when all that was issued is durable and nothing is
    /// waiting before it.
    pub fn push(&mut self, action: Action) -> Option<Action> {
        if self.waiting.is_empty() && self.durable >= self.issued {
            return Some(action);
        }
        self.bytes += weight(&action);
        self.waiting.push_back((self.issued, action));
        None
    }

    /// All batches up to this one are durable: what may be done now, in order. Repeating it does
    /// nothing.
    pub fn durable(&mut self, batch: BatchId) -> impl Iterator<Item = Action> + '_ {
        self.durable = self.durable.max(batch);
        core::iter::from_fn(move || {
            let ready = self
                .waiting
                .front()
                .is_some_and(|(needs, _)| *needs <= self.durable);
            if ready {
                let (_, action) = self.waiting.pop_front()?;
                self.bytes = self.bytes.saturating_sub(weight(&action));
                Some(action)
            } else {
                None
            }
        })
    }

    /// How many actions wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// About how many bytes they take; what is also in the state is not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// About how many bytes an action keeps alive.
fn weight(action: &Action) -> usize {
    let body = match action {
        Action::Reply(_, Answer::Web(response)) => response.body.as_ref().map_or(0, Vec::len),
        Action::Stream(write) => write.chunk.as_ref().map_or(0, Vec::len),
        _ => 0,
    };
    core::mem::size_of::<(BatchId, Action)>() + body
}

#[cfg(test)]
mod tests {
    use super::*;
    use mezzo_types::InstanceId;

    fn action(n: u64) -> Action {
        Action::DropInstance(InstanceId(n))
    }

    fn numbers(actions: impl Iterator<Item = Action>) -> alloc::vec::Vec<u64> {
        actions
            .map(|a| {
                if let Action::DropInstance(n) = a {
                    n.0
                } else {
                    0
                }
            })
            .collect()
    }

    #[test]
    fn nothing_overtakes_and_nothing_leaves_early() {
        let mut outbox = Outbox::default();
        assert!(outbox.push(action(1)).is_some(), "nothing was issued");
        outbox.issued(BatchId(1));
        assert!(outbox.push(action(2)).is_none());
        outbox.issued(BatchId(2));
        assert!(outbox.push(action(3)).is_none());
        assert_eq!(outbox.bytes(), 2 * weight(&action(3)));
        assert_eq!(numbers(outbox.durable(BatchId(1))), [2]);
        assert!(
            outbox.push(action(4)).is_none(),
            "the second batch is still on its way"
        );
        assert_eq!(numbers(outbox.durable(BatchId(2))), [3, 4]);
        assert!(outbox.push(action(5)).is_some());
        assert_eq!((outbox.len(), outbox.bytes()), (0, 0));
    }
}
