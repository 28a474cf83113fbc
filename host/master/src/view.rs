//! What people see: the state as far as it is durable, and a few soft facts beside it.
//!
//! Fed by the committer with each durable batch, before anything that rests on the batch is told to
//! anybody. Reads never touch the core's thread.

use crate::events::{Before, Events};
use mezzo_core::action::Observation;
use mezzo_core::record::TaskRecord;
use mezzo_core::state::{self, CorruptRecord, State};
use mezzo_core::turn::Task;
use mezzo_core::{Batch, Record};
use mezzo_types::{AgentId, BatchId, FrameworkId, Instant, TaskSpec};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// See the module.
#[derive(Debug)]
pub struct View {
    inner: RwLock<Inner>,
    /// What happened lately.
    pub events: Events,
    turn_times_us: Mutex<VecDeque<u32>>,
}

/// How many turns' times are kept.
const TURN_TIMES_MAX: usize = 4_096;

/// What the descriptions of ended tasks that are kept may have together, in bytes.
const ENDED_BYTES_MAX: u64 = 64 << 20;

/// What is seen.
#[derive(Debug, Default)]
pub struct Inner {
    /// The durable state.
    pub state: State,
    /// The newest batch in it.
    pub batch: BatchId,
    /// Agents that have a session.
    pub connected: BTreeSet<AgentId>,
    /// Frameworks that have a live instance.
    pub live: BTreeSet<FrameworkId>,
    /// What frameworks have used since this master leads.
    pub work: BTreeMap<FrameworkId, Work>,
    /// Tasks that have ended and were handled, the newest last.
    pub ended: VecDeque<Ended>,
    /// How many tasks ended in each final state since this master leads.
    pub ended_counts: BTreeMap<&'static str, u64>,
    ended_max: usize,
    ended_bytes: u64,
}

/// A task that the cluster has forgotten.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its framework's name.
    pub framework: Arc<str>,
    /// What it was at the end.
    pub task: Arc<Task>,
}

/// What a framework has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// CPU time in turns, in microseconds.
    pub cpu_us: u64,
    /// Turns that committed.
    pub turns: u64,
    /// Turns that were undone.
    pub faults: u64,
    /// Offers that it was made.
    pub offers: u64,
    /// Tasks that it launched.
    pub launches: u64,
}

impl View {
    /// The state of these records.
    pub fn restore(
        mut records: Vec<Record>,
        batch: BatchId,
        ended_max: usize,
        events_max: usize,
    ) -> Result<View, CorruptRecord> {
        state::sort(&mut records);
        let mut state = State::default();
        for record in &records {
            state.apply(record)?;
        }
        let inner = Inner {
            state,
            batch,
            ended_max,
            ..Inner::default()
        };
        Ok(View {
            inner: RwLock::new(inner),
            events: Events::new(events_max, batch),
            turn_times_us: Mutex::default(),
        })
    }

    /// Looks. Keep it short: a writer waits.
    pub fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a batch that has just become durable.
    pub fn apply(&self, batch: &Batch) -> Result<(), CorruptRecord> {
        let mut inner = self.write();
        let mut whats = Vec::new();
        for record in &batch.records {
            inner.remember_ended(record);
            let before = Before::of(record, &inner.state);
            inner.state.apply(record)?;
            if let Record::FrameworkRemoved(id) = record {
                inner.work.remove(id);
            }
            whats.extend(before.what(record, &inner.state));
        }
        inner.batch = batch.id;
        drop(inner);
        self.events.add(batch, whats.into_iter());
        Ok(())
    }

