//! What people see happen: one event for each durable fact, kept for a while and in order.
//!
//! Owns the ring and what an event says; who reads it and in which form is the API's business.

use mezzo_core::record::{AgentRecord, How, KillRecord, ReservationRecord, VolumeState};
use mezzo_core::state::State;
use mezzo_core::turn::Fault;
use mezzo_core::{Batch, Record};
use mezzo_types::{AgentId, BatchId, Instant, ReservationId, Run, Status, TaskId, Term};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Where an event stands: its batch, and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub BatchId, pub u32);

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl std::str::FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Position, String> {
        let (batch, n) = text.split_once('.').unwrap_or((text, "4294967295"));
        let expected = || format!("{text:?} is no position: expected BATCH.N, such as 1042.0");
        Ok(Position(
            BatchId(batch.parse().map_err(|_| expected())?),
            n.parse().map_err(|_| expected())?,
        ))
    }
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Happening {
    /// Where it stands.
    pub position: Position,
    /// When.
    pub at: Instant,
    /// Who is behind it.
    pub principal: Arc<str>,
    /// In which course, such as `turn-ended`.
    pub cause: Arc<str>,
    /// What.
    pub what: What,
}

/// Which task: not all of it, so that events keep no description alive.
#[derive(Clone, Debug)]
pub struct TaskNews {
    /// The framework's name.
    pub framework: Arc<str>,
    /// The task.
    pub task: TaskId,
    /// This run of it.
    pub run: Run,
    /// Where.
    pub agent: AgentId,
}

/// Which reservation.
#[derive(Clone, Debug)]
pub struct ReservationNews {
    /// Its number.
    pub id: ReservationId,
    /// Of which agent.
    pub agent: AgentId,
    /// For whom.
    pub role: Arc<str>,
}

