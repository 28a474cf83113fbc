//! How records lie in the registry: one key each, so that a later record of the same key replaces
//! an earlier one. Values are MessagePack with field names.

use mezzo_core::{Batch, Record};
use mezzo_registry::Write;
use mezzo_types::{FrameworkId, Run};

/// A value that is no record.
#[derive(Debug, thiserror::Error)]
#[error("the value of key {key} is no record that this version knows: {problem}")]
pub struct Unreadable {
    /// The key, readable.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

/// A batch in the registry's form.
#[must_use]
pub fn encode(batch: &Batch) -> mezzo_registry::Batch {
    let mut writes = Vec::with_capacity(batch.records.len());
    for record in &batch.records {
        write(record, &mut writes);
    }
    let header =
        rmp_serde::to_vec_named(&batch.header).expect("a header is made of texts and numbers");
    mezzo_registry::Batch { header, writes }
}

/// Reads one value.
pub fn decode(key: &[u8], value: &[u8]) -> Result<Record, Unreadable> {
    rmp_serde::from_slice(value).map_err(|error| Unreadable {
        key: key.escape_ascii().to_string(),
        problem: error.to_string(),
    })
}

fn write(record: &Record, writes: &mut Vec<Write>) {
    let put = |key: Vec<u8>| Write {
        key,
        value: Some(
            rmp_serde::to_vec_named(record).expect("a record is made of texts, numbers and bytes"),
        ),
    };
    let delete = |key: Vec<u8>| Write { key, value: None };
    match record {
        Record::Cluster(_) => writes.push(put(b"cluster".to_vec())),
        Record::Agent(agent) => writes.push(put(number(b'a', agent.info.id.0))),
        Record::AgentRemoved(id) => writes.push(delete(number(b'a', id.0))),
        Record::Gone(id, gone) => {
            let key = number(b'g', id.0);
            writes.push(if gone.is_some() {
                put(key)
            } else {
                delete(key)
            });
        }
        Record::RoleRemoved(role) => writes.push(delete(text(b'r', role))),
        Record::Role(role) => writes.push(put(text(b'r', &role.name))),
        Record::Framework(framework) => writes.push(put(number(b'f', framework.id.0))),
        // The core has taken away its state and timers, key by key.
        Record::FrameworkRemoved(id) => {
            writes.push(delete(number(b'f', id.0)));
            writes.push(delete(number(b'd', id.0)));
        }
        Record::Demands(id, demands) if demands.is_empty() => {
            writes.push(delete(number(b'd', id.0)))
        }
        Record::Demands(id, _) => writes.push(put(number(b'd', id.0))),
        Record::Timer(id, name, at) => {
            let key = named(b'w', *id, name);
            writes.push(if at.is_some() { put(key) } else { delete(key) });
        }
        Record::State(id, name, value) => {
            let key = named(b's', *id, name);
            writes.push(if value.is_some() {
                put(key)
            } else {
                delete(key)
            });
        }
        Record::Reservation(reservation) => writes.push(put(number(b'v', reservation.id.0))),
        Record::ReservationRemoved(id) => writes.push(delete(number(b'v', id.0))),
        Record::Task(task) => writes.push(put(of_run(b't', task.run))),
        Record::Status(run, _) => writes.push(put(of_run(b'u', *run))),
        Record::Kill(run, _) => writes.push(put(of_run(b'k', *run))),
        Record::TaskForgotten(run) => {
            for kind in *b"tuk" {
                writes.push(delete(of_run(kind, *run)));
            }
        }
        Record::Principal(name, principal) => {
            let key = text(b'p', name);
            writes.push(if principal.is_some() {
                put(key)
            } else {
                delete(key)
            });
        }
    }
}

fn number(kind: u8, number: u64) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn of_run(kind: u8, run: Run) -> Vec<u8> {
    number(kind, run.0)
}

fn text(kind: u8, name: &str) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(name.as_bytes());
    key
}

fn named(kind: u8, framework: FrameworkId, name: &str) -> Vec<u8> {
    let mut key = number(kind, framework.0);
    key.extend_from_slice(name.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use mezzo_core::record::{Header, Value};
    use mezzo_types::{BatchId, Instant, Term};
    use std::sync::Arc;

    #[test]
    fn what_is_written_is_read() {
        let state = Record::State(
            FrameworkId(7),
            Arc::from("key/ü"),
            Some(Value(Arc::from(&b"\0\xff"[..]))),
        );
        let timer = Record::Timer(FrameworkId(7), Arc::from("t"), Some(Instant(9)));
        let batch = Batch {
            id: BatchId(1),
            header: Header {
                format: 1,
                term: Term(1),
                at: Instant(5),
                principal: Arc::from("me"),
                cause: Arc::from("test"),
            },
            records: vec![state, timer],
        };
        let encoded = encode(&batch);
        let read: Vec<Record> = encoded
            .writes
            .iter()
            .map(|w| decode(&w.key, w.value.as_ref().expect("a value")).expect("a record"))
            .collect();
        assert_eq!(read, batch.records);
        let header: Header = rmp_serde::from_slice(&encoded.header).expect("a header");
        assert_eq!(header, batch.header);
    }

    #[test]
    fn a_forgotten_run_takes_all_its_keys() {
        let mut writes = Vec::new();
        write(&Record::TaskForgotten(Run(3)), &mut writes);
        let keys: Vec<u8> = writes.iter().map(|w| w.key[0]).collect();
        assert_eq!(keys, b"tuk");
        assert!(writes.iter().all(|w| w.value.is_none()));
    }
}
