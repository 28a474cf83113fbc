//! That it comes back to its data, whatever happens in between.

use super::Keeper;
use mezzo_sdk::prelude::*;
use mezzo_sdk::testing::Cluster;

fn agent() -> Resources {
    Resources {
        disk_bytes: GIB,
        ..Resources::new(1_000, GIB)
    }
}

#[test]
fn it_comes_back_to_its_volume() {
    let mut cluster = Cluster::<Keeper>::new();
    cluster.add_agent(agent());
    cluster.settle();
    let home = cluster.reservations().next().unwrap().clone();
    assert_eq!(
        (home.volumes[0].size_bytes, home.free.disk_bytes),
        (48 * MIB, 0)
    );
    let on = cluster.task("store-1").status.agent;

    cluster.add_agent(agent());
    cluster.finish("store-1", 1);
    cluster.settle();
    assert_eq!(cluster.task("store-2").status.agent, on, "not on the other");
    cluster.restart();
    cluster.settle();
    assert_eq!(cluster.live(), ["store-2"], "it still runs");
    cluster.finish("store-2", 1);
    cluster.restart();
    cluster.settle();
    assert_eq!(cluster.live(), ["store-3"]);
    let ids: Vec<_> = cluster.reservations().map(|known| known.id).collect();
    assert_eq!(ids, [home.id]);
}

#[test]
fn without_its_agent_it_begins_anew() {
    let mut cluster = Cluster::<Keeper>::new();
    let first = cluster.add_agent(agent());
    cluster.settle();
    let second = cluster.add_agent(agent());
    cluster.lose_agent(first);
    cluster.settle();
    assert_eq!(cluster.task("store-2").status.agent, second);
}
