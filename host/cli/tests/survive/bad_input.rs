//! Nonsense from clients: refused with the place named, and nothing has changed.

use crate::cluster::Cluster;
use serde_json::{Value, json};

#[test]
fn nonsense_is_refused_with_its_place_and_changes_nothing() {
    let cluster = Cluster::start(0, "");
    let before = cluster.get("/api/v1/frameworks");
    let jobs: [(&str, &str, u64); 6] = [
        (r#"{"argv": ["true"], "count": }"#, "line", 400),
        (r#"{"argv": ["true"], "cuont": 1}"#, "cuont", 400),
        (r#"{"argv": ["true"], "count": -1}"#, "count", 400),
        (
            r#"{"argv": ["true"], "cpu_milli": 1e300}"#,
            "cpu_milli",
            400,
        ),
        (r#"{"argv": []}"#, "argv", 400),
        (
            r#"{"argv": ["true"], "files": [{"path": "../x", "content": ""}]}"#,
            "files",
            400,
        ),
    ];
    for (body, word, expected) in jobs {
        let (status, answer) = cluster
            .ask("POST", "/fw/batch/jobs", body.as_bytes())
            .expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(u64::from(status), expected, "{body}: {answer}");
        assert!(answer.contains(word), "{body}: {answer}");
    }
    let calls: [(&str, &str, &str, &str); 8] = [
        ("PUT", "/api/v1/roles/x", r#"{"weight": -1}"#, "weight"),
        (
            "PUT",
            "/api/v1/roles/x",
            r#"{"weight": 1, "wieght": 2}"#,
            "wieght",
        ),
        ("PUT", "/api/v1/roles/x", "{\"weight\":\n oops}", "line"),
        ("PUT", "/api/v1/roles/..%2Fx", r#"{"weight": 1}"#, "role"),
        ("GET", "/api/v1/agents?limmit=3", "", "limmit"),
        ("GET", "/api/v1/agents?limit=-3", "", "limit"),
        (
            "PATCH",
            "/api/v1/frameworks/batch",
            r#"{"limits": {"turn_cpu": 1}}"#,
            "turn_cpu",
        ),
        (
            "POST",
            "/api/v1/frameworks?name=..%2F..%2Fetc&role=x",
            "not wasm",
            "",
        ),
    ];
    for (method, path, body, word) in calls {
        let (status, answer) = cluster
            .ask(method, path, body.as_bytes())
            .expect("an answer");
        let text = String::from_utf8_lossy(&answer).to_string();
        assert!((400..500).contains(&status), "{path}: {status} {text}");
        let answer: Value = serde_json::from_str(&text).expect("errors are JSON");
        assert!(answer["error"]["code"].is_string(), "{path}: {text}");
        assert!(text.contains(word), "{path}: {text}");
    }
    let (status, _) = cluster
        .ask(
            "GET",
            &format!("/api/v1/status?{}", "x".repeat(10 << 20)),
            b"",
        )
        .unwrap_or((431, Vec::new()));
    assert!(matches!(status, 414 | 431), "a head of 10 MB: {status}");
    assert_eq!(
        cluster.get("/api/v1/frameworks")["frameworks"][0]["limits"],
        before["frameworks"][0]["limits"]
    );
}

#[test]
fn nobody_without_a_token_is_heard() {
    let cluster = Cluster::start(0, "");
    let answers = ["/api/v1/status", "/fw/batch/jobs", "/api/v1/tasks"].map(|path| {
        use std::io::{Read, Write};
        let address = cluster.address();
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        let head = format!("GET {path} HTTP/1.0\r\nAuthorization: Bearer wrong\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    });
    for answer in answers {
        assert!(answer.contains(" 401 "), "{answer}");
        assert!(
            answer.contains(&json!("unauthenticated").to_string()),
            "{answer}"
        );
    }
}
