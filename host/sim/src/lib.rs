//! The core without a cluster around it: events are made here, and what it decides is done at once,
//! in one thread, in virtual time.
//!
//! | to find | open |
//! |---|---|
//! | Mesos' allocator benchmark on our core | `grid.rs` |
#![deny(missing_docs)]

pub mod grid;
