//! Many tasks: that it ends, how much it writes, and that no turn does more than it may.

use super::{check, submit};
use crate::Batch;
use mezzo_sdk::testing::Cluster;
use mezzo_sdk::types::*;
use serde_json::json;
use std::collections::BTreeSet;

fn wide(agents: u64, slots: u64) -> Cluster<Batch> {
    let mut cluster = Cluster::new();
    for _ in 0..agents {
        cluster.add_agent(Resources::new(100 * slots, 64 * GIB));
    }
    cluster.settle();
    cluster
}

#[test]
fn ten_thousand_tasks_each_run_once() {
    let mut cluster = wide(100, 10);
    let id = submit(&mut cluster, json!({"argv": ["true"], "count": 10_000}));
    assert_eq!(cluster.live().len(), 1_000, "the cluster is full at once");
    cluster.run_to_end(|_| 0);
    check(&mut cluster, &id, "finished", [0, 0, 0, 10_000, 0, 0]);
    let ids: BTreeSet<&str> = cluster
        .history()
        .iter()
        .map(|task| task.id.as_str())
        .collect();
    assert_eq!((ids.len(), cluster.history().len()), (10_000, 10_000));
    assert!(cluster.faults().is_empty(), "{:?}", cluster.faults());
}

#[test]
fn a_hundred_thousand_tasks_with_arguments_of_their_own_stay_within_a_turns_bytes() {
    let mut cluster = wide(1_000, 90);
    let tasks: Vec<_> = (0..100_000)
        .map(|n| json!({"argv": ["wc", format!("/srv/{n}")]}))
        .collect();
    let id = submit(&mut cluster, json!({"tasks": tasks}));
    // A turn launches what it can, and what it left comes again at once.
    cluster.settle();
    let live = cluster.live().len();
    assert_eq!(
        live,
        crate::limits::IN_FLIGHT_MAX,
        "as many as may live at a time"
    );
    cluster.run_to_end(|_| 0);
    check(&mut cluster, &id, "finished", [0, 0, 0, 100_000, 0, 0]);
    assert!(cluster.faults().is_empty(), "{:?}", cluster.faults());
    assert!(
        !cluster
            .state()
            .keys()
            .any(|key| key.starts_with("args/") || key.starts_with("spec/"))
    );
    let kept: usize = cluster.state().values().map(Vec::len).sum();
    // Twelve for each task, and a little.
    assert!(kept < 5 << 18, "{kept} bytes are kept of the ended job");
}

#[test]
fn large_tasks_are_launched_over_several_turns() {
    let mut cluster = wide(10, 10);
    let files = json!([{"path": "f", "content": "x".repeat(256 << 10)}]);
    let id = submit(
        &mut cluster,
        json!({"argv": ["true"], "count": 100, "files": files}),
    );
    // A turn carries some twenty of them; what is left of the offers comes back with `revive`, once a second.
    for _ in 0..6 {
        cluster.advance(1_000);
        cluster.settle();
    }
    check(&mut cluster, &id, "running", [0, 100, 0, 0, 0, 0]);
    assert!(cluster.faults().is_empty(), "{:?}", cluster.faults());
}

#[test]
fn cancelling_a_hundred_thousand_is_one_turn() {
    let mut cluster = wide(100, 10);
    let id = submit(&mut cluster, json!({"argv": ["true"], "count": 100_000}));
    let stream = cluster.get(&format!("/jobs/{id}/watch")).stream.unwrap();
    cluster.delete(&format!("/jobs/{id}"));
    cluster.settle();
    check(&mut cluster, &id, "cancelled", [0, 0, 0, 0, 0, 100_000]);
    assert!(cluster.stream(stream).text.ends_with("\n\n"));
    assert!(cluster.faults().is_empty(), "{:?}", cluster.faults());
}
