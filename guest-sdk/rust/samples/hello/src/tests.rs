//! `hello` against the fake cluster: no WebAssembly, no processes, no waiting.

use super::Hello;
use mezzo_sdk::prelude::*;
use mezzo_sdk::testing::Cluster;

#[test]
fn it_greets_once_and_not_again_after_a_restart() {
    let mut cluster = Cluster::<Hello>::new();
    cluster.settle();
    assert_eq!(
        cluster.demands()[0].name,
        "greeting",
        "it wants an offer before there is an agent"
    );

    cluster.add_agent(Resources::new(1_000, GIB));
    cluster.run_to_end(|_| 0);
    assert!(cluster.log().contains(&"greeting is finished".to_owned()));

    cluster.restart();
    cluster.settle();
    assert_eq!(cluster.history().len(), 1);
}

#[test]
fn a_turn_that_traps_launches_nothing_and_is_done_again() {
    let mut cluster = Cluster::<Hello>::new();
    cluster.add_agent(Resources::new(1_000, GIB));
    cluster.start().unwrap();
    cluster.fault_at_call(99);
    cluster.turn();
    assert_eq!((cluster.faults().len(), cluster.history().len()), (1, 0));
    cluster.settle();
    assert_eq!(cluster.history().len(), 1);
}
