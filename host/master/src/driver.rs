//! The thread around the core: events go in, in the order in which they came; what comes out is done
//! here or passed on. It decides nothing.

use crate::committer::Saving;
use crate::mailbox::{Ending, Mailbox};
use crate::pending::Pending;
use crate::sessions::Sessions;
use crate::view::View;
use mezzo_core::outbox::Outbox;
use mezzo_core::{Action, Cluster, Event};
use mezzo_proto::v1::{
    Acknowledge, CreateVolume, DestroyVolume, Kill, Launch, LaunchTask, Welcome,
    from_master::Message,
};
use mezzo_types::{BatchId, Instant, RequestId, TurnId};
use mezzo_wasm::Workers;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, SystemTime};

/// Events that are stepped through before what came of them is passed on.
const EVENTS_PER_ROUND_MAX: usize = 1_000;
/// With more than this waiting for the registry, answers and messages together, no more events are
/// taken until there is less.
const OUTBOX_BYTES_MAX: usize = 256 << 20;

/// See the module.
pub struct Driver {
    /// The core.
    pub cluster: Cluster,
    /// Holds what waits for the registry.
    pub outbox: Outbox,
    /// What came in.
    pub mailbox: Arc<Mailbox>,
    /// To the committer.
    pub batches: Sender<Saving>,
    /// They run turns.
    pub workers: Workers,
    /// Those that wait for an answer.
    pub pending: Arc<Pending>,
    /// Agents.
    pub sessions: Arc<Sessions>,
    /// For soft facts.
    pub view: Arc<View>,
    /// What time it is.
    pub clock: Clock,
    /// When each turn that runs was handed out.
    pub turns: HashMap<TurnId, std::time::Instant>,
}

impl Driver {
    /// Runs until the leadership is over. Says why.
    pub fn run(mut self) -> Ending {
        let mut durable = BatchId(0);
        let mut actions = Vec::new();
        loop {
            let held = self.outbox.bytes() > OUTBOX_BYTES_MAX;
            let mail = self.mailbox.wait(durable, self.next_wake(), held);
            if mail.durable > durable {
                durable = mail.durable;
                let ready: Vec<Action> = self.outbox.durable(durable).collect();
                for action in ready {
                    self.perform(action);
                }
            }
            if let Some(ending) = mail.ending {
                // Threads of the sandbox end with `self`; instances and streams with them.
                return ending;
            }
            let mut events = mail.events;
            if events.is_empty() {
                events.push_back(Event::Tick);
            }
            while !events.is_empty() {
                let round = events.len().min(EVENTS_PER_ROUND_MAX);
                for event in events.drain(..round) {
                    self.time(&event);
                    self.cluster.step(self.clock.now(), event, &mut actions);
                }
                self.dispatch(&mut actions);
            }
        }
    }

    fn time(&mut self, event: &Event) {
        if let Event::TurnEnded { turn, .. } = event
            && let Some(started) = self.turns.remove(turn)
        {
            let us = started.elapsed().as_micros();
            self.view.turn_took(u32::try_from(us).unwrap_or(u32::MAX));
        }
    }

    fn next_wake(&self) -> Option<Duration> {
        let at = self.cluster.next_deadline()?;
        Some(Duration::from_millis(at.since_ms(self.clock.now())))
    }

    fn dispatch(&mut self, actions: &mut Vec<Action>) {
        for action in actions.drain(..) {
            match action {
                Action::Commit(batch) => {
                    self.outbox.issued(batch.id);
                    let saving = Saving::new(batch);
                    self.mailbox.saving(saving.bytes);
                    if self.batches.send(saving).is_err() {
                        // If it has said why, that is what counts.
                        let why = "the committer has ended";
                        self.mailbox.end(Ending::Lost(why.into()));
                    }
                }
                Action::Turn(turn) => {
                    self.turns.insert(turn.id, std::time::Instant::now());
                    self.workers.submit(*turn);
                }
                Action::DropInstance(instance) => self.workers.drop_instance(instance),
                action => {
                    if let Some(ready) = self.outbox.push(action) {
                        self.perform(ready);
                    }
                }
            }
        }
    }

