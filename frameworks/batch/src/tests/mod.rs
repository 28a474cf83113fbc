//! Scenarios on the fake cluster, by subject.

mod faults;
mod life;
mod requests;
mod scale;
mod watching;

use crate::Batch;
use mezzo_sdk::testing::Cluster;
use mezzo_sdk::types::{GIB, Resources};
use serde_json::Value;

/// A cluster with one agent that has room for ten tasks of the default size.
fn cluster() -> Cluster<Batch> {
    let mut cluster = Cluster::new();
    cluster.add_agent(Resources {
        disk_bytes: GIB,
        ..Resources::new(1_000, 64 * GIB)
    });
    cluster.settle();
    cluster
}

/// Submits a job and lets it be launched; its id.
fn submit(cluster: &mut Cluster<Batch>, body: Value) -> String {
    let answer = cluster.post("/jobs", &body);
    assert_eq!(answer.status, 201, "{}", answer.json());
    cluster.settle();
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn job(cluster: &mut Cluster<Batch>, id: &str) -> Value {
    let answer = cluster.get(&format!("/jobs/{id}"));
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

fn tasks(cluster: &mut Cluster<Batch>, id: &str) -> Vec<Value> {
    let answer = cluster.get(&format!("/jobs/{id}/tasks?limit=1000"));
    answer.json()["tasks"].as_array().unwrap().clone()
}

/// State, and how many waiting, starting, running, finished, failed, cancelled.
fn check(cluster: &mut Cluster<Batch>, id: &str, state: &str, expected: [u64; 6]) {
    let job = job(cluster, id);
    let names = [
        "waiting",
        "starting",
        "running",
        "finished",
        "failed",
        "cancelled",
    ];
    let counts = names.map(|name| job["counts"][name].as_u64().unwrap());
    assert_eq!(
        (job["state"].as_str().unwrap(), counts),
        (state, expected),
        "{job}"
    );
    assert_eq!(counts.iter().sum::<u64>(), job["count"].as_u64().unwrap());
}
