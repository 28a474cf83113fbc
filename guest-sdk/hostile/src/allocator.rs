//! An allocator that turns on its host: the memory for lowered arguments comes from it, so it is where "an endless
//! loop while arguments are lowered" happens.

use crate::misbehave::Kind;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, Ordering};

const CALM: u8 = 0;
const LOOP: u8 = 1;
const OUT_OF_RANGE: u8 = 2;
const MISALIGNED: u8 = 3;

static MODE: AtomicU8 = AtomicU8::new(CALM);

/// From now on the allocator does what the kind says; most kinds leave it alone.
pub fn arm(kind: Kind) {
    let mode = match kind {
        Kind::LoopInRealloc => LOOP,
        Kind::ReallocOutOfRange => OUT_OF_RANGE,
        Kind::ReallocMisaligned => MISALIGNED,
        _ => return,
    };
    if cfg!(target_arch = "wasm32") {
        MODE.store(mode, Ordering::Relaxed);
    }
}

struct Turncoat;

#[global_allocator]
static ALLOCATOR: Turncoat = Turncoat;

impl Turncoat {
    fn betray(&self, mode: u8, good: *mut u8) -> *mut u8 {
        match mode {
            CALM => good,
            OUT_OF_RANGE => usize::MAX.wrapping_sub(63) as *mut u8,
            MISALIGNED => good.wrapping_add(1),
            _ => loop {
                std::hint::black_box(mode);
            },
        }
    }
}

// SAFETY: it is `System` until it is armed; after that it breaks every promise on purpose, which the host must survive
// and which no code of this crate outlives: the first allocation after arming is the host's.
unsafe impl GlobalAlloc for Turncoat {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        let good = unsafe { System.alloc(layout) };
        self.betray(MODE.load(Ordering::Relaxed), good)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let good = unsafe { System.realloc(memory, layout, size) };
        self.betray(MODE.load(Ordering::Relaxed), good)
    }
}
