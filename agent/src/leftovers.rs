//! What a lost shim left behind when no spawner was there to clear up.
//!
//! A shim's processes are known by their place in its tree. When the shim is killed and its spawner
//! has gone before, that place is lost, and the environment that they were born with is the only
//! trace: a process that has changed its own is not found. Nobody else's carries a run's sandbox.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// The variable that holds the path of a task's sandbox.
pub const SANDBOX: &str = "MEZZO_SANDBOX";
/// Rounds of looking and killing; each kills what it finds, so that only births need more than one.
const ROUNDS_MAX: usize = 50;
/// Between two rounds.
const ROUND: Duration = Duration::from_millis(20);

/// Kills every process of a sandbox. Call it when the run's shim is gone; repeating it does no harm.
pub fn kill(sandbox: &Path) {
    let variable = [SANDBOX.as_bytes(), b"=", sandbox.as_os_str().as_bytes()].concat();
    for _ in 0..ROUNDS_MAX {
        let found = of(&variable);
        if found.is_empty() {
            return;
        }
        for pid in found {
            // SAFETY: signalling touches no memory.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        std::thread::sleep(ROUND);
    }
    tracing::error!("{}: processes of a lost task do not end", sandbox.display());
}

/// Processes that were born with this variable. One that has ended has no environment any more.
fn of(variable: &[u8]) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let carries = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|one| one == variable)
    };
    pids.filter(carries).collect()
}
