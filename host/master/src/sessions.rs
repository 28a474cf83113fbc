//! The agents' sessions: who can be told something, and the answers to reads of tasks' output.
//!
//! Owns the sending side. What arrives is taken in by `agents.rs`; which session counts is the
//! core's decision.

use mezzo_proto::v1::{FromMaster, Output, ReadOutput, from_master::Message};
use mezzo_types::{AgentId, Run, SessionId};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// What is on its way to one agent.
pub type ToAgent = mpsc::UnboundedSender<Result<FromMaster, Status>>;

/// Messages that may wait for one agent; then its session is cut, and what was not sent is said
/// again when it is back.
const WAITING_MAX: usize = 500_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    open: HashMap<SessionId, Session>,
    of_agent: HashMap<AgentId, SessionId>,
    reads: HashMap<u64, oneshot::Sender<Output>>,
    closed: bool,
}

#[derive(Debug)]
struct Session {
    to: ToAgent,
    waiting: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

/// Why output cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoOutput {
    /// The agent has no session.
    Away,
    /// The agent did not answer in time.
    Late,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new session; none when the leadership is over. `waiting` counts what `to` holds.
    pub fn open(
        &self,
        to: ToAgent,
        waiting: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    ) -> Option<SessionId> {
        let mut inner = self.lock();
        if inner.closed {
            return None;
        }
        inner.last += 1;
        let id = SessionId(inner.last);
        inner.open.insert(id, Session { to, waiting });
        Some(id)
    }

    /// The core has accepted the session.
    pub fn welcomed(&self, session: SessionId, agent: AgentId) {
        self.lock().of_agent.insert(agent, session);
    }

    /// The session is over.
    pub fn close(&self, session: SessionId) {
        let mut inner = self.lock();
        inner.open.remove(&session);
        inner.of_agent.retain(|_, held| *held != session);
    }

    /// All sessions are over, and no new one is taken.
    pub fn close_all(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        let over = || Status::unavailable("this master's leadership is over; try again");
        for session in inner.open.values() {
            let _ = session.to.send(Err(over()));
        }
        inner.open.clear();
        inner.of_agent.clear();
        inner.reads.clear();
    }

    /// Tells an agent something; one whose session has ended is told nothing.
    pub fn tell(&self, session: SessionId, message: Message) {
        let mut inner = self.lock();
        let Some(open) = inner.open.get(&session) else {
            return;
        };
        let before = open
            .waiting
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let message = FromMaster {
            message: Some(message),
        };
        let late = before >= WAITING_MAX;
        if late {
            // Its stream ends with that, and the agent comes back.
            let why = format!("more than {WAITING_MAX} messages wait for this agent");
            let _ = open.to.send(Err(Status::unavailable(why)));
        }
        if late || open.to.send(Ok(message)).is_err() {
            inner.open.remove(&session);
        }
    }

    /// Ends a session with a reason; `again` says whether it is worth trying again.
    pub fn refuse(&self, session: SessionId, why: String, again: bool) {
        let status = if again {
            Status::unavailable(why)
        } else {
            Status::failed_precondition(why)
        };
        if let Some(open) = self.lock().open.remove(&session) {
            let _ = open.to.send(Err(status));
        }
    }

    /// An agent's answer to [`Sessions::read_output`].
    pub fn answered(&self, output: Output) {
        if let Some(to) = self.lock().reads.remove(&output.request) {
            let _ = to.send(output);
        }
    }

    /// Reads a piece of what a task wrote. `read.request` is filled in here.
    pub async fn read_output(
        &self,
        agent: AgentId,
        run: Run,
        read: ReadOutput,
        timeout: Duration,
    ) -> Result<Output, NoOutput> {
        let (session, request, answer) = {
            let mut inner = self.lock();
            let session = *inner.of_agent.get(&agent).ok_or(NoOutput::Away)?;
            inner.last += 1;
            let request = inner.last;
            let (to, from) = oneshot::channel();
            inner.reads.insert(request, to);
            (session, request, from)
        };
        let wait = timeout + Duration::from_millis(u64::from(read.wait_ms));
        self.tell(
            session,
            Message::ReadOutput(ReadOutput {
                request,
                run: run.0,
                ..read
            }),
        );
        match tokio::time::timeout(wait, answer).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(_)) => Err(NoOutput::Away),
            Err(_) => {
                self.lock().reads.remove(&request);
                Err(NoOutput::Late)
            }
        }
    }
}
