//! Clients that do not read their answers, and those that have nothing to read.

use crate::support::{PATIENCE, Running};
use tokio::io::AsyncWriteExt;

/// Answers to so many of these requests fit into no socket's buffers: each has 40 KB and more.
const REQUESTS: usize = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_cut_and_who_waits_for_news_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::with(folder.path(), |config, _| {
        config.limits.write_timeout_ms = 300;
    })
    .await;
    let mut events = master
        .open("GET", "/api/v1/events", &master.auth(), b"")
        .await;
    Running::read_until(&mut events, "\r\n\r\n").await;

    let mut deaf = master.connect().await;
    let requests = "GET /api/v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(REQUESTS);
    // The master stops reading once it cannot answer, and then hangs up.
    let write = tokio::time::timeout(PATIENCE, deaf.write_all(requests.as_bytes()));
    let _ = write.await.expect("the connection is cut, or all is sent");
    // What is left is the stream of events, and the connection that asks.
    let two = |answer: &crate::support::Answer| {
        let words = answer.words();
        words.lines().any(|line| line == "mezzo_http_connections 2")
    };
    master.until("/metrics", "the place is free", two).await;
    drop(deaf);

    let set = master
        .ask("PUT", "/api/v1/roles/r", br#"{"weight":2}"#)
        .await;
    assert_eq!(set.status, 204, "{}", set.words());
    Running::read_until(&mut events, "\"kind\":\"role\"").await;
    drop(events);
    master.stop().await;
}
