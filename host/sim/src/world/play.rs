//! What is played, and what came of it.

use crate::workload::Workload;
use mezzo_core::ClusterLimits;
use std::fmt;
use std::sync::Arc;

/// What is played.
#[derive(Clone, Debug)]
pub struct Play {
    /// Decides everything.
    pub seed: u64,
    /// Machines, frameworks and their tasks.
    pub workload: Arc<Workload>,
    /// What breaks.
    pub faults: Faults,
    /// How fast things go.
    pub pace: Pace,
    /// All invariants are checked after so many steps of the master. Each check goes through all there
    /// is: at every step it is quadratic.
    pub check_every: u64,
    /// Figures are taken each so many milliseconds.
    pub sample_ms: u64,
    /// Whether the trace has all that is in events and batches, or only their heads.
    pub full_trace: bool,
    /// A deliberate bug, to prove that the checks find it.
    pub bug: Option<Bug>,
    /// Whether what each step does is kept for whoever watches.
    pub watch: bool,
    /// What stands behind `mezzo sim --replay SEED:STEP` to play the same again.
    pub again: String,
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Faults come until then, in milliseconds; 0: none come.
    pub until_ms: u64,
    /// Time between two faults, on average, in milliseconds.
    pub every_ms: u64,
    /// Whether operators meddle too: quota, drains, machines that are gone.
    pub operators: bool,
}

/// How fast things go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A turn takes at most so long, in milliseconds.
    pub turn_ms_max: u64,
    /// A commit takes at most so long, in milliseconds.
    pub commit_ms_max: u64,
    /// A message is under way for at most so long, in milliseconds.
    pub message_ms_max: u64,
    /// So many of a thousand messages are late by seconds.
    pub late_per_mille: u64,
    /// The master's limit of that name.
    pub claim_ms: u64,
    /// The master's limit of that name.
    pub preempt_after_ms: u64,
}

/// Clusters of up to so many machines have their invariants checked after each step.
const MACHINES_SMALL_MAX: usize = 16;
/// In larger ones they are checked after so many steps for each machine.
const CHECK_EVERY_PER_MACHINE: u64 = 100;
/// About so many times figures are taken over a play.
const SAMPLES: u64 = 480;

impl Play {
    /// A small cluster with many faults.
    #[must_use]
    pub fn short(seed: u64) -> Play {
        let play = Play::of(seed, Workload::short(4, 4, 25));
        Play {
            faults: Faults {
                until_ms: 120_000,
                every_ms: 3_000,
                operators: true,
            },
            // Often within the two minutes, although tasks take some seconds only.
            pace: Pace {
                claim_ms: 15_000,
                preempt_after_ms: 1_000,
                ..play.pace
            },
            ..play
        }
    }

    /// A workload without faults.
    #[must_use]
    pub fn of(seed: u64, workload: Workload) -> Play {
        let machines = workload.machine_count();
        let small = machines <= MACHINES_SMALL_MAX;
        let slow = Pace {
            turn_ms_max: 200,
            commit_ms_max: 30,
            message_ms_max: 50,
            late_per_mille: 20,
            claim_ms: ClusterLimits::default().claim_ms,
            preempt_after_ms: ClusterLimits::default().preempt_after_ms,
        };
        let fast = Pace {
            turn_ms_max: 5,
            commit_ms_max: 5,
            message_ms_max: 5,
            late_per_mille: 0,
            claim_ms: ClusterLimits::default().claim_ms,
            preempt_after_ms: ClusterLimits::default().preempt_after_ms,
        };
        Play {
            seed,
            faults: Faults {
                until_ms: 0,
                every_ms: 60_000,
                operators: false,
            },
            pace: if small { slow } else { fast },
            check_every: if small {
                1
            } else {
                machines as u64 * CHECK_EVERY_PER_MACHINE
            },
            sample_ms: (workload.duration_ms / SAMPLES).max(1_000),
            full_trace: small,
            bug: None,
            watch: false,
            again: String::new(),
            workload: Arc::new(workload),
        }
    }
}

impl Play {
    /// The last fault comes, and the last task arrives, by then, in milliseconds.
    pub(super) fn last_ms(&self) -> u64 {
        self.faults.until_ms.max(self.workload.duration_ms)
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
    /// A master that takes the lead takes half a batch for a whole one.
    TrustsWhatIsTorn,
    /// A machine that is started anew has lost its volumes.
    LosesVolumes,
}

impl Bug {
    /// Every one.
    pub const ALL: [Bug; 7] = [
        Bug::SpeaksTooEarly,
        Bug::AcknowledgesTooEarly,
        Bug::ForgetsABatch,
        Bug::ExecutesTwice,
        Bug::CommitsFaults,
        Bug::TrustsWhatIsTorn,
        Bug::LosesVolumes,
    ];

    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Bug::SpeaksTooEarly => "speaks-too-early",
            Bug::AcknowledgesTooEarly => "acknowledges-too-early",
            Bug::ForgetsABatch => "forgets-a-batch",
            Bug::ExecutesTwice => "executes-twice",
            Bug::CommitsFaults => "commits-faults",
            Bug::TrustsWhatIsTorn => "trusts-what-is-torn",
            Bug::LosesVolumes => "loses-volumes",
        }
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The virtual time when the play was over, in milliseconds.
    pub healed_ms: u64,
    /// Events that were played.
    pub events: u64,
    /// A digest of every event and action: the same seed gives the same.
    pub trace: u64,
}

/// Something that must hold does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Of the play.
    pub seed: u64,
    /// In which event of the play.
    pub step: u64,
    /// When, in virtual milliseconds.
    pub at_ms: u64,
    /// What.
    pub what: String,
    /// As in [`Play`].
    pub again: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            seed,
            step,
            at_ms,
            what,
            again,
        } = self;
        write!(
            f,
            "seed {seed}, step {step}, at {at_ms} ms: {what}; `mezzo sim --replay {seed}:{step}{again}` shows it"
        )
    }
}

impl std::error::Error for Problem {}
