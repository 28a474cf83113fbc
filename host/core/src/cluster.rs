//! The cluster and its step.

use crate::action::Action;
use crate::event::Event;
use crate::limits::ClusterLimits;
use crate::record::Record;
use alloc::string::String;
use alloc::vec::Vec;
use mezzo_types::Instant;

/// The whole state.
#[derive(Debug)]
pub struct Cluster {}

/// A record that does not fit the ones before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptRecord(pub String);

impl Cluster {
    /// A cluster from its records, in any order of keys.
    pub fn restore(_records: impl Iterator<Item = Record>, _limits: ClusterLimits) -> Result<Cluster, CorruptRecord> {
        Ok(Cluster {})
    }

    /// Takes one event in and says what is to be done. Never fails, never blocks.
    pub fn step(&mut self, _now: Instant, _event: Event, _out: &mut Vec<Action>) {}

    /// When to step with [`Event::Tick`] if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }
}
