//! Frameworks that misbehave: each fault has its kind and its words, undoes the turn, costs the
//! instance, and a fresh one works at once.

mod support;

use mezzo_core::{Effects, FaultKind};
use mezzo_test_guests as guests;
use support::{Framework, Host, Ran, check_fault};

/// That a started framework of this kind faults in this way, and that the sandbox is none the worse.
#[track_caller]
fn check(
    host: &Host,
    kind: &str,
    run: fn(&mut Framework<'_>) -> Ran,
    expected: (FaultKind, &str, &str),
) {
    let mut framework = host.hostile(kind).started();
    check_after(host, &mut framework, run, expected);
}

#[track_caller]
fn check_after(
    host: &Host,
    framework: &mut Framework<'_>,
    run: fn(&mut Framework<'_>) -> Ran,
    (kind, call, words): (FaultKind, &str, &str),
) {
    check_fault(run(framework), kind, call, words);
    assert_eq!(host.sandbox.idle_instances(), 0, "the instance is dropped");
    let mut fresh = host.hostile("well-behaved").started();
    fresh.go().expect("a fresh instance works");
    host.sandbox.drop_instance(fresh.instance);
    assert_eq!(host.sandbox.idle_instances(), 0);
}

const GO: fn(&mut Framework<'_>) -> Ran = |framework| framework.go();
const WEB: fn(&mut Framework<'_>) -> Ran = |framework| framework.web("GET", "/", b"");
const START: fn(&mut Framework<'_>) -> Ran = |framework| framework.start();

#[test]
fn endless_loops_end_at_their_limit() {
    let host = Host::new();
    check(
        &host,
        "loop-in-handle",
        GO,
        (FaultKind::CpuLimit, "handle", "turn_cpu_ms"),
    );
    check(
        &host,
        "loop-in-realloc",
        GO,
        (FaultKind::CpuLimit, "handle", "turn_cpu_ms"),
    );
    check(
        &host,
        "loop-in-web",
        WEB,
        (FaultKind::CpuLimit, "web", "turn_cpu_ms"),
    );
    // Instantiating and `start` have one limit for both kinds of time.
    let mut framework = host.hostile("loop-in-start");
    framework.limits.start_ms = 200;
    let fault = framework.start().expect_err("it does not end by itself");
    assert!(
        matches!(fault.kind, FaultKind::CpuLimit | FaultKind::WallLimit),
        "{fault:?}"
    );
    assert!(
        &*fault.call == "start" && fault.message.contains("start_ms"),
        "{fault:?}"
    );
    assert_eq!(host.sandbox.idle_instances(), 0);
    framework.options = "{}".to_owned();
    framework.limits.start_ms = 30_000;
    framework.start().expect("it starts");
}

#[test]
fn panics_and_exits_are_traps() {
    let host = Host::new();
    check(
        &host,
        "trap-in-handle",
        GO,
        (FaultKind::Trap, "handle", "as it was told to (wasm trap"),
    );
    check(
        &host,
        "trap-in-web",
        WEB,
        (FaultKind::Trap, "web", "unreachable"),
    );
    check(
        &host,
        "exit",
        GO,
        (FaultKind::Trap, "handle", "exit code 1"),
    );
    let said = host.lines.take();
    assert!(
        said.iter().any(|line| line.contains("as it was told to")),
        "{said:?}"
    );
    let mut framework = host.hostile("panic-in-start");
    check_after(
        &host,
        &mut framework,
        START,
        (FaultKind::Trap, "start", "unreachable"),
    );
    let mut framework = host.hostile("refuse-to-start");
    check_after(
        &host,
        &mut framework,
        START,
        (FaultKind::StartRefused, "start", "as it was told to"),
    );
}

#[test]
fn memory_and_stack_have_an_end() {
    let host = Host::new();
    check(
        &host,
        "grow-memory",
        GO,
        (FaultKind::MemoryLimit, "handle", "memory_bytes"),
    );
    // A Rust guest's own stack, in its memory, ends before the engine's does.
    check(
        &host,
        "recurse",
        GO,
        (FaultKind::Trap, "handle", "out of bounds"),
    );
    let mut framework = host.hostile("well-behaved");
    framework.limits.memory_bytes = 64 << 10;
    check_after(
        &host,
        &mut framework,
        START,
        (FaultKind::MemoryLimit, "start", "memory_bytes"),
    );
}

#[test]
fn bad_pointers_and_texts_are_found() {
    let host = Host::new();
    check(
        &host,
        "realloc-out-of-range",
        GO,
        (FaultKind::Malformed, "handle", ""),
    );
    check(
        &host,
        "realloc-misaligned",
        GO,
        (FaultKind::Malformed, "handle", ""),
    );
    check(
        &host,
        "bad-utf8",
        GO,
        (FaultKind::Malformed, "handle", "utf-8"),
    );
    check(
        &host,
        "bad-pointer",
        GO,
        (FaultKind::Malformed, "handle", "out of bounds"),
    );
    check(
        &host,
        "bad-response",
        WEB,
        (FaultKind::Malformed, "web", "status"),
    );
}

#[test]
fn bytes_across_the_boundary_are_counted() {
    let host = Host::new();
    let patient = |kind: &str| {
        let mut framework = host.hostile(kind);
        framework.limits.turn_cpu_ms = 20_000;
        framework.limits.turn_wall_ms = 60_000;
        framework.started()
    };
    let words = "boundary_bytes_max";
    check_after(
        &host,
        &mut patient("log-huge"),
        GO,
        (FaultKind::BoundaryLimit, "handle", words),
    );
    check_after(
        &host,
        &mut patient("huge-body"),
        WEB,
        (FaultKind::BoundaryLimit, "web", words),
    );
    // Into the guest, too.
    let mut framework = host.hostile("well-behaved").started();
    framework.limits.boundary_bytes_max = 1 << 20;
    let ran = framework.web("POST", "/", &vec![b'x'; 2 << 20]);
    check_fault(ran, FaultKind::BoundaryLimit, "web", "into the framework");
}

/// A turn may do so much of what is refused that its limits end it, but nothing of it comes out.
#[test]
fn floods_of_calls_are_refused_or_end() {
    let host = Host::new();
    let nothing = |effects: &Effects| effects.launches.is_empty() && effects.want.is_none();
    for kind in [
        "million-launches",
        "million-demands",
        "million-timers",
        "forge",
    ] {
        let mut framework = host.hostile(kind).started();
        framework.add_agent(1_000);
        match framework.go() {
            Ok(effects) => {
                assert!(nothing(&effects), "{kind}: {effects:?}");
                assert!(effects.timers.len() <= 1_000, "{kind}");
                host.sandbox.drop_instance(framework.instance);
            }
            Err(fault) => assert!(
                matches!(
                    fault.kind,
                    FaultKind::BoundaryLimit | FaultKind::CpuLimit | FaultKind::MemoryLimit
                ),
                "{kind}: {fault:?}"
            ),
        }
        assert_eq!(host.sandbox.idle_instances(), 0, "{kind}");
    }
    let said = host.lines.take();
    assert!(
        said.iter().any(|line| line == "everything was refused"),
        "{said:?}"
    );
}

#[test]
fn state_over_its_quota_is_refused_by_name() {
    let host = Host::new();
    let mut framework = host.hostile("state-over-quota").started();
    framework.limits.turn_cpu_ms = 20_000;
    framework.limits.turn_wall_ms = 60_000;
    framework.limits.state_bytes_max = 3 << 20;
    framework.go().expect("a refusal is no fault");
    assert!(framework.view.state_bytes <= 3 << 20);
    let said = host.lines.take();
    assert!(
        said.iter().any(|line| line.contains("state-bytes-max")),
        "{said:?}"
    );
}

#[test]
fn a_turn_that_faults_leaves_the_others_instances_alone() {
    let host = Host::new();
    let mut counter = host.framework(guests::COUNTER, "{}").started();
    counter.answer("POST", "/a", b"");
    let mut framework = host.hostile("trap-in-handle").started();
    check_fault(framework.go(), FaultKind::Trap, "handle", "");
    assert_eq!(host.sandbox.idle_instances(), 1);
    assert_eq!(counter.answer("GET", "/", b"").1, r#"{"a":1}"#);
}
