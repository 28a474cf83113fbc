//! The clock that makes running guests look at their deadlines. It sleeps while none runs, so that
//! an idle master costs nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::Engine;

/// Ticks without any turn until the thread parks: between turns that follow each other closely it
/// is cheaper to go on ticking than to be woken.
const IDLE_TICKS_MAX: u32 = 20;

struct Shared {
    running: AtomicUsize,
    parked: AtomicBool,
    stop: AtomicBool,
    gate: Mutex<()>,
    wake: Condvar,
}

/// Ends its thread when it is dropped.
pub struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// As long as it lives, the engine's epoch goes on.
pub struct Running<'a>(&'a Shared);

impl Ticker {
    /// Starts the thread.
    pub fn start(engine: Engine, tick: Duration) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared {
            running: AtomicUsize::new(0),
            parked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            gate: Mutex::new(()),
            wake: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sandbox-ticker".to_owned())
            .spawn(move || of_thread.tick(&engine, tick))?;
        Ok(Ticker {
            shared,
            thread: Some(thread),
        })
    }

    /// To be called before a guest runs.
    pub fn enter(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, SeqCst);
        if self.shared.parked.load(SeqCst) {
            self.shared.wake();
        }
        Running(&self.shared)
    }

    #[cfg(test)]
    pub fn is_parked(&self) -> bool {
        self.shared.parked.load(SeqCst)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked: it does nothing that can.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn wake(&self) {
        // The lock is taken so that the wake-up cannot fall between the thread's last look and its
        // wait.
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.wake.notify_all();
    }

    fn tick(&self, engine: &Engine, tick: Duration) {
        let mut idle = 0;
        while !self.stop.load(SeqCst) {
            if idle >= IDLE_TICKS_MAX {
                self.park();
                idle = 0;
            }
            std::thread::sleep(tick);
            engine.increment_epoch();
            idle = if self.running.load(SeqCst) == 0 {
                idle + 1
            } else {
                0
            };
        }
    }

    fn park(&self) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.parked.store(true, SeqCst);
        while self.running.load(SeqCst) == 0 && !self.stop.load(SeqCst) {
            gate = self.wake.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        self.parked.store(false, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn it_parks_when_nothing_runs_and_wakes_when_something_does() {
        let engine = Engine::default();
        let ticker = Ticker::start(engine, Duration::from_millis(1)).expect("a thread starts");
        let until = |parked: bool| {
            let end = Instant::now() + Duration::from_secs(30);
            while ticker.is_parked() != parked {
                assert!(Instant::now() < end, "parked must become {parked}");
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        until(true);
        let running = ticker.enter();
        until(false);
        drop(running);
        until(true);
    }
}
