//! The framework of the simulation: it runs tasks that people give it over its HTTP API, each until it
//! has finished, and starts again from its durable state as a real one does.
//!
//! People say how many tasks they have; what the task of a number is, is the workload's business. What
//! it does in a turn is in `job/playing.rs`; what it keeps of offers, in `job/keeping.rs`.

mod keeping;
mod nonsense;
mod playing;

use crate::guest::{Guest, Ran};
use crate::workload::{Framework, Workload};
use mezzo_core::Turn;
use mezzo_core::ledger::Ledger;
use mezzo_types::{Resources, TaskId, TaskSpec, Workload as TaskWorkload};
use nonsense::ask_for_nonsense;
use std::collections::BTreeMap;

/// What a turn is said to cost, in microseconds.
const TURN_CPU_US: u64 = 100;

/// How far a framework is: durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tasks below this number were accepted.
    pub accepted: u64,
    /// Tasks that have finished.
    pub done: u64,
    /// Of each size: tasks that were never launched, and the number from which on they are found.
    waiting: Vec<(u64, u64)>,
    /// Tasks that are to be launched again.
    again: Vec<u64>,
}

impl Progress {
    /// As a framework's state has it.
    #[must_use]
    pub fn of(bytes: Option<&[u8]>) -> Progress {
        let text = String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let mut numbers = text.split(' ').filter_map(|n| n.parse::<u64>().ok());
        let mut next = || numbers.next().unwrap_or_default();
        let (accepted, done, sizes) = (next(), next(), next());
        let waiting = (0..sizes).map(|_| (next(), next())).collect();
        Progress {
            accepted,
            done,
            waiting,
            again: numbers.collect(),
        }
    }

    fn text(&self) -> String {
        let head = [self.accepted, self.done, self.waiting.len() as u64];
        let waiting = self.waiting.iter().flat_map(|(n, from)| [*n, *from]);
        let numbers = head
            .into_iter()
            .chain(waiting)
            .chain(self.again.iter().copied());
        let words: Vec<String> = numbers.map(|n| n.to_string()).collect();
        words.join(" ")
    }
}

/// The frameworks of a workload.
#[derive(Debug)]
pub struct Jobs {
    seed: u64,
    kinds: BTreeMap<String, Kind>,
}

#[derive(Debug)]
struct Kind {
    framework: Framework,
    sizes: Vec<Resources>,
}

impl Jobs {
    /// Those of this workload.
    #[must_use]
    pub fn new(workload: &Workload, seed: u64) -> Jobs {
        let kind = |framework: &Framework| {
            let kind = Kind {
                sizes: framework.sizes(),
                framework: framework.clone(),
            };
            (framework.name.clone(), kind)
        };
        Jobs {
            seed,
            kinds: workload.frameworks.iter().map(kind).collect(),
        }
    }
}

impl Guest for Jobs {
    fn run(&mut self, turn: Turn, nonsense: bool) -> Ran {
        let kind = self.kinds.get(&*turn.name).expect("it is in the workload");
        let before = nonsense.then(|| turn.clone());
        let effects = kind.turn(self.seed, Ledger::new(turn));
        if let Some(turn) = before {
            let mut ledger = Ledger::new(turn);
            ask_for_nonsense(&mut ledger);
            let after_nonsense = kind.turn(self.seed, ledger);
            assert_eq!(
                effects, after_nonsense,
                "what was refused has changed something"
            );
        }
        Ran {
            result: Ok(effects),
            cpu_us: TURN_CPU_US,
        }
    }
}

fn spec(id: &str, resources: Resources, argv: Vec<String>) -> TaskSpec {
    TaskSpec {
        id: TaskId::new(id).expect("a good name"),
        name: String::new(),
        workload: TaskWorkload::Process { argv },
        resources,
        env: vec![],
        labels: vec![],
        ports: vec![],
        files: vec![],
        kill_grace_ms: 1_000,
        runtime_max_ms: None,
        mounts: vec![],
        preemptible: false,
    }
}

/// The number of a task and how long it takes, in milliseconds, as its program is told.
#[must_use]
pub fn told(spec: &TaskSpec) -> Option<(u64, u64)> {
    let TaskWorkload::Process { argv } = &spec.workload else {
        return None;
    };
    match &argv[..] {
        [work, number, takes_ms] if work == "work" => {
            Some((number.parse().ok()?, takes_ms.parse().ok()?))
        }
        _ => None,
    }
}
