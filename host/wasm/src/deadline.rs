//! How long one call may take. The ticker makes a running guest look at it every few milliseconds.

use crate::cpu;
use crate::fault::Stop;
use std::time::{Duration, Instant};

/// The limits of the call that runs. CPU time decides; wall time, which is longer, only ends what
/// waits without using any, so that a busy machine faults no innocent.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    cpu_from_ns: u64,
    cpu_ms: u64,
    wall_from: Instant,
    wall_ms: u64,
    cpu_limit: &'static str,
    wall_limit: &'static str,
}

impl Deadline {
    /// From now on, for a call of a turn.
    pub fn of_call(cpu_ms: u64, wall_ms: u64) -> Deadline {
        Deadline::new(cpu_ms, wall_ms, "turn_cpu_ms", "turn_wall_ms")
    }

    /// From now on, for instantiating and `start`.
    pub fn of_start(ms: u64) -> Deadline {
        Deadline::new(ms, ms, "start_ms", "start_ms")
    }

    fn new(
        cpu_ms: u64,
        wall_ms: u64,
        cpu_limit: &'static str,
        wall_limit: &'static str,
    ) -> Deadline {
        Deadline {
            cpu_from_ns: cpu::thread_ns(),
            cpu_ms,
            wall_from: Instant::now(),
            wall_ms,
            cpu_limit,
            wall_limit,
        }
    }

    /// Whether the call may go on.
    pub fn check(&self) -> Result<(), Stop> {
        let cpu_ns = cpu::thread_ns().saturating_sub(self.cpu_from_ns);
        if cpu_ns >= self.cpu_ms.saturating_mul(1_000_000) {
            return Err(Stop::Cpu {
                limit: self.cpu_limit,
                max_ms: self.cpu_ms,
            });
        }
        if self.wall_from.elapsed() >= Duration::from_millis(self.wall_ms) {
            return Err(Stop::Wall {
                limit: self.wall_limit,
                max_ms: self.wall_ms,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_ends_at_the_limit_that_it_reaches() {
        assert!(Deadline::of_call(10_000, 10_000).check().is_ok());
        assert!(matches!(
            Deadline::of_call(0, 10_000).check(),
            Err(Stop::Cpu {
                limit: "turn_cpu_ms",
                ..
            })
        ));
        assert!(matches!(
            Deadline::of_call(10_000, 0).check(),
            Err(Stop::Wall {
                limit: "turn_wall_ms",
                ..
            })
        ));
        assert!(matches!(
            Deadline::of_start(0).check(),
            Err(Stop::Cpu {
                limit: "start_ms",
                ..
            })
        ));
    }
}
