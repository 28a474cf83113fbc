//! The core without a cluster around it: events are made here, and what it decides is done in one
//! thread, in virtual time.
//!
//! | to find | open |
//! |---|---|
//! | a whole cluster with faults, from a seed | `world.rs`, and its parts in `world/` |
//! | a machine with the real agent core | `machine.rs` |
//! | the frameworks of the simulation | `job.rs` |
//! | what is durable | `store.rs` |
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
