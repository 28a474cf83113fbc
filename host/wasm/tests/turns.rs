//! Turns of frameworks that behave: calls go in, effects come out, and the same turn gives the same.

mod support;

use mezzo_core::turn::GuestEvent;
use mezzo_core::{Call, FaultKind};
use mezzo_test_guests as guests;
use mezzo_wasm::Level;
use support::{Host, NOW_MS, check_fault, go, request};

#[test]
fn hello_wants_launches_and_remembers() {
    let host = Host::new();
    let mut hello = host.framework(guests::HELLO, "{}");
    let effects = hello.start().expect("it starts");
    let want = effects.want.expect("it wants something");
    assert_eq!((&*want[0].name, want[0].count), ("greeting", 1));
    assert_eq!(host.sandbox.idle_instances(), 1);

    hello.add_agent(1_000);
    let effects = hello.handle(vec![GuestEvent::Offers]).expect("it launches");
    let [launch] = &effects.launches[..] else {
        panic!("one launch: {effects:?}");
    };
    assert_eq!(launch.offer, hello.offers[0].id);
    assert_eq!(launch.spec.id.as_str(), "greeting");
    assert_eq!(effects.want, Some(Vec::new()), "the demand is served");
    assert_eq!(effects.state.len(), 1, "{effects:?}");

    hello.restart();
    let effects = hello.start().expect("it starts again");
    assert_eq!(effects.want, None, "it knows that it has greeted");
}

#[test]
fn what_the_offer_does_not_hold_is_refused_and_no_fault() {
    let host = Host::new();
    let mut hello = host.framework(guests::HELLO, "{}").started();
    hello.add_agent(0);
    let effects = hello.handle(vec![GuestEvent::Offers]).expect("it goes on");
    assert!(effects.launches.is_empty() && effects.state.is_empty());
    let lines = host.lines.take_with_levels();
    assert!(
        lines[0].0 == Level::Error && lines[0].1.contains("refused"),
        "{lines:?}"
    );
}

