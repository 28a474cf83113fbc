//! The shim: a run's parent, from its start to the end of its last process.

use crate::output::Output;
use crate::{sys, tree};
use mezzo_shim::{
    CONTROL, EXIT, NOTES_FD, Note, Outcome, REQUESTS_FD, Request, STARTED, STDERR, STDOUT,
};
use std::ffi::CString;
use std::os::fd::RawFd;

/// Exit code when the run had been started before: it is not started again.
const STARTED_BEFORE: i32 = 3;
/// How long to wait between two rounds of killing what is left, in milliseconds.
const ROUND_MS: i32 = 20;
/// Pumped at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// Runs in the spawner's child and never returns.
pub fn run(request: &Request) -> ! {
    sys::close(REQUESTS_FD);
    // SAFETY: plain calls of this process on itself.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
    }
    let path = |name: &str| format!("{}/{name}", request.folder);
    match claim(&path(STARTED)) {
        Ok(()) => {}
        Err(libc::EEXIST) => std::process::exit(STARTED_BEFORE),
        Err(errno) => finish(
            request,
            &Outcome::Broken("make the file `started`".into(), errno),
        ),
    }
    let outcome =
        watch(request, &path).unwrap_or_else(|(what, errno)| Outcome::Broken(what.into(), errno));
    finish(request, &outcome)
}

/// Makes the file that says that the run was started, and holds its lock until this process is gone.
fn claim(path: &str) -> Result<(), i32> {
    let fd = sys::open(path, libc::O_CREAT | libc::O_EXCL | libc::O_RDWR, 0o600)?;
    // SAFETY: locking touches no memory.
    if unsafe { libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB) } < 0 {
        return Err(sys::errno());
    }
    Ok(())
}

/// Writes down how it ended and goes.
fn finish(request: &Request, outcome: &Outcome) -> ! {
    let (new, exit) = (
        format!("{}/{EXIT}.new", request.folder),
        format!("{}/{EXIT}", request.folder),
    );
    let flags = libc::O_CREAT | libc::O_TRUNC | libc::O_WRONLY;
    let written = sys::open(&new, flags, 0o600)
        .and_then(|fd| sys::write_all(fd, outcome.encode().as_bytes()));
    if written.and_then(|()| sys::rename(&new, &exit)).is_err() {
        // The agent will find a shim without an exit file, and report it as lost.
        std::process::exit(1);
    }
    std::process::exit(0);
}

type Problem = (&'static str, i32);

/// Starts the program and stays until the last of its processes is gone.
fn watch(request: &Request, path: &dyn Fn(&str) -> String) -> Result<Outcome, Problem> {
    let children = sys::child_signals().map_err(|e| ("watch for children", e))?;
    sys::mkfifo(&path(CONTROL)).map_err(|e| ("make the control pipe", e))?;
    let control = sys::open(&path(CONTROL), libc::O_RDWR | libc::O_NONBLOCK, 0)
        .map_err(|e| ("open the control pipe", e))?;
    let (out_read, out_write) = sys::pipe(libc::O_NONBLOCK).map_err(|e| ("make a pipe", e))?;
    let (err_read, err_write) = sys::pipe(libc::O_NONBLOCK).map_err(|e| ("make a pipe", e))?;
    let bytes_max = request.output_bytes_max;
    let mut outputs = [
        Output::create(path(STDOUT), out_read, bytes_max)
            .map_err(|e| ("make the file `stdout`", e))?,
        Output::create(path(STDERR), err_read, bytes_max)
            .map_err(|e| ("make the file `stderr`", e))?,
    ];
    let main = match execute(request, out_write, err_write) {
        Ok(main) => main,
        Err(errno) => return Ok(Outcome::NotExecuted(errno)),
    };
    sys::close(out_write);
    sys::close(err_write);
    sys::send_note(&Note::Started.encode(request.run));
    Ok(attend(main, children, control, &mut outputs))
}

/// Executes the program in a child of its own. Waits until it is executed, or says why it was not.
fn execute(request: &Request, out: RawFd, err: RawFd) -> Result<i32, i32> {
    let argv: Vec<CString> = request
        .argv
        .iter()
        .map(|a| sys::c(a))
        .collect::<Result<_, _>>()?;
    let env: Vec<CString> = request
        .env
        .iter()
        .map(|v| sys::c(v))
        .collect::<Result<_, _>>()?;
    let cwd = sys::c(&request.cwd)?;
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts
            .iter()
            .map(|text| text.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    };
    let (argv_pointers, env_pointers) = (pointers(&argv), pointers(&env));
    let candidates = candidates(request)?;
    let (told, tell) = sys::pipe(0)?;
    let parent = std::process::id().cast_signed();
    // SAFETY: this process has one thread, so the child may go on as usual.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: only calls that are safe after a fork, on values made before it.
            let errno = unsafe {
                become_program(
                    &cwd,
                    &candidates,
                    &argv_pointers,
                    &env_pointers,
                    [out, err],
                    parent,
                )
            };
            let _ = sys::write_all(tell, &errno.to_le_bytes());
            std::process::exit(127);
        }
        pid if pid < 0 => Err(sys::errno()),
        pid => {
            sys::close(tell);
            let mut errno = [0; 4];
            let read = loop {
                match sys::read(told, &mut errno) {
                    Err(libc::EINTR) => {}
                    other => break other,
                }
            };
            sys::close(told);
            // The pipe closes with the execution; before that it carries the error.
            if read == Ok(4) {
                let _ = sys::reap(true);
                return Err(i32::from_le_bytes(errno));
            }
            Ok(pid)
        }
    }
}