    /// Does what others can see.
    fn perform(&self, action: Action) {
        match action {
            Action::Welcome {
                session,
                agent,
                term,
            } => {
                self.sessions.welcomed(session, agent);
                let welcome = Welcome {
                    protocol: mezzo_proto::PROTOCOL,
                    agent: agent.0,
                    cluster: self.cluster.state().cluster.name.to_string(),
                    term: term.0,
                };
                self.sessions.tell(session, Message::Welcome(welcome));
            }
            Action::Refuse {
                session,
                why,
                again,
            } => self.sessions.refuse(session, why, again),
            Action::Launch {
                session,
                framework,
                tasks,
            } => {
                let tasks = tasks.iter().map(|task| LaunchTask {
                    run: task.run.0,
                    framework: framework.to_string(),
                    spec: mezzo_proto::encode_spec(&task.spec),
                    ports: task.ports.iter().map(|p| u32::from(p.number)).collect(),
                    group: task.group.as_deref().unwrap_or_default().to_string(),
                    reservation: task.reservation.map_or(0, |id| id.0),
                });
                let launch = Launch {
                    term: self.term(),
                    tasks: tasks.collect(),
                };
                self.sessions.tell(session, Message::Launch(launch));
            }
            Action::Kill {
                session,
                run,
                grace_ms,
                reason,
            } => {
                let kill = Kill {
                    term: self.term(),
                    run: run.0,
                    grace_ms,
                    reason: reason.as_str().to_string(),
                };
                self.sessions.tell(session, Message::Kill(kill));
            }
            Action::CreateVolume {
                session,
                reservation,
                volume,
            } => {
                let create = CreateVolume {
                    term: self.term(),
                    reservation: reservation.0,
                    name: volume.to_string(),
                };
                self.sessions.tell(session, Message::CreateVolume(create));
            }
            Action::DestroyVolume {
                session,
                reservation,
                volume,
            } => {
                let destroy = DestroyVolume {
                    term: self.term(),
                    reservation: reservation.0,
                    name: volume.to_string(),
                };
                self.sessions.tell(session, Message::DestroyVolume(destroy));
            }
            Action::Acknowledge {
                session,
                run,
                sequence,
            } => self.sessions.tell(
                session,
                Message::Acknowledge(Acknowledge {
                    run: run.0,
                    sequence,
                }),
            ),
            Action::Reply(id, answer) => {
                let streams = matches!(&answer, mezzo_core::Answer::Web(r) if r.body.is_none());
                if !self.pending.answer(id, answer) && streams {
                    self.gone(id);
                }
            }
            Action::Stream(write) => {
                let (id, closes) = (write.request, write.chunk.is_none());
                if !self.pending.write(write) && !closes {
                    self.gone(id);
                }
            }
            Action::Observe(observation) => self.view.observe(&observation),
            Action::Commit(_) | Action::Turn(_) | Action::DropInstance(_) => {
                unreachable!("done at once, see `dispatch`")
            }
        }
    }

    fn term(&self) -> u64 {
        self.cluster.state().cluster.term.0
    }

    fn gone(&self, id: RequestId) {
        self.mailbox.post(Event::RequestGone(id));
    }
}

/// The wall clock as it was when the leadership began, and what has passed since: a clock that is set
/// back or forth moves no deadline. The core keeps it from going back between two leaderships.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base_ms: u64,
    started: std::time::Instant,
}

impl Clock {
    /// Goes on from the wall clock.
    #[must_use]
    pub fn start() -> Clock {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Clock {
            base_ms: since.map_or(0, millis),
            started: std::time::Instant::now(),
        }
    }

    /// The instant that it is.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(self.base_ms.saturating_add(millis(self.started.elapsed())))
    }
}

/// The wall clock.
#[must_use]
pub fn now() -> Instant {
    Clock::start().now()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
