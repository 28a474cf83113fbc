//! The frameworks of the simulation: each runs a number of tasks to their end, and starts again from
//! its durable state as a real one does.

use mezzo_core::ledger::{Ledger, Placement};
use mezzo_core::turn::GuestEvent;
use mezzo_core::{Call, Effects, Turn};
use mezzo_types::{Demand, Reason, Resources, TaskId, TaskSpec, TaskState, Workload};

/// What one task of every framework needs.
pub const CPU_MILLI: u64 = 1_000;
const MEMORY_BYTES: u64 = 256 << 20;

/// How far a job is: durable, in the framework's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tasks that are to be launched yet.
    pub left: u64,
    /// Tasks that have finished.
    pub done: u64,
}

impl Progress {
    fn read(turn: &Turn, tasks: u64) -> Progress {
        let text = turn
            .view
            .state
            .get("progress")
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let numbers: Vec<u64> = text
            .iter()
            .flat_map(|text| text.split(' '))
            .filter_map(|n| n.parse().ok())
            .collect();
        match numbers[..] {
            [left, done] => Progress { left, done },
            _ => Progress {
                left: tasks,
                done: 0,
            },
        }
    }

    /// As the state of a framework has it.
    #[must_use]
    pub fn of(bytes: Option<&[u8]>) -> Progress {
        let text = String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let mut numbers = text.split(' ').filter_map(|n| n.parse().ok());
        Progress {
            left: numbers.next().unwrap_or_default(),
            done: numbers.next().unwrap_or_default(),
        }
    }
}

/// One turn of a framework that is to run `tasks` tasks.
#[must_use]
pub fn turn(turn: Turn, tasks: u64) -> Effects {
    let mut progress = Progress::read(&turn, tasks);
    for call in &turn.calls {
        let Call::Handle(events) = call else { continue };
        for event in events {
            let GuestEvent::Statuses(tasks) = event else {
                continue;
            };
            for task in tasks {
                // Machines of the simulation forget nothing.
                assert!(
                    task.status.reason != Reason::AgentForgot,
                    "task {} is lost without a cause",
                    task.record.id()
                );
                match task.status.state {
                    TaskState::Finished => progress.done += 1,
                    state if state.is_final() => progress.left += 1,
                    _ => {}
                }
            }
        }
    }
    let each = each();
    let offers = turn.offers.clone();
    let first_run = turn.first_run.0;
    let mut ledger = Ledger::new(turn);
    let mut placements = Vec::new();
    for offer in offers {
        for _ in 0..offer.free.pieces(&each).min(progress.left) {
            placements.push(Placement {
                offer: offer.id,
                demand: None,
                task: spec(&format!("t{first_run}-{}", placements.len()), &each),
            });
            progress.left -= 1;
        }
    }
    ledger.launch(placements).expect("what is offered fits");
    let text = format!("{} {}", progress.left, progress.done);
    ledger
        .state_set("progress", text.into_bytes())
        .expect("a little state");
    let demand = Demand {
        name: "d".into(),
        each,
        count: u32::try_from(progress.left).unwrap_or(u32::MAX),
        conditions: vec![],
        fixed_ports: vec![],
        ..Demand::default()
    };
    ledger.want(vec![demand]).expect("a good demand");
    ledger.finish()
}

fn each() -> Resources {
    Resources {
        cpu_milli: CPU_MILLI,
        memory_bytes: MEMORY_BYTES,
        ..Resources::NONE
    }
}

fn spec(id: &str, each: &Resources) -> TaskSpec {
    TaskSpec {
        id: TaskId::new(id).expect("a good name"),
        name: String::new(),
        workload: Workload::Process {
            argv: vec!["work".into()],
        },
        resources: each.clone(),
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
