//! The threads that run turns. Which turn runs when is the core's decision: here they are taken in
//! the order in which they came, by whichever thread is free.

use crate::sandbox::Sandbox;
use mezzo_core::{Effects, Fault, Turn};
use mezzo_types::{InstanceId, TurnId};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Stack of a worker beside what the guest may use: the host's functions and the engine's own.
const HOST_STACK_BYTES: usize = 2 << 20;

/// Told of each turn that has ended: which, how, and its CPU time in microseconds. It is called on
/// a worker thread and should only pass the news on.
type Done = dyn Fn(TurnId, Result<Effects, Fault>, u64) + Send + Sync;

enum Job {
    Turn(Box<Turn>),
    Drop(InstanceId),
}

struct Queue {
    jobs: VecDeque<Job>,
    open: bool,
}

struct Shared {
    sandbox: Arc<Sandbox>,
    done: Box<Done>,
    queue: Mutex<Queue>,
    wake: Condvar,
}

/// A pool of threads. Dropping it ends the running turns at their limits, forgets the waiting ones
/// and waits for the threads.
pub struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts the threads; at least one.
    pub fn start(
        sandbox: Arc<Sandbox>,
        threads: usize,
        done: impl Fn(TurnId, Result<Effects, Fault>, u64) + Send + Sync + 'static,
    ) -> std::io::Result<Workers> {
        let stack_bytes = sandbox.limits().wasm_stack_bytes + HOST_STACK_BYTES;
        let shared = Arc::new(Shared {
            sandbox,
            done: Box::new(done),
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                open: true,
            }),
            wake: Condvar::new(),
        });
        let mut workers = Workers {
            shared,
            threads: Vec::new(),
        };
        for n in 0..threads.max(1) {
            let shared = Arc::clone(&workers.shared);
            // If one does not start, dropping `workers` ends the others.
            let thread = std::thread::Builder::new()
                .name(format!("sandbox-{n}"))
                .stack_size(stack_bytes)
                .spawn(move || shared.work())?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Runs a turn as soon as a thread is free. The core never has more turns under way than there
    /// are threads, so that none waits.
    pub fn submit(&self, turn: Turn) {
        self.shared.push(Job::Turn(Box::new(turn)));
    }

    /// Drops an instance, on one of the threads: giving its memory back takes a while.
    pub fn drop_instance(&self, instance: InstanceId) {
        self.shared.push(Job::Drop(instance));
    }

    /// Ends the threads: the turns that run come to their end and are told, the waiting ones are
    /// not run.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        {
            let mut queue = self.shared.lock();
            queue.open = false;
            queue.jobs.clear();
        }
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked in `done` has nothing left to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        let mut queue = self.lock();
        if queue.open {
            queue.jobs.push_back(job);
            self.wake.notify_one();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        while queue.open {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            match job {
                Job::Turn(turn) => {
                    let outcome = self.sandbox.run(*turn);
                    (self.done)(outcome.turn, outcome.result, outcome.cpu_us);
                }
                Job::Drop(instance) => self.sandbox.drop_instance(instance),
            }
        }
    }
}
