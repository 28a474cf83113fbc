//! Requests that wait for the core's answer, and response streams that wait for the next piece.

use mezzo_core::action::Answer;
use mezzo_core::turn::{StreamWrite, WebResponse};
use mezzo_types::{RequestId, Term};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Request numbers of one leadership begin at its term times this, so that none is ever used twice.
/// Terms stay below 2^21 and requests of one leadership below 2^32, so that JavaScript holds them.
const TERM_FACTOR: u64 = 1 << 32;

/// What came back for a request.
#[derive(Debug)]
pub enum Outcome {
    /// The core's answer.
    Answer(Answer),
    /// A framework's answer whose body goes on.
    Stream(WebResponse, Pieces),
}

/// The pieces of a response body, as they come.
#[derive(Debug)]
pub struct Pieces {
    pieces: mpsc::UnboundedReceiver<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
}

impl Pieces {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let piece = self.pieces.recv().await?;
        self.waiting.fetch_sub(piece.len(), Ordering::Relaxed);
        Some(piece)
    }
}

#[derive(Debug)]
struct Open {
    pieces: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
}

/// See the module.
#[derive(Debug)]
pub struct Pending {
    next: AtomicU64,
    stream_bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    requests: HashMap<RequestId, oneshot::Sender<Outcome>>,
    streams: HashMap<RequestId, Open>,
    closed: bool,
}

impl Pending {
    /// None waits yet.
    #[must_use]
    pub fn new(term: Term, stream_bytes_max: usize) -> Pending {
        Pending {
            next: AtomicU64::new(term.0 * TERM_FACTOR + 1),
            stream_bytes_max,
            inner: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a request, and where its answer will come. The receiver fails when the
    /// leadership ends before.
    pub fn open(&self) -> (RequestId, oneshot::Receiver<Outcome>) {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let (to, from) = oneshot::channel();
        let mut inner = self.lock();
        if !inner.closed {
            inner.requests.insert(id, to);
        }
        (id, from)
    }

    /// The client has gone before its answer came, or in the middle of its stream.
    pub fn forget(&self, id: RequestId) {
        let mut inner = self.lock();
        inner.requests.remove(&id);
        inner.streams.remove(&id);
    }

    /// Hands an answer over. False when nobody waits for it any more, and the framework may want to
    /// know.
    pub fn answer(&self, id: RequestId, answer: Answer) -> bool {
        let mut inner = self.lock();
        let Some(to) = inner.requests.remove(&id) else {
            return false;
        };
        let outcome = match answer {
            Answer::Web(response) if response.body.is_none() => {
                let (pieces, receiver) = mpsc::unbounded_channel();
                let waiting = Arc::new(AtomicUsize::new(0));
                let open = Open {
                    pieces,
                    waiting: Arc::clone(&waiting),
                };
                inner.streams.insert(id, open);
                Outcome::Stream(
                    response,
                    Pieces {
                        pieces: receiver,
                        waiting,
                    },
                )
            }
            answer => Outcome::Answer(answer),
        };
        let told = to.send(outcome).is_ok();
        if !told {
            inner.streams.remove(&id);
        }
        told
    }

    /// Passes a piece on. False when the client has gone, or is too slow for what it asked for.
    pub fn write(&self, write: StreamWrite) -> bool {
        let mut inner = self.lock();
        let Some(open) = inner.streams.get(&write.request) else {
            return false;
        };
        let Some(chunk) = write.chunk else {
            inner.streams.remove(&write.request);
            return true;
        };
        let bytes = chunk.len();
        let fits =
            open.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.stream_bytes_max;
        let sent = fits && open.pieces.send(chunk).is_ok();
        if !sent {
            inner.streams.remove(&write.request);
        }
        sent
    }

    /// The leadership is over: all that wait are told so, all streams end.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.requests.clear();
        inner.streams.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> WebResponse {
        WebResponse {
            status: 200,
            headers: Vec::new(),
            body: None,
        }
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_is_cut_at_its_limit() {
        let pending = Pending::new(Term(1), 10);
        let (id, answer) = pending.open();
        assert!(pending.answer(id, Answer::Web(stream())));
        let Ok(Outcome::Stream(_, mut pieces)) = answer.await else {
            panic!("expected a stream")
        };
        let write = |bytes: usize| StreamWrite {
            request: id,
            chunk: Some(vec![0; bytes]),
        };
        assert!(pending.write(write(10)));
        assert_eq!(pieces.next().await.map(|p| p.len()), Some(10));
        assert!(pending.write(write(10)), "what was read does not count");
        assert!(!pending.write(write(1)), "over the limit");
        assert_eq!(pieces.next().await.map(|p| p.len()), Some(10));
        assert_eq!(pieces.next().await, None, "cut");
    }

    #[test]
    fn numbers_of_two_leaderships_differ() {
        let first = Pending::new(Term(1), 1).open().0;
        let second = Pending::new(Term(2), 1).open().0;
        assert!(second.0 > first.0 + u64::from(u32::MAX) - 1);
    }
}
