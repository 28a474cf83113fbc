//! What the API refuses, and that a refusal changes nothing.

use super::{check, cluster, submit};
use crate::limits::*;
use serde_json::{Value, json};

/// Sends a bad body and expects the field and the beginning of the message.
fn refused(body: &Value, field: &str, message: &str) {
    let mut cluster = cluster();
    let before = cluster.state().clone();
    let answer = cluster.post("/jobs", body);
    let error = answer.json()["error"].clone();
    assert_eq!(
        (answer.status, &error["code"]),
        (400, &json!("invalid")),
        "{body}: {error}"
    );
    assert_eq!(error["field"], field, "{body}: {error}");
    assert!(
        error["message"].as_str().unwrap().contains(message),
        "{error}"
    );
    cluster.settle();
    assert_eq!((cluster.state(), cluster.demands().len()), (&before, 0));
    assert!(cluster.faults().is_empty());
}

#[test]
fn each_rule_names_its_field() {
    refused(&json!({}), "argv", "what is to run");
    refused(&json!({"argv": [""]}), "argv", "empty");
    refused(&json!({"argv": ["a", "b\u{0}"]}), "argv[1]", "NUL");
    refused(
        &json!({"comand": ["true"]}),
        "comand",
        "unknown field `comand`",
    );
    refused(
        &json!({"argv": ["a"], "count": -1}),
        "count",
        "integer `-1`",
    );
    refused(
        &json!({"argv": ["a"], "count": 0}),
        "count",
        "0 is not in 1 to 100000",
    );
    refused(
        &json!({"argv": ["a"], "count": 100001}),
        "count",
        "100001 is not in",
    );
    refused(
        &json!({"argv": ["a"], "count": "7"}),
        "count",
        "invalid type: string",
    );
    refused(
        &json!({"argv": ["a"], "cpu_milli": 0}),
        "cpu_milli",
        "0 is not in 1 to",
    );
    refused(
        &json!({"argv": ["a"], "cpu_milli": 1.5}),
        "cpu_milli",
        "floating point",
    );
    refused(
        &json!({"argv": ["a"], "memory_bytes": u64::MAX}),
        "memory_bytes",
        "is not in",
    );
    refused(
        &json!({"argv": ["a"], "retries": 101}),
        "retries",
        "101 is not in 0 to 100",
    );
    refused(
        &json!({"argv": ["a"], "parallel_max": 0}),
        "parallel_max",
        "0 is not in",
    );
    refused(
        &json!({"argv": ["a"], "timeout_ms": 0}),
        "timeout_ms",
        "0 is not in",
    );
    refused(
        &json!({"argv": ["a"], "priority": 3_000_000_000_u64}),
        "priority",
        "integer `3000000000`",
    );
    refused(
        &json!({"argv": ["a"], "preemptible": 1}),
        "preemptible",
        "invalid type: integer",
    );
    refused(
        &json!({"argv": ["a"], "priority": 1, "preemptible": true}),
        "preemptible",
        "not with priority 1",
    );
    refused(&json!({"argv": ["a"], "name": ""}), "name", "1 to 128");
    refused(
        &json!({"argv": ["a"], "name": "a\u{1b}[2J"}),
        "name",
        "control",
    );
    refused(&json!({"argv": ["a"], "env": {"A=B": ""}}), "env", "`A=B`");
    refused(
        &json!({"argv": ["a"], "module": "sha256:xyz"}),
        "module",
        "64 hexadecimal",
    );
    refused(&json!({"tasks": []}), "tasks", "0 entries");
    refused(
        &json!({"tasks": [{"argv": ["a"]}, {}]}),
        "argv",
        "tasks[1] has none",
    );
    refused(
        &json!({"tasks": [{"argv": ["a"]}], "count": 2}),
        "count",
        "length of `tasks`",
    );
    refused(
        &json!({"tasks": [{"argv": ["a"]}, {"args": []}]}),
        "tasks[1].args",
        "unknown field",
    );
    refused(
        &json!({"argv": ["a"], "ports": [{"name": "a"}, {"name": "a"}]}),
        "ports[1]",
        "twice",
    );
    refused(
        &json!({"argv": ["a"], "ports": [{"name": "a", "fixed": 0}]}),
        "ports[0].fixed",
        "1 to 65535",
    );
    refused(
        &json!({"argv": ["a"], "ports": [{"name": "../x"}]}),
        "ports[0].name",
        "1 to 128",
    );
    for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/."] {
        let files = json!([{"path": path, "content": ""}]);
        refused(
            &json!({"argv": ["a"], "files": files}),
            "files[0].path",
            "sandbox",
        );
    }
    refused(
        &json!({"argv": ["a"], "files": [{"path": "a"}]}),
        "files[0]",
        "either",
    );
    let files = json!([{"path": "a", "content_base64": "?"}]);
    refused(
        &json!({"argv": ["a"], "files": files}),
        "files[0].content_base64",
        "not base64",
    );
    let conditions = json!([{"attribute": "rack", "test": "like", "value": "x"}]);
    refused(
        &json!({"argv": ["a"], "conditions": conditions}),
        "conditions[0].test",
        "unknown variant `like`",
    );
    let conditions = json!([{"attribute": "rack", "test": "matches", "value": "("}]);
    refused(
        &json!({"argv": ["a"], "conditions": conditions}),
        "conditions",
        "rack",
    );
}

