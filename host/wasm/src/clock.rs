//! The time that a guest sees: it stands at the turn's instant, and moves only when it is read or
//! waited for. The same turn therefore sees the same times, and a sleep costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How far one reading moves the time, in nanoseconds: a loop that waits for time to pass ends.
const STEP_NS: u64 = 1_000;

/// One instance's clock. Clones are the same clock. It is used by one thread at a time; the atomics
/// only make it shareable.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock(Arc<Times>);

#[derive(Debug, Default)]
struct Times {
    /// The turn's instant, in nanoseconds since the Unix epoch.
    turn_ns: AtomicU64,
    /// How far this turn has moved on from it.
    moved_ns: AtomicU64,
    /// The latest monotonic time that was ever shown.
    monotonic_ns: AtomicU64,
    /// The nearest deadline that something waits for, or `u64::MAX`.
    awaited_ns: AtomicU64,
}

impl VirtualClock {
    /// Sets it to a turn's instant, in milliseconds since the Unix epoch.
    pub fn begin_turn(&self, now_ms: u64) {
        self.0
            .turn_ns
            .store(now_ms.saturating_mul(1_000_000), Relaxed);
        self.0.moved_ns.store(0, Relaxed);
        self.0.awaited_ns.store(u64::MAX, Relaxed);
    }

    /// Nanoseconds since the Unix epoch; each reading is a little later.
    pub fn wall_ns(&self) -> u64 {
        let moved = self.0.moved_ns.load(Relaxed).saturating_add(STEP_NS);
        self.0.moved_ns.store(moved, Relaxed);
        self.0.turn_ns.load(Relaxed).saturating_add(moved)
    }

    /// Nanoseconds that never go back within one instance, even when an earlier turn slept.
    pub fn monotonic_ns(&self) -> u64 {
        let now = self.wall_ns().max(self.0.monotonic_ns.load(Relaxed));
        self.0.monotonic_ns.store(now, Relaxed);
        now
    }

    /// Moves on to a monotonic time, if it is later.
    pub fn jump_to(&self, monotonic_ns: u64) {
        let now = self.monotonic_ns();
        if monotonic_ns > now {
            let moved = self.0.moved_ns.load(Relaxed);
            self.0
                .moved_ns
                .store(moved.saturating_add(monotonic_ns - now), Relaxed);
            self.0.monotonic_ns.store(monotonic_ns, Relaxed);
        }
    }

    /// Notes that something waits for this monotonic time.
    pub fn await_ns(&self, deadline_ns: u64) {
        self.0.awaited_ns.fetch_min(deadline_ns, Relaxed);
    }

    /// The nearest time that something waits for, and no longer waited for from now on.
    pub fn take_awaited_ns(&self) -> Option<u64> {
        let awaited = self.0.awaited_ns.swap(u64::MAX, Relaxed);
        (awaited != u64::MAX).then_some(awaited)
    }

    /// Whether a monotonic time has come, without moving on.
    pub fn has_come(&self, deadline_ns: u64) -> bool {
        let wall = self
            .0
            .turn_ns
            .load(Relaxed)
            .saturating_add(self.0.moved_ns.load(Relaxed));
        deadline_ns <= wall.max(self.0.monotonic_ns.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_but_for_readings_and_jumps() {
        let clock = VirtualClock::default();
        clock.begin_turn(1_000);
        assert_eq!(clock.wall_ns(), 1_000_001_000);
        assert_eq!(clock.monotonic_ns(), 1_000_002_000);
        clock.jump_to(5_000_000_000);
        assert!(clock.has_come(5_000_000_000));
        assert_eq!(
            clock.monotonic_ns(),
            5_000_001_000.max(clock.monotonic_ns() - STEP_NS)
        );
    }

    #[test]
    fn monotonic_time_does_not_go_back_between_turns() {
        let clock = VirtualClock::default();
        clock.begin_turn(1_000);
        clock.jump_to(9_000_000_000);
        clock.begin_turn(1_001);
        assert!(clock.monotonic_ns() >= 9_000_000_000);
        assert!(
            clock.wall_ns() < 2_000_000_000,
            "the wall clock shows the turn's instant"
        );
    }
}
