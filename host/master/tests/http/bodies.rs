//! Bodies that stop coming, and more of them than there is room for.

use crate::compiles::Gate;
use crate::support::{Answer, Running};
use mezzo_test_guests::{COUNTER, HELLO};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_or_trickles_is_answered_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::with(folder.path(), |config, _| {
        config.limits.body_timeout_ms = 300;
    })
    .await;
    for path in ["/api/v1/components", "/api/v1/frameworks?name=x"] {
        let mut stopped = master.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\n{}content-length: 1000000\r\n\r\n\0asm",
            master.auth()
        );
        stopped
            .write_all(head.as_bytes())
            .await
            .expect("it is sent");
        let answer = Answer::of(stopped).await;
        assert_eq!(answer.status, 408, "{}", answer.words());
        let words = answer.words();
        assert!(words.contains("body_timeout_ms"), "{words}");
    }

    let trickles = master.connect().await;
    let (read, mut write) = trickles.into_split();
    let head = format!(
        "PUT /api/v1/roles/r HTTP/1.1\r\nhost: x\r\n{}content-length: 1000000\r\n\r\n",
        master.auth()
    );
    let trickle = tokio::spawn(async move {
        let mut sent = write.write_all(head.as_bytes()).await;
        while sent.is_ok() {
            // Its pace; nothing is waited for.
            tokio::time::sleep(Duration::from_millis(20)).await;
            sent = write.write_all(b" ").await;
        }
    });
    let answer = Answer::of(read).await;
    assert_eq!(answer.status, 408, "{}", answer.words());
    trickle.await.expect("it ends with the connection");
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_share_their_room_and_what_is_small_needs_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::new();
    let master = Running::with(folder.path(), |config, compile| {
        let limits = &mut config.limits;
        limits.component_bytes_max = COUNTER.len();
        limits.json_bytes_max = COUNTER.len();
        // Enough for either of the two, not for both.
        limits.bodies_bytes_max = COUNTER.len();
        limits.body_timeout_ms = 1_500;
        *compile = gate.compiler();
    })
    .await;
    let auth = master.auth();
    let first = master
        .open("POST", "/api/v1/frameworks?name=h", &auth, HELLO)
        .await;
    gate.reached().await;

    let refused = master.ask("POST", "/api/v1/components", COUNTER).await;
    assert_eq!(refused.status, 503, "{}", refused.words());
    let words = refused.words();
    assert!(words.contains("bodies_bytes_max"), "{words}");
    let small = master
        .ask("PUT", "/api/v1/roles/r", br#"{"weight":2}"#)
        .await;
    assert_eq!(small.status, 204, "{}", small.words());

    gate.open();
    let first = Answer::of(first).await;
    assert_eq!(first.status, 201, "{}", first.words());
    let taken = master.ask("POST", "/api/v1/components", COUNTER).await;
    assert_eq!(taken.status, 201, "{}", taken.words());
    master.stop().await;
}
