//! The Go SDK across the real boundary: what the framework is told and asks for, field by field; what happens when it
//! fails; and that its memory holds under a collector that never rests.

mod support;

use mezzo_core::map::Map;
use mezzo_core::record::{Maker, ReservationRecord, VolumeRecord, VolumeState};
use mezzo_core::state::Reservation;
use mezzo_core::turn::GuestEvent;
use mezzo_core::{Effects, Fault, FaultKind};
use mezzo_types::{
    AgentId, Instant, Reason, RequestId, ReservationId, Resources, Status, TaskState,
};
use mezzo_wasm::Level;
use serde_json::{Value, json};
use std::sync::Arc;
use support::{Guest, NOW_MS, label, task};

fn free() -> Resources {
    Resources {
        cpu_milli: 1_000,
        memory_bytes: 1 << 30,
        disk_bytes: 1 << 30,
        gpus: 2,
        ports: 5,
        custom: [("seat".to_owned(), 1_000)].into(),
    }
}

fn clean(ran: Result<Effects, Fault>) -> Effects {
    ran.unwrap_or_else(|fault| panic!("{fault:?}"))
}

#[track_caller]
fn check(value: &impl serde::Serialize, expected: Value) {
    let value = serde_json::to_value(value).expect("it is JSON");
    assert_eq!(value, expected);
}

/// The JSON that a line says after its first word.
fn said(lines: &[String], what: &str) -> Value {
    let found = lines.iter().find_map(|line| line.strip_prefix(what));
    let found = found.unwrap_or_else(|| panic!("no `{what}` in {lines:?}"));
    serde_json::from_str(found).unwrap_or_else(|error| panic!("{error} in {found}"))
}

#[test]
fn a_start_says_what_is_wanted_in_full() {
    let mut guest = Guest::new("{}");
    let effects = clean(guest.start());
    let lines = guest.texts();
    let started = "started name=guest role=tests from=sha256:";
    assert!(lines[0].starts_with(started), "{lines:?}");
    assert!(lines[0].ends_with(" argv0=framework"), "{lines:?}");
    check(
        &effects.want,
        json!([
            {
                "name": "all",
                "each": {
                    "cpu_milli": 1, "memory_bytes": 2, "disk_bytes": 3, "gpus": 4, "ports": 5,
                    "custom": {"seat": 6, "tape": 7}
                },
                "count": 1_000_000,
                "conditions": [
                    {"attribute": "rack", "test": "matches", "value": "r[0-9]+"},
                    {"attribute": "@zone", "test": "absent", "value": ""}
                ],
                "fixed_ports": [80, 443],
                "prefer": "least-free",
                "reservations": [8, 9],
                "priority": -10
            },
            {
                "name": "gang",
                "each": {"cpu_milli": 1, "memory_bytes": 0, "disk_bytes": 0},
                "count": 2,
                "prefer": "any",
                "together": true,
                "priority": 11
            }
        ]),
    );
}

