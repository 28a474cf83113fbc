//! The master: the driver around the core, what makes its batches durable, and all that people and
//! agents reach.
//!
//! Owns no decision about the cluster: those are `mezzo-core`'s. Here are threads, sockets and files.
//!
//! | to find | open |
//! |---|---|
//! | every setting and limit | `config.rs` |
//! | start, stop, leading again | `master.rs` |
//! | connections, and when they are cut | `server.rs`, `accept.rs`, `descriptors.rs`, `steady.rs`, `link.rs` |
//! | one leadership and its threads | `lead.rs` |
//! | the loop around the core | `driver.rs`, `mailbox.rs` |
//! | commits, and a full disk | `committer.rs`, `keys.rs` |
//! | what people see | `view.rs`, `events.rs`, `logs.rs` |
//! | requests and response streams | `pending.rs` |
//! | agents | `agents.rs` (what arrives), `sessions.rs` (what is told) |
//! | components | `components.rs`, `bundled.rs` |
//! | tokens | `tokens.rs` |
//! | the HTTP API | `api/` |
#![deny(missing_docs)]

mod accept;
mod agents;
mod api;
mod bundled;
mod committer;
mod components;
mod config;
mod descriptors;
mod driver;
mod error;
mod events;
mod keys;
mod lead;
mod link;
mod logs;
mod mailbox;
mod master;
mod pending;
mod server;
mod sessions;
mod steady;
mod tokens;
mod view;

pub use config::{Config, Limits};
pub use error::Error;
pub use master::{Master, Parts};

/// What benchmarks put together themselves, without sockets.
pub mod parts {
    pub use crate::lead::{Lead, Over, Threads, Waiting, take};
    pub use crate::mailbox::Mailbox;
    pub use crate::pending::{Outcome, Pieces};
    pub use crate::sessions::Sessions;
    pub use crate::view::View;
}
