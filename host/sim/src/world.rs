//! A whole cluster in one thread and virtual time: the real core, the real agent cores, native
//! frameworks, a store, a network and faults. One seed decides everything.
//!
//! Faults come for a while and then no more; after that everything must heal: every task of every
//! framework finishes, no run is executed twice, no machine runs more than it has, no task is lost
//! that its machine still knows, nothing stays charged. After each step of the core all of its
//! invariants hold.

use crate::job::{self, Progress};
use crate::machine::{Deed, Machine};
use crate::rng::Rng;
use crate::store::Store;
use mezzo_agent_core::{Ending, Exit, Kill, Launch};
use mezzo_core::event::Install;
use mezzo_core::outbox::Outbox;
use mezzo_core::turn::Fault;
use mezzo_core::{
    Action, Batch, Cluster, ClusterLimits, Event, FaultKind, FrameworkLimits, Request, Turn,
};
use mezzo_types::{BatchId, Digest, Instant, RequestId, Run, SessionId, Status, TurnId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write as _;
use std::sync::Arc;

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Play {
    /// Decides everything.
    pub seed: u64,
    /// Machines.
    pub machines: usize,
    /// Processors of each.
    pub cpus: u64,
    /// Frameworks, over half as many roles.
    pub frameworks: usize,
    /// Tasks of each framework.
    pub tasks: u64,
    /// How long faults come, in milliseconds.
    pub faults_ms: u64,
    /// Time between two faults, on average, in milliseconds.
    pub fault_every_ms: u64,
    /// A deliberate bug, to prove that the checks find it.
    pub bug: Option<Bug>,
    /// Print everything that happens, with its time in milliseconds.
    pub print: bool,
}

impl Play {
    /// A small cluster with many faults.
    #[must_use]
    pub fn short(seed: u64) -> Play {
        Play {
            seed,
            machines: 4,
            cpus: 4,
            frameworks: 4,
            tasks: 25,
            faults_ms: 120_000,
            fault_every_ms: 3_000,
            bug: None,
            print: false,
        }
    }
}

/// Deliberate bugs of the driver or the agents around the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// What waits for a batch is let out before it is durable.
    SpeaksTooEarly,
    /// An acknowledged end is forgotten by the agent although the master's batch may be lost.
    AcknowledgesTooEarly,
    /// A master that takes the lead misses the newest batch.
    ForgetsABatch,
    /// An agent that is started again executes what had been executed.
    ExecutesTwice,
    /// A turn that faulted is committed as an empty one.
    CommitsFaults,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The virtual time when everything had finished, in milliseconds.
    pub healed_ms: u64,
    /// Events that were played.
    pub events: u64,
    /// A digest of every event and action: the same seed gives the same.
    pub trace: u64,
}

/// Healing may take so long after the last fault, in milliseconds.
const HEALING_MS_MAX: u64 = 4 * 3_600_000;
/// A program runs at most so long, in milliseconds.
const PROGRAM_MS_MAX: u64 = 20_000;

type Session = SessionId;

#[derive(Clone, Debug)]
enum Happens {
    /// To the master with this number.
    Master(u64, Box<Event>),
    /// So far the store has written.
    Durable(u64, BatchId),
    /// A turn ends.
    TurnEnds(u64, Box<Turn>),
    /// From the master to a machine over a session.
    Down(usize, Session, Down),
    /// A machine's agent dials.
    Dial(usize, u64),
    /// Its agent has a deadline, or hears of its programs.
    AgentTick(usize, u64),
    AgentHears(usize, u64, mezzo_agent_core::Event),
    ProgramEnds(usize, Run, Exit),
    MasterTick(u64),
    /// Faults.
    NextFault,
    AgentStarts(usize, u64),
    MasterStarts,
}

#[derive(Clone, Debug)]
enum Down {
    Welcome(mezzo_types::Term),
    Refuse,
    Launch(mezzo_types::Term, Vec<Launch>),
    Kill(mezzo_types::Term, Run, Kill),
    Acknowledge(Run, u64),
}

