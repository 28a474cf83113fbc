//! Random clusters under random faults: after every step all invariants hold (the harness checks), a
//! master that dies is rebuilt from its records, and after the faults everything heals.

mod harness;

use harness::{World, amounts};
use mezzo_core::ledger::{Ledger, Placement};
use mezzo_core::{Event, Fault, FaultKind};
use mezzo_types::{Demand, Instant, Resources, Run, Status, TaskState};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const AGENTS: usize = 3;
const FRAMEWORKS: usize = 3;
/// What each framework wants, by how wide.
const TASKS: [usize; 2] = [8, 4];
/// How wide its tasks are, in thousandths of a processor.
const WIDE: [u64; 2] = [1_000, 2_000];

fn each(cpu_milli: u64) -> Resources {
    Resources {
        cpu_milli,
        ..amounts(&["memory=500"])
    }
}

/// What may happen next; the numbers pick among what is there.
#[derive(Clone, Debug)]
enum Chance {
    EndTurn(usize),
    TrapTurn(usize),
    Start(usize),
    Finish(usize, bool),
    Disconnect(usize),
    Connect(usize),
    Wait(u64),
    Kill(usize),
    MasterDies,
    Quota(usize, u64, u64),
    Drain(usize),
    Activate(usize),
}

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        8 => (0..9_usize).prop_map(Chance::EndTurn),
        1 => (0..9_usize).prop_map(Chance::TrapTurn),
        6 => (0..99_usize).prop_map(Chance::Start),
        6 => (0..99_usize, any::<bool>()).prop_map(|(n, ok)| Chance::Finish(n, ok)),
        1 => (0..AGENTS).prop_map(Chance::Disconnect),
        2 => (0..AGENTS).prop_map(Chance::Connect),
        2 => (1..2_000_u64).prop_map(Chance::Wait),
        1 => (0..99_usize).prop_map(Chance::Kill),
        1 => Just(Chance::MasterDies),
        1 => (0..2_usize, 0..5_u64, 0..12_u64).prop_map(|(r, g, l)| Chance::Quota(r, g, l)),
        1 => (0..AGENTS).prop_map(Chance::Drain),
        2 => (0..AGENTS).prop_map(Chance::Activate),
    ]
}

/// What the agents really have: the truth that the master must come to agree with.
#[derive(Default)]
struct Truth {
    /// By agent: run, sequence and status.
    kept: BTreeMap<String, BTreeMap<Run, (u64, Status)>>,
    started: BTreeSet<Run>,
    /// Of each framework: tasks that are yet to be launched, by how wide they are.
    left: BTreeMap<String, [usize; WIDE.len()]>,
    ended: BTreeMap<String, usize>,
}

struct Game {
    world: World,
    truth: Truth,
}

impl Game {
    fn new() -> Game {
        let mut game = Game {
            world: World::new(),
            truth: Truth::default(),
        };
        game.world.framework_limits.faults_max = 1_000;
        for i in 0..AGENTS {
            game.world
                .command(&format!("agent a{i} cpu=4000 memory=4000"));
            game.truth.kept.insert(format!("a{i}"), BTreeMap::new());
        }
        for i in 0..FRAMEWORKS {
            game.world.command(&format!("install f{i} role=r{}", i % 2));
            game.truth.left.insert(format!("f{i}"), TASKS);
            game.end_turn(&format!("f{i}"));
        }
        game
    }

    fn pick<T: Clone>(items: &[T], n: usize) -> Option<T> {
        (!items.is_empty()).then(|| items[n % items.len()].clone())
    }

