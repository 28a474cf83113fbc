//! Jobs as tables.

use crate::client::Client;
use crate::commands::values::{age, ago, entries, text};
use crate::output::line;
use crate::table::{self, Table};
use serde_json::Value;

/// Tasks that are shown of one job.
const TASKS_MAX: usize = 100;
/// Of `counts`, in the order in which an index goes through them.
const COUNTS: [&str; 6] = [
    "waiting",
    "starting",
    "running",
    "finished",
    "failed",
    "cancelled",
];

/// All jobs.
pub fn list(all: &Value) -> anyhow::Result<()> {
    let mut table = Table::new(&["job", "name", "state", "tasks", "exit", "age"]);
    for job in entries(all, "jobs") {
        table.row([
            text(&job["id"]),
            name(job),
            state(job),
            counts(job),
            text(&job["exit_code"]),
            age(&job["created_ms"]),
        ]);
    }
    table.print()
}

/// One job and the first of its tasks.
pub async fn one(client: &Client, path: &str, job: &Value) -> anyhow::Result<()> {
    table::facts(&[
        ("job", text(&job["id"])),
        ("name", name(job)),
        ("state", state(job)),
        ("tasks", counts(job)),
        ("exit code", text(&job["exit_code"])),
        ("submitted", ago(&job["created_ms"])),
        ("ended", ago(&job["ended_ms"])),
    ])?;
    line("")?;
    let tasks = client
        .get(&format!("{path}/tasks?limit={TASKS_MAX}"))
        .await?;
    let mut table = Table::new(&["index", "task", "state", "exit", "reason"]);
    for task in entries(&tasks, "tasks") {
        table.row([
            text(&task["index"]),
            text(&task["task"]),
            text(&task["state"]),
            text(&task["exit_code"]),
            text(&task["reason"]),
        ]);
    }
    table.print()?;
    let more = job["count"].as_u64().unwrap_or(0);
    let more = more.saturating_sub(entries(&tasks, "tasks").len() as u64);
    match more {
        0 => Ok(()),
        _ => line(&format!(
            "and {more} more; `mezzo task ls --ended` lists those that were launched"
        )),
    }
}

/// Nothing where it is the id, as it is unless one was given.
fn name(job: &Value) -> String {
    match job["name"] == job["id"] {
        true => String::new(),
        false => text(&job["name"]),
    }
}

fn state(job: &Value) -> String {
    match job["stopping"].as_bool() {
        Some(true) => format!("{}, stopping", text(&job["state"])),
        _ => text(&job["state"]),
    }
}

/// Such as `1 running, 2 finished`.
fn counts(job: &Value) -> String {
    let counts = COUNTS.iter().filter_map(|name| {
        let count = job["counts"][name].as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {name}"))
    });
    counts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_is_counted_without_zeros() {
        let job = json!({"id": "j1", "name": "j1", "state": "running", "stopping": true,
            "counts": {"waiting": 0, "starting": 0, "running": 1, "finished": 2, "failed": 0}});
        assert_eq!(counts(&job), "1 running, 2 finished");
        assert_eq!(state(&job), "running, stopping");
        assert_eq!(name(&job), "");
    }
}