/// Where the program may be: as it is if it holds a slash, else in each folder of the task's `PATH`.
fn candidates(request: &Request) -> Result<Vec<CString>, i32> {
    let program = request.argv.first().ok_or(libc::EINVAL)?;
    if program.contains('/') {
        return Ok(vec![sys::c(program)?]);
    }
    let path = request
        .env
        .iter()
        .rev()
        .find_map(|var| var.strip_prefix("PATH="))
        .unwrap_or("/usr/bin:/bin");
    path.split(':')
        .map(|folder| sys::c(&format!("{folder}/{program}")))
        .collect()
}

/// Turns this process into the program; returns only the number of an error.
///
/// # Safety
/// The pointers end with a null and outlive the call.
unsafe fn become_program(
    cwd: &CString,
    candidates: &[CString],
    argv: &[*const libc::c_char],
    env: &[*const libc::c_char],
    [out, err]: [RawFd; 2],
    parent: i32,
) -> i32 {
    // SAFETY: as the function asks; all else are plain calls of this process on itself.
    unsafe {
        libc::setsid();
        // Should the shim be killed, so is the program: nobody would know of it any more.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != parent {
            return libc::ESRCH;
        }
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY);
        if null < 0 || libc::dup2(null, 0) < 0 || libc::dup2(out, 1) < 0 || libc::dup2(err, 2) < 0 {
            return sys::errno();
        }
        for fd in [1, 2] {
            // The pipes do not block for the shim; for the program they do.
            let flags = libc::fcntl(fd, libc::F_GETFL);
            libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK);
        }
        libc::close(NOTES_FD);
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
        // What the spawner ignores for itself, the program must not: it would never hear of it.
        for signal in [libc::SIGPIPE, libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::signal(signal, libc::SIG_DFL);
        }
        if libc::chdir(cwd.as_ptr()) < 0 {
            return sys::errno();
        }
        let mut problem = libc::ENOENT;
        for candidate in candidates {
            libc::execve(candidate.as_ptr(), argv.as_ptr(), env.as_ptr());
            let errno = sys::errno();
            if !matches!(errno, libc::ENOENT | libc::ENOTDIR) {
                problem = errno;
            }
        }
        problem
    }
}

/// Pumps output, passes signals on and reaps, until no process is left.
fn attend(main: i32, children: RawFd, control: RawFd, outputs: &mut [Output; 2]) -> Outcome {
    let mut outcome = None;
    let mut destroy = false;
    let mut alive = true;
    let mut buffer = vec![0; BUFFER_BYTES];
    while alive {
        let timeout_ms = if destroy { ROUND_MS } else { -1 };
        let entry = |fd: RawFd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut fds = [
            entry(children),
            entry(control),
            entry(outputs[0].pipe),
            entry(outputs[1].pipe),
        ];
        sys::poll(&mut fds, timeout_ms);
        for (output, fd) in outputs.iter_mut().zip(&fds[2..]) {
            if fd.revents != 0 {
                output.pump(&mut buffer);
            }
        }
        if fds[1].revents != 0 {
            let mut signals = [0; 16];
            let n = sys::read(control, &mut signals).unwrap_or(0);
            for signal in signals.iter().take(n) {
                destroy |= i32::from(*signal) == libc::SIGKILL;
                tree::signal(i32::from(*signal));
            }
        }
        if fds[0].revents != 0 {
            let _ = sys::read(children, &mut buffer);
        }
        alive = reap_all(main, &mut outcome);
        if alive && outcome.is_some() && !destroy {
            // The program has ended: what it left behind ends too.
            destroy = true;
        }
        if alive && destroy {
            tree::signal(libc::SIGKILL);
        }
    }
    for output in outputs {
        // Everybody who could still write is gone; what is in the pipe is the rest.
        while output.pipe >= 0 && output.pump(&mut buffer) && is_readable(output.pipe) {}
    }
    outcome.unwrap_or(Outcome::Broken("wait for the program".into(), libc::ECHILD))
}

fn is_readable(fd: RawFd) -> bool {
    let mut fds = [libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }];
    sys::poll(&mut fds, 0);
    fds[0].revents != 0
}

/// Reaps who has ended. Whether anybody is left.
fn reap_all(main: i32, outcome: &mut Option<Outcome>) -> bool {
    loop {
        match sys::reap(false) {
            Ok(Some((pid, status))) if pid == main => {
                *outcome = Some(if libc::WIFSIGNALED(status) {
                    Outcome::Signal(libc::WTERMSIG(status))
                } else {
                    Outcome::Code(libc::WEXITSTATUS(status))
                });
            }
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}