    fn play(&mut self, chance: Chance) {
        match chance {
            Chance::EndTurn(n) => {
                let names: Vec<String> = self.world.turns.keys().cloned().collect();
                if let Some(name) = Game::pick(&names, n) {
                    self.end_turn(&name);
                }
            }
            Chance::TrapTurn(n) => {
                let names: Vec<String> = self.world.turns.keys().cloned().collect();
                // A trap in the very first start refuses the install, which is another test's business.
                let installed =
                    |name: &String| self.world.cluster.state().framework_named(name).is_some();
                if let Some(name) = Game::pick(&names, n).filter(installed) {
                    let turn = self.world.turns.remove(&name).expect("it runs");
                    let fault = Fault {
                        kind: FaultKind::Trap,
                        call: Arc::from("handle"),
                        message: Arc::from("chance"),
                        at: Instant(0),
                        id: 0,
                        events: Arc::from(""),
                    };
                    self.world.step(Event::TurnEnded {
                        turn: turn.id,
                        result: Err(fault),
                        cpu_us: 10,
                    });
                }
            }
            Chance::Start(n) => self.change(n, TaskState::Pending, TaskState::Running),
            Chance::Finish(n, ok) => {
                self.change(
                    n,
                    TaskState::Running,
                    if ok {
                        TaskState::Finished
                    } else {
                        TaskState::Failed
                    },
                );
            }
            Chance::Disconnect(n) => {
                if let Some((session, _)) = self.world.agents.remove(&format!("a{n}")) {
                    self.world.step(Event::AgentDisconnected(session));
                }
            }
            Chance::Connect(n) => self.connect(n),
            Chance::Wait(ms) => {
                self.world.now += ms;
                self.world.step(Event::Tick);
            }
            Chance::Kill(n) => {
                let tasks: Vec<String> = self.world.runs.keys().cloned().collect();
                if let Some(task) = Game::pick(&tasks, n) {
                    self.world.command(&format!("kill {task}"));
                }
            }
            Chance::MasterDies => {
                self.world.lead();
            }
            Chance::Quota(role, guarantee, limit) => {
                let (guarantee, limit) = (guarantee * 1_000, limit * 1_000);
                self.world
                    .command(&format!("role r{role} guarantee={guarantee} limit={limit}"));
            }
            Chance::Drain(n) if self.world.agents.contains_key(&format!("a{n}")) => {
                self.world.command(&format!("drain a{n} after=1000"));
            }
            Chance::Activate(n) if self.world.agents.contains_key(&format!("a{n}")) => {
                self.world.command(&format!("activate a{n}"));
            }
            Chance::Drain(_) | Chance::Activate(_) => {}
        }
        self.deliver();
        self.check_limits();
    }

    /// A quota that was not forced is never exceeded, and what is promised is there to be had.
    fn check_limits(&self) {
        for (name, role) in &self.world.cluster.state().roles {
            let Some(quota) = &role.quota else { continue };
            let (used, limit) = (role.used.cpu_milli, quota.limit()[0]);
            assert!(used <= limit, "role {name} uses {used} of {limit}");
        }
    }

    /// Every framework wants its tasks, launches what it can, and counts what has ended.
    fn end_turn(&mut self, name: &str) {
        let turn = self.world.turns.remove(name).expect("it runs");
        let id = turn.id;
        let mut left = self.truth.left[name];
        let mut ended = 0;
        for call in &turn.calls {
            let mezzo_core::Call::Handle(events) = call else {
                continue;
            };
            for event in events {
                let mezzo_core::turn::GuestEvent::Statuses(tasks) = event else {
                    continue;
                };
                for task in tasks {
                    match task.status.state {
                        TaskState::Finished | TaskState::Failed | TaskState::Killed => ended += 1,
                        TaskState::Lost => {
                            let cpu = task.record.spec.resources.cpu_milli;
                            left[usize::from(cpu != WIDE[0])] += 1;
                        }
                        _ => {}
                    }
                }
            }
        }
        let offers: Vec<(mezzo_types::OfferId, u64)> = turn
            .offers
            .iter()
            .map(|o| (o.id, o.free.cpu_milli))
            .collect();
        let first_run = turn.first_run.0;
        let mut ledger = Ledger::new(*turn);
        let mut number = 0;
        for (offer, mut free) in offers {
            for (left, cpu) in left.iter_mut().zip(WIDE) {
                while *left > 0 && free >= cpu {
                    let task = mezzo_types::TaskSpec {
                        resources: each(cpu),
                        ..harness::spec(&format!("t{first_run}-{number}"))
                    };
                    number += 1;
                    free -= cpu;
                    let demand = None;
                    let placed = Placement {
                        offer,
                        demand,
                        task,
                    };
                    if ledger.launch(vec![placed]).is_ok() {
                        *left -= 1;
                    }
                }
            }
        }
        let wanted = left.iter().zip(WIDE).map(|(left, cpu)| Demand {
            name: format!("of-{cpu}"),
            each: each(cpu),
            count: *left as u32,
            conditions: vec![],
            fixed_ports: vec![],
            ..Demand::default()
        });
        ledger.want(wanted.collect()).expect("good demands");
        let effects = ledger.finish();
        self.truth.left.insert(name.into(), left);
        *self.truth.ended.entry(name.into()).or_default() += ended;
        self.world.step(Event::TurnEnded {
            turn: id,
            result: Ok(effects),
            cpu_us: 10,
        });
    }

