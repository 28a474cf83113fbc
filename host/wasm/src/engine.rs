//! The one engine of a sandbox and its settings. The compiler's child process uses the same settings
//! without the pool: what is compiled depends on the first, not on the second.

use crate::limits::SandboxLimits;
use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
};

/// Address space of one linear memory: with 4 GiB and a guard, a 32-bit address cannot leave it and
/// compiled code needs no bounds checks.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
/// Behind each memory, so that a constant offset cannot leave it either.
const MEMORY_GUARD_BYTES: u64 = 32 << 20;
/// Slots of the pool that were used and keep their mappings.
const WARM_SLOTS_MAX: u32 = 16;
/// The bookkeeping of one core instance, and of one component, at most.
const INSTANCE_BYTES_MAX: usize = 4 << 20;
/// Functions named in a fault's message.
pub const BACKTRACE_FRAMES_MAX: usize = 12;

fn base(limits: &SandboxLimits) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model(true)
        // Component async stays off: calls cost a third, and its code is the youngest.
        .concurrency_support(false)
        .epoch_interruption(true)
        .signals_based_traps(true)
        .max_wasm_stack(limits.wasm_stack_bytes)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .memory_may_move(false)
        .memory_init_cow(true)
        // The same turn gives the same effects on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES_MAX))
        .generate_address_map(false);
    config
}

/// The engine that runs turns.
pub fn for_turns(limits: &SandboxLimits) -> wasmtime::Result<Engine> {
    let instances = limits.instances_max;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(4))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(4))
        .total_stacks(0)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_core_instances_per_component(limits.core_instances_per_component_max)
        .max_memories_per_component(limits.memories_per_component_max)
        .max_tables_per_component(limits.tables_per_component_max)
        .max_tables_per_module(limits.tables_per_component_max)
        .max_memories_per_module(limits.memories_per_component_max)
        .table_elements(limits.table_elements_max)
        .max_memory_size(MEMORY_RESERVATION_BYTES as usize)
        .max_unused_warm_slots(WARM_SLOTS_MAX);
    let mut config = base(limits);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// The engine of the compiler's child process: it sets no address space aside.
pub fn for_compiling(limits: &SandboxLimits) -> wasmtime::Result<Engine> {
    let mut config = base(limits);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Engine::new(&config)
}

/// What compiled code depends on: the version of the engine, its settings, the processor's features.
pub fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}
