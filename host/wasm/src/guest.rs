//! What the host keeps beside one instance: the ledger of its turn, and what limits it.

use crate::boundary::Boundary;
use crate::clock::VirtualClock;
use crate::deadline::Deadline;
use crate::fault::Stop;
use crate::limits::SandboxLimits;
use crate::logs::FrameworkLog;
use crate::random::Random;
use crate::wasi;
use mezzo_core::ledger::Ledger;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

/// The data of one instance's store.
pub struct Guest {
    /// The account of the turn that runs; none while the instance is being made.
    pub ledger: Option<Ledger>,
    /// Ends the call that runs.
    pub deadline: Deadline,
    /// Counts what crosses.
    pub boundary: Boundary,
    /// The framework's log.
    pub log: FrameworkLog,
    /// What WASI is answered from.
    pub wasi: WasiCtx,
    /// Streams and pollables that the guest holds.
    pub table: ResourceTable,
    /// The time that the guest sees.
    pub clock: VirtualClock,
    /// The random numbers that the guest sees.
    pub random: Random,
    /// Memory and tables.
    pub growth: Growth,
}

impl Guest {
    /// For a new instance.
    pub fn new(limits: &SandboxLimits, log: FrameworkLog, deadline: Deadline) -> Guest {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles_max);
        Guest {
            ledger: None,
            deadline,
            boundary: Boundary::default(),
            wasi: wasi::context(&log),
            log,
            table,
            clock: VirtualClock::default(),
            random: Random::new(0),
            growth: Growth {
                memory_bytes_max: 0,
                memory_bytes: 0,
                granted_bytes: 0,
                table_elements_max: limits.table_elements_max,
                instances_max: limits.core_instances_per_component_max as usize,
                memories_max: limits.memories_per_component_max as usize,
                tables_max: limits.tables_per_component_max as usize,
                refused: None,
            },
        }
    }

    /// The ledger, for a call that only a turn may make.
    pub fn ledger(&mut self, call: &'static str) -> Result<&mut Ledger, Stop> {
        self.ledger.as_mut().ok_or(Stop::NoTurn(call))
    }
}

/// Limits what an instance grows to, and remembers what it was refused: the trap that follows then
/// has a name.
pub struct Growth {
    /// All linear memories together, in bytes.
    pub memory_bytes_max: u64,
    memory_bytes: u64,
    /// What was granted last: the engine may still say that it fails.
    granted_bytes: u64,
    table_elements_max: usize,
    instances_max: usize,
    memories_max: usize,
    tables_max: usize,
    /// What was refused in this turn, in words.
    pub refused: Option<String>,
}

impl Growth {
    /// All linear memories together, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }
}

impl ResourceLimiter for Growth {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let bytes = self.memory_bytes.saturating_add(more);
        self.granted_bytes = 0;
        if bytes > self.memory_bytes_max {
            self.refused = Some(format!(
                "the framework was refused more memory: it asked for {bytes} bytes, memory_bytes is {}",
                self.memory_bytes_max
            ));
            return Ok(false);
        }
        self.memory_bytes = bytes;
        self.granted_bytes = more;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // Such as beyond the maximum that the module itself declares.
        self.memory_bytes -= std::mem::take(&mut self.granted_bytes);
        self.refused = Some(format!("the framework could not get more memory: {error}"));
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= self.table_elements_max;
        if !allowed {
            self.refused = Some(format!(
                "the framework was refused a table of {desired} elements: table_elements_max is {}",
                self.table_elements_max
            ));
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        self.instances_max
    }

    fn tables(&self) -> usize {
        self.tables_max
    }

    fn memories(&self) -> usize {
        self.memories_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_granted_and_not_got_does_not_count() {
        let mut growth = Growth {
            memory_bytes_max: 100,
            memory_bytes: 0,
            granted_bytes: 0,
            table_elements_max: 0,
            instances_max: 0,
            memories_max: 0,
            tables_max: 0,
            refused: None,
        };
        let grow = |growth: &mut Growth, from, to| {
            let granted = growth.memory_growing(from, to, None);
            granted.expect("a refusal is no error")
        };
        assert!(grow(&mut growth, 0, 40));
        for _ in 0..3 {
            assert!(grow(&mut growth, 40, 100), "nothing of it was got");
            let failed = growth.memory_grow_failed(wasmtime::format_err!("the maximum"));
            failed.expect("it is only noted");
        }
        assert!(!grow(&mut growth, 40, 101));
        assert!(
            growth
                .refused
                .is_some_and(|why| why.contains("memory_bytes is 100"))
        );
    }
}
