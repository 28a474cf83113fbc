//! Starting and signalling: the agent's end of the spawner's two sockets.
//!
//! Owns one spawner process at a time and says what is heard of it. It never forks for a task: the
//! spawner, which is small, does. Shims outlive their spawner; who waits for the end of a run whose
//! spawner is gone is [`watch`].

use crate::sandbox::SANDBOX;
use crate::{Config, Error, io, leftovers, run_file};
use mezzo_shim::{NOTES_FD, Note, REQUESTS_FD, Request, SHIM, Trace, Wish};
use mezzo_types::Run;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A spawner that takes no request for so long is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
/// A spawner whose socket is closed and that has not ended after so long is killed.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is looked at until then.
const END_LOOK_EVERY: Duration = Duration::from_millis(2);
/// The stack of a thread that does nothing but wait.
const WAITER_STACK_BYTES: usize = 64 << 10;

/// What is heard of runs and of the spawner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A run's program is being executed.
    Started(Run),
    /// A run's shim is gone, or another shim had it already: its files say which.
    Gone(Run),
    /// The spawner with this number has died.
    Died(u64),
}

/// Whoever wants to know. Called from threads of its own.
pub type Listener = std::sync::Arc<dyn Fn(Heard) + Send + Sync>;

/// The spawner and the way to it.
#[derive(Debug)]
pub struct Spawner {
    shim: PathBuf,
    log: PathBuf,
    number: u64,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    requests: UnixStream,
    notes: Option<OwnedFd>,
}

impl Spawner {
    /// Starts the first one. Nothing is heard before [`Spawner::listen`].
    pub fn start(config: &Config) -> Result<Spawner, Error> {
        let shim = match &config.shim {
            Some(shim) => shim.clone(),
            None => beside("mezzo-shim")?,
        };
        if !shim.is_file() {
            return Err(Error::Config {
                field: "shim",
                problem: format!(
                    "{} is no file; name the program `mezzo-shim`",
                    shim.display()
                ),
            });
        }
        let log = config.folder.join("spawner.log");
        let process = Process::start(&shim, &log)?;
        Ok(Spawner {
            shim,
            log,
            number: 1,
            process: Some(process),
        })
    }

    /// Begins to listen to the current spawner; call it once for each.
    pub fn listen(&mut self, listener: &Listener) -> Result<(), Error> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let mut alive = process
            .requests
            .try_clone()
            .map_err(io("share the spawner's socket"))?;
        let number = self.number;
        let tell = listener.clone();
        // Nothing is ever written to our end: it is readable when the spawner is gone.
        waiter("spawner", move || {
            let _ = alive.read(&mut [0]);
            tell(Heard::Died(number));
        })?;
        if let Some(notes) = process.notes.take() {
            let tell = listener.clone();
            waiter("notes", move || hear(&notes, &*tell))?;
        }
        Ok(())
    }

    /// Replaces a dead spawner. Its shims go on, and their first notes are still heard.
    pub fn restart(&mut self, listener: &Listener) -> Result<(), Error> {
        self.process = None;
        self.process = Some(Process::start(&self.shim, &self.log)?);
        self.number += 1;
        self.listen(listener)
    }

    /// Which spawner this is; each has another number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Asks for a run. What becomes of it is heard.
    pub fn send(&mut self, request: &Request) -> std::io::Result<()> {
        match &mut self.process {
            Some(process) => process.requests.write_all(&request.encode()),
            None => Err(std::io::Error::other("there is no spawner")),
        }
    }
}