    /// Takes in a soft fact.
    pub fn observe(&self, observation: &Observation) {
        let mut inner = self.write();
        match *observation {
            Observation::Session(agent, true) => drop(inner.connected.insert(agent)),
            Observation::Session(agent, false) => drop(inner.connected.remove(&agent)),
            Observation::Live(framework, true) => drop(inner.live.insert(framework)),
            Observation::Live(framework, false) => drop(inner.live.remove(&framework)),
            Observation::Turn {
                framework,
                cpu_us,
                offers,
                launches,
                clean,
            } => {
                let work = inner.work.entry(framework).or_default();
                work.cpu_us += cpu_us;
                work.offers += u64::from(offers);
                work.launches += u64::from(launches);
                *(if clean {
                    &mut work.turns
                } else {
                    &mut work.faults
                }) += 1;
            }
        }
    }

    /// A turn has taken so long, from being handed out to its end, in microseconds.
    pub fn turn_took(&self, us: u32) {
        let mut times = self
            .turn_times_us
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if times.len() == TURN_TIMES_MAX {
            times.pop_front();
        }
        times.push_back(us);
    }

    /// The times of the newest turns, in microseconds, oldest first.
    #[must_use]
    pub fn turn_times_us(&self) -> Vec<u32> {
        let times = self
            .turn_times_us
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        times.iter().copied().collect()
    }

    /// Who holds the token with this SHA-256 (hexadecimal).
    #[must_use]
    pub fn principal(&self, token_sha256: &str) -> Option<Arc<str>> {
        let inner = self.read();
        let principals = inner.state.principals.iter();
        let mut holders = principals.filter(|(_, record)| *record.token_sha256 == *token_sha256);
        holders.next().map(|(name, _)| Arc::clone(name))
    }
}

impl Inner {
    fn remember_ended(&mut self, record: &Record) {
        let Record::TaskForgotten(run) = record else {
            return;
        };
        let Some(task) = self.state.task(*run).cloned() else {
            return;
        };
        let Some(framework) = self.state.frameworks.get(&task.record.framework) else {
            return;
        };
        *self
            .ended_counts
            .entry(task.status.state.as_str())
            .or_default() += 1;
        let framework = Arc::clone(&framework.record.name);
        let task = without_files(task);
        self.ended_bytes += task.record.spec.bytes();
        self.ended.push_back(Ended { framework, task });
        while self.ended.len() > self.ended_max || self.ended_bytes > ENDED_BYTES_MAX {
            let Some(oldest) = self.ended.pop_front() else {
                return;
            };
            self.ended_bytes -= oldest.task.record.spec.bytes();
        }
    }

    /// Whether an agent is `connected`, `disconnected` or `silent`.
    #[must_use]
    pub fn agent_state(&self, agent: AgentId) -> &'static str {
        let silent = |since: &Option<Instant>| since.is_some();
        match self.state.agents.get(&agent) {
            Some(known) if known.record.is_gone() => "gone",
            _ if self.connected.contains(&agent) => "connected",
            Some(known) if silent(&known.record.silent_since) => "silent",
            _ => "disconnected",
        }
    }

    /// A task by its framework's name and its own, among those that the cluster keeps and those that
    /// are kept for people (the newest of them).
    #[must_use]
    pub fn find_task(&self, framework: &str, task: &str) -> Option<Arc<Task>> {
        let live = self
            .state
            .framework_named(framework)
            .and_then(|f| f.tasks.get(task));
        let ended = || {
            let mut newest_first = self.ended.iter().rev();
            let found = newest_first
                .find(|e| *e.framework == *framework && e.task.record.id().as_str() == task);
            found.map(|e| Arc::clone(&e.task))
        };
        live.cloned().or_else(ended)
    }
}

/// Who looks at an ended task looks for its words, not for what was put into its sandbox.
fn without_files(task: Arc<Task>) -> Arc<Task> {
    if task.record.spec.files.is_empty() {
        return task;
    }
    let mut spec = TaskSpec::clone(&task.record.spec);
    for file in &mut spec.files {
        file.content = Vec::new();
    }
    let record = TaskRecord {
        spec: Arc::new(spec),
        ..TaskRecord::clone(&task.record)
    };
    Arc::new(Task {
        record: Arc::new(record),
        ..Task::clone(&task)
    })
}
