//! The sandbox: frameworks are WebAssembly components, and this crate compiles them, keeps their
//! instances, runs their turns within limits and says what went wrong.
//!
//! A [`mezzo_core::Turn`] comes in; [`mezzo_core::Effects`] or a [`mezzo_core::Fault`], and the CPU
//! time spent, go out. What a guest's calls mean is decided by [`mezzo_core::Ledger`]; this crate
//! converts values, counts and limits. It knows neither the registry nor the network.
#![deny(missing_docs)]

mod boundary;
mod cache;
mod clock;
mod compile;
mod component;
mod contract;
mod convert;
mod cpu;
mod deadline;
mod driver;
mod engine;
mod fault;
mod guest;
mod instance;
mod lift;
mod limits;
mod linker;
mod log;
mod logs;
mod random;
mod refused;
mod sandbox;
mod state;
mod streams;
mod ticker;
mod timers;
mod wasi;
mod workers;

pub use cache::digest_of;
pub use compile::{CompileCommand, compile_child_main};
pub use component::check_component;
pub use limits::SandboxLimits;
pub use logs::{Level, LogSink};
pub use refused::Refused;
pub use sandbox::{OpenError, Outcome, Prepared, Sandbox, SandboxConfig, Source};
pub use workers::Workers;

#[allow(missing_docs, dead_code, clippy::all)]
mod bindings {
    // The macro reads the contract without telling the compiler: so that a change of it is noticed.
    const _: [&str; 9] = [
        include_str!("../../../wit/driver.wit"),
        include_str!("../../../wit/log.wit"),
        include_str!("../../../wit/scheduler.wit"),
        include_str!("../../../wit/state.wit"),
        include_str!("../../../wit/streams.wit"),
        include_str!("../../../wit/timers.wit"),
        include_str!("../../../wit/types.wit"),
        include_str!("../../../wit/web.wit"),
        include_str!("../../../wit/worlds.wit"),
    ];

    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "mezzo:framework/web-framework",
    });
}
