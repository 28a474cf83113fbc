//! The few calls of the operating system that the shim needs, each with its error as a number.

use std::ffi::CString;
use std::os::fd::RawFd;

/// The stack of a child before it executes its program.
const CHILD_STACK_BYTES: usize = 64 << 10;

/// The number of the last error.
pub fn errno() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

fn result(value: i32) -> Result<i32, i32> {
    if value < 0 { Err(errno()) } else { Ok(value) }
}

/// A C string; a NUL inside is an invalid argument.
pub fn c(text: &str) -> Result<CString, i32> {
    CString::new(text).map_err(|_| libc::EINVAL)
}

pub fn open(path: &str, flags: i32, mode: libc::mode_t) -> Result<RawFd, i32> {
    let path = c(path)?;
    // SAFETY: the path is a C string that outlives the call.
    result(unsafe {
        libc::open(
            path.as_ptr(),
            flags | libc::O_CLOEXEC,
            libc::c_uint::from(mode),
        )
    })
}

pub fn close(fd: RawFd) {
    // SAFETY: closing a descriptor touches no memory.
    unsafe { libc::close(fd) };
}

/// Locks a file for as long as this process has it open, or says that another one does.
pub fn lock(fd: RawFd) -> Result<(), i32> {
    // SAFETY: locking touches no memory.
    result(unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
}

/// How long a file is, in bytes.
pub fn size(fd: RawFd) -> Result<u64, i32> {
    // SAFETY: seeking touches no memory.
    let end = unsafe { libc::lseek(fd, 0, libc::SEEK_END) };
    u64::try_from(end).map_err(|_| errno())
}

/// Gives a file another name; `EEXIST` if there is one of that name.
pub fn link(from: &str, to: &str) -> Result<(), i32> {
    let (from, to) = (c(from)?, c(to)?);
    // SAFETY: both are C strings that outlive the call.
    result(unsafe { libc::link(from.as_ptr(), to.as_ptr()) }).map(drop)
}

/// Takes a name away, if it is there.
pub fn unlink(path: &str) {
    if let Ok(path) = c(path) {
        // SAFETY: it is a C string that outlives the call.
        unsafe { libc::unlink(path.as_ptr()) };
    }
}

pub fn rename(from: &str, to: &str) -> Result<(), i32> {
    let (from, to) = (c(from)?, c(to)?);
    // SAFETY: both are C strings that outlive the call.
    result(unsafe { libc::rename(from.as_ptr(), to.as_ptr()) }).map(|_| ())
}

/// A pipe: the end to read from, the end to write to.
pub fn pipe(flags: i32) -> Result<(RawFd, RawFd), i32> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    result(unsafe { libc::pipe2(ends.as_mut_ptr(), flags | libc::O_CLOEXEC) })?;
    Ok((ends[0], ends[1]))
}

/// How many bytes were read; 0 at the end.
pub fn read(fd: RawFd, buffer: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: the buffer is as long as it says.
    let n = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(n).map_err(|_| errno())
}

/// Writes all of it, or says why not.
pub fn write_all(fd: RawFd, mut bytes: &[u8]) -> Result<(), i32> {
    while !bytes.is_empty() {
        // SAFETY: the buffer is as long as it says.
        let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(n) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(_) if errno() == libc::EINTR => {}
            Err(_) => return Err(errno()),
        }
    }
    Ok(())
}

/// Sends a packet if somebody listens; nobody needs to.
pub fn send_note(packet: &[u8]) {
    // SAFETY: the buffer is as long as it says.
    unsafe {
        libc::send(
            mezzo_shim::NOTES_FD,
            packet.as_ptr().cast(),
            packet.len(),
            libc::MSG_NOSIGNAL,
        )
    };
}

/// A process that has ended, if there is one: its number and how it ended. `Err(ECHILD)` when there
/// are no children at all.
pub fn reap(wait: bool) -> Result<Option<(i32, i32)>, i32> {
    let mut status = 0;
    // SAFETY: `status` has room for the answer.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, if wait { 0 } else { libc::WNOHANG }) };
    match pid {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some((pid, status))),
        _ if errno() == libc::EINTR => Ok(None),
        _ => Err(errno()),
    }
}

pub fn kill(pid: i32, signal: i32) {
    // SAFETY: signalling touches no memory.
    unsafe { libc::kill(pid, signal) };
}

/// Waits until one of the descriptors is ready, up to so long (milliseconds; -1 for ever).
pub fn poll(fds: &mut [libc::pollfd], timeout_ms: i32) {
    // SAFETY: the slice is as long as it says.
    unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) };
}

/// A descriptor from which the signals are read that this process waits for: that a child has ended,
/// and each [`mezzo_shim::Wish`]. They are blocked from now on.
pub fn signals() -> Result<RawFd, i32> {
    // SAFETY: the set is initialised before it is used.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        let wishes = mezzo_shim::Wish::ALL.map(mezzo_shim::Wish::signal);
        for signal in wishes.into_iter().chain([libc::SIGCHLD]) {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        result(libc::signalfd(
            -1,
            &raw const set,
            libc::SFD_NONBLOCK | libc::SFD_CLOEXEC,
        ))
    }
}

/// The next signal that has come.
pub fn next_signal(signals: RawFd) -> Option<i32> {
    let mut packet = [0; size_of::<libc::signalfd_siginfo>()];
    match read(signals, &mut packet) {
        // The number of the signal is the first field.
        Ok(n) if n == packet.len() => packet.first_chunk().map(|first| i32::from_ne_bytes(*first)),
        _ => None,
    }
}

/// Ends this process and nothing else: no other process' buffers or handlers are run.
pub fn exit(code: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}

/// Makes a child that runs `body`, which should execute a program, and waits until it has done so or
/// has returned. Until then the child borrows this process' memory, so nothing is copied: that is
/// most of what starting a small task would cost (`vfork(2)`; the child has a stack of its own, as in
/// glibc's `posix_spawn`).
pub fn spawn(body: &mut dyn FnMut()) -> Result<i32, i32> {
    extern "C" fn child(body: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the pointer is the one given to `clone` below, whose caller waits.
        let body = unsafe { &mut *body.cast::<&mut dyn FnMut()>() };
        body();
        exit(127)
    }
    let mut stack = vec![0u128; CHILD_STACK_BYTES / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let mut body = body;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is aligned and long enough; it and `body` outlive the child's use of them,
    // because this call returns only when the child has executed its program or is gone.
    result(unsafe { libc::clone(child, top.cast(), flags, (&raw mut body).cast()) })
}

/// What happens to a signal: nothing, or the default.
pub fn set_signal(signal: i32, handler: libc::sighandler_t) {
    // SAFETY: SIG_IGN and SIG_DFL run no code of ours.
    unsafe { libc::signal(signal, handler) };
}
