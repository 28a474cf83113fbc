//! The state machine of a Mezzo cluster: events in, records and actions out.
//!
//! Owns every decision of the master: who may do what, who is offered what, what a turn's effects
//! mean, when an agent counts as silent, when a framework is restarted or quarantined. It does no
//! I/O, reads no clock and draws no random number; the drivers around it (`mezzo-master`, later the
//! simulator) do the work and tell it what came of it. It is `no_std` and synchronous.
//!
//! | to find | open |
//! |---|---|
//! | what can happen, what can be asked for | `event.rs`, `action.rs` |
//! | what is durable, and the only way to change it | `record.rs`, `state.rs` |
//! | the step function | `cluster.rs` |
//! | one entity | `agents.rs`, `leaving.rs`, `framework.rs`, `tasks.rs`, `web.rs` |
//! | what a turn sees, what a guest's call may do | `turn.rs`, `ledger.rs` |
//! | how a turn begins and ends | `turns.rs`, `effects.rs`, `faults.rs` |
//! | who is next, and what it is offered | `shares.rs`, `order.rs`, `fairness.rs`, `allocate.rs`, `look.rs`, `lease.rs`, `fit.rs` |
//! | roles, their quota | `roles.rs`, `quota.rs`, `held.rs` |
//! | what is collected before a turn: gangs, preemption | `claims.rs`, `gangs.rs`, `preempt.rs`, `victims.rs` |
//! | reservations, volumes | `reserved.rs`, `reservations.rs`, `lend.rs`, `volumes.rs` |
//! | why something waits | `explain/` |
//! | what must always hold | `invariants.rs` |
#![no_std]
extern crate alloc;

pub mod action;
mod agents;
mod allocate;
mod bits;
mod claims;
mod cluster;
mod effects;
pub mod event;
pub mod explain;
mod fairness;
mod faults;
pub mod fit;
mod framework;
mod gangs;
mod held;
mod invariants;
mod lease;
mod leaving;
pub mod ledger;
mod lend;
pub mod limits;
mod look;
pub mod map;
mod order;
pub mod outbox;
mod preempt;
mod quota;
pub mod record;
mod reservations;
mod reserved;
mod roles;
mod shares;
pub mod state;
mod tasks;
pub mod turn;
mod turns;
mod victims;
mod volumes;
mod web;

pub use action::{Action, Answer, Refused, RefusedKind};
pub use claims::{Claim, Part, Takes};
pub use cluster::{Cluster, WEIGHT_MAX};
pub use event::{Event, Request};
pub use fairness::check_excluded;
pub use invariants::Violation;
pub use limits::{ClusterLimits, FrameworkLimits};
pub use record::{Batch, Header, Record};
pub use state::{CorruptRecord, State};
pub use turn::{Call, Effects, Fault, FaultKind, Turn};
