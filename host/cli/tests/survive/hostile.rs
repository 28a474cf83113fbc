//! Hostile frameworks: the fault is named, the others' work goes on, quarantine at the limit, and
//! what they launched still runs.

use crate::cluster::Cluster;
use mezzo_test_guests::{HOSTILE, compile_bomb};
use serde_json::{Value, json};

/// Few faults until quarantine, so that the test need not wait for growing delays.
const LIMITS: &str = r#"{"faults_max":3,"restart_delay_ms":20,"start_ms":1500}"#;

fn query(options: &Value, limits: &str) -> String {
    format!(
        "&options={}&limits={}",
        encode(&options.to_string()),
        encode(limits)
    )
}

fn encode(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| {
            if keep(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

fn batch_works(cluster: &Cluster) {
    let id = cluster.submit(&json!({"argv": ["true"], "count": 3, "cpu_milli": 10}));
    assert_eq!(cluster.wait_ended(&id)["state"], "finished");
}

/// Misbehaves with a task running, is quarantined with this kind of fault, and the task lives on.
fn quarantined(cluster: &Cluster, kind: &str, fault: &str) {
    let options = json!({"misbehave": kind, "task": ["sleep", "1000"]});
    let (status, answer) = cluster.install(kind, &query(&options, LIMITS), HOSTILE);
    assert_eq!(status, 201, "{kind}: {answer}");
    let framework = cluster.wait_framework(kind, "quarantined");
    assert_eq!(
        framework["last_fault"]["kind"], fault,
        "{kind}: {framework}"
    );
    let message = framework["last_fault"]["message"].as_str();
    assert!(
        message.is_some_and(|m| !m.is_empty()),
        "{kind}: {framework}"
    );
    // With a broken allocator it never gets as far as launching.
    if !kind.contains("realloc") {
        let task = cluster.get(&format!("/api/v1/tasks/{kind}/hostage"));
        assert_eq!(task["state"], "running", "{kind}: its task still runs");
    }
    batch_works(cluster);
    let (status, _) = cluster
        .ask("DELETE", &format!("/api/v1/frameworks/{kind}"), b"")
        .expect("an answer");
    assert_eq!(status, 202, "{kind}");
    cluster.wait_for("the framework is removed", |c| {
        c.ask("GET", &format!("/api/v1/frameworks/{kind}"), b"")
            .is_some_and(|(status, _)| status == 404)
    });
}

#[test]
fn a_framework_that_faults_in_its_turns_is_quarantined_and_its_task_runs_on() {
    let cluster = Cluster::start(1, "");
    for (kind, fault) in [
        ("loop-in-handle", "cpu-limit"),
        ("trap-in-handle", "trap"),
        // Its stack in linear memory ends before that of the host does.
        ("recurse", "trap"),
        ("grow-memory", "memory-limit"),
        ("loop-in-realloc", "cpu-limit"),
        ("realloc-out-of-range", "malformed"),
        ("exit", "trap"),
    ] {
        quarantined(&cluster, kind, fault);
    }
}

#[test]
fn a_framework_that_does_not_start_is_refused_and_leaves_nothing() {
    let cluster = Cluster::start(1, "");
    for (kind, word) in [
        ("loop-in-start", "start_ms"),
        ("panic-in-start", "unreachable"),
        ("refuse-to-start", "as it was told to"),
    ] {
        let options = json!({"misbehave": kind});
        let (status, answer) = cluster.install(kind, &query(&options, LIMITS), HOSTILE);
        assert!((400..600).contains(&status), "{kind}: {status} {answer}");
        assert!(answer.to_string().contains(word), "{kind}: {answer}");
    }
    let names = cluster.get("/api/v1/frameworks")["frameworks"]
        .as_array()
        .map(Vec::len);
    assert_eq!(names, Some(1), "only batch");
    let components = cluster.get("/api/v1/components")["components"]
        .as_array()
        .map(Vec::len);
    assert_eq!(components, Some(1), "only batch's");
    batch_works(&cluster);
}

#[test]
fn floods_are_cut_and_disturb_nobody() {
    let cluster = Cluster::start(1, "");
    for kind in [
        "log-flood",
        "million-launches",
        "million-demands",
        "state-over-quota",
        "million-timers",
        "forge",
        "spin-near-limit",
    ] {
        let (status, answer) =
            cluster.install(kind, &query(&json!({"misbehave": kind}), LIMITS), HOSTILE);
        assert_eq!(status, 201, "{kind}: {answer}");
    }
    for _ in 0..3 {
        batch_works(&cluster);
    }
    let forge = cluster.get("/api/v1/frameworks/forge");
    assert_eq!(forge["faults"], 0, "all of it was refused: {forge}");
}

#[test]
fn a_client_that_makes_the_web_api_trap_closes_only_that_api() {
    let cluster = Cluster::start(1, "");
    let limits = r#"{"web_faults_max":4,"restart_delay_ms":20}"#;
    let options = json!({"misbehave": "trap-in-web"});
    let (status, answer) = cluster.install("traps", &query(&options, limits), HOSTILE);
    assert_eq!(status, 201, "{answer}");
    let mut faults = 0;
    let closed = cluster.until("the web API is closed", |c| {
        let (status, body) = c.ask("GET", "/fw/traps/", b"")?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        if status == 500 {
            assert!(body["error"]["fault"].as_u64().is_some(), "{body}");
            faults += 1;
        }
        let framework = c.get("/api/v1/frameworks/traps");
        (framework["web_closed"] == true).then_some(framework)
    });
    assert!(faults >= 4, "{faults} answers 500");
    assert_ne!(closed["state"], "quarantined", "{closed}");
    let (status, _) = cluster.ask("GET", "/fw/traps/", b"").expect("an answer");
    assert_eq!(status, 503);
    batch_works(&cluster);
}

#[test]
fn a_component_that_costs_the_compiler_gigabytes_is_refused_and_the_master_stays_small() {
    let cluster = Cluster::start(1, "[limits]\ncompile_memory_bytes = 536870912");
    let (status, answer) = cluster.install("bomb", "", &compile_bomb(20_000));
    assert_eq!(status, 422, "{answer}");
    assert!(answer.to_string().contains("compile_"), "{answer}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", cluster.master_pid()));
    let status = status.expect("the master's status");
    let peak_kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .expect("a peak");
    assert!(peak_kib < 512 << 10, "the master's peak is {peak_kib} KiB");
    batch_works(&cluster);
}
