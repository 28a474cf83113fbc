//! Reservations and volumes across the boundary: what a guest asks for arrives as it was meant, what it is told is what
//! there is, and what cannot be is refused.

mod support;

use mezzo_core::map::Map;
use mezzo_core::record::{Maker, ReservationRecord, VolumeRecord, VolumeState};
use mezzo_core::state::Reservation;
use mezzo_core::turn::{GuestEvent, Offer};
use mezzo_core::{Effects, FaultKind};
use mezzo_test_guests as guests;
use mezzo_types::{AgentId, Instant, Label, OfferId, PortSet, ReservationId, Resources};
use std::sync::Arc;
use support::{Framework, Host, NOW_MS, check_fault};

const MIB: u64 = 1 << 20;

/// What `keeper` keeps: its task's resources and its data.
fn kept() -> Resources {
    Resources {
        cpu_milli: 100,
        memory_bytes: 32 * MIB,
        disk_bytes: 64 * MIB,
        ..Resources::NONE
    }
}

fn record(id: u64, key: &str) -> ReservationRecord {
    ReservationRecord {
        id: ReservationId(id),
        agent: AgentId(1),
        role: "tests".into(),
        amount: kept(),
        within: None,
        made_by: Maker::Framework("test".into()),
        made: Instant(NOW_MS),
        labels: vec![Label {
            key: key.into(),
            value: "test".into(),
        }],
        until: None,
        ending: false,
        volumes: vec![VolumeRecord {
            name: "store".into(),
            size_bytes: 48 * MIB,
            made: Instant(NOW_MS),
            state: VolumeState::Ready,
        }],
    }
}

fn show(framework: &mut Framework<'_>, records: Vec<ReservationRecord>) {
    let mut of_role: Map<ReservationId, Arc<Reservation>> = Map::default();
    for record in records {
        let id = record.id;
        of_role.insert(id, Arc::new(Reservation::new(Arc::new(record))));
    }
    framework.view.reservations = vec![of_role];
}

/// Offers disk too, which the other tests' agents have none of.
fn with_disk(framework: &mut Framework<'_>) {
    framework.add_agent(1_000);
    for offer in &mut framework.offers {
        offer.free.disk_bytes = 1 << 30;
    }
}

fn wanted(effects: &Effects) -> &[ReservationId] {
    let want = effects.want.as_ref().expect("it wants something");
    &want[0].reservations
}

#[test]
fn a_guest_reserves_makes_a_volume_and_launches_on_it_in_one_turn() {
    let host = Host::new();
    let mut keeper = host.framework(guests::KEEPER, "{}");
    let effects = keeper.start().expect("it starts");
    assert_eq!(wanted(&effects), [], "there is nothing to come back to");
    let demand = &effects.want.as_ref().expect("it wants something")[0];
    assert_eq!(demand.each, kept());
    assert_eq!((demand.together, demand.priority), (false, 0));

    with_disk(&mut keeper);
    let effects = keeper
        .handle(vec![GuestEvent::Offers])
        .expect("it launches");
    let [reserve] = &effects.reserves[..] else {
        panic!("one reservation: {effects:?}");
    };
    assert_eq!(reserve.offer, keeper.offers[0].id);
    assert_eq!((&reserve.amount, reserve.until), (&kept(), None));
    assert_eq!(reserve.labels[0].key, "kept-by");
    let [volume] = &effects.volumes[..] else {
        panic!("one volume: {effects:?}");
    };
    assert_eq!(volume.reservation, reserve.id);
    assert_eq!(volume.size_bytes, Some(48 * MIB));
    let [launch] = &effects.launches[..] else {
        panic!("one launch: {effects:?}");
    };
    assert_eq!(launch.reservation, Some(reserve.id));
    let mount = &launch.spec.mounts[0];
    assert_eq!((&*mount.volume, &*mount.path), ("store", "data"));
    assert!(!launch.spec.preemptible);
}

