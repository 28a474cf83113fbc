//! What is urgent, or promised, takes back what preemptible tasks use: real tasks end and others run.

use crate::cluster::Cluster;
use serde_json::{Value, json};

/// A demand need not wait long before it takes back.
const SOON: &str = "[limits]\npreempt_after_ms = 200";

fn count(cluster: &Cluster, job: &str, state: &str) -> u64 {
    cluster.job(job)["counts"][state].as_u64().unwrap_or(0)
}

/// Cpus of the first agent, in thousandths.
fn cpus(cluster: &Cluster) -> u64 {
    let agents = cluster.get("/api/v1/agents");
    let all = agents.as_array().or_else(|| agents["agents"].as_array());
    let total = &all.expect("agents")[0]["total"];
    total["cpu_milli"].as_u64().expect("a number")
}

fn sleeping(more: &Value, cpu_milli: u64, count: u64) -> Value {
    let mut job = json!({"argv": ["sleep", "1000"], "count": count, "cpu_milli": cpu_milli});
    for (key, value) in more.as_object().expect("fields") {
        job[key] = value.clone();
    }
    job
}

#[test]
fn an_urgent_job_takes_back_from_preemptible_ones_of_its_role_and_they_run_again() {
    let cluster = Cluster::start(1, SOON);
    let half = cpus(&cluster) / 2;
    let low = cluster.submit(&sleeping(&json!({"preemptible": true}), half, 2));
    cluster.wait_for("both run", |c| count(c, &low, "running") == 2);

    let firm = cluster.submit(&json!({"argv": ["true"], "cpu_milli": half}));
    let urgent = cluster.submit(&json!({"argv": ["true"], "cpu_milli": half, "priority": 5}));
    cluster.wait_for("the urgent one has run", |c| {
        count(c, &urgent, "finished") == 1
    });
    // What was taken back was one of two. It runs again, before the one that came later; which is not
    // urgent, and takes back nothing.
    cluster.wait_for("both run again", |c| {
        count(c, &low, "running") == 2 && count(c, &firm, "waiting") == 1
    });
    assert_eq!(count(&cluster, &low, "failed"), 0);
    let events = cluster.mezzo(&["events", "--kind", "kill"]).output();
    let events = events.expect("mezzo").stdout;
    let events = String::from_utf8_lossy(&events);
    let ended = events.lines().filter(|line| line.contains("preempted"));
    assert_eq!(ended.count(), 1, "no more than what was needed: {events}");
}
