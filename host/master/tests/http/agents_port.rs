//! Strangers on the agents' port: they are let go in time, and take only so many places.

use crate::agent::Agent;
use crate::support::{PATIENCE, Running};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// With what every HTTP/2 connection begins, and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Waits until the other side closes. Reset or ended in order, it is closed.
async fn closed(stream: &mut TcpStream) {
    let mut all = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all));
    let _ = end.await.expect("the connection is closed");
}

/// Whether the other side has closed at this moment.
fn is_closed(stream: TcpStream) -> bool {
    let mut stream = stream.into_std().expect("a socket");
    // It does not wait.
    let end = std::io::copy(&mut stream, &mut std::io::sink());
    !end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_hello_is_let_go_and_an_agent_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::with(folder.path(), |config, _| {
        config.limits.hello_timeout_ms = 1_500;
    })
    .await;
    let _agent = Agent::join(master.agents_address, folder.path()).await;

    // All of these come after the agent: once they are let go, its time is over as well.
    let mut silent = TcpStream::connect(master.agents_address).await.expect("it");
    let mut polite = TcpStream::connect(master.agents_address).await.expect("it");
    polite.write_all(PREFACE).await.expect("it is sent");
    let mut mute = Agent::dial(master.agents_address, folder.path()).await;
    closed(&mut silent).await;
    closed(&mut polite).await;
    assert!(mute.hear().await.is_err(), "a session without a Hello");

    let agents = master.get("/api/v1/agents").await;
    assert_eq!(agents["agents"][0]["state"], json!("connected"), "{agents}");
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_when_all_places_are_taken_waits_for_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::with(folder.path(), |config, _| {
        config.limits.hello_timeout_ms = 1_500;
        config.limits.agents_connections_max = 1;
    })
    .await;
    let first = TcpStream::connect(master.agents_address).await.expect("it");
    let mut second = TcpStream::connect(master.agents_address).await.expect("it");
    second.write_all(PREFACE).await.expect("it is sent");
    let mut byte = [0];
    let greeted = tokio::time::timeout(PATIENCE, second.read(&mut byte));
    assert_eq!(greeted.await.expect("in time").expect("a byte"), 1);
    assert!(
        is_closed(first),
        "the second was served before the first had gone"
    );
    drop(second);
    let _agent = Agent::join(master.agents_address, folder.path()).await;
    master.stop().await;
}
