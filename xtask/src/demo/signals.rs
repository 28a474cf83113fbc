//! Ctrl-C, noted instead of fatal, so that the cluster can be stopped in order; and a signal sent to a process.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on an interrupt or a request to end is only noted.
pub fn listen() {
    let handler = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler stores one atomic, which is allowed in a signal handler.
        unsafe { libc::signal(signal, handler) };
    }
}

/// Whether there was one.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// What Ctrl-C would send it.
pub fn interrupt(child: &Child) {
    // SAFETY: no memory is involved; the child has not been waited for, so its number is not another's.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
}
