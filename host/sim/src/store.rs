//! What is durable, as a registry keeps it: of each key the newest record.

use mezzo_core::Record;
use std::collections::BTreeMap;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Store {
    kept: BTreeMap<String, Record>,
}

impl Store {
    /// Every record, in the order of keys.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.kept.values().cloned()
    }

    /// Takes a record in.
    pub fn apply(&mut self, record: &Record) {
        let (key, keeps) = match record {
            Record::Cluster(_) => ("cluster".into(), true),
            Record::Agent(agent) => (format!("agent/{}", agent.info.id), true),
            Record::AgentRemoved(id) => (format!("agent/{id}"), false),
            Record::Gone(id, gone) => (format!("gone/{id}"), gone.is_some()),
            Record::Role(role) => (format!("role/{}", role.name), true),
            Record::RoleRemoved(name) => (format!("role/{name}"), false),
            Record::Framework(framework) => (format!("framework/{}", framework.id), true),
            Record::FrameworkRemoved(id) => {
                self.kept.remove(&format!("demands/{id}"));
                (format!("framework/{id}"), false)
            }
            Record::Demands(id, _) => (format!("demands/{id}"), true),
            Record::Timer(id, name, at) => (format!("timer/{id}/{name}"), at.is_some()),
            Record::State(id, name, value) => (format!("state/{id}/{name}"), value.is_some()),
            Record::Reservation(it) => (format!("reservation/{}", it.id), true),
            Record::ReservationRemoved(id) => (format!("reservation/{id}"), false),
            Record::Task(task) => (format!("task/{}", task.run), true),
            Record::Status(run, _) => (format!("status/{run}"), true),
            Record::Kill(run, _) => (format!("kill/{run}"), true),
            Record::TaskForgotten(run) => {
                self.kept.remove(&format!("status/{run}"));
                self.kept.remove(&format!("kill/{run}"));
                (format!("task/{run}"), false)
            }
            Record::Principal(name, principal) => {
                (format!("principal/{name}"), principal.is_some())
            }
        };
        if keeps {
            self.kept.insert(key, record.clone());
        } else {
            self.kept.remove(&key);
        }
    }
}
