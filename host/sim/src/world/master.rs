//! The master of the simulation: the real core and its outbox, turns that take their time, and a store
//! that writes in order.

use super::guarantees::{Claimed, Offered};
use super::preemption::{Before, Known};
use super::{Bug, Down, Happens, Master, Mood, World};
use crate::guest::Ran;
use mezzo_agent_core::{Kill, Launch, Volume};
use mezzo_core::outbox::Outbox;
use mezzo_core::turn::Fault;
use mezzo_core::{Action, Batch, Cluster, ClusterLimits, Effects, Event, FaultKind, Turn};
use mezzo_types::{BatchId, Instant, ReservationId, Run};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Guarantees are checked so many times as often as everything.
const CHECKS_OF_GUARANTEES: u64 = 100;
/// What a slow turn costs, in microseconds: its framework counts as heavy for a while.
const SLOW_CPU_US: u64 = 200_000;

/// What matters of a step for what must hold after it.
struct Done {
    /// Before it.
    claimed: Claimed,
    /// Before it.
    before: Before,
    offered: Vec<Offered>,
    preempted: Vec<Run>,
}

impl World {
    pub(super) fn start_master(&mut self) {
        let limits = ClusterLimits {
            agent_silent_ms: 30_000,
            claim_ms: self.play.pace.claim_ms,
            preempt_after_ms: self.play.pace.preempt_after_ms,
            ..ClusterLimits::default()
        };
        if self.play.bug == Some(Bug::TrustsWhatIsTorn) {
            self.store.trust_what_is_torn();
        }
        let cluster =
            Cluster::restore(self.store.load(), limits).expect("what was written is sound");
        self.masters += 1;
        self.master = Some(Master {
            number: self.masters,
            known: Known::of(cluster.state()),
            cluster,
            outbox: Outbox::default(),
            writing: VecDeque::new(),
            sessions: BTreeMap::new(),
            tick_at: u64::MAX,
            welcome: BTreeMap::new(),
            leases: BTreeMap::new(),
            roles: BTreeMap::new(),
        });
        self.step(Event::Led {
            name: "sim".into(),
            last_batch: self.durable,
        });
    }

    pub(super) fn reach_master(&mut self, event: Event) {
        let Some(master) = &mut self.master else {
            return;
        };
        match &event {
            Event::AgentDisconnected(session) => {
                master.sessions.remove(session);
                master.welcome.remove(session);
            }
            Event::AgentConnected { session, .. }
            | Event::StatusReported { session, .. }
            | Event::VolumeReported { session, .. }
            | Event::KillUnknown(session, _) => {
                // What is under way when a connection is cut is lost.
                let machine = master.sessions.get(session).copied();
                if !machine.is_some_and(|machine| self.is_linked(machine, *session)) {
                    return;
                }
            }
            _ => {}
        }
        self.step(event);
    }

    pub(super) fn master_tick(&mut self) {
        let Some(master) = &mut self.master else {
            return;
        };
        master.tick_at = u64::MAX;
        let due = master
            .cluster
            .next_deadline()
            .is_some_and(|at| at.0 <= self.now);
        if due {
            self.step(Event::Tick);
        } else {
            self.await_tick();
        }
    }

    fn await_tick(&mut self) {
        let Some(master) = &mut self.master else {
            return;
        };
        let Some(at) = master.cluster.next_deadline() else {
            return;
        };
        let at = at.0.max(self.now + 1);
        if at < master.tick_at {
            master.tick_at = at;
            let number = master.number;
            self.at(at, Happens::MasterTick(number));
        }
    }

    /// One step of the core, and what comes of it.
    pub(super) fn step(&mut self, event: Event) {
        let now = self.instant();
        // It goes through all machines, and the full check through all tasks as well.
        let check_quota = (self.play.check_every / CHECKS_OF_GUARANTEES).max(1);
        let in_part = (self.steps + 1).is_multiple_of(check_quota);
        let in_full = (self.steps + 1).is_multiple_of(self.play.check_every);
        let before = self.before_preemption(in_full);
        let Some(master) = &mut self.master else {
            return;
        };
        let mut done = Done {
            claimed: master.claimed(),
            before,
            offered: Vec::new(),
            preempted: Vec::new(),
        };
        let mut actions = Vec::new();
        master.cluster.step(now, event, &mut actions);
        self.steps += 1;
        let number = master.number;
        self.await_tick();
        let dies_after = self.dies_after(actions.len());
        for action in actions.drain(..dies_after.unwrap_or(actions.len())) {
            self.note_action(&action);
            self.act_on(number, action, &mut done);
        }
        if dies_after.is_some() {
            return self.crash_master();
        }
        if let Err(problem) = self.check_done(&done, in_part, in_full) {
            panic!("{problem}");
        }
    }

    /// What must hold after a step.
    fn check_done(&mut self, done: &Done, in_part: bool, in_full: bool) -> Result<(), String> {
        if let Some(master) = &mut self.master {
            master.check_preempted(&done.preempted, &done.before)?;
            if self.operators.quota && in_part {
                master.guarantees_hold(&done.offered)?;
            }
        }
        if in_full { self.check_all() } else { Ok(()) }
    }

