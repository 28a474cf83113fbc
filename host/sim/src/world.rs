//! A whole cluster in one thread and virtual time: the real core, the real agent cores, frameworks, a
//! store, a network and faults. One seed decides everything.
//!
//! Faults come for a while and then no more; after that everything must heal: every task of every
//! framework finishes, no run is executed twice, no machine runs more than it has, no task is lost
//! that its machine still knows, nothing stays charged. As the core steps its invariants hold, and what
//! is promised to roles and operators (`checks.rs`).
//!
//! | to find | open |
//! |---|---|
//! | what breaks, and when | `faults.rs` |
//! | what people ask for: installs, tasks, what operators do | `people.rs`, `operators.rs`, `keeping.rs` |
//! | the master around the core, what machines do, connections | `master.rs`, `machines.rs`, `network.rs` |
//! | what must hold | `checks.rs`, `guarantees.rs`, `preemption.rs` |
//! | how it is shown | `show.rs` |

mod checks;
mod faults;
mod guarantees;
mod keeping;
mod machines;
mod master;
mod network;
mod operators;
mod people;
mod play;
mod preemption;
mod show;

pub use play::{Bug, Faults, Outcome, Pace, Play, Problem};

use crate::guest::Guest;
use crate::job::Jobs;
use crate::machine::Machine;
use crate::report::{Meter, Report};
use crate::rng::Rng;
use crate::store::Store;
use crate::workload::Ends;
use mezzo_agent_core::{Exit, Kill, Launch, Volume};
use mezzo_core::outbox::Outbox;
use mezzo_core::{Batch, Cluster, Event, Turn};
use mezzo_types::{AgentId, BatchId, Instant, Resources, Run, SessionId, TurnId};
use operators::Operators;
use people::People;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

/// Healing may take so long after the last fault, in milliseconds.
const HEALING_MS_MAX: u64 = 4 * 3_600_000;
/// When the play begins, in milliseconds.
const BEGIN_MS: u64 = 1_000;

type Session = SessionId;

#[derive(Clone, Debug)]
enum Happens {
    /// To the master with this number.
    Master(u64, Box<Event>),
    /// So far the store has written.
    Durable(u64, BatchId),
    /// A turn ends.
    TurnEnds(u64, Box<Turn>, Mood),
    /// From the master to a machine over a session.
    Down(usize, Session, Box<Down>),
    /// A machine's agent dials.
    Dial(usize, u64),
    /// Its agent has a deadline, or hears of its programs.
    AgentTick(usize, u64),
    AgentHears(usize, u64, Box<mezzo_agent_core::Event>),
    ProgramEnds(usize, Run, Exit),
    /// A machine says that a volume is there now, or is no more.
    VolumeSaid(usize, u64, Box<Volume>, bool),
    MasterTick(u64),
    /// A task arrives for this framework.
    Arrives(usize),
    /// Somebody asks, or asks again.
    Asks(people::Ask),
    /// What operators do next, according to the workload.
    Acts,
    /// Faults.
    NextFault,
    Heals,
    /// Operators give back what they keep, everywhere.
    GivesBack,
    AgentStarts(usize, u64),
    MachineReplaced(usize),
    MasterStarts,
}

/// How a guest's turn goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Good,
    /// It traps.
    Traps,
    /// It takes nearly as long as it may.
    Slow,
    /// It takes longer than it may.
    TooSlow,
    /// It asks for nonsense.
    Confused,
}

#[derive(Clone, Debug)]
enum Down {
    Welcome(mezzo_types::Term),
    Refuse,
    Launch(mezzo_types::Term, Vec<Launch>),
    Kill(mezzo_types::Term, Run, Kill),
    CreateVolume(mezzo_types::Term, Volume),
    DestroyVolume(mezzo_types::Term, Volume),
    Acknowledge(Run, u64),
}

struct Master {
    number: u64,
    cluster: Cluster,
    outbox: Outbox,
    /// Issued, and not durable yet.
    writing: VecDeque<Batch>,
    sessions: BTreeMap<Session, usize>,
    /// When it is to step next if nothing happens before.
    tick_at: u64,
    /// Sessions that stand, as the core has said.
    welcome: BTreeMap<Session, AgentId>,
    /// What running turns were offered.
    leases: BTreeMap<TurnId, Vec<(AgentId, Resources)>>,
    /// The top-level role of each of those turns.
    roles: BTreeMap<TurnId, String>,
    /// For what must hold of preemption.
    known: preemption::Known,
}

/// A machine's live connection.
#[derive(Clone, Copy, Debug)]
struct Link {
    session: Session,
    /// When its last message in each direction arrives.
    last: [u64; 2],
}

