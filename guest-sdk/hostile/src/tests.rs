//! That it misbehaves as asked, as far as that can be tried natively. The rest is the sandbox's tests.

use super::{HOSTAGE, Hostile, kinds};
use mezzo_sdk::testing::Cluster;
use mezzo_sdk::types::{GIB, Resources, TaskState};

fn with(options: serde_json::Value) -> Cluster<Hostile> {
    let mut cluster = Cluster::with_options(&options.to_string());
    cluster.add_agent(Resources::new(1_000, GIB));
    cluster
}

#[test]
fn it_misbehaves_only_once_the_hostage_runs() {
    let mut cluster =
        with(serde_json::json!({"misbehave": "trap-in-handle", "task": ["sleep", "1000"]}));
    cluster.settle();
    assert!(cluster.faults().is_empty());
    cluster.run(HOSTAGE);
    cluster.turn();
    assert!(
        cluster.faults().is_empty(),
        "the turn that hears of it only sets a timer"
    );
    cluster.turn();
    assert_eq!(cluster.faults(), ["as it was told to"]);
    cluster.turn();
    cluster.turn();
    assert_eq!(cluster.faults().len(), 2, "the next instance does it again");
    assert_eq!(cluster.task(HOSTAGE).status.state, TaskState::Running);
}

#[test]
fn it_can_be_well_behaved() {
    let mut cluster = with(serde_json::json!({}));
    for turns in 1..4 {
        cluster.settle();
        cluster.advance(100);
        assert_eq!(
            cluster.get("/").json(),
            serde_json::json!({"misbehave": "well-behaved", "turns": turns})
        );
    }
}

#[test]
fn starts_that_fail_say_so() {
    assert!(
        with(serde_json::json!({"misbehave": "refuse-to-start"}))
            .start()
            .unwrap_err()
            .contains("will not")
    );
    assert!(
        with(serde_json::json!({"misbehave": "dance"}))
            .start()
            .unwrap_err()
            .contains("unknown variant `dance`")
    );
    assert_eq!(kinds()[0], "well-behaved");
}

#[test]
fn forged_ids_are_refused_by_the_fake_cluster_too() {
    let mut cluster = with(serde_json::json!({"misbehave": "forge"}));
    cluster.settle();
    assert!(cluster.log().contains(&"everything was refused".to_owned()));
    assert!(cluster.faults().is_empty(), "{:?}", cluster.faults());

    let mut cluster = with(serde_json::json!({"misbehave": "forge-reservations"}));
    cluster.settle();
    assert_eq!(cluster.log().len(), 40, "{:#?}", cluster.log());
    assert!(cluster.faults().is_empty(), "{:?}", cluster.faults());
}
