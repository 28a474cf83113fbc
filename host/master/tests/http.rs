//! A real master on real sockets, asked over HTTP.

#[path = "http/access.rs"]
mod access;
#[path = "http/agent.rs"]
mod agent;
#[path = "http/agents_port.rs"]
mod agents_port;
#[path = "http/bodies.rs"]
mod bodies;
#[path = "http/compiles.rs"]
mod compiles;
#[path = "http/outputs.rs"]
mod outputs;
#[path = "http/reservations.rs"]
mod reservations;
#[path = "http/stored.rs"]
mod stored;
#[path = "http/support.rs"]
mod support;
#[path = "http/unread.rs"]
mod unread;

use mezzo_test_guests::{COUNTER, EVIL, HELLO, HOSTILE, core_module};
use serde_json::json;
use std::time::Duration;
use support::Running;

#[tokio::test(flavor = "multi_thread")]
async fn frameworks_come_serve_change_stay_over_a_restart_and_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let made = master
        .ask("POST", "/api/v1/frameworks?name=c", COUNTER)
        .await;
    assert_eq!(made.status, 201, "{}", made.words());
    let taken = master.ask("POST", "/api/v1/frameworks?name=c", HELLO).await;
    assert_eq!(taken.status, 409, "{}", taken.words());

    let mut watch = master.open("GET", "/fw/c/watch", &master.auth(), b"").await;
    Running::read_until(&mut watch, "\r\n\r\n").await;
    let key = format!("{}idempotency-key: k1\r\n", master.auth());
    for _ in 0..2 {
        let added = master.raw("POST", "/fw/c/a", &key, b"").await;
        assert_eq!(
            (added.status, added.json()["value"].clone()),
            (200, json!(1))
        );
        assert!(
            added.head.contains("content-security-policy: sandbox"),
            "{}",
            added.head
        );
    }
    Running::read_until(&mut watch, "\"value\":1").await;
    drop(watch);
    let added = master.ask("POST", "/fw/c/a", br#"{"by":2}"#).await;
    assert_eq!(added.json()["value"], 3);
    assert_eq!(master.ask("GET", "/fw/none/", b"").await.status, 404);

    let path = "/api/v1/frameworks/c";
    let changed = master
        .ask("PATCH", path, br#"{"limits":{"turn_cpu_ms":300}}"#)
        .await;
    assert_eq!(
        changed.json()["limits"]["turn_cpu_ms"],
        300,
        "{}",
        changed.words()
    );
    let failed = master
        .ask("PUT", "/api/v1/frameworks/c/component", EVIL)
        .await;
    assert_eq!(
        (failed.status, failed.json()["error"]["code"].clone()),
        (422, json!("component"))
    );
    master.stop().await;

    let master = Running::start(folder.path()).await;
    assert_eq!(master.get(path).await["limits"]["turn_cpu_ms"], 300);
    assert_eq!(master.ask("POST", "/fw/c/a", b"").await.json()["value"], 4);
    let upgraded = master
        .ask("PUT", "/api/v1/frameworks/c/component", HELLO)
        .await;
    assert_eq!(upgraded.status, 200, "{}", upgraded.words());
    assert_eq!(
        master.get("/api/v1/components").await["components"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert_eq!(master.ask("DELETE", path, b"").await.status, 202);
    for _ in 0..100 {
        let left = master.get("/api/v1/components").await;
        if left["components"] == json!([]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    master.stop().await;
    assert_eq!(
        std::fs::read_dir(folder.path().join("components"))
            .map(Iterator::count)
            .ok(),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_by_name_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let before = master.get("/api/v1/status").await["batch"].clone();
    let table: &[(&str, &str, &[u8], u16, &str)] = &[
        ("GET", "/api/v1/nothing", b"", 404, "not-found"),
        ("POST", "/api/v1/status", b"", 405, "method"),
        ("GET", "/api/v1/status?x=1", b"", 400, "invalid"),
        ("GET", "/api/v1/tasks?limmit=1", b"", 400, "invalid"),
        ("GET", "/api/v1/tasks?limit=-1", b"", 400, "invalid"),
        ("GET", "/api/v1/tasks?state=asleep", b"", 400, "invalid"),
        (
            "GET",
            "/api/v1/tasks/..%2F..%2Fetc/passwd",
            b"",
            400,
            "invalid",
        ),
        ("GET", "/api/v1/agents/-1", b"", 400, "invalid"),
        ("GET", "/api/v1/reservations/x", b"", 400, "invalid"),
        ("GET", "/api/v1/reservations/1", b"", 404, "not-found"),
        ("GET", "/api/v1/reservations?agnet=1", b"", 400, "invalid"),
        (
            "POST",
            "/api/v1/reservations?agent=1",
            b"{}",
            400,
            "invalid",
        ),
        ("POST", "/api/v1/reservations", b"{}", 400, "invalid"),
        (
            "POST",
            "/api/v1/reservations",
            br#"{"agent":1,"role":"r","amount":{"ports":1}}"#,
            400,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/reservations",
            br#"{"agent":1,"role":"r//s","amount":{"gpus":1}}"#,
            400,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/reservations",
            br#"{"agent":1,"role":"r","amount":{}}"#,
            400,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/reservations",
            br#"{"agent":1,"role":"r","amount":{"gpus":1}}"#,
            404,
            "not-found",
        ),
        ("DELETE", "/api/v1/reservations/1", b"", 404, "not-found"),
        (
            "DELETE",
            "/api/v1/reservations/1/volumes/v",
            b"",
            404,
            "not-found",
        ),
        ("GET", "/api/v1/events?after=x", b"", 400, "invalid"),
        ("GET", "/api/v1/events?kind=task", b"", 400, "invalid"),
        ("PUT", "/api/v1/roles/r", b"{\"weight\":", 400, "malformed"),
        ("PUT", "/api/v1/roles/r", b"{\"weight\":-2}", 400, "invalid"),
        ("PUT", "/api/v1/roles/r", b"{\"wait\":2}", 400, "invalid"),
        ("PUT", "/api/v1/roles/r", b"[2]", 400, "invalid"),
        ("PUT", "/api/v1/roles/r", b"3", 400, "invalid"),
        (
            "PATCH",
            "/api/v1/frameworks/r",
            b"[{\"a\":1}]",
            400,
            "invalid",
        ),
        ("PUT", "/api/v1/roles/r", &[b' '; 2 << 20], 413, "too-large"),
        (
            "POST",
            "/api/v1/frameworks?name=..%2Fx",
            HELLO,
            400,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/frameworks?name=x&limits=%7B%22turn_cpu%22%3A1%7D",
            HELLO,
            400,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/frameworks?name=x&options=3",
            HELLO,
            400,
            "invalid",
        ),
        ("POST", "/api/v1/frameworks?name=x", b"", 400, "malformed"),
        (
            "POST",
            "/api/v1/frameworks?name=x",
            b"no wasm",
            422,
            "component",
        ),
        ("POST", "/api/v1/frameworks?name=x", EVIL, 422, "component"),
    ];
    for (method, path, body, status, code) in table {
        let answer = master.ask(method, path, body).await;
        let seen = (answer.status, answer.json()["error"]["code"].clone());
        assert_eq!(
            seen,
            (*status, json!(code)),
            "{method} {path}: {}",
            answer.words()
        );
    }
    let core = master
        .ask("POST", "/api/v1/frameworks?name=x", &core_module())
        .await;
    assert_eq!(core.status, 422, "{}", core.words());
    assert_eq!(
        master.get("/api/v1/components").await["components"],
        json!([])
    );
    assert_eq!(master.get("/api/v1/status").await["batch"], before);
    assert_eq!(
        master.raw("GET", "/api/v1/status", "", b"").await.status,
        401
    );
    assert_eq!(master.raw("GET", "/readyz", "", b"").await.status, 200);
    let metrics = master.raw("GET", "/metrics", "", b"").await;
    assert!(
        metrics.words().contains("mezzo_registry_full 0"),
        "{}",
        metrics.words()
    );
    let huge = format!("x: {}\r\n", "y".repeat(10 << 20));
    let huge = master.raw("GET", "/healthz", &huge, b"").await.status;
    assert!(huge == 431 || huge == 0, "cut off or refused, not {huge}");
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traps_of_the_web_api_have_a_number_and_close_it_at_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let path = "/api/v1/frameworks?name=h&options=%7B%22misbehave%22%3A%22trap-in-web%22%7D&limits=%7B%22web_faults_max%22%3A2%7D";
    let made = master.ask("POST", path, HOSTILE).await;
    assert_eq!(made.status, 201, "{}", made.words());
    for _ in 0..2 {
        let answer = master.ask("GET", "/fw/h/", b"").await;
        assert_eq!(answer.status, 500, "{}", answer.words());
        assert!(
            answer.json()["error"]["fault"].is_u64(),
            "{}",
            answer.words()
        );
    }
    assert_eq!(master.ask("GET", "/fw/h/", b"").await.status, 503);
    assert_eq!(master.get("/api/v1/frameworks/h").await["web_closed"], true);
    assert_eq!(
        master
            .ask("POST", "/api/v1/frameworks/h/resume", b"")
            .await
            .status,
        204
    );
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_name_the_words_that_they_know_and_forget_what_was_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let asleep = master.ask("GET", "/api/v1/tasks?state=asleep", b"").await;
    let words = asleep.words();
    assert!(
        words.contains("running") && words.contains("\"field\":\"state\""),
        "{words}"
    );
    for gone in ["framework=gone", "agent=77"] {
        let tasks = master.get(&format!("/api/v1/tasks?{gone}")).await;
        assert_eq!(tasks["tasks"], json!([]), "{gone}");
    }
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_before_the_first_event_of_a_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let path = "/api/v1/events?after=0.0";
    let mut events = master.open("GET", path, &master.auth(), b"").await;
    let seen = Running::read_until(&mut events, "\"kind\":\"principal\"").await;
    assert!(
        seen.contains("event: leader") && !seen.contains("event: gap"),
        "{seen}"
    );
    drop(events);
    master.stop().await;

    // The ring of another leadership begins later, and says so.
    let master = Running::start(folder.path()).await;
    let mut events = master.open("GET", path, &master.auth(), b"").await;
    Running::read_until(&mut events, "event: gap").await;
    drop(events);
    master.stop().await;
}
