//! All processes of a run. The shim is their subreaper: whatever loses its parent becomes the shim's
//! child, so nothing can leave the tree by forking twice or by a session of its own.

use crate::sys;

/// Sends a signal to every descendant of this process. One that is born meanwhile is met when it is
/// called again.
pub fn signal(signal: i32) {
    let mut found = vec![std::process::id().cast_signed()];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        for child in children(parent) {
            if !found.contains(&child) {
                found.push(child);
                sys::kill(child, signal);
            }
        }
    }
}

/// The children of this process.
pub fn own_children() -> Vec<i32> {
    children(std::process::id().cast_signed())
}

/// The children of one process.
fn children(parent: i32) -> Vec<i32> {
    // A process' threads each have children of their own.
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task"));
    let Ok(tasks) = tasks else { return Vec::new() };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match std::fs::read_to_string(task.path().join("children")) {
            Ok(text) => found.extend(
                text.split_whitespace()
                    .filter_map(|pid| pid.parse::<i32>().ok()),
            ),
            Err(_) => return scan(parent),
        }
    }
    found
}

/// The same on a kernel that does not list children: every process is asked for its parent.
fn scan(parent: i32) -> Vec<i32> {
    let Ok(all) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = all
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// The second field behind the name, which may itself hold spaces and brackets.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}
