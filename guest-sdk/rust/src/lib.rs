//! The Rust SDK for Mezzo frameworks: implement [`Framework`] (and [`Web`], to serve HTTP), export it with
//! [`export!`] or [`export_web!`], build for `wasm32-wasip2`, and upload the component.
//!
//! The crate owns the guest's side of the contract in `wit/` and nothing of the host: the same framework code runs as
//! a component in the master and, natively, against the fake cluster of [`testing`].
//!
//! ```
//! use mezzo_sdk::prelude::*;
//!
//! struct Nothing;
//!
//! impl Framework for Nothing {
//!     fn start(cx: &mut Cx<'_>, setup: Setup) -> Result<Self, String> {
//!         cx.info(&format!("{} has started", setup.name));
//!         Ok(Nothing)
//!     }
//! }
//!
//! mezzo_sdk::export!(Nothing);
//! ```

#[doc(hidden)]
pub mod bindings;
pub mod condition;
mod cx;
mod export;
mod framework;
mod host;
pub mod json;
pub mod options;
mod plan;
mod resources;
pub mod state;
mod task;
pub use task::KILL_GRACE_MS_DEFAULT;
pub mod testing;
pub mod types;
pub mod web;

pub use cx::Cx;
#[doc(hidden)]
pub use export::private as __private;
pub use framework::{Framework, Web};
pub use plan::Plan;
pub use state::{StateError, Table, Value};

/// What most frameworks need.
pub mod prelude {
    pub use crate::state::{StateError, Table, Value};
    pub use crate::types::*;
    pub use crate::web::{Call, Reply, Request, Response, Router};
    pub use crate::{Cx, Framework, Plan, Web};
}
