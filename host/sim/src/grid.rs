//! Mesos' allocator benchmark (`HierarchicalAllocations_BENCHMARK_Test.DeclineOffers` of
//! `hierarchical_allocator_benchmarks.cpp`, in shape), on our core: agents of 24 cpus of which 16 are
//! in use, and frameworks that want as much as there is and decline what they are offered.
//!
//! | to find | open |
//! |---|---|
//! | everything is added, a full round, everyone declines everything | `grid/round.rs` |
//! | everyone has seen everything; then one task ends | `grid/settled.rs` |
//! | every role has a guarantee and a limit | `grid/quota.rs` |
//! | a state is read from its records | `grid/restore.rs` |
//! | why demands wait | `grid/explain.rs` |
//! | tasks whose memory is counted | `grid/memory.rs` |
//!
//! Frameworks are native and answer at once; there is neither sandbox nor registry, as Mesos'
//! benchmark has none. What is different: a framework of ours says what it wants, so that it is
//! offered nothing else; all frameworks hold their first offers at the same time, as in Mesos, but
//! an offer ends with its turn.

mod explain;
mod memory;
mod quota;
mod restore;
mod round;
mod settled;

pub use explain::Explained;
pub use quota::WithQuota;
pub use round::{Declined, Round};
pub use settled::Settled;

use mezzo_core::event::Install;
use mezzo_core::ledger::{Ledger, Placement};
use mezzo_core::{
    Action, Answer, Call, Cluster, ClusterLimits, Effects, Event, FrameworkLimits, Record, Request,
    Turn,
};
use mezzo_types::{
    AgentFacts, AgentId, BatchId, Demand, Digest, Instant, PortSet, RequestId, Resources, Run,
    Runtime, SessionId, Status, TaskId, TaskSpec, TaskState, TurnId, Workload,
};
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

/// Thousandths of a cpu that each agent has.
const CPU_MILLI: u64 = 24_000;
/// Of them, those in use.
const CPU_MILLI_USED: u64 = 16_000;
/// Memory that each agent has.
const MEMORY_BYTES: u64 = 4 << 30;
/// Of it, what is in use.
const MEMORY_BYTES_USED: u64 = 2 << 30;
/// Ports that each agent gives out.
const PORTS: (u16, u16) = (31_000, 32_000);
/// The framework whose tasks are what is in use.
const FILLER: &str = "filler";

/// How large.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Agents.
    pub agents: u64,
    /// Frameworks.
    pub frameworks: u64,
    /// Roles over which they are spread evenly.
    pub roles: u64,
}

/// A cluster in the benchmark.
#[derive(Debug)]
pub struct Grid {
    cluster: Cluster,
    size: Size,
    now: Instant,
    requests: u64,
    out: Vec<Action>,
    /// Turns that nobody has answered yet.
    turns: Vec<Turn>,
    /// The runs of the filler, agent by agent.
    filled: Vec<Run>,
    /// All offers that were made.
    offers: u64,
    /// All turns that had some.
    turns_begun: u64,
    /// Kept for a restore, if that is asked for.
    records: Option<Vec<Record>>,
}

impl Grid {
    /// An empty cluster that leads, with turns without end.
    fn new(size: Size) -> Grid {
        Grid::with_turns(size, usize::MAX, usize::MAX)
    }

    /// An empty cluster that leads, with so many turns at a time, of which so many may be heavy.
    fn with_turns(size: Size, turns_max: usize, turns_heavy_max: usize) -> Grid {
        let limits = ClusterLimits {
            turns_max,
            turns_heavy_max,
            ..ClusterLimits::default()
        };
        let cluster = Cluster::restore(std::iter::empty(), limits).expect("nothing is sound");
        let mut grid = Grid {
            cluster,
            size,
            now: Instant(1_000_000),
            requests: 0,
            out: Vec::new(),
            turns: Vec::new(),
            filled: Vec::new(),
            offers: 0,
            turns_begun: 0,
            records: None,
        };
        grid.step(Event::Led {
            name: "bench".into(),
            last_batch: BatchId(0),
        });
        grid
    }

    fn step(&mut self, event: Event) {
        self.cluster.step(self.now, event, &mut self.out);
        for action in self.out.drain(..) {
            match action {
                Action::Turn(turn) => {
                    self.offers += turn.offers.len() as u64;
                    self.turns_begun += u64::from(!turn.offers.is_empty());
                    self.turns.push(*turn);
                }
                Action::Commit(batch) => {
                    if let Some(records) = &mut self.records {
                        records.extend(batch.records);
                    }
                }
                Action::Reply(_, Answer::Refused(refused)) => panic!("{}", refused.message),
                _ => {}
            }
        }
    }

    /// Ends a turn. What it saw is dropped before, as a worker does.
    fn end(&mut self, turn: Turn, effects: Effects) {
        let id = turn.id;
        drop(turn);
        self.end_named(id, effects);
    }

    fn end_named(&mut self, turn: TurnId, effects: Effects) {
        self.step(Event::TurnEnded {
            turn,
            result: Ok(effects),
            cpu_us: 0,
        });
    }

    /// Answers one turn: what `answer` does with its ledger.
    fn answer(&mut self, turn: Turn, answer: impl FnOnce(&mut Ledger)) {
        let id = turn.id;
        let mut ledger = Ledger::new(turn);
        answer(&mut ledger);
        self.end_named(id, ledger.finish());
    }

    fn ask(&mut self, request: Request) {
        self.requests += 1;
        self.step(Event::Asked(RequestId(self.requests), request));
    }