/// See the module.
pub struct World {
    play: Play,
    guest: Box<dyn Guest>,
    rng: Rng,
    now: u64,
    queue: BTreeMap<(u64, u64), Happens>,
    order: u64,
    /// Events that were played.
    step: u64,
    /// Steps of masters.
    steps: u64,
    trace: u64,
    line: String,
    /// What the newest step did, if somebody watches.
    lines: Vec<String>,
    store: Store,
    /// The store before the newest batch, for the bug that forgets it.
    before: Store,
    durable: BatchId,
    master: Option<Master>,
    masters: u64,
    faults: faults::Armed,
    machines: Vec<Machine>,
    links: Vec<Option<Link>>,
    /// Nobody reaches this machine until then.
    cut_off_until: Vec<u64>,
    /// When each agent is to step next.
    agent_ticks: Vec<u64>,
    last_session: u64,
    people: People,
    operators: Operators,
    executed: BTreeSet<Run>,
    meter: Meter,
}

thread_local! {
    static PLAYING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a world: a panic there is a problem that [`World::advance`] returns, and
/// need not be printed besides.
#[must_use]
pub fn is_playing() -> bool {
    PLAYING.get()
}

impl World {
    /// Plays it to the end; the error says what is wrong, when, and how to see it again.
    pub fn play(play: Play) -> Result<Outcome, Problem> {
        let mut world = World::native(play);
        loop {
            if let Some(outcome) = world.advance()? {
                return Ok(outcome);
            }
        }
    }

    /// A world whose frameworks are the simulator's own.
    #[must_use]
    pub fn native(play: Play) -> World {
        let jobs = Jobs::new(&play.workload, play.seed);
        World::new(play, Box::new(jobs))
    }

    /// A world before its first event.
    #[must_use]
    pub fn new(play: Play, guest: Box<dyn Guest>) -> World {
        let workload = Arc::clone(&play.workload);
        let groups = workload.machines.iter();
        let machines = groups.flat_map(|group| std::iter::repeat_n(group, group.count));
        let machines: Vec<Machine> = machines
            .enumerate()
            .map(|(n, group)| Machine::new(n, group.total.clone(), group.zone.clone()))
            .collect();
        let count = machines.len();
        let mut world = World {
            guest,
            rng: Rng::new(play.seed),
            now: BEGIN_MS,
            queue: BTreeMap::new(),
            order: 0,
            step: 0,
            steps: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            line: String::new(),
            lines: Vec::new(),
            store: Store::default(),
            before: Store::default(),
            durable: BatchId(0),
            master: None,
            masters: 0,
            faults: faults::Armed::default(),
            machines,
            links: vec![None; count],
            cut_off_until: vec![0; count],
            agent_ticks: vec![u64::MAX; count],
            last_session: 0,
            people: People::new(&workload),
            operators: Operators::new(count, play.faults.operators || workload.has_quota()),
            executed: BTreeSet::new(),
            meter: Meter::new(&play.workload, play.sample_ms),
            play,
        };
        world.start_master();
        world.begin_asking(&workload);
        for n in 0..count {
            let life = world.machines[n].life;
            world.after(10, 100, Happens::Dial(n, life));
        }
        if world.play.faults.until_ms > 0 {
            let every = world.play.faults.every_ms;
            world.after(1, every * 2, Happens::NextFault);
            world.at(world.play.faults.until_ms, Happens::Heals);
        }
        if workload.ends == Ends::WhenAllIsDone {
            let last_ms = world.play.last_ms();
            world.at(last_ms + 1, Happens::GivesBack);
        }
        world
    }

    /// Plays the next event; the outcome, if the play is over.
    pub fn advance(&mut self) -> Result<Option<Outcome>, Problem> {
        self.lines.clear();
        PLAYING.set(true);
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.play_next()));
        PLAYING.set(false);
        let problem = match played {
            Ok(Ok(outcome)) => return Ok(outcome),
            Ok(Err(problem)) => problem,
            Err(panic) => {
                let words = panic.downcast_ref::<String>().cloned();
                let words = words.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into()));
                words.unwrap_or_else(|| "a panic".into())
            }
        };
        Err(Problem {
            seed: self.play.seed,
            step: self.step,
            at_ms: self.now,
            what: problem,
            again: self.play.again.clone(),
        })
    }

    fn play_next(&mut self) -> Result<Option<Outcome>, String> {
        let Some(((at, _), happens)) = self.queue.pop_first() else {
            return Err(format!("nothing happens any more: {}", self.unfinished()));
        };
        let workload = Arc::clone(&self.play.workload);
        let last_ms = self.play.last_ms();
        if workload.ends == Ends::WithTheTime && at > workload.duration_ms.max(BEGIN_MS) {
            self.sample(workload.duration_ms);
            self.now = self.now.max(workload.duration_ms);
            self.check_all()?;
            return Ok(Some(self.outcome()));
        }
        if at > last_ms + HEALING_MS_MAX {
            return Err(format!("it does not heal: {}", self.unfinished()));
        }
        self.sample(at);
        self.now = self.now.max(at);
        self.step += 1;
        self.note_event(at, &happens);
        self.happen(happens)?;
        if workload_is_over(&self.play, self.now) && self.is_finished() {
            self.check_all()?;
            self.check_nothing_is_left()?;
            return Ok(Some(self.outcome()));
        }
        Ok(None)
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            healed_ms: self.now,
            events: self.step,
            trace: self.trace,
        }
    }

    /// How it went so far, in figures.
    #[must_use]
    pub fn report(&self) -> Report {
        self.meter.report(&self.play.workload, self.now, self.step)
    }

    fn sample(&mut self, until_ms: u64) {
        while self.meter.next_ms() <= until_ms {
            let state = self.master.as_ref().map(|master| master.cluster.state());
            self.meter.sample(state);
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
            Happens::Master(number, event) if Some(number) == current => self.reach_master(*event),
            Happens::MasterTick(number) if Some(number) == current => self.master_tick(),
            Happens::Durable(number, batch) if Some(number) == current => self.durable(batch),
            Happens::TurnEnds(number, turn, mood) if Some(number) == current => {
                self.end_turn(*turn, mood);
            }
            // Meant for a master that is no more.
            Happens::Master(..)
            | Happens::MasterTick(_)
            | Happens::Durable(..)
            | Happens::TurnEnds(..) => {}
            Happens::Down(machine, session, down) => self.arrive(machine, session, *down),
            Happens::Dial(machine, life) if self.machines[machine].life == life => {
                self.dial(machine);
            }
            Happens::AgentTick(machine, life) if self.machines[machine].life == life => {
                self.agent_tick(machine);
            }
            Happens::AgentHears(machine, life, event) if self.machines[machine].life == life => {
                self.hear(machine, *event);
            }
            Happens::VolumeSaid(machine, life, volume, exists)
                if self.machines[machine].life == life =>
            {
                self.volume_said(machine, *volume, exists);
            }
            Happens::Dial(..)
            | Happens::AgentTick(..)
            | Happens::AgentHears(..)
            | Happens::VolumeSaid(..) => {}
            Happens::ProgramEnds(machine, run, exit) => self.end_program(machine, run, exit),
            Happens::Arrives(framework) => self.task_arrives(framework),
            Happens::Asks(ask) => self.ask(ask),
            Happens::Acts => self.act_next(),
            Happens::NextFault => self.fault(),
            Happens::Heals => self.heal(),
            Happens::GivesBack => self.give_all_back(),
            Happens::AgentStarts(machine, life) => self.start_agent(machine, life),
            Happens::MachineReplaced(machine) => self.replace_machine(machine),
            Happens::MasterStarts => {
                if self.master.is_none() {
                    self.start_master();
                    self.ask_again();
                }
            }
        }
        self.check_step()
    }

    fn arrive(&mut self, machine: usize, session: Session, down: Down) {
        if !self.is_linked(machine, session) {
            return;
        }
        use mezzo_agent_core::Event as Hears;
        match down {
            Down::Welcome(term) => self.hear(machine, Hears::SessionOpened(term)),
            Down::Refuse => self.cut(machine),
            Down::Launch(term, launches) => self.hear(machine, Hears::Launch(term, launches)),
            Down::Kill(term, run, kill) => self.hear(machine, Hears::Kill(term, run, kill)),
            Down::CreateVolume(term, volume) => {
                self.hear(machine, Hears::CreateVolume(term, volume));
            }
            Down::DestroyVolume(term, volume) => {
                self.hear(machine, Hears::DestroyVolume(term, volume));
            }
            Down::Acknowledge(run, sequence) => {
                self.hear(machine, Hears::Acknowledged(run, sequence));
            }
        }
    }

    fn unfinished(&self) -> String {
        let mut text = String::new();
        for (n, framework) in self.play.workload.frameworks.iter().enumerate() {
            let progress = self.progress(n).unwrap_or_default();
            let arrived = self.people.arrived(n);
            if progress.done < arrived {
                let _ = write!(
                    text,
                    "{} has finished {} of {arrived} tasks; ",
                    framework.name, progress.done
                );
            }
        }
        text + &self.operators.unfinished()
    }
}

fn workload_is_over(play: &Play, now: u64) -> bool {
    play.workload.ends == Ends::WhenAllIsDone && now > play.last_ms()
}
