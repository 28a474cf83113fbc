//! Random clusters under random faults: after every step all invariants hold (the harness checks), a
//! master that dies is rebuilt from its records, and after the faults everything heals.

mod harness;

use harness::{World, amounts};
use mezzo_core::ledger::{Ledger, Placement};
use mezzo_core::record::VolumeState;
use mezzo_core::{Event, Fault, FaultKind};
use mezzo_types::{
    Demand, Instant, Mount, PortRequest, Reason, ReservationId, Resources, Run, Status, TaskState,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const AGENTS: usize = 3;
const FRAMEWORKS: usize = 3;
/// What each framework wants, by how wide.
const TASKS: [usize; 2] = [8, 4];
/// How wide its tasks are, in thousandths of a processor.
const WIDE: [u64; 2] = [1_000, 2_000];

/// The narrow ones have a port.
fn each(cpu_milli: u64) -> Resources {
    Resources {
        cpu_milli,
        ports: u64::from(cpu_milli == WIDE[0]),
        ..amounts(&["memory=500"])
    }
}

fn ports(cpu_milli: u64) -> Vec<PortRequest> {
    let port = (cpu_milli == WIDE[0]).then(|| PortRequest {
        name: "p".into(),
        fixed: None,
    });
    port.into_iter().collect()
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
    /// An agent's, for a role, so much; within the one of that number, if there is one.
    Reserve(usize, usize, u64, Option<usize>),
    Unreserve(usize),
    Volume(usize),
    DestroyVolume(usize),
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
        1 => (0..AGENTS, 0..2_usize, 1..3_u64, proptest::option::of(0..9_usize))
            .prop_map(|(a, r, cpus, within)| Chance::Reserve(a, r, cpus * 1_000, within)),
        1 => (0..9_usize).prop_map(Chance::Unreserve),
        1 => (0..9_usize).prop_map(Chance::Volume),
        1 => (0..9_usize).prop_map(Chance::DestroyVolume),
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
    volumes: BTreeSet<(ReservationId, Arc<str>)>,
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
            game.world.command(&format!(
                "agent a{i} cpu=4000 memory=4000 disk=1000 ports=8000-8003"
            ));
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
            Chance::Reserve(agent, role, cpu, within) => {
                let within = within.and_then(|n| Game::pick(&self.reservations(), n));
                let within = within.map_or(String::new(), |name| format!(" within={name}"));
                self.world.command(&format!(
                    "reserve a{agent} role=r{role} cpu={cpu} memory=500 disk=100{within}"
                ));
            }
            Chance::Unreserve(n) => self.of_a_reservation(n, "unreserve", ""),
            Chance::Volume(n) => self.of_a_reservation(n, "volume", " data=50"),
            Chance::DestroyVolume(n) => self.of_a_reservation(n, "no-volume", " data"),
        }
        self.deliver();
        self.deliver_volumes();
        self.check_limits();
    }

    /// The names of all reservations there are.
    fn reservations(&self) -> Vec<String> {
        let ids = self.world.cluster.state().reservations.keys();
        ids.map(|id| self.world.name_of(*id)).collect()
    }

    fn of_a_reservation(&mut self, n: usize, command: &str, rest: &str) {
        if let Some(name) = Game::pick(&self.reservations(), n) {
            self.world.command(&format!("{command} {name}{rest}"));
        }
    }

    /// Connected agents make and destroy what the master wants made and destroyed.
    fn deliver_volumes(&mut self) {
        let state = self.world.cluster.state();
        let mut said = Vec::new();
        for (id, known) in state
            .reservations
            .keys()
            .filter_map(|id| Some((*id, state.reservation(*id)?)))
        {
            let mut agents = self.world.agents.values();
            let Some((session, agent)) = agents.find(|(_, a)| *a == known.record.agent).copied()
            else {
                continue;
            };
            for volume in &known.record.volumes {
                let exists = match volume.state {
                    VolumeState::Making => true,
                    VolumeState::Destroying => false,
                    VolumeState::Ready => continue,
                };
                let mounts = |run: &Run| {
                    let task = state.task(*run).expect("a known run");
                    let mut mounts = task.record.spec.mounts.iter();
                    !task.status.state.is_final()
                        && task.record.reservation == Some(id)
                        && mounts.any(|m| *m.volume == *volume.name)
                };
                let used = state.agents[&agent].runs.iter().any(mounts);
                assert!(exists || !used, "{volume:?} of {id} is destroyed in use");
                let key = (id, Arc::clone(&volume.name));
                if exists {
                    self.truth.volumes.insert(key);
                } else {
                    self.truth.volumes.remove(&key);
                }
                said.push(Event::VolumeReported {
                    session,
                    reservation: id,
                    volume: volume.name.to_string(),
                    exists,
                });
            }
        }
        for event in said {
            self.world.step(event);
        }
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
        let (first_run, seed, now) = (turn.first_run.0, turn.seed, turn.now);
        let mut offers = offers;
        let mut ledger = Ledger::new(*turn);
        let mut number = 0;
        let mut made = Vec::new();
        if let Some((offer, free)) = offers.first_mut().filter(|_| seed.is_multiple_of(4)) {
            let until = (seed.is_multiple_of(8)).then(|| now.after_ms(2_000));
            let amount = amounts(&["cpu=1000", "memory=500", "disk=20"]);
            if let Ok(new) = ledger.reserve(*offer, amount, vec![], until) {
                *free -= 1_000;
                made.push((new.offer, 1_000));
                let volume = ledger.create_volume(new.reservation, "data", 10);
                assert!(volume.is_ok(), "{volume:?}");
            }
        }
        let known = ledger.reservations(None, 1_000);
        if seed.is_multiple_of(5) {
            for known in &known {
                // What is refused changes nothing, which is what this is about.
                let _ = ledger.destroy_volume(known.record.id, "data");
                let _ = ledger.unreserve(known.record.id);
            }
        }
        offers.extend(made);
        for (offer, mut free) in offers {
            for (left, cpu) in left.iter_mut().zip(WIDE) {
                while *left > 0 && free >= cpu {
                    let mut task = mezzo_types::TaskSpec {
                        resources: each(cpu),
                        ports: ports(cpu),
                        preemptible: name != "f2" && seed.is_multiple_of(2),
                        ..harness::spec(&format!("t{first_run}-{number}"))
                    };
                    number += 1;
                    free -= cpu;
                    if number % 2 == 0 {
                        task.mounts = vec![Mount {
                            volume: "data".into(),
                            path: "data".into(),
                        }];
                    }
                    let placed = |task: &mezzo_types::TaskSpec| Placement {
                        offer,
                        demand: None,
                        task: task.clone(),
                    };
                    let mut launched = ledger.launch(vec![placed(&task)]);
                    if launched.is_err() {
                        task.mounts.clear();
                        task.preemptible = false;
                        launched = ledger.launch(vec![placed(&task)]);
                    }
                    if launched.is_ok() {
                        *left -= 1;
                    }
                }
            }
        }
        let wanted = left.iter().zip(WIDE).map(|(left, cpu)| Demand {
            name: format!("of-{cpu}"),
            each: each(cpu),
            count: *left as u32,
            together: seed.is_multiple_of(3) && cpu == WIDE[1],
            priority: if name == "f2" { 5 } else { 0 },
            ..Demand::default()
        });
        let mut wanted: Vec<Demand> = wanted.collect();
        let kept = known.iter().filter(|known| !known.record.ending);
        wanted.push(Demand {
            name: "back".into(),
            each: each(WIDE[0]),
            count: left[0].min(1) as u32,
            reservations: kept.map(|known| known.record.id).collect(),
            ..Demand::default()
        });
        wanted.retain(|demand| demand.name != "back" || !demand.reservations.is_empty());
        ledger.want(wanted).expect("good demands");
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
            if task
                .kill
                .as_ref()
                .is_some_and(|kill| kill.reason == Reason::Preempted)
            {
                let (record, first) = (&task.record, task.record.priority <= 0);
                assert!(record.spec.preemptible && first, "{record:?} is preempted");
            }
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
            for n in 0..self.reservations().len() {
                self.play(Chance::DestroyVolume(n));
                self.play(Chance::Unreserve(n));
            }
            let state = self.world.cluster.state();
            if state.runs.is_empty()
                && state.reservations.is_empty()
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
        prop_assert!(game.truth.volumes.is_empty(), "volumes are left: {:?}", game.truth.volumes);
    }
}
