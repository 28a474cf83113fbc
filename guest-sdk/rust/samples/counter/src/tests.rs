//! `counter` over HTTP against the fake cluster.

use super::*;
use mezzo_sdk::testing::Cluster;
use serde_json::json;

#[test]
fn counts_survive_restarts_and_faults() {
    let mut cluster = Cluster::<Counter>::new();
    assert_eq!(
        cluster.request("POST", "/visits", "").json(),
        json!({"name": "visits", "value": 1})
    );
    cluster.restart();
    assert_eq!(
        cluster.post("/visits", &json!({"by": 4})).json()["value"],
        5
    );

    cluster.fault_at_call(99);
    assert_eq!(cluster.request("POST", "/visits", "").status, 500);
    assert_eq!(
        cluster.get("/").json(),
        json!({"visits": 5}),
        "what trapped did not count"
    );

    assert_eq!(cluster.delete("/visits").status, 204);
    assert_eq!(cluster.delete("/visits").status, 404);
    cluster.restart();
    assert_eq!(cluster.get("/").json(), json!({}));
}

#[test]
fn refusals_say_what_and_where_and_change_nothing() {
    let mut cluster = Cluster::<Counter>::new();
    let answer = cluster.request("POST", "/a", "{\"by\": -1}");
    let error = answer.json()["error"].clone();
    assert_eq!(
        (answer.status, &error["field"], &error["column"]),
        (400, &json!("by"), &json!(9))
    );
    let error = cluster.request("POST", "/a", "{\"bye\": 1}").json()["error"].clone();
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("invalid"), &json!("bye"))
    );
    assert_eq!(
        cluster.request("POST", "/a", "{").json()["error"]["code"],
        "malformed"
    );
    assert_eq!(
        cluster.request("PUT", "/a", "").header("allow"),
        Some("POST, DELETE")
    );
    assert_eq!(cluster.get("/").json(), json!({}));
}

#[test]
fn the_number_of_counters_is_limited() {
    let mut cluster = Cluster::<Counter>::new();
    for nth in 0..COUNTERS_MAX {
        assert_eq!(cluster.request("POST", &format!("/c{nth}"), "").status, 200);
    }
    assert_eq!(cluster.request("POST", "/one-more", "").status, 429);
    assert_eq!(cluster.request("POST", "/c0", "").json()["value"], 2);
}

#[test]
fn watchers_hear_of_changes_until_they_leave() {
    let mut cluster = Cluster::<Counter>::new();
    let stream = cluster.get("/watch").stream.unwrap();
    cluster.request("POST", "/a", "");
    let heard = "event: count\ndata: {\"name\":\"a\",\"value\":1}\n\n";
    assert_eq!(cluster.stream(stream).text, heard);
    cluster.leave_stream(stream);
    cluster.settle();
    cluster.request("POST", "/a", "");
    assert_eq!(cluster.stream(stream).text, heard);
    assert!(cluster.framework().unwrap().watchers.is_empty());
}