/// The kinds of event.
#[derive(Clone, Debug)]
pub enum What {
    /// A task was launched or came to another state.
    Task(TaskNews, Status),
    /// Somebody asked for a task's end.
    Kill(TaskNews, KillRecord),
    /// An agent: its name and what has become of it, such as `joined` or `silent`.
    Agent(AgentId, String, &'static str),
    /// A framework's name and what became of it.
    Framework(Arc<str>, &'static str),
    /// A framework's fault.
    Fault(Arc<str>, Arc<Fault>),
    /// A framework's name and how many demands it has.
    Demands(Arc<str>, usize),
    /// A reservation, and what has become of it: `made`, `given-back` or `removed`.
    Reservation(ReservationNews, &'static str),
    /// A reservation's volume, and what has become of it, such as `making`.
    Volume(ReservationNews, Arc<str>, &'static str),
    /// A role's weight.
    Role(Arc<str>, u32),
    /// A principal was changed.
    Principal(Arc<str>),
    /// Somebody leads.
    Leader(Term),
}

/// What a record says to people, if anything, given the state before it (`before`) and after it.
pub struct Before {
    framework: Option<Arc<mezzo_core::record::FrameworkRecord>>,
    agent: Option<Arc<AgentRecord>>,
    reservation: Option<Arc<ReservationRecord>>,
    term: Term,
}

impl Before {
    /// Notes what the record is about to replace.
    #[must_use]
    pub fn of(record: &Record, state: &State) -> Before {
        let framework = match record {
            Record::Framework(framework) => Some(framework.id),
            Record::FrameworkRemoved(id) => Some(*id),
            _ => None,
        };
        let framework =
            framework.and_then(|id| Some(Arc::clone(&state.frameworks.get(&id)?.record)));
        let agent = match record {
            Record::Agent(agent) => state.agents.get(&agent.info.id),
            _ => None,
        };
        let reservation = match record {
            Record::Reservation(new) => Some(new.id),
            Record::ReservationRemoved(id) => Some(*id),
            _ => None,
        };
        let reservation =
            reservation.and_then(|id| Some(Arc::clone(&state.reservation(id)?.record)));
        Before {
            framework,
            agent: agent.map(|known| Arc::clone(&known.record)),
            reservation,
            term: state.cluster.term,
        }
    }

    /// What has happened, now that the record is applied.
    #[must_use]
    pub fn what(self, record: &Record, state: &State) -> Option<What> {
        let named = |id| {
            state
                .frameworks
                .get(&id)
                .map(|f| Arc::clone(&f.record.name))
        };
        let task = |run: Run| {
            let task = state.task(run)?;
            let news = TaskNews {
                framework: named(task.record.framework)?,
                task: task.record.id().clone(),
                run,
                agent: task.record.agent,
            };
            Some((news, task))
        };
        match record {
            Record::Cluster(cluster) if cluster.term > self.term => {
                Some(What::Leader(cluster.term))
            }
            Record::Cluster(_)
            | Record::Timer(..)
            | Record::State(..)
            | Record::AgentRemoved(_)
            | Record::Gone(..)
            | Record::TaskForgotten(_) => None,
            Record::Agent(agent) => {
                let word = agent_word(self.agent.as_deref(), agent);
                let identity = agent.info.facts.identity.clone();
                Some(What::Agent(agent.info.id, identity, word))
            }
            Record::Reservation(new) => reservation_what(self.reservation.as_deref(), new),
            Record::ReservationRemoved(_) => self
                .reservation
                .map(|old| What::Reservation(news_of(&old), "removed")),
            Record::RoleRemoved(_) => None,
            Record::Role(role) => Some(What::Role(Arc::clone(&role.name), role.weight)),
            Record::Framework(new) => {
                let name = Arc::clone(&new.name);
                let Some(old) = self.framework else {
                    return Some(What::Framework(name, "installed"));
                };
                let word = if new.removing && !old.removing {
                    "removing"
                } else if new.component != old.component {
                    "upgraded"
                } else if new.quarantined && !old.quarantined {
                    "quarantined"
                } else if (!new.quarantined && old.quarantined)
                    || (!new.web_closed && old.web_closed)
                {
                    "resumed"
                } else if new.last_fault != old.last_fault
                    && let Some(fault) = &new.last_fault
                {
                    return Some(What::Fault(name, Arc::clone(fault)));
                } else {
                    "changed"
                };
                Some(What::Framework(name, word))
            }
            Record::FrameworkRemoved(_) => self
                .framework
                .map(|old| What::Framework(Arc::clone(&old.name), "removed")),
            Record::Demands(id, demands) => Some(What::Demands(named(*id)?, demands.len())),
            Record::Task(record) => {
                task(record.run).map(|(news, task)| What::Task(news, task.status.clone()))
            }
            // A status that is only marked as handled is no news.
            Record::Status(_, status) if status.handled && status.sequence > 0 => None,
            Record::Status(run, _) => {
                task(*run).map(|(news, task)| What::Task(news, task.status.clone()))
            }
            Record::Kill(run, kill) => task(*run).map(|(news, _)| What::Kill(news, kill.clone())),
            Record::Principal(name, _) => Some(What::Principal(Arc::clone(name))),
        }
    }
}

fn news_of(record: &ReservationRecord) -> ReservationNews {
    ReservationNews {
        id: record.id,
        agent: record.agent,
        role: Arc::clone(&record.role),
    }
}

/// What has become of a reservation, or of the one volume of it that has changed.
fn reservation_what(old: Option<&ReservationRecord>, new: &ReservationRecord) -> Option<What> {
    let news = news_of(new);
    let Some(old) = old else {
        return Some(What::Reservation(news, "made"));
    };
    if new.ending && !old.ending {
        return Some(What::Reservation(news, "given-back"));
    }
    let changed = |volume: &&mezzo_core::record::VolumeRecord| {
        old.volume(&volume.name).map(|old| old.state) != Some(volume.state)
    };
    if let Some(volume) = new.volumes.iter().find(changed) {
        let name = Arc::clone(&volume.name);
        return Some(What::Volume(news, name, volume_word(volume.state)));
    }
    let gone = old.volumes.iter().find(|v| new.volume(&v.name).is_none())?;
    Some(What::Volume(news, Arc::clone(&gone.name), "destroyed"))
}

/// How far a volume is.
#[must_use]
pub fn volume_word(state: VolumeState) -> &'static str {
    match state {
        VolumeState::Making => "making",
        VolumeState::Ready => "ready",
        VolumeState::Destroying => "destroying",
    }
}

/// What has become of an agent.
fn agent_word(old: Option<&AgentRecord>, new: &AgentRecord) -> &'static str {
    let Some(old) = old else {
        return "joined";
    };
    if old.leaving != new.leaving {
        return match new.leaving.as_ref().map(|leaving| leaving.how) {
            None => "activated",
            Some(How::Deactivated) => "deactivated",
            Some(How::Draining { .. }) => "draining",
            Some(How::Gone) => "gone",
        };
    }
    match (old.silent_since.is_some(), new.silent_since.is_some()) {
        (false, true) => "silent",
        (true, false) => "back",
        _ => "changed",
    }
}

/// The newest events. Writers never wait for readers.
#[derive(Debug)]
pub struct Events {
    ring: Mutex<Ring>,
    kept_max: usize,
    newest: watch::Sender<BatchId>,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Happening>,
    /// Nothing up to here is kept.
    lost: Position,
}

impl Events {
    /// An empty ring behind this batch.
    #[must_use]
    pub fn new(kept_max: usize, behind: BatchId) -> Events {
        let lost = match behind {
            // Nothing has happened yet, and so nothing is missing.
            BatchId(0) => Position(behind, 0),
            _ => Position(behind, u32::MAX),
        };
        Events {
            ring: Mutex::new(Ring {
                events: VecDeque::new(),
                lost,
            }),
            kept_max,
            newest: watch::Sender::new(behind),
        }
    }

    /// Adds what a batch brought, and wakes readers.
    pub fn add(&self, batch: &Batch, whats: impl Iterator<Item = What>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        for (n, what) in (0..).zip(whats) {
            ring.events.push_back(Happening {
                position: Position(batch.id, n),
                at: batch.header.at,
                principal: Arc::clone(&batch.header.principal),
                cause: Arc::clone(&batch.header.cause),
                what,
            });
        }
        while ring.events.len() > self.kept_max
            && let Some(oldest) = ring.events.pop_front()
        {
            ring.lost = oldest.position;
        }
        drop(ring);
        self.newest.send_replace(batch.id);
    }

    /// Changes whenever there may be more to read.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<BatchId> {
        self.newest.subscribe()
    }

    /// At most `limit` events behind `after`, oldest first; and up to where events behind it are
    /// missing, if any are.
    #[must_use]
    pub fn after(&self, after: Position, limit: usize) -> (Vec<Happening>, Option<Position>) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let at = ring.events.partition_point(|event| event.position <= after);
        let events = ring.events.range(at..).take(limit).cloned().collect();
        (events, (after < ring.lost).then_some(ring.lost))
    }
}