    /// Hands to connected agents what the master has for them: pending runs and kills.
    fn deliver(&mut self) {
        let tasks: Vec<_> = self
            .world
            .cluster
            .state()
            .frameworks
            .values()
            .flat_map(|f| f.tasks.values().cloned())
            .collect();
        for task in tasks {
            let agent = self
                .world
                .agents
                .iter()
                .find(|(_, (_, id))| *id == task.record.agent)
                .map(|(name, s)| (name.clone(), s.0));
            let Some((name, session)) = agent else {
                continue;
            };
            let run = task.record.run;
            let kept = self.truth.kept.get_mut(&name).expect("an agent");
            if task.kill.is_some() && !task.status.state.is_final() {
                match kept.get_mut(&run) {
                    Some((sequence, status)) if !status.state.is_final() => {
                        *sequence += 1;
                        *status = Status::new(TaskState::Killed, Instant(self.world.now));
                        let (sequence, status) = (*sequence, status.clone());
                        self.world.step(Event::StatusReported {
                            session,
                            run,
                            sequence,
                            status,
                        });
                    }
                    Some(_) => {}
                    None => {
                        self.world.step(Event::KillUnknown(session, run));
                    }
                }
            } else if task.status.state == TaskState::Pending && !kept.contains_key(&run) {
                assert!(self.truth.started.insert(run), "run {run} is started twice");
                kept.insert(
                    run,
                    (1, Status::new(TaskState::Pending, Instant(self.world.now))),
                );
            }
        }
    }

    /// One of the runs that agents keep goes on in its life, and is reported if the agent is connected.
    fn change(&mut self, n: usize, from: TaskState, to: TaskState) {
        let all: Vec<(String, Run)> = self
            .truth
            .kept
            .iter()
            .flat_map(|(agent, runs)| {
                runs.iter()
                    .filter(|(_, (_, s))| s.state == from)
                    .map(|(run, _)| (agent.clone(), *run))
            })
            .collect();
        let Some((agent, run)) = Game::pick(&all, n) else {
            return;
        };
        let (sequence, status) = self
            .truth
            .kept
            .get_mut(&agent)
            .and_then(|runs| runs.get_mut(&run))
            .expect("it is kept");
        *sequence += 1;
        *status = Status::new(to, Instant(self.world.now));
        let (sequence, status) = (*sequence, status.clone());
        if let Some((session, _)) = self.world.agents.get(&agent).copied() {
            self.world.step(Event::StatusReported {
                session,
                run,
                sequence,
                status,
            });
        }
    }

    fn connect(&mut self, n: usize) {
        let name = format!("a{n}");
        if self.world.agents.contains_key(&name) {
            return;
        }
        let mut runs: Vec<(Run, u64, Status)> = Vec::new();
        for (run, (sequence, status)) in &self.truth.kept[&name] {
            let state = if status.state == TaskState::Pending {
                TaskState::Starting
            } else {
                status.state
            };
            runs.push((*run, *sequence, Status::new(state, status.since)));
        }
        self.world.greet(&name, runs);
    }

    /// No more faults: everything that was wanted must end.
    fn heal(&mut self) {
        for role in 0..2 {
            self.play(Chance::Quota(role, 0, 1_000));
        }
        for round in 0..2_000 {
            for n in 0..AGENTS {
                self.play(Chance::Connect(n));
                self.play(Chance::Activate(n));
            }
            while let Some(name) = self.world.turns.keys().next().cloned() {
                self.end_turn(&name);
                self.deliver();
            }
            self.play(Chance::Start(round));
            self.play(Chance::Finish(round, true));
            self.play(Chance::Wait(500));
            if self.world.cluster.state().runs.is_empty()
                && self
                    .truth
                    .left
                    .values()
                    .all(|left| *left == [0; WIDE.len()])
            {
                return;
            }
        }
        panic!(
            "it does not heal: left {:?}, runs {:?}, agents {:?}",
            self.truth.left,
            self.world.cluster.state().runs,
            self.world.agents
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn it_heals(chances in proptest::collection::vec(chance(), 0..300)) {
        let mut game = Game::new();
        for chance in chances {
            game.play(chance);
        }
        game.heal();
        let state = game.world.cluster.state();
        prop_assert!(state.agents.values().all(|agent| agent.used.is_none()), "something leaked");
    }
}
