//! A whole cluster in one thread and virtual time: the real core, the real agent cores, native
//! frameworks, a store, a network and faults. One seed decides everything.
//!
//! Faults come for a while and then no more; after that everything must heal: every task of every
//! framework finishes, no run is executed twice, no machine runs more than it has, no task is lost
//! that its machine still knows, nothing stays charged. After each step of the core all of its
//! invariants hold.

mod faults;
mod machines;
mod master;
mod network;

use crate::job::Progress;
use crate::machine::{Deed, Machine};
use crate::rng::Rng;
use crate::store::Store;
use mezzo_agent_core::{Ending, Exit, Kill, Launch};
use mezzo_core::outbox::Outbox;
use mezzo_core::{Batch, Cluster, Event, Turn};
use mezzo_types::{BatchId, Instant, Run, SessionId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Write as _;

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