impl Process {
    fn start(shim: &Path, log: &Path) -> Result<Process, Error> {
        let what = || format!("start {}", shim.display());
        let (requests, theirs) = UnixStream::pair().map_err(io(what()))?;
        requests
            .set_write_timeout(Some(SEND_TIMEOUT))
            .map_err(io(what()))?;
        let (notes, their_notes) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|e| io(what())(e.into()))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(io(what()))?;
        let mut command = Command::new(shim);
        command
            .arg("spawner")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let (from_requests, from_notes) = (theirs.as_raw_fd(), their_notes.as_raw_fd());
        // SAFETY: the closure makes only calls that are safe between fork and exec.
        unsafe { command.pre_exec(move || hand_over(from_requests, from_notes)) };
        let child = command.spawn().map_err(io(what()))?;
        Ok(Process {
            child,
            requests,
            notes: Some(notes),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A spawner ends when its socket does; its shims do not. One that hangs is killed: they go on.
        let _ = self.requests.shutdown(std::net::Shutdown::Both);
        let begun = std::time::Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > END_TIMEOUT {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(END_LOOK_EVERY);
        }
    }
}

/// Puts the two sockets where the spawner expects them. First out of each other's way.
fn hand_over(requests: i32, notes: i32) -> std::io::Result<()> {
    let check = |value: i32| {
        if value < 0 {
            Err(std::io::Error::last_os_error())
        } else {
            Ok(value)
        }
    };
    // SAFETY: works on descriptors, touches no memory.
    unsafe {
        let requests = check(libc::fcntl(requests, libc::F_DUPFD_CLOEXEC, 10))?;
        let notes = check(libc::fcntl(notes, libc::F_DUPFD_CLOEXEC, 10))?;
        check(libc::dup2(requests, REQUESTS_FD))?;
        check(libc::dup2(notes, NOTES_FD))?;
    }
    Ok(())
}

/// Passes notes on until the spawner and all of its shims are gone.
fn hear(notes: &OwnedFd, tell: &(dyn Fn(Heard) + Send + Sync)) {
    let mut packet = [0; 16];
    loop {
        match rustix::net::recv(notes, &mut packet, RecvFlags::empty()) {
            Ok((_, 0)) => return,
            Ok((_, n)) => match Note::decode(packet.get(..n).unwrap_or_default()) {
                Some((run, Note::Started)) => tell(Heard::Started(Run(run))),
                Some((run, Note::Gone)) => tell(Heard::Gone(Run(run))),
                None => tracing::warn!("a malformed note from the spawner; is it of this version?"),
            },
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return tracing::warn!("the spawner's notes: {error}"),
        }
    }
}

/// Waits, in a thread of its own, until the shim of a run is gone, and says so. For runs whose
/// spawner cannot say it any more.
pub fn watch(folder: PathBuf, run: Run, listener: &Listener) -> Result<(), Error> {
    let tell = listener.clone();
    waiter("watch", move || {
        // Without the file there is no shim: then it is gone as well.
        if let Ok(file) = run_file::open(&folder.join(SHIM)) {
            let _ = file.lock_shared();
        }
        if trace(&folder).is_none_or(|trace| trace.outcome.is_none()) {
            leftovers::kill(&folder.join(SANDBOX));
        }
        tell(Heard::Gone(run));
    })
}

/// What a run's shim has written down; none if it never was.
pub fn trace(folder: &Path) -> Option<Trace> {
    let text = run_file::read_note(&folder.join(SHIM)).ok()?;
    Some(Trace::decode(&text))
}

/// Whether a run's shim lives: it holds a lock on its file for as long as it does.
pub fn shim_lives(folder: &Path) -> bool {
    run_file::open(&folder.join(SHIM)).is_ok_and(|file| is_locked(&file))
}

fn is_locked(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Asks a run's shim for something. One whose shim is gone has no processes left.
pub fn ask(folder: &Path, wish: Wish) -> std::io::Result<()> {
    let pid = trace(folder)
        .and_then(|trace| trace.pid)
        .and_then(Pid::from_raw)
        .ok_or_else(|| std::io::Error::other("its shim has not said who it is"))?;
    let shim = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(shim) => shim,
        Err(Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // Locked after the handle was opened: so the handle is the shim's, and no later process' with
    // the same number.
    if !shim_lives(folder) {
        return Ok(());
    }
    let signal = Signal::from_named_raw(wish.signal())
        .ok_or_else(|| std::io::Error::other("no such signal"))?;
    match rustix::process::pidfd_send_signal(shim, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A program that is installed beside this one.
pub fn beside(name: &str) -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(io("find this program's own file"))?;
    Ok(own.with_file_name(name))
}

fn waiter(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let thread = std::thread::Builder::new()
        .name(name.into())
        .stack_size(WAITER_STACK_BYTES);
    thread
        .spawn(body)
        .map(drop)
        .map_err(io(format!("start the thread `{name}`")))
}
