//! The shim: a run's parent, from its start to the end of its last process.

use crate::output::Output;
use crate::{sys, tree};
use mezzo_shim::{
    NOTES_FD, Note, Outcome, REQUESTS_FD, Request, SHIM, STDERR, STDOUT, Trace, Wish,
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
pub fn run(request: &Request, signals: RawFd) -> ! {
    sys::close(REQUESTS_FD);
    // SAFETY: plain calls of this process on itself.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
    }
    let path = |name: &str| format!("{}/{name}", request.folder);
    let trace = match claim(&path(SHIM)) {
        Ok(trace) => trace,
        Err(libc::EEXIST) => sys::exit(STARTED_BEFORE),
        // Without its file no run is started, and the agent says so.
        Err(_) => sys::exit(1),
    };
    let outcome = watch(request, signals, &path)
        .unwrap_or_else(|(what, errno)| Outcome::Broken(what.into(), errno));
    // Where it cannot be written down, the agent finds a shim that left no word, and reports it lost.
    let written = sys::write_all(trace, outcome.encode().as_bytes());
    sys::exit(i32::from(written.is_err()))
}

/// Makes the file that says that the run was started, and holds its lock until this process is gone.
/// It gets its name only when it is locked and says who the shim is, so nobody ever sees less; only
/// one can get the name.
fn claim(path: &str) -> Result<RawFd, i32> {
    let new = format!("{path}.{}", own_pid());
    let fd = sys::open(
        &new,
        libc::O_CREAT | libc::O_TRUNC | libc::O_WRONLY | libc::O_APPEND,
        0o600,
    )?;
    let claimed = sys::lock(fd)
        .and_then(|()| sys::write_all(fd, Trace::begin(own_pid()).as_bytes()))
        .and_then(|()| sys::link(&new, path));
    sys::unlink(&new);
    claimed.map(|()| fd)
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

type Problem = (&'static str, i32);

/// Starts the program and stays until the last of its processes is gone.
fn watch(
    request: &Request,
    signals: RawFd,
    path: &dyn Fn(&str) -> String,
) -> Result<Outcome, Problem> {
    let (out_read, out_write) = sys::pipe(libc::O_NONBLOCK).map_err(|e| ("make a pipe", e))?;
    let (err_read, err_write) = sys::pipe(libc::O_NONBLOCK).map_err(|e| ("make a pipe", e))?;
    let bytes_max = request.output_bytes_max;
    let mut outputs = [
        Output::new(path(STDOUT), out_read, bytes_max),
        Output::new(path(STDERR), err_read, bytes_max),
    ];
    let main = match execute(request, out_write, err_write) {
        Ok(main) => main,
        Err(errno) => return Ok(Outcome::NotExecuted(errno)),
    };
    sys::close(out_write);
    sys::close(err_write);
    sys::send_note(&Note::Started.encode(request.run));
    Ok(attend(main, signals, &mut outputs))
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
    let parent = own_pid();
    let mut errno = 0;
    let pid = sys::spawn(&mut || {
        // SAFETY: only calls that are safe in a child that shares its parent's memory, on values
        // made before it.
        errno = unsafe {
            become_program(
                &cwd,
                &candidates,
                &argv_pointers,
                &env_pointers,
                [out, err],
                parent,
            )
        };
    })?;
    // The child has executed the program, or has come back with the number of an error.
    if errno != 0 {
        let _ = sys::reap(true);
        return Err(errno);
    }
    Ok(pid)
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
        // Whatever else is open was inherited from whoever started the agent, and is none of the
        // task's. Our own close by themselves, and an old kernel knows no better.
        libc::syscall(
            libc::SYS_close_range,
            3,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
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
fn attend(main: i32, signals: RawFd, outputs: &mut [Output; 2]) -> Outcome {
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
            entry(signals),
            entry(outputs[0].pipe),
            entry(outputs[1].pipe),
        ];
        sys::poll(&mut fds, timeout_ms);
        for (output, fd) in outputs.iter_mut().zip(&fds[1..]) {
            if fd.revents != 0 {
                output.pump(&mut buffer);
            }
        }
        if fds[0].revents != 0 {
            while let Some(signal) = sys::next_signal(signals) {
                match Wish::said_by(signal) {
                    Some(Wish::Terminate) => tree::signal(libc::SIGTERM),
                    Some(Wish::Destroy) => destroy = true,
                    // A child has ended: asked for below.
                    None => {}
                }
            }
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