struct Master {
    number: u64,
    cluster: Cluster,
    outbox: Outbox,
    /// Issued, and not durable yet.
    writing: VecDeque<Batch>,
    sessions: BTreeMap<Session, usize>,
}

/// See the module.
pub struct World {
    play: Play,
    rng: Rng,
    now: u64,
    queue: BTreeMap<(u64, u64), Happens>,
    order: u64,
    events: u64,
    trace: u64,
    store: Store,
    /// The store before the newest batch, for the bug that forgets it.
    before: Store,
    durable: BatchId,
    master: Option<Master>,
    masters: u64,
    machines: Vec<Machine>,
    /// The machine's live connection, and when its last message in each direction arrives.
    links: Vec<Option<(Session, [u64; 2])>>,
    last_session: u64,
    requests: u64,
    executed: BTreeSet<Run>,
}

impl World {
    /// Plays it to the end; the error says what is wrong, when, and how to see it again.
    pub fn play(play: Play) -> Result<Outcome, String> {
        let again = format!(
            "seed {}: `mezzo sim --seed {} --print` plays it again",
            play.seed, play.seed
        );
        let mut world = World::new(play);
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
        match played {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(problem)) => Err(format!("{problem} (at {} ms; {again})", world.now)),
            Err(panic) => {
                let words = panic.downcast_ref::<String>().cloned();
                let words = words.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into()));
                let words = words.unwrap_or_else(|| "a panic".into());
                Err(format!("{words} (at {} ms; {again})", world.now))
            }
        }
    }

    fn new(play: Play) -> World {
        let mut world = World {
            play,
            rng: Rng::new(play.seed),
            now: 1_000,
            queue: BTreeMap::new(),
            order: 0,
            events: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            store: Store::default(),
            before: Store::default(),
            durable: BatchId(0),
            master: None,
            masters: 0,
            machines: (0..play.machines)
                .map(|n| Machine::new(n, play.cpus))
                .collect(),
            links: vec![None; play.machines],
            last_session: 0,
            requests: 0,
            executed: BTreeSet::new(),
        };
        world.start_master();
        for n in 0..play.frameworks {
            world.install(n);
        }
        for n in 0..play.machines {
            let life = world.machines[n].life;
            world.after(10, 100, Happens::Dial(n, life));
        }
        if play.faults_ms > 0 {
            world.after(1, play.fault_every_ms * 2, Happens::NextFault);
        }
        world
    }

    fn run(&mut self) -> Result<Outcome, String> {
        let late = self.play.faults_ms + HEALING_MS_MAX;
        while let Some(((at, _), happens)) = self.queue.pop_first() {
            self.now = self.now.max(at);
            if self.now > late {
                return Err(format!("it does not heal: {}", self.unfinished()));
            }
            self.events += 1;
            self.note(&format!("{at} {happens:?}"));
            self.happen(happens)?;
            if self.now > self.play.faults_ms && self.is_finished() {
                return self.finish();
            }
        }
        Err(format!("nothing happens any more: {}", self.unfinished()))
    }

    fn note(&mut self, words: &str) {
        if self.play.print {
            // Whoever has stopped reading has seen enough.
            let _ = writeln!(std::io::stdout(), "{words}");
        }
        // FNV-1a.
        for byte in words.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn after(&mut self, from_ms: u64, to_ms: u64, happens: Happens) {
        let at = self.now + self.rng.between(from_ms, to_ms);
        self.at(at, happens);
    }

    fn at(&mut self, at: u64, happens: Happens) {
        self.order += 1;
        self.queue.insert((at, self.order), happens);
    }

    fn instant(&self) -> Instant {
        Instant(self.now)
    }

    // The master.

    fn start_master(&mut self) {
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

    fn install(&mut self, n: usize) {
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
    fn step(&mut self, event: Event) {
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
    fn show(&mut self, action: Action) {
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

    fn durable(&mut self, batch: BatchId) {
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

    fn end_turn(&mut self, turn: Turn) {
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

    // The network.

    fn dial(&mut self, machine: usize) {
        if self.machines[machine].agent.is_none() || self.links[machine].is_some() {
            return;
        }
        let life = self.machines[machine].life;
        let Some(master) = &mut self.master else {
            return self.after(100, 2_000, Happens::Dial(machine, life));
        };
        self.last_session += 1;
        let session = SessionId(self.last_session);
        master.sessions.insert(session, machine);
        self.links[machine] = Some((session, [self.now; 2]));
        let it = &self.machines[machine];
        let runs = it.agent.as_ref().map_or_else(Vec::new, |agent| {
            let runs = agent.runs();
            runs.map(|(run, number, status)| (run, number, status.clone()))
                .collect()
        });
        let facts = it.facts.clone();
        self.up(
            machine,
            Event::AgentConnected {
                session,
                facts,
                runs,
            },
        );
    }

    /// When a message arrives: after the one before it on the same connection.
    fn arrives(&mut self, machine: usize, way: usize) -> u64 {
        let delay = if self.rng.chance(20) {
            self.rng.between(500, 5_000)
        } else {
            self.rng.between(1, 50)
        };
        let Some((_, last)) = &mut self.links[machine] else {
            return self.now;
        };
        last[way] = last[way].max(self.now + delay);
        last[way]
    }

    fn up(&mut self, machine: usize, event: Event) {
        let Some(number) = self.master.as_ref().map(|master| master.number) else {
            return;
        };
        let at = self.arrives(machine, 0);
        self.at(at, Happens::Master(number, Box::new(event)));
    }

    fn down(&mut self, machine: usize, session: Session, down: Down) {
        if self.links[machine].is_none_or(|(live, _)| live != session) {
            return;
        }
        let at = self.arrives(machine, 1);
        self.at(at, Happens::Down(machine, session, down));
    }

    /// The connection of a machine ends; each side notices in its own time.
    fn cut(&mut self, machine: usize) {
        let Some((session, _)) = self.links[machine].take() else {
            return;
        };
        let lost = |happens: &Happens| match happens {
            Happens::Down(to, of, _) => *to == machine && *of == session,
            Happens::Master(_, event) => match &**event {
                Event::AgentConnected { session: of, .. }
                | Event::StatusReported { session: of, .. }
                | Event::KillUnknown(of, _) => *of == session,
                _ => false,
            },
            _ => false,
        };
        self.queue.retain(|_, happens| !lost(happens));
        if let Some(number) = self.master.as_ref().map(|master| master.number) {
            let event = Event::AgentDisconnected(session);
            self.after(1, 15_000, Happens::Master(number, Box::new(event)));
        }
        let life = self.machines[machine].life;
        let closed = mezzo_agent_core::Event::SessionClosed;
        self.after(0, 0, Happens::AgentHears(machine, life, closed));
        self.after(50, 5_000, Happens::Dial(machine, life));
    }

    // The machines.

    fn hear(&mut self, machine: usize, event: mezzo_agent_core::Event) {
        let deeds = self.machines[machine].step(Instant(self.now), event);
        self.perform(machine, deeds);
    }

    fn perform(&mut self, machine: usize, deeds: Vec<Deed>) {
        let life = self.machines[machine].life;
        for deed in deeds {
            match deed {
                Deed::Say(run, sequence, status) => self.report(machine, run, sequence, status),
                Deed::SayUnknown(run) => {
                    if let Some((session, _)) = self.links[machine] {
                        self.up(machine, Event::KillUnknown(session, run));
                    }
                }
                Deed::Executed(run) => {
                    let new = self.executed.insert(run);
                    assert!(new, "run {run} is executed twice");
                    let needs = self.machines[machine].running() * job::CPU_MILLI;
                    let has = self.machines[machine].facts.total.cpu_milli;
                    assert!(
                        needs <= has,
                        "machine {machine} has {has} thousandths of a cpu, and its programs need {needs}"
                    );
                    let started = mezzo_agent_core::Event::Started(run);
                    self.after(1, 20, Happens::AgentHears(machine, life, started));
                    let exit = Exit::Code(i32::from(self.rng.chance(100)));
                    let end = Happens::ProgramEnds(machine, run, exit);
                    self.after(1, PROGRAM_MS_MAX, end);
                }
                Deed::Signalled(run) => {
                    let end = Happens::ProgramEnds(machine, run, Exit::Signal(15));
                    self.after(1, 500, end);
                }
            }
        }
        let deadline = self.machines[machine]
            .agent
            .as_ref()
            .and_then(mezzo_agent_core::Agent::next_deadline);
        if let Some(at) = deadline {
            let at = at.0.max(self.now + 1);
            self.at(at, Happens::AgentTick(machine, life));
        }
    }

    fn report(&mut self, machine: usize, run: Run, sequence: u64, status: Status) {
        let Some((session, _)) = self.links[machine] else {
            return;
        };
        let ends = status.state.is_final();
        self.up(
            machine,
            Event::StatusReported {
                session,
                run,
                sequence,
                status,
            },
        );
        if ends && self.play.bug == Some(Bug::AcknowledgesTooEarly) {
            let acknowledged = mezzo_agent_core::Event::Acknowledged(run, sequence);
            let life = self.machines[machine].life;
            self.after(0, 0, Happens::AgentHears(machine, life, acknowledged));
        }
    }

    // What happens.

    fn happen(&mut self, happens: Happens) -> Result<(), String> {
        let current = self.master.as_ref().map(|master| master.number);
        match happens {
            Happens::Master(number, event) if Some(number) == current => {
                if let (Event::AgentDisconnected(session), Some(master)) =
                    (&*event, &mut self.master)
                {
                    master.sessions.remove(session);
                }
                self.step(*event);
            }
            Happens::MasterTick(number) if Some(number) == current => self.step(Event::Tick),
            Happens::Durable(number, batch) if Some(number) == current => self.durable(batch),
            Happens::TurnEnds(number, turn) if Some(number) == current => self.end_turn(*turn),
            // Meant for a master that is no more.
            Happens::Master(..)
            | Happens::MasterTick(_)
            | Happens::Durable(..)
            | Happens::TurnEnds(..) => {}
            Happens::Down(machine, session, down) => self.arrive(machine, session, down),
            Happens::Dial(machine, life) if self.machines[machine].life == life => {
                self.dial(machine)
            }
            Happens::AgentTick(machine, life) if self.machines[machine].life == life => {
                self.hear(machine, mezzo_agent_core::Event::Tick);
            }
            Happens::AgentHears(machine, life, event) if self.machines[machine].life == life => {
                self.hear(machine, event);
            }
            Happens::Dial(..) | Happens::AgentTick(..) | Happens::AgentHears(..) => {}
            Happens::ProgramEnds(machine, run, exit) => {
                if self.machines[machine].end(run, exit) {
                    let life = self.machines[machine].life;
                    let ended = mezzo_agent_core::Event::Ended(run, Ending::Exit(exit));
                    self.after(0, 20, Happens::AgentHears(machine, life, ended));
                }
            }
            Happens::AgentStarts(machine, life) => {
                if self.machines[machine].life == life {
                    let mut deeds = self.machines[machine].start(Instant(self.now));
                    if self.play.bug == Some(Bug::ExecutesTwice) {
                        let executed = self.machines[machine].executed.first().copied();
                        deeds.extend(executed.map(Deed::Executed));
                    }
                    self.perform(machine, deeds);
                    let life = self.machines[machine].life;
                    self.after(10, 1_000, Happens::Dial(machine, life));
                }
            }
            Happens::MasterStarts => {
                if self.master.is_none() {
                    self.start_master();
                    self.install_missing();
                }
            }
            Happens::NextFault => self.fault(),
        }
        Ok(())
    }

    /// An install that died with its master was never answered: whoever asked asks again.
    fn install_missing(&mut self) {
        for n in 0..self.play.frameworks {
            let there = self.master.as_ref().is_some_and(|master| {
                let state = master.cluster.state();
                state.framework_named(&format!("f{n}")).is_some()
            });
            if !there {
                self.install(n);
            }
        }
    }

    fn arrive(&mut self, machine: usize, session: Session, down: Down) {
        if self.links[machine].is_none_or(|(live, _)| live != session) {
            return;
        }
        use mezzo_agent_core::Event as Hears;
        match down {
            Down::Welcome(term) => self.hear(machine, Hears::SessionOpened(term)),
            Down::Refuse => self.cut(machine),
            Down::Launch(term, launches) => self.hear(machine, Hears::Launch(term, launches)),
            Down::Kill(term, run, kill) => self.hear(machine, Hears::Kill(term, run, kill)),
            Down::Acknowledge(run, sequence) => {
                self.hear(machine, Hears::Acknowledged(run, sequence));
            }
        }
    }

    // Faults.

    fn faults_come(&self) -> bool {
        self.now < self.play.faults_ms
    }

    fn fault(&mut self) {
        if !self.faults_come() {
            return;
        }
        let every = self.play.fault_every_ms;
        self.after(1, every * 2, Happens::NextFault);
        let machine = usize::try_from(self.rng.draw()).unwrap_or(0) % self.machines.len();
        match self.rng.between(0, 9) {
            0..4 => self.cut(machine),
            4 | 5 => self.crash_master(),
            6 | 7 => {
                self.machines[machine].kill_agent();
                self.agent_is_away(machine);
            }
            8 => {
                self.machines[machine].reboot();
                self.agent_is_away(machine);
            }
            _ => {
                // A partition: everybody is cut off at once.
                for machine in 0..self.machines.len() {
                    self.cut(machine);
                }
            }
        }
    }

    fn agent_is_away(&mut self, machine: usize) {
        self.cut(machine);
        let life = self.machines[machine].life;
        self.after(100, 60_000, Happens::AgentStarts(machine, life));
    }

    /// The master dies between any two actions. What it was writing is written, up to any batch: torn
    /// off, or done without anybody hearing of it.
    fn crash_master(&mut self) {
        let Some(mut master) = self.master.take() else {
            return;
        };
        let written = self.rng.between(0, master.writing.len() as u64);
        if self.play.bug == Some(Bug::ForgetsABatch) {
            self.store = self.before.clone();
            master.writing.clear();
        }
        let written = usize::try_from(written).unwrap_or(0);
        for batch in master.writing.drain(..).take(written) {
            for record in &batch.records {
                self.store.apply(record);
            }
            self.durable = batch.id;
        }
        for machine in 0..self.machines.len() {
            self.cut(machine);
        }
        self.after(100, 10_000, Happens::MasterStarts);
    }

    // The end.

    fn progress(&self, n: usize) -> Option<Progress> {
        let master = self.master.as_ref()?;
        let framework = master.cluster.state().framework_named(&format!("f{n}"))?;
        let state = framework.state.get("progress").map(|bytes| &**bytes);
        Some(Progress::of(state))
    }

    fn is_finished(&self) -> bool {
        let all = Progress {
            left: 0,
            done: self.play.tasks,
        };
        (0..self.play.frameworks).all(|n| self.progress(n) == Some(all))
    }

    fn unfinished(&self) -> String {
        let progress: Vec<Option<Progress>> = (0..self.play.frameworks)
            .map(|n| self.progress(n))
            .collect();
        format!("of {} tasks each {progress:?}", self.play.tasks)
    }

    /// Everything has finished: nothing may be left over.
    fn finish(&mut self) -> Result<Outcome, String> {
        if let Some(master) = &self.master {
            let state = master.cluster.state();
            for (id, agent) in &state.agents {
                if !agent.used.is_none() {
                    return Err(format!("agent {id} still has {:?} in use", agent.used));
                }
            }
            if let Some(run) = state.runs.keys().next() {
                return Err(format!("run {run} is left over"));
            }
        }
        if let Some(n) = self.machines.iter().position(|it| it.running() > 0) {
            return Err(format!("machine {n} runs programs that nobody knows"));
        }
        Ok(Outcome {
            healed_ms: self.now,
            events: self.events,
            trace: self.trace,
        })
    }
}
