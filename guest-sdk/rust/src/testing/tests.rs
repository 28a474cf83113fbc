//! Reservations, volumes, gangs and preemption of the fake cluster, tried by a framework that does what a test says.

use super::Cluster;
use crate::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

type Script = Box<dyn FnOnce(&mut Cx<'_>, &[Offer])>;

thread_local! {
    static SCRIPT: RefCell<Option<Script>> = const { RefCell::new(None) };
    static OFFERED: RefCell<Vec<Offer>> = const { RefCell::new(Vec::new()) };
}

struct Scripted;

impl Framework for Scripted {
    fn start(_: &mut Cx<'_>, _: Setup) -> Result<Self, String> {
        Ok(Scripted)
    }

    fn offers(&mut self, _: &mut Cx<'_>, offers: Vec<Offer>) {
        OFFERED.set(offers);
    }

    fn turn_end(&mut self, cx: &mut Cx<'_>) {
        if let Some(script) = SCRIPT.take() {
            OFFERED.with_borrow(|offers| script(cx, offers));
        }
    }
}

/// The first number that the cluster gives away.
const AGENT: AgentId = 2;

/// One agent with 4 processors and 1,000 bytes of disk.
fn cluster() -> Cluster<Scripted> {
    let mut cluster = Cluster::new();
    cluster.add_agent(amount(4_000, 1_000));
    cluster.start().unwrap();
    cluster
}

fn amount(cpu_milli: u64, disk_bytes: u64) -> Resources {
    Resources {
        disk_bytes,
        ..Resources::new(cpu_milli, 0)
    }
}

fn task(id: &str, cpu_milli: u64) -> Task {
    Task::process(id, ["true"]).resources(amount(cpu_milli, 0))
}

/// Runs one turn in which the framework does what the script says; what it was offered, and what the script returns.
fn turn<T: 'static>(
    cluster: &mut Cluster<Scripted>,
    script: impl FnOnce(&mut Cx<'_>, &[Offer]) -> T + 'static,
) -> (Vec<Offer>, T) {
    let result = Rc::new(RefCell::new(None));
    let to = result.clone();
    SCRIPT.set(Some(Box::new(move |cx, offers| {
        *to.borrow_mut() = Some(script(cx, offers));
    })));
    OFFERED.take();
    // So that there is a turn, whether there are offers or not.
    cluster.set_options("{}");
    cluster.turn();
    let returned = result.take();
    match returned {
        Some(returned) => (OFFERED.take(), returned),
        None => panic!("{:?}", cluster.faults()),
    }
}

/// What is offered in a turn that does nothing.
fn offered(cluster: &mut Cluster<Scripted>) -> Vec<Offer> {
    turn(cluster, |_, _| ()).0
}

fn want(cluster: &mut Cluster<Scripted>, demands: &[Demand]) {
    let demands = demands.to_vec();
    turn(cluster, move |cx, _| cx.want(&demands)).1.unwrap();
}

/// A reservation of 1 processor with a volume `data` of 600 of its 700 bytes, and `t1` on it, which has it mounted.
fn with_volume(cluster: &mut Cluster<Scripted>) -> ReservationId {
    want(cluster, &[Demand::new("d", amount(1_000, 700), 1)]);
    turn(cluster, |cx, offers| {
        let reserved = cx.reserve(&offers[0], &amount(1_000, 700)).unwrap();
        cx.create_volume(reserved.reservation, "data", 600).unwrap();
        let placement = Placement {
            offer: reserved.offer,
            demand: Some("d".to_owned()),
            task: task("t1", 400).port("http").mount("data", "db"),
        };
        // The offer that it was taken from had no ports, so there are none for it.
        let refused = cx.launch(std::slice::from_ref(&placement)).unwrap_err();
        assert!(matches!(refused, Refusal::Insufficient(_)), "{refused}");
        let mut placement = placement;
        placement.task.ports.clear();
        cx.launch(&[placement]).unwrap();
        reserved.reservation
    })
    .1
}

#[test]
fn a_turn_reserves_makes_a_volume_and_launches_on_it() {
    let mut cluster = cluster();
    let id = with_volume(&mut cluster);
    assert!(cluster.demands().is_empty(), "the launch counts");
    let known = cluster.reservation(id);
    assert_eq!(
        (known.made_by.as_str(), known.role.as_str()),
        ("framework/framework", "test")
    );
    assert_eq!(known.amount, amount(1_000, 700));
    assert_eq!(known.free, amount(600, 100));
    let volume = Volume {
        name: "data".to_owned(),
        size_bytes: 600,
        destroying: false,
        in_use: true,
    };
    assert_eq!(known.volumes, [volume]);
    assert_eq!(cluster.task("t1").reservation, Some(id));

    want(&mut cluster, &[Demand::new("rest", amount(1, 1), 9_999)]);
    let rest = offered(&mut cluster);
    assert_eq!(rest.len(), 1, "what a framework reserved is not offered");
    assert_eq!(rest[0].free, amount(3_000, 300));

    cluster.finish("t1", 0);
    turn(&mut cluster, |_, _| ());
    let known = cluster.reservation(id);
    assert_eq!(known.free, amount(1_000, 100));
    assert!(!known.volumes[0].in_use);
}

#[test]
fn it_is_offered_to_demands_that_name_it_with_its_free_volumes() {
    let mut cluster = cluster();
    let id = with_volume(&mut cluster);
    let back = Demand::new("back", amount(600, 0), 1).from_reservations([id]);
    want(&mut cluster, &[back]);
    let offers = offered(&mut cluster);
    assert_eq!((offers.len(), offers[0].reservation), (1, Some(id)));
    assert_eq!(offers[0].free, amount(600, 100), "as it is, and not cut");
    assert!(offers[0].volumes.is_empty(), "its volume is in use");
    assert!(offered(&mut cluster).is_empty(), "it was refused");

    cluster.finish("t1", 0);
    let offers = offered(&mut cluster);
    assert_eq!(offers[0].volumes, ["data"], "it has improved");
    let large = Demand::new("large", amount(1_001, 0), 1).from_reservations([id]);
    want(&mut cluster, &[large]);
    assert!(offered(&mut cluster).is_empty(), "and nothing unreserved");
}

#[test]
fn what_an_operator_reserves_is_offered_to_every_demand_with_ports_of_the_agent() {
    let mut cluster = cluster();
    let id = cluster.reserve(AGENT, amount(1_000, 0));
    let demand = Demand {
        each: Resources {
            ports: 400,
            ..amount(1_000, 0)
        },
        ..Demand::new("d", Resources::default(), 9)
    };
    want(&mut cluster, &[demand]);
    let (offers, ()) = turn(&mut cluster, |cx, offers| {
        let task = |id: &str| (0..400).fold(task(id, 1_000), |t, n| t.port(format!("p{n}")));
        let all = [
            task("t1").on(&offers[0], "d"),
            task("t2").on(&offers[1], "d"),
        ];
        cx.launch(&all).unwrap();
    });
    let seen: Vec<_> = offers
        .iter()
        .map(|offer| (offer.reservation, offer.free.cpu_milli, offer.free.ports))
        .collect();
    assert_eq!(seen, [(Some(id), 1_000, 400), (None, 3_000, 600)]);
    cluster.finish("t1", 0);
    cluster.finish("t2", 0);
    let again = offered(&mut cluster);
    assert_eq!(again.len(), 2, "all of it came back");
    assert_eq!(again[0].free.cpu_milli, 1_000);
}

#[test]
fn a_volume_is_one_tasks_or_one_groups() {
    let mut cluster = cluster();
    let id = with_volume(&mut cluster);
    let back = Demand::new("back", amount(100, 0), 9).from_reservations([id]);
    want(&mut cluster, &[back]);
    turn(&mut cluster, move |cx, offers| {
        let on = |id: &str| task(id, 100).mount("data", "db").on(&offers[0], "back");
        for refused in [
            cx.launch(&[on("t2")]).map(drop),
            cx.destroy_volume(id, "data"),
            cx.unreserve(id),
        ] {
            let refused = refused.unwrap_err();
            assert!(refused.text().contains("in use"), "{refused}");
        }
        assert!(cx.find_reservation(id).is_some_and(|r| r.volumes[0].in_use));
    });

    cluster.finish("t1", 0);
    turn(&mut cluster, move |cx, offers| {
        let on = |id: &str| task(id, 100).mount("data", "db").on(&offers[0], "back");
        assert!(cx.launch(&[on("a"), on("b")]).is_err(), "all or nothing");
        cx.launch_group("g", &[on("a"), on("b")]).unwrap();
        assert!(cx.launch(&[on("c")]).is_err());
        assert!(cx.launch_group("h", &[on("c")]).is_err());
    });
    cluster.finish("a", 0);
    assert!(cluster.reservation(id).volumes[0].in_use, "b still has it");
    cluster.finish("b", 0);
    assert!(!cluster.reservation(id).volumes[0].in_use);
}

#[test]
fn space_is_free_once_the_agent_has_destroyed_the_volume() {
    let mut cluster = cluster();
    let id = with_volume(&mut cluster);
    cluster.finish("t1", 0);
    turn(&mut cluster, |_, _| ());
    cluster.silence_agent(AGENT);
    turn(&mut cluster, move |cx, _| {
        cx.destroy_volume(id, "data").unwrap();
        assert!(cx.unreserve(id).is_err(), "not before it is gone");
    });
    assert!(cluster.reservation(id).volumes[0].destroying);
    assert_eq!(cluster.reservation(id).free.disk_bytes, 100);
    cluster.wake_agent(AGENT);
    let (_, freed) = turn(&mut cluster, move |cx, _| {
        let known = cx.find_reservation(id).unwrap();
        cx.unreserve(id).unwrap();
        assert!(cx.find_reservation(id).unwrap().ending);
        known.free.disk_bytes
    });
    assert_eq!(freed, 700);
    assert_eq!(cluster.reservations().count(), 0);
    want(&mut cluster, &[Demand::new("all", amount(4_000, 1_000), 1)]);
    assert_eq!(offered(&mut cluster).len(), 1, "the agent has it back");
}

#[test]
fn what_breaks_a_rule_is_refused_and_changes_nothing() {
    let mut cluster = cluster();
    want(&mut cluster, &[Demand::new("d", amount(2_000, 500), 1)]);
    turn(&mut cluster, |cx, offers| {
        let now = cx.now();
        let offer = &offers[0];
        let ports = Resources {
            ports: 1,
            ..amount(1, 0)
        };
        let label = || Label {
            key: "k".to_owned(),
            value: String::new(),
        };
        for (refused, words) in [
            (cx.reserve(offer, &Resources::default()), "nothing"),
            (cx.reserve(offer, &ports), "ports"),
            (cx.reserve(offer, &amount(2_001, 0)), "too little"),
            (cx.reserve_with(99, &amount(1, 0), &[], None), "not one of"),
            (
                cx.reserve_with(offer.id, &amount(1, 0), &[], Some(now)),
                "over already",
            ),
            (
                cx.reserve_with(offer.id, &amount(1, 0), &[label(), label()], None),
                "twice",
            ),
        ] {
            let refused = refused.unwrap_err();
            assert!(refused.text().contains(words), "{words}: {refused}");
        }
        let id = cx.reserve(offer, &amount(1_000, 100)).unwrap().reservation;
        let long = "x".repeat(129);
        for (name, size, words) in [
            (long.as_str(), 1, "volume name"),
            ("v", 0, "size-bytes"),
            ("v", u64::MAX, "size-bytes"),
            ("v", 101, "too little"),
        ] {
            let refused = cx.create_volume(id, name, size).unwrap_err();
            assert!(refused.text().contains(words), "{words}: {refused}");
        }
        cx.create_volume(id, "v", 100).unwrap();
        assert!(cx.create_volume(id, "v", 1).is_err(), "twice");
        assert!(cx.create_volume(99, "v", 1).is_err());
        assert!(cx.destroy_volume(id, "w").is_err());
        let mounting = task("t", 1).mount("v", "data").on(offer, "d");
        let refused = cx.launch(&[mounting]).unwrap_err();
        assert!(refused.text().contains("of no reservation"), "{refused}");
    });
}

#[test]
fn a_turn_that_traps_has_reserved_nothing() {
    let mut cluster = cluster();
    want(&mut cluster, &[Demand::new("d", amount(2_000, 0), 1)]);
    let script: Script = Box::new(|cx, offers| {
        cx.reserve(&offers[0], &amount(2_000, 0)).unwrap();
        panic!("as it was told to");
    });
    SCRIPT.set(Some(script));
    cluster.turn();
    assert_eq!(cluster.faults(), ["as it was told to"]);
    assert_eq!(cluster.reservations().count(), 0);
    cluster.turn();
    assert_eq!(offered(&mut cluster)[0].free.cpu_milli, 2_000);
}

#[test]
fn it_ends_by_itself_if_nothing_uses_it_then() {
    let mut cluster = cluster();
    want(&mut cluster, &[Demand::new("d", amount(2_000, 0), 1)]);
    turn(&mut cluster, |cx, offers| {
        let until = Some(cx.now() + 1_000);
        let reserve = |cx: &mut Cx<'_>| cx.reserve_with(offers[0].id, &amount(500, 0), &[], until);
        let (used, unused) = (reserve(cx).unwrap(), reserve(cx).unwrap());
        assert_eq!(used.reservation + 2, unused.reservation);
        let placement = Placement {
            offer: used.offer,
            demand: None,
            task: task("t", 500),
        };
        cx.launch(&[placement]).unwrap();
    });
    cluster.advance(999);
    assert_eq!(cluster.reservations().count(), 2);
    cluster.advance(1);
    assert_eq!(cluster.reservations().count(), 1);
    cluster.finish("t", 0);
    cluster.advance(1_000);
    assert_eq!(cluster.reservations().count(), 1, "it was in use then");
}

#[test]
fn a_smaller_one_is_made_of_a_larger_one() {
    let mut cluster = cluster();
    let whole = cluster.reserve(AGENT, amount(1_000, 0));
    want(
        &mut cluster,
        &[
            Demand::new("d", amount(4_000, 0), 1),
            Demand::new("e", amount(1_000, 0), 1),
        ],
    );
    turn(&mut cluster, move |cx, offers| {
        assert_eq!(offers[0].reservation, Some(whole));
        cx.reserve(&offers[0], &amount(400, 0)).unwrap();
        assert!(cx.unreserve(whole).is_err(), "a part of it is kept");
    });
    assert_eq!(cluster.reservation(whole).free.cpu_milli, 600);
    let part = cluster.reservations().last().unwrap().id;
    turn(&mut cluster, move |cx, _| cx.unreserve(part).unwrap());
    assert_eq!(cluster.reservation(whole).free.cpu_milli, 1_000);
}

#[test]
fn a_gang_is_offered_all_at_once_or_not_at_all() {
    let mut cluster = cluster();
    let gang = Demand::new("gang", amount(1_500, 0), 4).together();
    want(&mut cluster, &[gang]);
    assert!(offered(&mut cluster).is_empty(), "there is room for two");
    cluster.add_agent(amount(2_900, 0));
    assert!(offered(&mut cluster).is_empty(), "and now for three");
    cluster.add_agent(amount(1_500, 0));
    let (offers, ()) = turn(&mut cluster, |cx, offers| {
        let mut plan = Plan::new(offers.to_vec());
        for n in 0..4 {
            plan.place("gang", task(&format!("t{n}"), 1_500)).unwrap();
        }
        plan.launch(cx).unwrap();
    });
    let cpu: Vec<u64> = offers.iter().map(|offer| offer.free.cpu_milli).collect();
    assert_eq!(cpu, [3_000, 1_500, 1_500], "cut to its pieces");
    assert!(cluster.demands().is_empty());
}

#[test]
fn a_gang_that_was_refused_is_offered_anew_as_a_whole() {
    let mut cluster = cluster();
    cluster.add_agent(amount(1_000, 0));
    let gang = Demand::new("gang", amount(1_000, 0), 5).together();
    want(&mut cluster, &[gang]);
    assert_eq!(offered(&mut cluster).len(), 2);
    assert!(offered(&mut cluster).is_empty(), "it was refused");
    cluster.add_agent(amount(10, 0));
    assert!(offered(&mut cluster).is_empty(), "that is of no use");
    let new = cluster.add_agent(amount(4_000, 0));
    let offers = offered(&mut cluster);
    let agents: Vec<AgentId> = offers.iter().map(|offer| offer.agent).collect();
    assert_eq!(agents, [AGENT, new], "what was refused comes along");
    assert_eq!(offers[0].free.cpu_milli, 1_000);
}

#[test]
fn preemption_hits_what_allows_it_and_nothing_urgent() {
    let mut cluster = cluster();
    let id = cluster.reserve(AGENT, amount(1_000, 0));
    let urgent = Demand::new("urgent", amount(100, 0), 9).priority(1);
    let calm = Demand::new("calm", amount(100, 0), 9);
    want(&mut cluster, &[urgent, calm]);
    turn(&mut cluster, move |cx, offers| {
        let [reserved, free] = offers else {
            panic!("{offers:?}");
        };
        assert_eq!(reserved.reservation, Some(id));
        let task = |id: &str| task(id, 100).preemptible();
        let refused = cx.launch(&[task("a").on(reserved, "calm")]).unwrap_err();
        assert!(refused.text().contains("on a reservation"), "{refused}");
        let refused = cx.launch(&[task("a").on(free, "urgent")]).unwrap_err();
        assert!(refused.text().contains("priority 1"), "{refused}");
        cx.launch(&[task("a").on(free, "calm")]).unwrap();
    });
    cluster.preempt("a");
    let status = &cluster.task("a").status;
    assert_eq!(
        (status.state, status.reason.as_str()),
        (TaskState::Killed, "preempted")
    );
}