    fn act_on(&mut self, number: u64, action: Action, done: &mut Done) {
        let Some(master) = &mut self.master else {
            return;
        };
        match action {
            Action::Commit(batch) => {
                let id = batch.id;
                done.preempted.extend(master.known.preempted(&batch));
                master.outbox.issued(id);
                master.writing.push_back(batch);
                self.after(
                    1,
                    self.play.pace.commit_ms_max,
                    Happens::Durable(number, id),
                );
            }
            Action::Turn(turn) => {
                done.offered
                    .extend(master.note_leases(&turn, &done.claimed));
                self.begin_turn(number, turn);
            }
            Action::DropInstance(instance) => self.guest.drop_instance(instance),
            action => {
                if let Action::Welcome { session, agent, .. } = &action {
                    master.welcome.insert(*session, *agent);
                }
                let early = self.play.bug == Some(Bug::SpeaksTooEarly);
                let ready = if early {
                    Some(action)
                } else {
                    master.outbox.push(action)
                };
                if let Some(action) = ready {
                    self.show(action);
                }
            }
        }
    }

    /// Does what others see.
    fn show(&mut self, action: Action) {
        let Some(master) = &self.master else { return };
        let term = master.cluster.state().cluster.term;
        let (session, down) = match action {
            Action::Reply(request, answer) => return self.answer(request, answer),
            Action::Welcome {
                session,
                term,
                agent,
            } => {
                if let Some(machine) = master.sessions.get(&session) {
                    self.operators.agents[*machine] = Some(agent);
                }
                (session, Down::Welcome(term))
            }
            Action::Refuse { session, .. } => (session, Down::Refuse),
            Action::Launch {
                session,
                framework,
                tasks,
            } => {
                let launches = tasks.iter().map(|task| Launch {
                    run: task.run,
                    framework: framework.to_string(),
                    spec: Arc::clone(&task.spec),
                    ports: task.ports.iter().map(|port| port.number).collect(),
                    reservation: task.reservation,
                });
                (session, Down::Launch(term, launches.collect()))
            }
            Action::Kill {
                session,
                run,
                grace_ms,
                reason,
            } => (session, Down::Kill(term, run, Kill { grace_ms, reason })),
            Action::CreateVolume {
                session,
                reservation,
                volume,
            } => (
                session,
                Down::CreateVolume(term, known_as(reservation, &volume)),
            ),
            Action::DestroyVolume {
                session,
                reservation,
                volume,
            } => (
                session,
                Down::DestroyVolume(term, known_as(reservation, &volume)),
            ),
            Action::Acknowledge {
                session,
                run,
                sequence,
            } => (session, Down::Acknowledge(run, sequence)),
            _ => return,
        };
        if let Some(machine) = master.sessions.get(&session).copied() {
            self.down(machine, session, down);
        }
    }

    pub(super) fn durable(&mut self, batch: BatchId) {
        if self.commit_fails() {
            return;
        }
        // Batches become durable in order, whatever the times that were drawn.
        while let Some(first) = self.next_written(batch) {
            if self.play.bug == Some(Bug::ForgetsABatch) {
                self.before = self.store.clone();
            }
            self.write(&first);
        }
        let Some(master) = &mut self.master else {
            return;
        };
        let ready: Vec<Action> = master.outbox.durable(self.durable).collect();
        for action in ready {
            self.show(action);
        }
    }

    fn next_written(&mut self, up_to: BatchId) -> Option<Batch> {
        let writing = &mut self.master.as_mut()?.writing;
        writing.front().filter(|first| first.id <= up_to)?;
        writing.pop_front()
    }

    pub(super) fn write(&mut self, batch: &Batch) {
        self.store.write(batch);
        self.durable = batch.id;
        self.meter.written(batch);
    }

    fn begin_turn(&mut self, number: u64, turn: Box<Turn>) {
        let installed = self
            .master
            .as_ref()
            .is_some_and(|master| master.cluster.state().framework_named(&turn.name).is_some());
        let mood = self.mood(installed);
        let wall_ms = turn.limits.turn_wall_ms;
        let ends = Happens::TurnEnds(number, turn, mood);
        match mood {
            Mood::Slow => self.after(wall_ms / 2, wall_ms, ends),
            Mood::TooSlow => self.after(wall_ms, wall_ms, ends),
            _ => self.after(1, self.play.pace.turn_ms_max, ends),
        }
    }

    pub(super) fn end_turn(&mut self, turn: Turn, mood: Mood) {
        let id = turn.id;
        if let Some(master) = &mut self.master {
            master.leases.remove(&id);
            master.roles.remove(&id);
        }
        let fault = |kind, message: &str, cpu_us| Ran {
            result: Err(Fault {
                kind,
                call: Arc::from("handle"),
                message: Arc::from(message),
                at: Instant(0),
                id: 0,
                events: Arc::from(""),
            }),
            cpu_us,
        };
        let mut ran = match mood {
            Mood::Traps if self.play.bug == Some(Bug::CommitsFaults) => Ran {
                result: Ok(Effects::default()),
                cpu_us: 0,
            },
            Mood::Traps => fault(FaultKind::Trap, "chance", 0),
            Mood::TooSlow => fault(FaultKind::WallLimit, "it is too slow", SLOW_CPU_US),
            Mood::Good | Mood::Slow => self.guest.run(turn, false),
            Mood::Confused => self.guest.run(turn, true),
        };
        if mood == Mood::Slow {
            ran.cpu_us += SLOW_CPU_US;
        }
        self.step(Event::TurnEnded {
            turn: id,
            result: ran.result,
            cpu_us: ran.cpu_us,
        });
    }
}

/// A volume as agents know it.
fn known_as(reservation: ReservationId, name: &str) -> Volume {
    Volume {
        reservation,
        name: name.into(),
    }
}
