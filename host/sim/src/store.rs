//! What is durable, as a registry keeps it: of each key the newest record, and batches as a whole or
//! not at all.

use mezzo_core::{Batch, Record};
use mezzo_types::{AgentId, FrameworkId, ReservationId, Run};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Store {
    kept: BTreeMap<Key, Record>,
    /// What is there of a batch that was not written to its end.
    torn: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Cluster,
    Agent(AgentId),
    Gone(AgentId),
    Role(Arc<str>),
    Framework(FrameworkId),
    Demands(FrameworkId),
    Timer(FrameworkId, Arc<str>),
    State(FrameworkId, Arc<str>),
    Reservation(ReservationId),
    Task(Run),
    Status(Run),
    Kill(Run),
    Principal(Arc<str>),
}

impl Store {
    /// Every record, in the order of keys, for a master that takes the lead. A batch that is torn fails
    /// its checksum and is dropped.
    pub fn load(&mut self) -> impl Iterator<Item = Record> + '_ {
        self.torn.clear();
        self.kept.values().cloned()
    }

    /// A batch is written.
    pub fn write(&mut self, batch: &Batch) {
        for record in &batch.records {
            self.apply(record);
        }
    }

    /// Only so many records of a batch are written before the power fails.
    pub fn tear(&mut self, batch: &Batch, records: usize) {
        self.torn = batch.records.iter().take(records).cloned().collect();
    }

    /// The deliberate bug that takes a torn batch for a whole one.
    pub fn trust_what_is_torn(&mut self) {
        for record in std::mem::take(&mut self.torn) {
            self.apply(&record);
        }
    }

    fn apply(&mut self, record: &Record) {
        let (key, keeps) = match record {
            Record::Cluster(_) => (Key::Cluster, true),
            Record::Agent(agent) => (Key::Agent(agent.info.id), true),
            Record::AgentRemoved(id) => (Key::Agent(*id), false),
            Record::Gone(id, gone) => (Key::Gone(*id), gone.is_some()),
            Record::Role(role) => (Key::Role(Arc::clone(&role.name)), true),
            Record::RoleRemoved(name) => (Key::Role(Arc::clone(name)), false),
            Record::Framework(framework) => (Key::Framework(framework.id), true),
            Record::FrameworkRemoved(id) => {
                self.kept.retain(|key, _| !key.is_of(*id));
                (Key::Framework(*id), false)
            }
            Record::Demands(id, _) => (Key::Demands(*id), true),
            Record::Timer(id, name, at) => (Key::Timer(*id, Arc::clone(name)), at.is_some()),
            Record::State(id, name, value) => (Key::State(*id, Arc::clone(name)), value.is_some()),
            Record::Reservation(it) => (Key::Reservation(it.id), true),
            Record::ReservationRemoved(id) => (Key::Reservation(*id), false),
            Record::Task(task) => (Key::Task(task.run), true),
            Record::Status(run, _) => (Key::Status(*run), true),
            Record::Kill(run, _) => (Key::Kill(*run), true),
            Record::TaskForgotten(run) => {
                self.kept.remove(&Key::Status(*run));
                self.kept.remove(&Key::Kill(*run));
                (Key::Task(*run), false)
            }
            Record::Principal(name, principal) => {
                (Key::Principal(Arc::clone(name)), principal.is_some())
            }
        };
        if keeps {
            self.kept.insert(key, record.clone());
        } else {
            self.kept.remove(&key);
        }
    }
}

impl Key {
    /// Whether it goes with that framework.
    fn is_of(&self, framework: FrameworkId) -> bool {
        match self {
            Key::Demands(id) | Key::Timer(id, _) | Key::State(id, _) => *id == framework,
            _ => false,
        }
    }
}