#[test]
fn sizes_are_limited_at_the_edge() {
    // The program's name and two bytes for each argument count too.
    let argument = |bytes: usize| json!({"argv": ["a", "x".repeat(bytes - 5)], "cpu_milli": 9999});
    submit(&mut cluster(), argument(TEXT_BYTES_MAX));
    refused(
        &argument(TEXT_BYTES_MAX + 1),
        "argv",
        "65537 bytes, at most 65536",
    );
    let task = |bytes: usize| json!({"tasks": [{"argv": ["a", "x".repeat(bytes - 5)]}], "cpu_milli": 9999});
    submit(&mut cluster(), task(TASK_TEXT_BYTES_MAX));
    refused(
        &task(TASK_TEXT_BYTES_MAX + 1),
        "tasks[0].argv",
        "8193 bytes, at most 8192",
    );
    let file = |bytes: usize| json!({"argv": ["a"], "cpu_milli": 9999, "files": [{"path": "f", "content": "x".repeat(bytes)}]});
    submit(&mut cluster(), file(FILES_BYTES_MAX));
    refused(&file(FILES_BYTES_MAX + 1), "files", "at most 262144");
    let ports = |count: usize| -> Vec<Value> {
        (0..count)
            .map(|n| json!({"name": format!("p{n}")}))
            .collect()
    };
    submit(
        &mut cluster(),
        json!({"argv": ["a"], "ports": ports(PORTS_MAX)}),
    );
    refused(
        &json!({"argv": ["a"], "ports": ports(PORTS_MAX + 1)}),
        "ports",
        "at most 16",
    );
}

#[test]
fn what_is_kept_may_grow_over_one_value_and_is_refused() {
    // Control characters take six bytes each as JSON: 64 entries of 8 KiB become 3 MiB.
    let entry = json!({"argv": ["a", "\u{1}".repeat(8_000)]});
    let entries: Vec<Value> = (0..64).map(|_| entry.clone()).collect();
    refused(&json!({"tasks": entries}), "tasks", "64 entries");
}

#[test]
fn malformed_json_is_located() {
    let mut cluster = cluster();
    let answer = cluster.request("POST", "/jobs", "{\n  \"argv\": [\"a\",\n}");
    let error = answer.json()["error"].clone();
    assert_eq!((answer.status, &error["code"]), (400, &json!("malformed")));
    assert_eq!(
        (&error["line"], &error["column"]),
        (&json!(3), &json!(1)),
        "{error}"
    );
    let answer = cluster.request("POST", "/jobs", [0xff, 0xfe]);
    assert_eq!(answer.json()["error"]["code"], "malformed");
}

#[test]
fn paths_ids_and_methods() {
    let mut cluster = cluster();
    submit(&mut cluster, json!({"argv": ["true"]}));
    for path in [
        "/",
        "/job",
        "/jobs/j2",
        "/jobs/1",
        "/jobs/j01",
        "/jobs/j+1",
        "/jobs/..%2F..%2Fj1",
        "/jobs/j1/x",
    ] {
        let answer = cluster.get(path);
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (404, &json!("not-found")),
            "{path}"
        );
    }
    assert_eq!(
        cluster.request("PUT", "/jobs", "").header("allow"),
        Some("POST, GET")
    );
    assert_eq!(cluster.post("/jobs/j1", &json!({})).status, 405);
    for query in ["limit=0", "limit=1001", "limit=x", "after=-1"] {
        assert_eq!(
            cluster.get(&format!("/jobs/j1/tasks?{query}")).status,
            400,
            "{query}"
        );
    }
    assert_eq!(
        cluster
            .post("/jobs?watch=yes", &json!({"argv": ["a"]}))
            .status,
        400
    );
}

#[test]
fn pages_of_tasks_meet() {
    let mut cluster = cluster();
    submit(&mut cluster, json!({"argv": ["true"], "count": 5}));
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = cluster
            .get(&format!("/jobs/j1/tasks?limit=2{after}"))
            .json();
        seen.extend(
            page["tasks"]
                .as_array()
                .unwrap()
                .iter()
                .map(|task| task["index"].as_u64().unwrap()),
        );
        match page["next"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    let beyond = cluster.get("/jobs/j1/tasks?after=4").json();
    assert_eq!(beyond, json!({"tasks": [], "next": null}));
}

#[test]
fn live_jobs_are_limited() {
    let mut cluster = cluster();
    let body = json!({"argv": ["true"], "cpu_milli": 9999});
    for _ in 0..JOBS_LIVE_MAX {
        assert_eq!(cluster.post("/jobs", &body).status, 201);
    }
    let answer = cluster.post("/jobs", &body);
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (429, &json!("limit"))
    );
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("JOBS_LIVE_MAX: at most 1000")
    );
    cluster.settle();
    assert_eq!(
        cluster.demands().len(),
        JOBS_LIVE_MAX,
        "each has its demand"
    );
    cluster.delete("/jobs/j7");
    assert_eq!(cluster.post("/jobs", &body).status, 201);
}

#[test]
fn options_are_refused_by_name() {
    let mut cluster = mezzo_sdk::testing::Cluster::<crate::Batch>::with_options("{\"speed\": 9}");
    assert!(
        cluster
            .start()
            .unwrap_err()
            .contains("unknown field `speed`")
    );
}

#[test]
fn a_refused_submit_leaves_what_is_wanted_alone() {
    let mut cluster = cluster();
    let id = submit(&mut cluster, json!({"argv": ["true"], "count": 15}));
    let conditions = json!([{"attribute": "rack", "test": "at-least", "value": "1e3"}]);
    assert_eq!(
        cluster
            .post("/jobs", &json!({"argv": ["a"], "conditions": conditions}))
            .status,
        400
    );
    assert_eq!(
        (cluster.demands().len(), cluster.demands()[0].count),
        (1, 5)
    );
    cluster.run_to_end(|_| 0);
    check(&mut cluster, &id, "finished", [0, 0, 0, 15, 0, 0]);
}