    fn install(&mut self, name: &str, role: &str) {
        let install = Install {
            name: name.into(),
            role: role.into(),
            component: Digest([1; 32]),
            web: false,
            options: "{}".into(),
            limits: FrameworkLimits {
                offers_per_turn_max: 1_000_000,
                launches_per_turn_max: 1_000_000,
                tasks_max: 10_000_000,
                tasks_bytes_max: u64::MAX >> 1,
                ..FrameworkLimits::default()
            },
            principal: Arc::from("bench"),
        };
        self.ask(Request::Install(install));
    }

    fn connect(&mut self, n: u64, facts: AgentFacts) {
        self.step(Event::AgentConnected {
            session: SessionId(n),
            facts,
            runs: Vec::new(),
        });
    }

    /// `per_agent` tasks on each agent.
    fn fill(&mut self, per_agent: u64) {
        self.install(FILLER, FILLER);
        let start = self.turns.pop().expect("its start");
        let each = in_use(per_agent);
        let all = self.size.agents * per_agent;
        self.answer(start, |ledger| {
            let count = u32::try_from(all).expect("not so many");
            ledger.want(vec![demand(&each, count)]).expect("a demand");
        });
        let mut sequence = 0;
        while let Some(turn) = self.turns.pop() {
            let offers = turn.offers.clone();
            self.answer(turn, |ledger| {
                for offer in offers {
                    let placements = (0..per_agent).map(|_| {
                        sequence += 1;
                        Placement {
                            offer: offer.id,
                            demand: Some("d".into()),
                            task: spec(sequence, &each),
                        }
                    });
                    ledger.launch(placements.collect()).expect("it fits");
                }
            });
        }
        let tasks = self.cluster.state().runs.keys().copied();
        self.filled = tasks.collect();
        assert_eq!(self.filled.len() as u64, all, "all agents are filled");
        for run in self.filled.clone() {
            let agent = self
                .cluster
                .state()
                .task(run)
                .expect("it was launched")
                .record
                .agent;
            self.report(agent, run, 1, TaskState::Running);
        }
        self.decline_all();
    }

    fn report(&mut self, agent: AgentId, run: Run, sequence: u64, state: TaskState) {
        self.step(Event::StatusReported {
            session: SessionId(agent.0),
            run,
            sequence,
            status: Status::new(state, self.now),
        });
    }

    /// Ends every turn that is open, and those that come of it, without doing anything.
    fn decline_all(&mut self) {
        while let Some(turn) = self.turns.pop() {
            self.end(turn, Effects::default());
        }
    }

    /// All agents, filled, and all frameworks, whose first turns are given back; and how long adding
    /// them took.
    fn filled(size: Size) -> (Grid, Vec<Turn>, Duration) {
        let mut grid = Grid::new(size);
        let begun = Clock::now();
        for n in 1..=size.agents {
            grid.connect(n, facts(n));
        }
        let mut add_all = begun.elapsed();
        grid.fill(1);
        let begun = Clock::now();
        grid.install_all();
        add_all += begun.elapsed();
        let starts = std::mem::take(&mut grid.turns);
        (grid.offers, grid.turns_begun) = (0, 0);
        (grid, starts, add_all)
    }

    /// All frameworks, spread over the roles.
    fn install_all(&mut self) {
        for n in 0..self.size.frameworks {
            self.install(&format!("f{n}"), &format!("r{}", n % self.size.roles));
        }
    }

    /// Every framework says what it wants, as many as there are agents.
    fn want(&mut self, starts: Vec<Turn>, each: &Resources) {
        let wanted = u32::try_from(self.size.agents).expect("not so many");
        for start in starts {
            assert!(matches!(start.calls[..], [Call::Start(_)]));
            self.answer(start, |ledger| {
                ledger.want(vec![demand(each, wanted)]).expect("a demand");
            });
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What one of so many tasks on an agent uses.
fn in_use(per_agent: u64) -> Resources {
    Resources {
        cpu_milli: CPU_MILLI_USED / per_agent,
        memory_bytes: MEMORY_BYTES_USED / per_agent,
        ..Resources::NONE
    }
}

fn demand(each: &Resources, count: u32) -> Demand {
    Demand {
        name: "d".into(),
        each: each.clone(),
        count,
        conditions: vec![],
        fixed_ports: vec![],
        ..Demand::default()
    }
}

fn spec(n: u64, resources: &Resources) -> TaskSpec {
    TaskSpec {
        id: TaskId::new(&format!("t{n}")).expect("a good name"),
        name: String::new(),
        workload: Workload::Process {
            argv: vec!["work".into()],
        },
        resources: resources.clone(),
        env: vec![],
        labels: vec![],
        ports: vec![],
        files: vec![],
        kill_grace_ms: 5_000,
        runtime_max_ms: None,
        mounts: vec![],
        preemptible: false,
    }
}

fn facts(n: u64) -> AgentFacts {
    let port_set = PortSet::range(PORTS.0, PORTS.1);
    AgentFacts {
        identity: format!("agent-{n}"),
        hostname: format!("host-{n}"),
        address: "10.0.0.1".into(),
        region: None,
        zone: None,
        attributes: vec![],
        total: Resources {
            cpu_milli: CPU_MILLI,
            memory_bytes: MEMORY_BYTES,
            ports: port_set.len(),
            ..Resources::NONE
        },
        port_set,
        runtimes: vec![Runtime::Process],
        version: String::new(),
        reserved: vec![],
    }
}
