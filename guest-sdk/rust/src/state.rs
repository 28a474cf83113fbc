//! Typed durable state: a [`Value`] is one key, a [`Table`] one key for each row, both JSON, both read once and cached.
//!
//! What a turn changes is written when the turn ends, once for each key, so that ten edits cost one write. A panic
//! undoes the turn: nothing of it is written, and the next instance reads what the last committed turn left.

use crate::Cx;
use crate::host::Host;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// State that is there but cannot be read as the type asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateError {
    /// The key.
    pub key: String,
    /// Why not.
    pub reason: String,
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the state under the key `{}` cannot be read: {}",
            self.key, self.reason
        )
    }
}

impl std::error::Error for StateError {}

impl From<StateError> for String {
    fn from(error: StateError) -> String {
        error.to_string()
    }
}

/// What has to be written at the end of the turn.
#[derive(Default)]
pub struct Journal {
    dirty: RefCell<Vec<Rc<dyn Flush>>>,
}

trait Flush {
    fn flush(&self, host: &dyn Host) -> Result<(), String>;
}

impl Journal {
    fn note(&self, what: Rc<dyn Flush>) {
        self.dirty.borrow_mut().push(what);
    }

    /// Writes everything that the turn changed. A refusal (the quota, a value too large) panics: the turn cannot be
    /// kept, and the message names the limit.
    pub fn flush(&self, host: &dyn Host) {
        for what in self.dirty.take() {
            if let Err(reason) = what.flush(host) {
                panic!("what this turn changed cannot be kept: {reason}");
            }
        }
    }
}

/// One durable value under one key.
pub struct Value<T> {
    slot: Rc<Slot<T>>,
    journal: Rc<Journal>,
}

struct Slot<T> {
    key: String,
    value: RefCell<T>,
    dirty: Cell<bool>,
}

impl<T: Serialize + DeserializeOwned + Default + 'static> Value<T> {
    /// Reads the key; a key that is not there reads as the default.
    pub fn load(cx: &Cx<'_>, key: &str) -> Result<Value<T>, StateError> {
        let value = match cx.state_get(key) {
            None => T::default(),
            Some(bytes) => read(key, &bytes)?,
        };
        let slot = Slot {
            key: key.to_owned(),
            value: RefCell::new(value),
            dirty: Cell::new(false),
        };
        Ok(Value {
            slot: Rc::new(slot),
            journal: cx.journal().clone(),
        })
    }

    /// The value as the turn has left it so far.
    pub fn get(&self) -> Ref<'_, T> {
        self.slot.value.borrow()
    }

    /// Changes it; written at the end of the turn.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        if !self.slot.dirty.replace(true) {
            self.journal.note(self.slot.clone());
        }
        change(&mut self.slot.value.borrow_mut())
    }

    /// Replaces it.
    pub fn set(&mut self, value: T) {
        self.edit(|slot| *slot = value);
    }
}

impl<T: Serialize> Flush for Slot<T> {
    fn flush(&self, host: &dyn Host) -> Result<(), String> {
        self.dirty.set(false);
        write(host, &self.key, &*self.value.borrow())
    }
}

/// A key of a [`Table`]: how it is written after the table's prefix. The order of the texts is the order of a scan.
pub trait Key: Ord + Clone {
    /// Its text.
    fn encode(&self) -> String;
    /// Back again; none if the text is no such key.
    fn decode(text: &str) -> Option<Self>;
}

impl Key for String {
    fn encode(&self) -> String {
        self.clone()
    }
    fn decode(text: &str) -> Option<String> {
        Some(text.to_owned())
    }
}

impl Key for u64 {
    fn encode(&self) -> String {
        format!("{self:020}")
    }
    fn decode(text: &str) -> Option<u64> {
        text.parse().ok()
    }
}

/// Durable rows under one prefix, all of them cached; each is written alone.
pub struct Table<K, V> {
    rows: Rc<Rows<K, V>>,
    journal: Rc<Journal>,
}

struct Rows<K, V> {
    prefix: String,
    rows: RefCell<BTreeMap<K, V>>,
    dirty: RefCell<BTreeSet<K>>,
}

impl<K: Key + 'static, V: Serialize + DeserializeOwned + 'static> Table<K, V> {
    /// Reads all rows. Give each table a prefix of its own that ends with a separator, such as `job/`.
    pub fn load(cx: &Cx<'_>, prefix: &str) -> Result<Table<K, V>, StateError> {
        let mut rows = BTreeMap::new();
        for (key, bytes) in cx.state_scan(prefix) {
            let row = key
                .strip_prefix(prefix)
                .and_then(K::decode)
                .ok_or_else(|| StateError {
                    key: key.clone(),
                    reason: "the key is none of this table".to_owned(),
                })?;
            rows.insert(row, read(&key, &bytes)?);
        }
        let rows = Rows {
            prefix: prefix.to_owned(),
            rows: RefCell::new(rows),
            dirty: RefCell::default(),
        };
        Ok(Table {
            rows: Rc::new(rows),
            journal: cx.journal().clone(),
        })
    }

    /// One row.
    pub fn get(&self, key: &K) -> Option<Ref<'_, V>> {
        Ref::filter_map(self.rows.rows.borrow(), |rows| rows.get(key)).ok()
    }

    /// All rows, in the order of their keys.
    pub fn rows(&self) -> Ref<'_, BTreeMap<K, V>> {
        self.rows.rows.borrow()
    }

    /// Puts a row in; the one that was there comes back.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.touch(&key);
        self.rows.rows.borrow_mut().insert(key, value)
    }

    /// Changes a row; none if there is no such row.
    pub fn edit<R>(&mut self, key: &K, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let result = self.rows.rows.borrow_mut().get_mut(key).map(change);
        if result.is_some() {
            self.touch(key);
        }
        result
    }

    /// Takes a row out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let removed = self.rows.rows.borrow_mut().remove(key);
        if removed.is_some() {
            self.touch(key);
        }
        removed
    }

    fn touch(&self, key: &K) {
        let mut dirty = self.rows.dirty.borrow_mut();
        if dirty.is_empty() {
            self.journal.note(self.rows.clone());
        }
        dirty.insert(key.clone());
    }
}

impl<K: Key, V: Serialize> Flush for Rows<K, V> {
    fn flush(&self, host: &dyn Host) -> Result<(), String> {
        let rows = self.rows.borrow();
        for key in self.dirty.take() {
            let name = format!("{}{}", self.prefix, key.encode());
            match rows.get(&key) {
                Some(value) => write(host, &name, value)?,
                None => host.state_delete(&name),
            }
        }
        Ok(())
    }
}

fn read<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StateError> {
    serde_json::from_slice(bytes).map_err(|error| StateError {
        key: key.to_owned(),
        reason: error.to_string(),
    })
}

fn write<T: Serialize>(host: &dyn Host, key: &str, value: &T) -> Result<(), String> {
    let bytes =
        serde_json::to_vec(value).map_err(|error| format!("`{key}` is no JSON: {error}"))?;
    host.state_set(key, &bytes)
}
