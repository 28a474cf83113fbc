//! What the core keeps of a task beside its description. The allocator of this program counts.
//!
//! `cargo test --release -p mezzo-sim --test memory -- --ignored --nocapture` prints it for a large cluster.

use mezzo_sim::grid::Grid;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bar.
const BYTES_A_TASK: usize = 512;
/// Tasks on each agent.
const TASKS_OF_EACH: u64 = 10;
/// What the system's allocator keeps for itself beside each piece that it gives out.
const HEADER_BYTES: usize = 8;
/// The system's allocator rounds pieces up to a multiple of this.
const ROUNDED_BYTES: usize = 16;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// The system's, with a count of bytes in use as that one reckons them.
struct Counting;

fn size(layout: Layout) -> usize {
    (layout.size() + HEADER_BYTES).next_multiple_of(ROUNDED_BYTES)
}

// SAFETY: all is handed on to the system's allocator; counting takes no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(size(layout), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is the system's too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(size(layout), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn grown_by<T>(what: impl FnOnce() -> T) -> (usize, T) {
    let before = IN_USE.load(Ordering::Relaxed);
    let made = what();
    (IN_USE.load(Ordering::Relaxed) - before, made)
}

fn check(agents: u64) {
    let tasks = usize::try_from(agents * TASKS_OF_EACH).unwrap();
    let mut grid = Grid::idle(agents);
    let (all, ()) = grown_by(|| grid.run_on_all(TASKS_OF_EACH));
    let (descriptions, made) = grown_by(|| Grid::descriptions(agents, TASKS_OF_EACH));
    // The list itself is none of them.
    let descriptions = descriptions - made.len() * size_of_val(&made[0]);
    let a_task = (all - descriptions) / tasks;
    println!(
        "{tasks} tasks: {a_task} bytes each, beside a description of {} bytes",
        descriptions / tasks
    );
    assert!(
        a_task < BYTES_A_TASK,
        "{a_task} bytes a task, not under {BYTES_A_TASK}"
    );
}

#[test]
fn a_task_takes_little_memory_beside_its_description() {
    check(1_000);
}

#[test]
#[ignore = "the same at full size, which takes long unless optimized; only one test may run at a time"]
fn so_does_one_of_400_000() {
    check(40_000);
}
