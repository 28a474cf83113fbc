//! `kill -9` in the middle of a job of 1,000 tasks that each append a line to a file.

use crate::cluster::Cluster;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;

const TASKS: u64 = 1_000;

struct Job {
    id: String,
    file: PathBuf,
}

/// Each task appends its own line; a few at a time, so that there is a middle.
fn submit(cluster: &Cluster) -> Job {
    let file = cluster.folder().join("lines");
    let script = format!("echo line-$BATCH_INDEX >> {}", file.display());
    let id = cluster.submit(&json!({
        "count": TASKS, "argv": ["sh", "-c", script], "cpu_milli": 100,
        "memory_bytes": 1 << 20, "parallel_max": 40, "retries": 0,
    }));
    cluster.wait_finished(&id, TASKS / 10);
    Job { id, file }
}

fn check(cluster: &Cluster, job: &Job) {
    let ended = cluster.wait_ended(&job.id);
    assert_eq!(ended["state"], "finished", "{ended}");
    let text = std::fs::read_to_string(&job.file).expect("the lines");
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len() as u64, TASKS, "one line a task");
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len() as u64, TASKS, "no task twice");
}

#[test]
fn a_killed_master_finds_everything_again() {
    let mut cluster = Cluster::start(1, "");
    // It runs all the while: nobody may touch it.
    let long = cluster
        .submit(&json!({"argv": ["sh", "-c", "echo $$; exec sleep 1000"], "cpu_milli": 100}));
    let running = running_task(&cluster, &long);
    let job = submit(&cluster);
    cluster.kill_master();
    cluster.start_master();
    check(&cluster, &job);
    let after = running_task(&cluster, &long);
    assert_eq!(after["run"], running["run"], "the same run");
    assert_eq!(after["since_ms"], running["since_ms"], "untouched");
}

fn running_task(cluster: &Cluster, job: &str) -> Value {
    cluster.until("a running task", |c| {
        let task = c.get(&format!("/api/v1/tasks/batch/{job}.0.1"));
        (task["state"] == "running").then_some(task)
    })
}

#[test]
fn a_killed_agent_finds_its_tasks_again() {
    let mut cluster = Cluster::start(1, "");
    let job = submit(&cluster);
    cluster.kill_agent(0);
    cluster.start_agent(0);
    check(&cluster, &job);
}

#[test]
fn master_and_agent_killed_at_once_lose_nothing() {
    let mut cluster = Cluster::start(1, "");
    let job = submit(&cluster);
    cluster.kill_agent(0);
    cluster.kill_master();
    cluster.start_agent(0);
    cluster.start_master();
    check(&cluster, &job);
}

#[test]
fn a_task_whose_shim_is_killed_fails_with_a_reason() {
    let cluster = Cluster::start(1, "");
    let pid_file = cluster.folder().join("pid");
    let script = format!("echo $PPID $$ > {}; exec sleep 1000", pid_file.display());
    let id = cluster.submit(&json!({"argv": ["sh", "-c", script]}));
    let pids = cluster.until("the task's process", |_| {
        let text = std::fs::read_to_string(&pid_file).ok()?;
        let pids: Vec<i32> = text
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        (pids.len() == 2).then_some(pids)
    });
    running_task(&cluster, &id);
    // SAFETY: signals the shim, which is the task's parent.
    unsafe { libc::kill(pids[0], libc::SIGKILL) };
    let ended = cluster.wait_ended(&id);
    assert_eq!(ended["state"], "failed", "{ended}");
    let task = cluster.get(&format!("/api/v1/tasks/batch/{id}.0.1"));
    assert_eq!(task["reason"], "shim-lost", "{task}");
    cluster.wait_for("the task's process is gone", |_| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pids[1]));
        stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
    });
}

/// Its output and its exit code arrive as if nothing had happened.
#[test]
fn whoever_waits_for_a_job_goes_on_waiting_over_a_killed_master() {
    let mut cluster = Cluster::start(1, "");
    let (begun, go) = (cluster.folder().join("begun"), cluster.folder().join("go"));
    let script = format!(
        "echo one; touch {}; while [ ! -e {} ]; do sleep 0.05; done; echo two; exit 5",
        begun.display(),
        go.display()
    );
    let run = cluster
        .mezzo(&["run", "--", "sh", "-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mezzo run");
    cluster.wait_for("the task has begun", |_| begun.exists());
    cluster.wait_for("the job is known to run", |c| {
        c.get("/api/v1/tasks/batch/j1.0.1")["state"] == "running"
    });
    cluster.kill_master();
    cluster.start_master();
    std::fs::write(&go, "").expect("writable");
    let output = run.wait_with_output().expect("its end");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert_eq!(
        (output.status.code(), out.as_str()),
        (Some(5), "one\ntwo\n"),
        "{err}"
    );
}

/// As after an upgrade of the WebAssembly engine, which reads none of the old files.
#[test]
fn frameworks_whose_compiled_components_are_lost_are_compiled_again() {
    let mut cluster = Cluster::start(0, "");
    let (status, answer) = cluster.install("counter", "", mezzo_test_guests::COUNTER);
    assert_eq!(status, 201, "{answer}");
    let count = |c: &Cluster| {
        c.ask("POST", "/fw/counter/a", b"")
            .map(|(status, _)| status)
    };
    assert_eq!(count(&cluster), Some(200));
    cluster.kill_master();
    std::fs::remove_dir_all(cluster.data().join("compiled")).expect("the cache");
    cluster.start_master();
    cluster.wait_for("the framework", |c| count(c) == Some(200));
    let framework = cluster.get("/api/v1/frameworks/counter");
    assert_eq!(framework["faults"], 0, "{framework}");
}
