//! The framework against a cluster that is played: no WebAssembly, no processes, no waiting.

use super::Greeter;
use mezzo_sdk::prelude::*;
use mezzo_sdk::testing::Cluster;

#[test]
fn it_greets_once_and_not_again_after_a_restart() {
    let mut cluster = Cluster::<Greeter>::new();
    cluster.settle();
    assert_eq!(cluster.demands()[0].name, "greeting");

    cluster.add_agent(Resources::new(1_000, GIB));
    cluster.run_to_end(|_| 0);
    assert!(cluster.log().contains(&"greeting is finished".to_owned()));

    cluster.restart();
    cluster.settle();
    assert_eq!(cluster.history().len(), 1);
}
