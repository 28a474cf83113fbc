//! The framework of the simulation: it runs tasks that people give it over its HTTP API, each until it
//! has finished, and starts again from its durable state as a real one does.
//!
//! People say how many tasks they have; what the task of a number is, is the workload's business.

use crate::guest::{Guest, Ran};
use crate::workload::{Framework, Workload};
use mezzo_core::ledger::{Ledger, Placement, Refusal};
use mezzo_core::turn::{GuestEvent, WebResponse};
use mezzo_core::{Call, Effects, Turn};
use mezzo_types::{
    Demand, OfferId, Reason, RequestId, Resources, TaskId, TaskSpec, TaskState,
    Workload as TaskWorkload,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The key of a framework's durable state.
const PROGRESS: &str = "progress";
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

impl Kind {
    fn turn(&self, seed: u64, mut ledger: Ledger) -> Effects {
        let state = ledger.state_get(PROGRESS).map(Arc::clone);
        let mut progress = Progress::of(state.as_deref());
        progress.waiting.resize(self.sizes.len(), (0, 0));
        let before = progress.clone();
        for call in ledger.turn().calls.clone() {
            match call {
                Call::Start(_) => {}
                Call::Web(request) => {
                    self.accept(seed, &mut progress, &request.body);
                    let response = WebResponse {
                        status: 200,
                        headers: vec![],
                        body: Some(vec![]),
                    };
                    ledger
                        .respond(request.id, response)
                        .expect("a good response");
                }
                Call::Handle(events) => {
                    for event in &events {
                        count_ended(event, &mut progress);
                    }
                }
            }
        }
        if progress != before {
            self.want(seed, &progress, &mut ledger);
        }
        self.launch(seed, &mut progress, &mut ledger);
        if progress != before {
            let text = progress.text().into_bytes();
            ledger.state_set(PROGRESS, text).expect("a little state");
        }
        ledger.finish()
    }

    /// `UP-TO`: people have that many tasks by now. They say it again until they hear an answer.
    fn accept(&self, seed: u64, progress: &mut Progress, body: &[u8]) {
        let up_to = String::from_utf8_lossy(body).parse().unwrap_or(0);
        while progress.accepted < up_to {
            let size = self.framework.size(seed, progress.accepted);
            progress.waiting[size].0 += 1;
            progress.accepted += 1;
        }
    }

    fn want(&self, seed: u64, progress: &Progress, ledger: &mut Ledger) {
        let mut counts: Vec<u64> = progress.waiting.iter().map(|(n, _)| *n).collect();
        for number in &progress.again {
            counts[self.framework.size(seed, *number)] += 1;
        }
        let wanted = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let demands = wanted.map(|(size, count)| Demand {
            name: demand(size),
            each: self.sizes[size].clone(),
            count: u32::try_from(*count).unwrap_or(u32::MAX),
            ..Demand::default()
        });
        ledger.want(demands.collect()).expect("good demands");
    }

    fn launch(&self, seed: u64, progress: &mut Progress, ledger: &mut Ledger) {
        let offers = ledger.turn().offers.clone();
        let mut run = ledger.turn().first_run.0;
        let mut placements = Vec::new();
        for offer in offers {
            let mut free = offer.free;
            // Large ones first: small ones fit into what is left.
            for size in (0..self.sizes.len()).rev() {
                let each = &self.sizes[size];
                while free.contains(each)
                    && let Some(number) = self.next(seed, progress, size)
                {
                    free.take(each);
                    placements.push(Placement {
                        offer: offer.id,
                        demand: Some(demand(size)),
                        task: self.spec(seed, number, run),
                    });
                    run += 1;
                }
            }
        }
        if !placements.is_empty() {
            ledger.launch(placements).expect("what is offered fits");
        }
    }

    /// The next task of a size that is to be launched: those that failed come first.
    fn next(&self, seed: u64, progress: &mut Progress, size: usize) -> Option<u64> {
        let is_of_size = |number: &u64| self.framework.size(seed, *number) == size;
        if let Some(at) = progress.again.iter().position(is_of_size) {
            return Some(progress.again.remove(at));
        }
        let (waiting, from) = &mut progress.waiting[size];
        if *waiting == 0 {
            return None;
        }
        let number = (*from..progress.accepted).find(is_of_size)?;
        (*waiting, *from) = (*waiting - 1, number + 1);
        Some(number)
    }

    fn spec(&self, seed: u64, number: u64, run: u64) -> TaskSpec {
        let task = self.framework.task(seed, number);
        spec(
            &format!("t{number}-{run}"),
            self.sizes[task.size].clone(),
            vec!["work".into(), number.to_string(), task.takes_ms.to_string()],
        )
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

fn demand(size: usize) -> String {
    format!("size-{size}")
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

/// A task that has finished is done; one that ended otherwise is to be launched again.
fn count_ended(event: &GuestEvent, progress: &mut Progress) {
    let GuestEvent::Statuses(tasks) = event else {
        return;
    };
    for task in tasks.iter().filter(|task| task.status.state.is_final()) {
        // Machines of the simulation forget nothing.
        assert!(
            task.status.reason != Reason::AgentForgot,
            "task {} is lost without a cause",
            task.record.id()
        );
        if task.status.state == TaskState::Finished {
            progress.done += 1;
        } else if let Some((number, _)) = told(&task.record.spec) {
            progress.again.push(number);
        }
    }
}

/// Calls that break the contract's rules, each in one way.
fn ask_for_nonsense(ledger: &mut Ledger) {
    let much = Resources {
        cpu_milli: 1 << 40,
        ..Resources::NONE
    };
    let little = Resources {
        cpu_milli: 1,
        ..Resources::NONE
    };
    let place = |offer: u64, demand: Option<&str>, resources: &Resources| Placement {
        offer: OfferId(offer),
        demand: demand.map(String::from),
        task: spec("nonsense", resources.clone(), vec!["work".into()]),
    };
    let refused = |refusal: &Result<_, Refusal>, expected: fn(&Refusal) -> bool| {
        let found = refusal.as_ref().err();
        assert!(
            found.is_some_and(expected),
            "nonsense was answered {found:?}"
        );
    };
    let is_unknown: fn(&Refusal) -> bool = |refusal| matches!(refusal, Refusal::Unknown(_));
    let an_offer = ledger.turn().offers.first().map(|offer| offer.id.0);
    let unknown = u64::MAX - 1;
    refused(
        &ledger.launch(vec![place(unknown, None, &little)]),
        is_unknown,
    );
    if let Some(offer) = an_offer {
        let known = place(offer, None, &little);
        let too_large = ledger.launch(vec![known.clone(), place(offer, None, &much)]);
        // The second has the first one's name, or is too large: none of both is launched.
        refused(&too_large, |refusal| {
            matches!(refusal, Refusal::Invalid(_) | Refusal::Insufficient(_))
        });
        refused(&ledger.launch(vec![place(offer, None, &much)]), |refusal| {
            matches!(refusal, Refusal::Insufficient(_))
        });
        let undemanded = place(offer, Some("nobody-wants-it"), &little);
        refused(&ledger.launch(vec![known, undemanded]), |refusal| {
            matches!(refusal, Refusal::Invalid(_) | Refusal::Unknown(_))
        });
    }
    refused(
        &ledger.kill("nobody-runs-it", None).map(|()| vec![]),
        is_unknown,
    );
    let nothing = Demand {
        name: "nothing".into(),
        each: Resources::NONE,
        count: u32::MAX,
        ..Demand::default()
    };
    refused(&ledger.want(vec![nothing]).map(|()| vec![]), |refusal| {
        matches!(refusal, Refusal::Invalid(_))
    });
    let nobody = ledger.stream_write(RequestId(unknown), b"hello".to_vec());
    assert!(!nobody, "nobody has asked for that");
    let long = ledger.state_set(&"k".repeat(10_000), vec![]);
    assert!(long.is_err(), "the key is too long");
}
