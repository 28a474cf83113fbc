//! The master of the simulation: the real core and its outbox, turns that take their time, and a store
//! that writes in order.

use super::{Bug, Down, Happens, Master, World};
use crate::job;
use mezzo_agent_core::{Kill, Launch};
use mezzo_core::event::Install;
use mezzo_core::outbox::Outbox;
use mezzo_core::turn::Fault;
use mezzo_core::{
    Action, Cluster, ClusterLimits, Event, FaultKind, FrameworkLimits, Request, Turn,
};
use mezzo_types::{BatchId, Digest, Instant, RequestId, TurnId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

impl World {
    pub(super) fn start_master(&mut self) {
        let limits = ClusterLimits {
            agent_silent_ms: 30_000,
            ..ClusterLimits::default()
        };
        let cluster =
            Cluster::restore(self.store.records(), limits).expect("what was written is sound");
        self.masters += 1;
        self.master = Some(Master {
            number: self.masters,
            cluster,
            outbox: Outbox::default(),
            writing: VecDeque::new(),
            sessions: BTreeMap::new(),
        });
        self.step(Event::Led {
            name: "sim".into(),
            last_batch: self.durable,
        });
    }

    pub(super) fn install(&mut self, n: usize) {
        self.requests += 1;
        let install = Install {
            name: format!("f{n}"),
            role: format!("r{}", n / 2),
            component: Digest([1; 32]),
            web: false,
            options: "{}".into(),
            limits: FrameworkLimits {
                faults_max: 1_000_000,
                ..FrameworkLimits::default()
            },
            principal: Arc::from("sim"),
        };
        self.step(Event::Asked(
            RequestId(self.requests),
            Request::Install(install),
        ));
    }

    /// One step of the core, and what comes of it.
    pub(super) fn step(&mut self, event: Event) {
        let now = self.instant();
        let Some(master) = &mut self.master else {
            return;
        };
        let mut actions = Vec::new();
        master.cluster.step(now, event, &mut actions);
        if let Err(violation) = master.cluster.check() {
            panic!("{violation}");
        }
        let number = master.number;
        let mut ready = Vec::new();
        let mut later = Vec::new();
        for action in actions {
            match action {
                Action::Commit(batch) => {
                    master.outbox.issued(batch.id);
                    later.push(Happens::Durable(number, batch.id));
                    master.writing.push_back(batch);
                }
                Action::Turn(turn) => later.push(Happens::TurnEnds(number, turn)),
                Action::DropInstance(_) => {}
                action if self.play.bug == Some(Bug::SpeaksTooEarly) => ready.push(action),
                action => ready.extend(master.outbox.push(action)),
            }
        }
        if let Some(at) = master.cluster.next_deadline() {
            let at = at.0.max(self.now + 1);
            self.at(at, Happens::MasterTick(number));
        }
        for happens in later {
            let to = match &happens {
                Happens::Durable(..) => 30,
                _ => 200,
            };
            self.after(1, to, happens);
        }
        for action in ready {
            self.show(action);
        }
    }

    /// Does what others see.
    pub(super) fn show(&mut self, action: Action) {
        let Some(master) = &self.master else { return };
        let term = master.cluster.state().cluster.term;
        let (session, down) = match action {
            Action::Welcome { session, term, .. } => (session, Down::Welcome(term)),
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
        let Some(master) = &mut self.master else {
            return;
        };
        // Batches become durable in order, whatever the times that were drawn.
        while let Some(first) = master.writing.front().filter(|first| first.id <= batch) {
            if self.play.bug == Some(Bug::ForgetsABatch) {
                self.before = self.store.clone();
            }
            for record in &first.records {
                self.store.apply(record);
            }
            self.durable = first.id;
            master.writing.pop_front();
        }
        let ready: Vec<Action> = master.outbox.durable(self.durable).collect();
        for action in ready {
            self.show(action);
        }
    }

    pub(super) fn end_turn(&mut self, turn: Turn) {
        let id: TurnId = turn.id;
        let faulty = self.faults_come() && self.rng.chance(30);
        // A start that fails refuses the install, which is another story.
        let installed = self
            .master
            .as_ref()
            .is_some_and(|master| master.cluster.state().framework_named(&turn.name).is_some());
        let result = if faulty && installed && self.play.bug != Some(Bug::CommitsFaults) {
            Err(Fault {
                kind: FaultKind::Trap,
                call: Arc::from("handle"),
                message: Arc::from("chance"),
                at: Instant(0),
                id: 0,
                events: Arc::from(""),
            })
        } else if faulty && installed {
            Ok(mezzo_core::Effects::default())
        } else {
            Ok(job::turn(turn, self.play.tasks))
        };
        self.step(Event::TurnEnded {
            turn: id,
            result,
            cpu_us: 100,
        });
    }
}
