//! The event streams.

use super::{cluster, submit};
use crate::Batch;
use crate::limits::WATCHERS_MAX;
use mezzo_sdk::testing::Cluster;
use serde_json::{Value, json};

/// The events of a stream so far: name and data.
fn events(cluster: &Cluster<Batch>, stream: u64) -> Vec<(String, Value)> {
    let text = cluster.stream(stream).text;
    let event = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap();
        let name = name.strip_prefix("event: ").unwrap().to_owned();
        (
            name,
            serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap(),
        )
    };
    text.split("\n\n")
        .filter(|block| !block.is_empty())
        .map(event)
        .collect()
}

/// Each event as one word: `job:running`, `task:0:pending` …
fn words(cluster: &Cluster<Batch>, stream: u64) -> Vec<String> {
    let word = |(name, data): (String, Value)| match name.as_str() {
        "task" => format!(
            "task:{}:{}",
            data["task"].as_str().unwrap(),
            data["state"].as_str().unwrap()
        ),
        _ => format!("{name}:{}", data["state"].as_str().unwrap()),
    };
    events(cluster, stream).into_iter().map(word).collect()
}

#[test]
fn a_job_is_watched_from_submit_to_end() {
    let mut cluster = cluster();
    let answer = cluster.post("/jobs?watch=true", &json!({"argv": ["true"], "retries": 1}));
    let stream = answer.stream.unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (201, Some("/fw/framework/jobs/j1"))
    );
    cluster.settle();
    cluster.run("j1.0.1");
    cluster.settle();
    cluster.finish("j1.0.1", 1);
    cluster.settle();
    cluster.finish("j1.0.2", 0);
    cluster.settle();
    let expected = [
        "job:waiting",
        "task:j1.0.1:pending",
        "job:running",
        "task:j1.0.1:running",
        "job:running",
        "task:j1.0.1:failed",
        "job:running",
        "task:j1.0.2:pending",
        "job:running",
        "task:j1.0.2:finished",
        "job:finished",
        "end:finished",
    ];
    let words = words(&cluster, stream);
    // Offers may come in the same turn as the failure, and then no job stands between the two.
    let without_jobs = |words: &[String]| -> Vec<String> {
        words
            .iter()
            .filter(|word| *word != "job:running")
            .cloned()
            .collect()
    };
    assert_eq!(
        without_jobs(&words),
        without_jobs(&expected.map(str::to_owned))
    );
    assert!(!cluster.stream(stream).open);
    assert_eq!(events(&cluster, stream).last().unwrap().1["exit_code"], 0);
}

#[test]
fn a_late_watcher_is_told_what_was_launched() {
    let mut cluster = cluster();
    submit(
        &mut cluster,
        json!({"argv": ["true"], "count": 3, "parallel_max": 2}),
    );
    cluster.finish("j1.0.1", 0);
    let stream = cluster.get("/jobs/j1/watch").stream.unwrap();
    assert_eq!(
        words(&cluster, stream),
        ["job:running", "task:j1.0.1:pending", "task:j1.1.1:pending"]
    );
    cluster.run_to_end(|_| 0);
    assert_eq!(words(&cluster, stream).last().unwrap(), "end:finished");

    let after = cluster.get("/jobs/j1/watch").stream.unwrap();
    assert_eq!(words(&cluster, after).len(), 5);
    assert_eq!(words(&cluster, after).last().unwrap(), "end:finished");
    assert!(!cluster.stream(after).open);
}

#[test]
fn cancel_shows_and_ends_the_stream() {
    let mut cluster = cluster();
    submit(&mut cluster, json!({"argv": ["sleep"], "count": 11}));
    let stream = cluster.get("/jobs/j1/watch").stream.unwrap();
    cluster.delete("/jobs/j1");
    cluster.settle();
    let events = events(&cluster, stream);
    assert!(
        events
            .iter()
            .any(|(name, data)| name == "job" && data["stopping"] == true)
    );
    let killed = events
        .iter()
        .filter(|(name, data)| name == "task" && data["state"] == "cancelled");
    assert_eq!(killed.count(), 10, "the one that never ran has no event");
    assert_eq!(events.last().unwrap().1["state"], "cancelled");
}

#[test]
fn streams_are_counted_and_given_back() {
    let mut cluster = cluster();
    submit(&mut cluster, json!({"argv": ["sleep"]}));
    let streams: Vec<u64> = (0..WATCHERS_MAX)
        .map(|_| cluster.get("/jobs/j1/watch").stream.unwrap())
        .collect();
    assert_eq!(cluster.get("/jobs/j1/watch").status, 429);
    assert_eq!(
        cluster
            .post("/jobs?watch=true", &json!({"argv": ["a"]}))
            .status,
        429
    );
    assert_eq!(
        cluster.get("/jobs").json()["jobs"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "nothing was submitted"
    );
    cluster.leave_stream(streams[0]);
    cluster.settle();
    assert!(cluster.get("/jobs/j1/watch").stream.is_some());
}

#[test]
fn a_restart_cuts_streams_and_no_job() {
    let mut cluster = cluster();
    submit(&mut cluster, json!({"argv": ["true"]}));
    let stream = cluster.get("/jobs/j1/watch").stream.unwrap();
    cluster.restart();
    assert!(!cluster.stream(stream).open);
    let again = cluster.get("/jobs/j1/watch").stream.unwrap();
    cluster.run_to_end(|_| 0);
    assert_eq!(words(&cluster, again).last().unwrap(), "end:finished");
}
