//! Agents that an operator takes out: drained, their tasks go on elsewhere; gone, they are refused.

use crate::cluster::Cluster;
use serde_json::{Value, json};

fn run(cluster: &Cluster, args: &[&str]) -> (Option<i32>, String) {
    let output = cluster.mezzo(args).output().expect("mezzo");
    let all = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&all).into_owned(),
    )
}

/// The agent on which the job's newest task runs, once it does.
fn agent_of(cluster: &Cluster, job: &str, attempt: u32) -> u64 {
    let task: Value = cluster.until("a running task", |c| {
        let task = c.get(&format!("/api/v1/tasks/batch/{job}.0.{attempt}"));
        (task["state"] == "running").then_some(task)
    });
    task["agent"].as_u64().expect("a number")
}

#[test]
fn a_drained_agents_task_goes_on_elsewhere_and_a_gone_agent_is_refused() {
    let mut cluster = Cluster::start(2, "");
    let job = cluster.submit(&json!({"argv": ["sleep", "1000"], "cpu_milli": 100, "retries": 0}));
    let first = agent_of(&cluster, &job, 1);
    let (code, said) = run(
        &cluster,
        &["agent", "drain", &first.to_string(), "--grace", "100ms"],
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is drained"), "{said}");
    let second = agent_of(&cluster, &job, 2);
    assert_ne!(second, first, "nothing new on a drained agent");

    // It stays drained over a restart of the master, and can come back.
    cluster.kill_master();
    cluster.start_master();
    let agent = |c: &Cluster, id: u64| c.get(&format!("/api/v1/agents/{id}"));
    cluster.wait_for("the master", |c| agent(c, first)["leaving"] == "drained");
    let (code, said) = run(&cluster, &["agent", "activate", &first.to_string()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(agent(&cluster, first)["leaving"].is_null());

    // The other one is gone: its task is lost and runs again, and the agent itself ends.
    let (code, said) = run(&cluster, &["agent", "gone", &second.to_string()]);
    assert_eq!(code, Some(1), "not without --yes: {said}");
    let (code, said) = run(&cluster, &["agent", "gone", &second.to_string(), "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(agent_of(&cluster, &job, 3), first);
    cluster.wait_for("the agent is forgotten", |c| agent(c, second).is_null());
    // Agents are numbered in the order in which they joined, which is not that of their starts.
    cluster.wait_agent_ends();
    let (_, said) = run(&cluster, &["agent", "ls"]);
    assert!(!said.contains("gone"), "{said}");
}
