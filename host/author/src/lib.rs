//! What authors of frameworks need, as a library behind `mezzo framework new|build|check|dev|bind`: projects and their
//! `mezzo.toml`, bindings and components, each language's compiler, and what a component costs.
//!
//! It knows the contract, the sandbox and the toolchains; it talks to no master and prints nothing itself, except that
//! compilers write to standard error as they do.
#![deny(missing_docs)]

pub mod bind;
mod build;
mod check;
mod component;
mod contract;
mod error;
mod language;
mod manifest;
mod new;
mod pack;
mod project;
mod shape;
mod tools;
mod unpack;
pub mod watch;

pub use build::{Built, build};
pub use check::{Given, Line, Report, check};
pub use component::component;
pub use error::{Error, Result};
pub use language::{Language, World};
pub use new::new;
pub use project::Project;
pub use shape::Shape;
pub use unpack::write;
