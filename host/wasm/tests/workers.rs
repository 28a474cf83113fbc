//! The pool of threads: a guest that spins holds one of them, until its limit, and no more.

mod support;

use mezzo_core::{Call, FaultKind};
use mezzo_test_guests as guests;
use mezzo_wasm::SandboxLimits;
use support::{Host, check_fault, go, limits};

#[test]
fn a_guest_that_spins_does_not_stop_anothers_turn() {
    let host = Host::new();
    let mut spins = host.hostile("loop-in-handle").started();
    spins.limits.turn_cpu_ms = 3_000;
    spins.limits.turn_wall_ms = 60_000;
    let mut counter = host.framework(guests::COUNTER, "{}").started();
    let spinning = host.submit(spins.turn(vec![Call::Handle(go())]));
    for n in 1..=20 {
        let (_, body) = counter.answer("POST", "/a", b"");
        assert!(body.contains(&format!(r#""value":{n}"#)), "{body}");
    }
    assert!(
        !host.has_ended(spinning),
        "it holds its thread all the while"
    );
    check_fault(
        host.wait(spinning).0,
        FaultKind::CpuLimit,
        "handle",
        "turn_cpu_ms",
    );
}

#[test]
fn an_instance_that_is_dropped_in_its_turn_is_not_put_back() {
    let host = Host::new();
    let mut slow = host.hostile("spin-near-limit");
    slow.options = r#"{"misbehave":"spin-near-limit","spin_ms":300}"#.to_owned();
    slow.limits.turn_cpu_ms = 60_000;
    slow.limits.turn_wall_ms = 120_000;
    slow.start().expect("it starts");
    let turn = host.submit(slow.turn(vec![Call::Handle(go())]));
    host.until("it is taken out", |host| host.sandbox.idle_instances() == 0);
    host.sandbox.drop_instance(slow.instance);
    let (ran, cpu_us) = host.wait(turn);
    ran.expect("the turn itself is clean");
    assert!(cpu_us > 0);
    assert_eq!(host.sandbox.idle_instances(), 0);
}

#[test]
fn dropping_the_workers_ends_a_guest_that_spins() {
    let mut host = Host::new();
    let spins = host.hostile("loop-in-handle").started();
    let (instance, turn) = (spins.instance, spins.turn(vec![Call::Handle(go())]));
    let turn = host.submit(turn);
    host.until("it runs", |host| host.sandbox.idle_instances() == 0);
    host.stop_workers();
    let (ran, _) = host.wait(turn);
    check_fault(ran, FaultKind::CpuLimit, "handle", "turn_cpu_ms");
    host.sandbox.drop_instance(instance);
}

#[test]
fn there_are_as_many_instances_as_the_limit_says() {
    let host = Host::with(SandboxLimits {
        instances_max: 2,
        ..limits()
    });
    let first = host.framework(guests::HELLO, "{}").started();
    host.framework(guests::HELLO, "{}").started();
    let mut third = host.framework(guests::HELLO, "{}");
    check_fault(
        third.start(),
        FaultKind::Instantiate,
        "start",
        "instances_max",
    );
    host.sandbox.drop_instance(first.instance);
    third.start().expect("there is room again");
    host.sandbox.drop_instances();
    assert_eq!(host.sandbox.idle_instances(), 0);
}

/// The master's tasks hold the sandbox, too: whichever ends last drops it.
#[test]
fn a_sandbox_may_be_dropped_in_an_async_task() {
    let mut host = Host::new();
    host.stop_workers();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime
        .expect("a runtime")
        .block_on(async move { drop(host) });
}

/// As many instances as by default find address space here.
#[test]
fn the_default_limits_open() {
    let host = Host::with(SandboxLimits::default());
    host.framework(guests::HELLO, "{}").started();
}