#[test]
fn counter_sets_scans_and_deletes() {
    let host = Host::new();
    let mut counter = host.framework(guests::COUNTER, "{}").started();
    let add = |counter: &mut support::Framework<'_>, path, body: &[u8]| {
        counter.answer("POST", path, body)
    };
    assert_eq!(
        add(&mut counter, "/a", b""),
        (200, r#"{"name":"a","value":1}"#.into())
    );
    assert_eq!(
        add(&mut counter, "/a", br#"{"by":4}"#).1,
        r#"{"name":"a","value":5}"#
    );
    assert_eq!(add(&mut counter, "/b", b"").0, 200);
    assert_eq!(counter.view.state.len(), 2);
    assert_eq!(add(&mut counter, "/a", b"{").0, 400);

    counter.restart();
    counter.start().expect("it starts from its state");
    assert_eq!(
        counter.answer("GET", "/", b""),
        (200, r#"{"a":5,"b":1}"#.into())
    );
    assert_eq!(counter.answer("DELETE", "/a", b"").0, 204);
    assert_eq!(counter.view.state.len(), 1);
    assert_eq!(counter.answer("DELETE", "/a", b"").0, 404);
}

#[test]
fn streams_open_and_are_written() {
    let host = Host::new();
    let mut counter = host.framework(guests::COUNTER, "{}").started();
    let effects = counter.web("GET", "/watch", b"").expect("it answers");
    let stream = effects.opened.expect("the answer is a stream");
    let effects = counter.web("POST", "/a", b"").expect("it counts");
    let [write] = &effects.streams[..] else {
        panic!("one chunk: {effects:?}");
    };
    assert_eq!(write.request, stream);
    let chunk = write.chunk.clone().expect("it goes on");
    assert!(String::from_utf8_lossy(&chunk).contains("event: count"));
}

#[test]
fn timers_are_set_and_their_turns_counted() {
    let host = Host::new();
    let mut framework = host.hostile("well-behaved").started();
    assert_eq!(framework.view.timers.len(), 1, "it wakes itself");
    for _ in 0..3 {
        let effects = framework.go().expect("it behaves");
        assert_eq!(effects.timers.get("go"), Some(&Some(100)));
    }
    let (status, body) = framework.answer("GET", "/", b"");
    assert_eq!(
        (status, body.contains(r#""turns":3"#)),
        (200, true),
        "{body}"
    );
}

#[test]
fn several_calls_of_one_turn_are_one_transaction() {
    let host = Host::new();
    let mut framework = host.hostile("well-behaved");
    let calls = vec![
        framework.setup(),
        Call::Handle(go()),
        request("GET", "/", b""),
    ];
    let effects = framework.run(calls).expect("all of it");
    assert!(effects.response.is_some() && effects.timers.contains_key("go"));

    let mut framework = host.hostile("trap-in-web");
    let calls = vec![
        framework.setup(),
        Call::Handle(go()),
        request("GET", "/", b""),
    ];
    check_fault(framework.run(calls), FaultKind::Trap, "web", "");
    assert!(
        framework.view.timers.is_empty(),
        "nothing is left of the calls before"
    );
}

/// No files, no environment, no network; the clock is the turn's; randomness comes from its seed.
#[test]
fn there_is_no_outside() {
    let host = Host::new();
    let mut framework = host.hostile("probe").started();
    framework.go().expect("nothing of it is a fault");
    let lines = host.lines.take();
    for what in [
        "read", "write", "list", "connect", "listen", "udp", "lookup",
    ] {
        let refused = format!("{what}: refused");
        assert!(
            lines.iter().any(|l| l.starts_with(&refused)),
            "{what} in {lines:#?}"
        );
    }
    for line in [
        "stdin: 0",
        "environment: 0",
        "arguments: [\"framework\"]",
        &format!("clock: {NOW_MS}"),
        "a polled clock advances",
        "slept an hour: true",
        "to standard output",
        "to standard error",
    ] {
        assert!(lines.iter().any(|l| l == line), "{line:?} in {lines:#?}");
    }
}

#[test]
fn the_same_turns_give_the_same() {
    let host = Host::new();
    let run = |seed| {
        let mut framework = host.hostile("probe");
        framework.seed = seed;
        let effects = [framework.start(), framework.go()].map(|ran| ran.expect("it behaves"));
        (format!("{effects:?}"), host.lines.take())
    };
    assert_eq!(run(1), run(1));
    let random = |(_, lines): (String, Vec<String>)| {
        let line = lines.into_iter().find(|l| l.starts_with("random: "));
        line.expect("it drew a number")
    };
    assert_ne!(random(run(1)), random(run(2)));
}

#[test]
fn a_log_flood_is_cut_and_counted() {
    let host = Host::new();
    let mut framework = host.hostile("log-flood").started();
    framework.limits.turn_cpu_ms = 10_000;
    framework.limits.turn_wall_ms = 30_000;
    framework.limits.log_bytes_per_s = 10_000;
    framework.go().expect("a flood is no fault");
    let lines = host.lines.take();
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!(bytes <= 20_100, "{bytes} bytes, the burst is 20,000");
    let last = lines.last().expect("there are lines");
    assert!(
        last.contains("were dropped") && last.contains("log_bytes_per_s"),
        "{last}"
    );
    let dropped: usize = last
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a count");
    assert_eq!(
        dropped + lines.len() - 1,
        20_000,
        "each line is shown or counted"
    );
}

#[test]
fn an_unknown_instance_does_not_come_from_nowhere() {
    let host = Host::new();
    let mut framework = host.hostile("well-behaved");
    check_fault(framework.go(), FaultKind::Host, "handle", "is gone");
    framework.start().expect("it starts");
    host.sandbox.drop_instance(framework.instance);
    assert_eq!(host.sandbox.idle_instances(), 0);
    check_fault(framework.go(), FaultKind::Host, "handle", "is gone");
}
