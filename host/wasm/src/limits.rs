//! The limits of the sandbox as a whole, by name, with their defaults. Those of one framework are
//! [`mezzo_core::FrameworkLimits`].

/// What the sandbox may use. The guide lists them (`docs/guide/limits.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Instances at a time. Address space is set aside for each (4 GiB), memory is not.
    pub instances_max: u32,
    /// Core instances of one component; Python and JavaScript components have about twenty.
    pub core_instances_per_component_max: u32,
    /// Linear memories of one component.
    pub memories_per_component_max: u32,
    /// Tables of one component.
    pub tables_per_component_max: u32,
    /// Elements of one table.
    pub table_elements_max: usize,
    /// Handles (streams, pollables) that one instance may hold at a time.
    pub handles_max: usize,
    /// Stack of the guest, in bytes. Worker threads have more.
    pub wasm_stack_bytes: usize,
    /// How often a running guest is checked against its deadlines, in milliseconds.
    pub tick_ms: u64,
    /// One log line, in bytes; a longer one is split.
    pub log_line_bytes_max: usize,
    /// An uploaded component, in bytes.
    pub component_bytes_max: usize,
    /// Functions in one component.
    pub functions_max: u32,
    /// The body of one function, in bytes: what a compiler needs grows faster than this.
    pub function_bytes_max: u32,
    /// Core modules and components inside one component.
    pub nested_max: u32,
    /// Components that may wait for the compiler while it is at another.
    pub compiles_waiting_max: usize,
    /// Address space of the compiler, in bytes.
    pub compile_memory_bytes: u64,
    /// CPU time of the compiler, in seconds.
    pub compile_cpu_s: u64,
    /// Wall time of the compiler, in milliseconds.
    pub compile_wall_ms: u64,
    /// A compiled component, in bytes.
    pub compiled_bytes_max: u64,
    /// All compiled components that no framework uses, in bytes; the ones unused for longest go.
    pub cache_bytes_max: u64,
    /// CPU and wall time of the trial instantiation when a component is prepared, in milliseconds.
    pub trial_ms: u64,
}

impl Default for SandboxLimits {
    fn default() -> SandboxLimits {
        SandboxLimits {
            instances_max: 1_000,
            core_instances_per_component_max: 64,
            memories_per_component_max: 8,
            tables_per_component_max: 32,
            table_elements_max: 32_768,
            handles_max: 1_024,
            wasm_stack_bytes: 1 << 20,
            tick_ms: 5,
            log_line_bytes_max: 8 << 10,
            component_bytes_max: 64 << 20,
            functions_max: 100_000,
            function_bytes_max: 1 << 20,
            nested_max: 256,
            compiles_waiting_max: 16,
            compile_memory_bytes: 2 << 30,
            compile_cpu_s: 120,
            compile_wall_ms: 240_000,
            compiled_bytes_max: 512 << 20,
            cache_bytes_max: 1 << 30,
            trial_ms: 5_000,
        }
    }
}
