//! The spawner: forks a shim for each request, reaps shims, and kills what a killed shim left behind.

use crate::{shim, sys, tree};
use mezzo_shim::{NOTES_FD, Note, REQUESTS_FD, Request};
use std::collections::HashMap;
use std::os::fd::RawFd;

/// The longest request, in bytes: a task's texts, with room for what the agent adds.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// How often to look again for what a killed shim left, in milliseconds.
const ROUND_MS: i32 = 20;

/// Serves until the agent closes its end.
pub fn run() {
    sys::set_signal(libc::SIGPIPE, libc::SIG_IGN);
    // A signal to the agent's terminal is not for the tasks.
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        sys::set_signal(signal, libc::SIG_IGN);
    }
    // SAFETY: plain calls of this process on itself.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
    }
    for fd in [REQUESTS_FD, NOTES_FD] {
        // SAFETY: changes a flag of a descriptor.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // A shim is born with its signals blocked, so that none is lost before it reads them.
    let Ok(signals) = sys::signals() else {
        std::process::exit(1)
    };
    let mut shims: HashMap<i32, u64> = HashMap::new();
    let mut input = Vec::new();
    let mut orphans = false;
    loop {
        let entry = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut fds = [entry(signals), entry(REQUESTS_FD)];
        sys::poll(&mut fds, if orphans { ROUND_MS } else { -1 });
        // Only children's ends are of interest here, and those are asked for below.
        if fds[0].revents != 0 {
            while sys::next_signal(signals).is_some() {}
        }
        orphans = reap(&mut shims) || orphans;
        if orphans {
            orphans = kill_orphans(&shims);
        }
        if fds[1].revents != 0 && !receive(&mut input, signals, &mut shims) {
            // The agent is gone. The shims go on without either of us.
            sys::exit(0);
        }
    }
}

/// Reads what is there and starts what is complete. False at the end.
fn receive(input: &mut Vec<u8>, signals: RawFd, shims: &mut HashMap<i32, u64>) -> bool {
    let mut buffer = [0; 64 << 10];
    match sys::read(REQUESTS_FD, &mut buffer) {
        Ok(0) => return false,
        Ok(n) => input.extend_from_slice(buffer.get(..n).unwrap_or_default()),
        Err(libc::EINTR | libc::EAGAIN) => {}
        Err(_) => return false,
    }
    let mut used = 0;
    while let Some((length, rest)) = input
        .get(used..)
        .and_then(|rest| rest.split_first_chunk::<4>())
    {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > REQUEST_BYTES_MAX {
            return false;
        }
        let Some(body) = rest.get(..length) else {
            break;
        };
        if let Some(request) = Request::decode(body) {
            start(&request, signals, shims);
        }
        used += 4 + length;
    }
    input.drain(..used);
    true
}

fn start(request: &Request, signals: RawFd, shims: &mut HashMap<i32, u64>) {
    // SAFETY: this process has one thread, so the child may go on as usual.
    match unsafe { libc::fork() } {
        0 => shim::run(request, signals),
        pid if pid > 0 => drop(shims.insert(pid, request.run)),
        // No process can be made: the run's folder has no trace of a start, and the agent says so.
        _ => sys::send_note(&Note::Gone.encode(request.run)),
    }
}

/// Says which shims have ended. Whether one of them was killed, so that processes may be left.
fn reap(shims: &mut HashMap<i32, u64>) -> bool {
    let mut killed = false;
    while let Ok(Some((pid, status))) = sys::reap(false) {
        if let Some(run) = shims.remove(&pid) {
            killed |= libc::WIFSIGNALED(status);
            if killed {
                kill_orphans(shims);
            }
            sys::send_note(&Note::Gone.encode(run));
        }
    }
    killed
}

/// Whoever is our child and no shim was a killed shim's. Whether there was any.
fn kill_orphans(shims: &HashMap<i32, u64>) -> bool {
    let orphans: Vec<i32> = tree::own_children()
        .into_iter()
        .filter(|pid| !shims.contains_key(pid))
        .collect();
    for pid in &orphans {
        sys::kill(*pid, libc::SIGKILL);
    }
    !orphans.is_empty()
}