#[test]
fn a_launch_arrives_in_full() {
    let mut guest = Guest::started(r#"{"full": true}"#);
    guest.add_agent(1, free());
    let effects = clean(guest.handle(vec![GuestEvent::Offers]));
    let [launch] = &effects.launches[..] else {
        panic!("one launch: {effects:?}");
    };
    assert_eq!(launch.demand.as_deref(), Some("all"));
    check(
        &launch.spec,
        json!({
            "id": "t-100001",
            "name": "a näme",
            "workload": {"process": {"argv": ["sleep", "1"]}},
            "resources": {
                "cpu_milli": 101, "memory_bytes": 102, "disk_bytes": 103, "ports": 2,
                "custom": {"seat": 104}
            },
            "env": [{"name": "A", "value": ""}, {"name": "B", "value": "2"}],
            "labels": [{"key": "k", "value": "v"}],
            "ports": [{"name": "http"}, {"name": "admin", "fixed": 31_001}],
            "files": [
                {"path": "f", "content": [0, 255], "executable": true},
                {"path": "empty", "content": [], "executable": false}
            ],
            "kill_grace_ms": 2,
            "runtime_max_ms": 60_000,
            "preemptible": true
        }),
    );
}

#[test]
fn events_and_lists_arrive_in_full() {
    let mut guest = Guest::started(r#"{"full": true}"#);
    guest.add_agent(1, free());
    let spec = clean(guest.handle(vec![GuestEvent::Offers])).launches[0]
        .spec
        .clone();
    let status = Status {
        state: TaskState::Failed,
        reason: Reason::RuntimeMax,
        message: "slow".into(),
        exit_code: Some(-1),
        since: Instant(NOW_MS),
    };
    let failed = task(&spec, status);
    guest.view.tasks.insert(spec.id.clone(), failed.clone());
    let agent = guest
        .view
        .agents
        .get(&AgentId(1))
        .expect("it is there")
        .clone();
    clean(guest.handle(vec![
        GuestEvent::Agents(vec![agent]),
        GuestEvent::AgentsGone(vec![AgentId(3), AgentId(1 << 52)]),
        GuestEvent::Statuses(vec![failed]),
        GuestEvent::Options("{\"é\":1}".into()),
        GuestEvent::StreamsClosed(vec![RequestId(4)]),
    ]));
    let lines = guest.texts();
    let agent = &said(&lines, "agents ")[0];
    let facts = ["ID", "Hostname", "Address", "Region", "Zone", "Runtimes"].map(|key| &agent[key]);
    check(
        &facts,
        json!([1, "host-1", "10.0.0.1", "eu", "", ["process"]]),
    );
    check(
        &agent["Attributes"],
        json!([{"Name": "cores", "Value": -1_500}, {"Name": "rack", "Value": "r7"}]),
    );
    let total = json!({
        "CPUMilli": 1_000, "MemoryBytes": 1 << 30, "DiskBytes": 1 << 30, "GPUs": 2, "Ports": 5,
        "Custom": {"seat": 1_000}
    });
    check(&agent["Total"], total);
    let leaving = agent["LeavingAt"].as_str().expect("a time");
    assert!(
        leaving.contains("08:00:00.005") || leaving.contains(":00.005"),
        "{leaving}"
    );
    check(&said(&lines, "gone "), json!([3, 1_u64 << 52]));
    let status = &said(&lines, "statuses ")[0];
    let facts = [
        "Task", "Run", "Group", "Labels", "Agent", "State", "Reason", "Message",
    ];
    check(
        &facts.map(|key| &status[key]),
        json!(["t-100001", 9, "group", {"k": "v"}, 1, "failed", "runtime-max", "slow"]),
    );
    check(
        &["ExitCode", "Address", "Ports"].map(|key| &status[key]),
        json!([-1, "10.0.0.1", [{"Name": "http", "Number": 31_000}]]),
    );
    check(&said(&lines, "options "), json!("{\"é\":1}"));
    check(&said(&lines, "closed "), json!([4]));
}

#[test]
fn the_masters_lists_are_read_in_full() {
    let mut guest = Guest::started(r#"{"full": true}"#);
    guest.add_agent(1, free());
    let spec = clean(guest.handle(vec![GuestEvent::Offers])).launches[0]
        .spec
        .clone();
    let running = Status::new(TaskState::Running, Instant(NOW_MS));
    guest
        .view
        .tasks
        .insert(spec.id.clone(), task(&spec, running));
    let record = ReservationRecord {
        id: ReservationId(5),
        agent: AgentId(1),
        role: "tests".into(),
        amount: Resources { ports: 0, ..free() },
        within: None,
        made_by: Maker::Framework("guest".into()),
        made: Instant(NOW_MS),
        labels: vec![label("kept", "yes")],
        until: Some(Instant(NOW_MS + 1_000)),
        ending: false,
        volumes: vec![VolumeRecord {
            name: "data".into(),
            size_bytes: 1 << 20,
            made: Instant(NOW_MS),
            state: VolumeState::Ready,
        }],
    };
    let mut of_role: Map<ReservationId, Arc<Reservation>> = Map::default();
    of_role.insert(record.id, Arc::new(Reservation::new(Arc::new(record))));
    guest.view.reservations = vec![of_role];
    guest.lines();
    clean(guest.timer("lookups"));
    let lines = guest.texts();
    for expected in [
        "task id=t-100001 same=true",
        "agent id=1 same=true",
        "found it=true",
        "nobody task=false agent=false reservation=false",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}: {lines:?}"
        );
    }
    let reservation = said(&lines, "reservation ");
    let facts = ["ID", "Agent", "Role", "MadeBy", "Labels", "Ending"];
    check(
        &facts.map(|key| &reservation[key]),
        json!([5, 1, "tests", "framework/guest", {"kept": "yes"}, false]),
    );
    check(
        &reservation["Volumes"],
        json!([{"Name": "data", "SizeBytes": 1 << 20, "Destroying": false, "InUse": false}]),
    );
    check(
        &["Amount", "Free"].map(|key| &reservation[key]["DiskBytes"]),
        json!([1_u64 << 30, (1_u64 << 30) - (1 << 20)]),
    );
}

#[test]
fn every_call_reaches_the_master_and_its_refusals_come_back() {
    let mut guest = Guest::started("{}");
    guest.lines();
    let effects = clean(guest.timer("calls"));
    assert!(effects.revive);
    let timers = effects.timers.iter();
    let set = timers.filter_map(|(name, ms)| ms.map(|ms| (&**name, ms)));
    assert_eq!(set.collect::<Vec<_>>(), [("later", 2)]);
    let lines = guest.lines();
    let line = |level, text: &str| (level, text.to_owned());
    assert_eq!(lines[0], line(Level::Info, "scan key=s/a value=s/a"));
    assert_eq!(lines[1], line(Level::Info, "scan key=s/c value=s/c"));
    assert_eq!(lines[2].0, Level::Debug);
    assert!(lines[2].1.contains("nobody"), "{lines:?}");
    assert_eq!(lines[3], line(Level::Warn, "two"));
    assert_eq!(lines[4], line(Level::Warn, "  lines w=1 group.x=1s"));
    assert_eq!(lines[5], line(Level::Info, "standard output"));
}

#[test]
fn a_request_goes_through_net_http() {
    let mut guest = Guest::started("{}");
    let response = clean(guest.request(1, "POST", "/echo?a=1&a=%32")).response;
    let response = response.expect("it is answered");
    assert_eq!(response.status, 418);
    let text = |(name, value)| (name, String::from_utf8(value).expect("text"));
    let headers: Vec<_> = response.headers.into_iter().map(text).collect();
    let expected = [
        ("Content-Type", "application/json"),
        ("X-Two", "1"),
        ("X-Two", "2"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(headers, expected);
    let body: Value = serde_json::from_slice(&response.body.expect("a body")).expect("JSON");
    check(
        &body,
        json!({
            "method": "POST", "query": {"a": ["1", "2"]}, "header": "yes", "body": "böдy",
            "principal": "tester", "now": NOW_MS
        }),
    );
    let missing = clean(guest.request(2, "GET", "/nowhere")).response;
    assert_eq!(missing.expect("it is answered").status, 404);
    let empty = clean(guest.request(3, "GET", "/status/204")).response;
    assert_eq!(empty.expect("it is answered").body, Some(Vec::new()));
}

#[test]
fn a_response_can_go_on() {
    let mut guest = Guest::started("{}");
    let effects = clean(guest.request(5, "GET", "/stream"));
    assert_eq!(effects.opened, Some(RequestId(5)));
    assert_eq!(effects.response.expect("it is answered").body, None);
    let chunks: Vec<_> = effects
        .streams
        .iter()
        .map(|write| write.chunk.as_deref())
        .collect();
    assert_eq!(chunks, [Some(&b"second"[..]), Some(&b"first"[..])]);
    let effects = clean(guest.request(6, "GET", "/stream?close"));
    assert!(effects.streams.iter().any(|write| write.chunk.is_none()));
}

#[track_caller]
fn check_fault(ran: Result<Effects, Fault>, kind: FaultKind, words: &str) {
    let fault = ran.expect_err("the turn is undone");
    assert_eq!(fault.kind, kind, "{fault:?}");
    assert!(fault.message.starts_with(words), "{words:?} in {fault:?}");
}

#[test]
fn a_failure_says_what_failed_and_where() {
    let mut guest = Guest::started("{}");
    guest.lines();
    let panicked = guest.timer("panic");
    check_fault(
        panicked,
        FaultKind::Trap,
        "panic: assignment to entry in nil map (",
    );
    let lines = guest.texts();
    assert_eq!(lines[0], "the turn is undone: it panicked");
    let place = lines
        .iter()
        .find(|line| line.contains("main.(*guest).Timer"));
    assert!(
        place.is_some_and(|line| line.contains("main.go:")),
        "{lines:?}"
    );
    assert_eq!(guest.idle_instances(), 0);

    clean(guest.start());
    check_fault(guest.timer("error"), FaultKind::Trap, "it cannot go on (");
    clean(guest.start());
    check_fault(
        guest.request(1, "GET", "/panic"),
        FaultKind::Trap,
        "panic: in a handler (",
    );
    clean(guest.start());
    let status = "a response has the status 600; it may be 200 to 599 (";
    check_fault(
        guest.request(1, "GET", "/status/600"),
        FaultKind::Trap,
        status,
    );
    clean(guest.start());
    let fault = guest.timer("deadlock").expect_err("nobody can go on");
    assert_eq!(fault.kind, FaultKind::Trap, "{fault:?}");
    let lines = guest.texts();
    assert!(
        lines.iter().any(|line| line.contains("deadlock")),
        "{lines:?}"
    );
}

#[test]
fn bad_options_refuse_the_start_and_name_the_field() {
    let fault = Guest::new(r#"{"gcPercents": 1}"#).start();
    let fault = fault.expect_err("they are refused");
    assert!(fault.message.contains("gcPercents"), "{fault:?}");
}

#[test]
fn goroutines_and_deep_calls_work_in_a_turn() {
    let mut guest = Guest::started("{}");
    guest.lines();
    clean(guest.timer("goroutines"));
    clean(guest.timer("recursion"));
    let expected = ["goroutines sum=499500", "recursion depth=5000"];
    assert_eq!(guest.texts(), expected);
}

/// A plain agent for the long tests.
fn crowd(options: &str) -> Guest {
    let mut guest = Guest::started(options);
    for id in 1..=1_000 {
        guest.add_agent(id, free());
    }
    // The machine of a test may be slow, and the collector of these is: it is not speed that they are about.
    guest.limits.turn_cpu_ms = 60_000;
    guest.limits.turn_wall_ms = 60_000;
    guest
}

#[test]
fn offers_do_no_harm_under_a_collector_that_never_rests() {
    let mut guest = crowd(r#"{"gcPercent": 1}"#);
    for _ in 0..320 {
        let effects = clean(guest.handle(vec![GuestEvent::Offers]));
        assert_eq!(effects.launches.len(), 1_000);
    }
    // All of it was one instance, within the memory that a framework has by default.
    let turns = guest.view.state.get("turns").expect("it counts its turns");
    assert_eq!(&**turns, b"320");
    assert_eq!(guest.limits.memory_bytes, 64 << 20);
    assert_eq!(guest.idle_instances(), 1);
}

#[test]
fn goroutines_that_call_at_once_do_not_disturb_each_other() {
    let mut guest = crowd(r#"{"gcPercent": 1, "callers": 10}"#);
    guest.limits.boundary_bytes_max = 1 << 30;
    for _ in 0..2 {
        let effects = clean(guest.handle(vec![GuestEvent::Offers]));
        assert_eq!(effects.launches.len(), 1_000);
    }
}
