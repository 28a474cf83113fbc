//! The core without a cluster around it: events are made here, and what it decides is done in one
//! thread, in virtual time.
//!
//! | to find | open |
//! |---|---|
//! | a whole cluster with faults, from a seed | `world.rs`, and its parts in `world/` |
//! | what is to be done in it: files, a generator | `workload.rs`, and its parts in `workload/` |
//! | how it went: figures, fairness, a picture | `report.rs`, and its parts in `report/` |
//! | who runs the frameworks' turns | `guest.rs`; the simulation's own framework: `job.rs` |
//! | a machine with the real agent core | `machine.rs` |
//! | what is durable | `store.rs` |
//! | chance, the same on every machine | `rng.rs`, `draw.rs`, `fixed.rs` |
//! | Mesos' allocator benchmark on our core | `grid.rs` |
#![deny(missing_docs)]

pub mod draw;
pub mod fixed;
pub mod grid;
pub mod guest;
pub mod job;
pub mod machine;
pub mod report;
pub mod rng;
pub mod store;
pub mod workload;
pub mod world;
