//! The engine's settings: the same for compiling and for running, or the code would not fit.

use std::hash::{DefaultHasher, Hash, Hasher};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, Strategy};

/// The stack of WebAssembly calls. The main thread's own is eight times as large.
const STACK_BYTES: usize = 1 << 20;

/// One engine. It sets nothing aside: a process runs one component, once.
pub fn engine() -> Result<Engine, String> {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model(true)
        // Component async stays off: its code is the youngest, and calls cost more with it.
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES)
        .wasm_memory64(false)
        .generate_address_map(false)
        // Time is limited by the agent, which kills the process: no check in every loop.
        .epoch_interruption(false)
        .allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Engine::new(&config).map_err(|error| format!("the engine: {error:#}"))
}

/// What compiled code depends on: the version of the engine, its settings, the processor.
pub fn word() -> Result<String, String> {
    let mut hasher = DefaultHasher::new();
    engine()?.precompile_compatibility_hash().hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}