#[test]
fn it_is_told_of_reservations_in_pages_and_comes_back_to_its_own() {
    let host = Host::new();
    let mut keeper = host.framework(guests::KEEPER, "{}");
    // Three pages, the last of them with one entry: its own.
    let mut records: Vec<_> = (1..=2_000).map(|id| record(id, "other")).collect();
    records.push(record(2_001, "kept-by"));
    show(&mut keeper, records);
    let effects = keeper.start().expect("it starts");
    assert_eq!(wanted(&effects), [ReservationId(2_001)]);

    keeper.add_agent(0);
    let agent = keeper.offers[0].agent;
    keeper.offers = vec![Offer {
        id: OfferId(77),
        agent,
        free: Resources {
            disk_bytes: 16 * MIB,
            ..kept()
        },
        port_set: PortSet::default(),
        reservation: Some(ReservationId(2_001)),
        volumes: vec!["store".into()],
    }];
    let effects = keeper
        .handle(vec![GuestEvent::Offers])
        .expect("it launches");
    assert_eq!((effects.reserves.len(), effects.volumes.len()), (0, 0));
    assert_eq!(effects.launches[0].reservation, Some(ReservationId(2_001)));
    assert_eq!(effects.launches[0].offer, OfferId(77));
}

#[test]
fn pages_of_reservations_count_towards_the_turns_bytes() {
    let host = Host::new();
    let mut keeper = host.framework(guests::KEEPER, "{}");
    let mut records: Vec<_> = (1..=100).map(|id| record(id, "other")).collect();
    for record in &mut records {
        record.labels[0].value = "x".repeat(10_000);
    }
    show(&mut keeper, records);
    keeper.limits.boundary_bytes_max = 1_100_000;
    keeper.start().expect("they fit once");
    keeper.restart();
    keeper.limits.boundary_bytes_max = 900_000;
    check_fault(
        keeper.start(),
        FaultKind::BoundaryLimit,
        "start",
        "into the framework",
    );
}

#[test]
fn what_a_reservation_does_not_hold_is_refused_and_no_fault() {
    let host = Host::new();
    let mut keeper = host.framework(guests::KEEPER, "{}");
    let mut busy = Reservation::new(Arc::new(record(5, "kept-by")));
    busy.mounted.insert("store".into(), 1);
    let mut of_role: Map<ReservationId, Arc<Reservation>> = Map::default();
    of_role.insert(ReservationId(5), Arc::new(busy));
    keeper.view.reservations = vec![of_role];
    keeper.start().expect("it starts");
    with_disk(&mut keeper);
    let unreserved = keeper.offers[0].clone();
    keeper.offers = vec![
        // Of no reservation, so that there is no such volume.
        unreserved.clone(),
        // Of its own, whose volume another task has.
        Offer {
            id: OfferId(78),
            reservation: Some(ReservationId(5)),
            ..unreserved
        },
    ];
    let effects = keeper.handle(vec![GuestEvent::Offers]).expect("it goes on");
    assert!(effects.launches.is_empty(), "{effects:?}");
    let lines = host.lines.take();
    assert!(lines[0].contains("is of no reservation"), "{lines:?}");
    assert!(lines[1].contains("in use by another task"), "{lines:?}");
}

#[test]
fn what_cannot_be_is_refused_by_name_and_not_repeated_at_length() {
    let host = Host::new();
    let mut framework = host.hostile("forge-reservations").started();
    framework.limits.log_bytes_per_s = 1 << 20;
    let effects = framework.go().expect("nothing of it is a fault");
    assert_eq!(wanted(&effects), [ReservationId(u64::MAX)]);
    let want = effects.want.as_ref().expect("it wants something");
    assert_eq!(want[0].priority, i32::MIN);
    assert!(effects.reserves.is_empty() && effects.volumes.is_empty());
    let lines = host.lines.take();
    assert_eq!(lines.len(), 40, "{lines:#?}");
    let expected = [
        "is not one of this turn",
        "until: at most 9007199254740991, not 18446744073709551615",
        "amount.cpu",
        "amount: it is nothing",
        "labels: at most 64, not 50000",
        "is none of the framework's role",
        "is none of the framework's role",
        "volume name",
        "volume name",
        "volume name",
    ];
    for (nth, line) in lines.iter().enumerate() {
        let words = expected[nth % expected.len()];
        assert!(line.contains(words), "{words:?} in {line:?}");
        assert!(line.len() < 400, "{line:?}");
    }
}
