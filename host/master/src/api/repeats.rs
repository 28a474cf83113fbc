//! Answers that are kept for their `Idempotency-Key`: a client that did not hear the answer asks
//! again, and nothing happens twice.
//!
//! Kept in memory, as many as the limits allow; a master that was started anew remembers none.

use super::error::{ApiError, Result};
use mezzo_core::turn::WebResponse;
use mezzo_types::FrameworkId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All kept answers together, in bytes; the oldest go.
const BYTES_MAX: usize = 64 << 20;

/// What makes two requests the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Who asks.
    pub principal: Arc<str>,
    /// Whom.
    pub framework: FrameworkId,
    /// How.
    pub method: String,
    /// For what.
    pub path: String,
    /// The client's.
    pub key: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    body_sha256: String,
    /// None while it is being asked for.
    answer: Option<Arc<WebResponse>>,
}

/// See the module.
#[derive(Debug)]
pub struct Repeats {
    kept_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    /// Answered ones, oldest first.
    order: VecDeque<Key>,
    bytes: usize,
}

/// What is known of a request.
#[derive(Debug)]
pub enum Seen {
    /// It was answered so.
    Before(Arc<WebResponse>),
    /// It is new; whoever holds this asks.
    New(First),
}

/// The first of several equal requests. Dropping it without an answer forgets that it was made.
#[derive(Debug)]
pub struct First {
    key: Option<Key>,
    repeats: Arc<Repeats>,
}

impl Repeats {
    /// Keeps at most so many answers.
    #[must_use]
    pub fn new(kept_max: usize) -> Repeats {
        Repeats {
            kept_max,
            inner: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks whether this was asked before, with the same body.
    pub fn look(self: &Arc<Repeats>, key: Key, body_sha256: String) -> Result<Seen> {
        let mut inner = self.lock();
        match inner.entries.get(&key) {
            Some(entry) if entry.body_sha256 != body_sha256 => Err(ApiError::conflict(
                "the Idempotency-Key was used for another body; choose a new one",
            )),
            Some(Entry {
                answer: Some(answer),
                ..
            }) => Ok(Seen::Before(Arc::clone(answer))),
            Some(_) => Err(ApiError::conflict(
                "a request with this Idempotency-Key is being handled; ask again for its answer",
            )),
            None => {
                let entry = Entry {
                    body_sha256,
                    answer: None,
                };
                inner.entries.insert(key.clone(), entry);
                Ok(Seen::New(First {
                    key: Some(key),
                    repeats: Arc::clone(self),
                }))
            }
        }
    }
}

impl First {
    /// Keeps the answer for those that come again.
    pub fn answered(mut self, answer: WebResponse) {
        let Some(key) = self.key.take() else { return };
        let mut inner = self.repeats.lock();
        inner.bytes += size(&answer);
        if let Some(entry) = inner.entries.get_mut(&key) {
            entry.answer = Some(Arc::new(answer));
        }
        inner.order.push_back(key);
        while (inner.order.len() > self.repeats.kept_max || inner.bytes > BYTES_MAX)
            && let Some(oldest) = inner.order.pop_front()
        {
            let gone = inner.entries.remove(&oldest).and_then(|e| e.answer);
            inner.bytes -= gone.map_or(0, |answer| size(&answer));
        }
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.repeats.lock().entries.remove(&key);
        }
    }
}

fn size(answer: &WebResponse) -> usize {
    let headers = answer.headers.iter();
    let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
    headers + answer.body.as_ref().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Key {
            principal: Arc::from("admin"),
            framework: FrameworkId(1),
            method: "POST".into(),
            path: "/".into(),
            key: vec![n],
        }
    }

    fn first(repeats: &Arc<Repeats>, n: u8) -> First {
        match repeats.look(key(n), String::new()) {
            Ok(Seen::New(first)) => first,
            other => panic!("expected a new one, not {other:?}"),
        }
    }

    fn answer(status: u16) -> WebResponse {
        WebResponse {
            status,
            headers: Vec::new(),
            body: Some(vec![]),
        }
    }

    #[test]
    fn an_answer_is_given_again_until_newer_ones_push_it_out() {
        let repeats = Arc::new(Repeats::new(2));
        first(&repeats, 1).answered(answer(201));
        let again = repeats.look(key(1), String::new());
        assert!(matches!(again, Ok(Seen::Before(a)) if a.status == 201));
        assert!(
            repeats.look(key(1), "other".into()).is_err(),
            "another body"
        );
        first(&repeats, 2).answered(answer(200));
        first(&repeats, 3).answered(answer(200));
        let _new_again = first(&repeats, 1);
    }

    #[test]
    fn a_request_that_is_being_handled_is_not_begun_twice_and_one_that_failed_may_be() {
        let repeats = Arc::new(Repeats::new(2));
        let held = first(&repeats, 1);
        assert!(repeats.look(key(1), String::new()).is_err());
        drop(held);
        let _again = first(&repeats, 1);
    }
}
