//! What a framework can reach besides its contract: one log line for each attempt.

use mezzo_sdk::prelude::*;
use std::collections::hash_map::RandomState;
use std::fmt::Display;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::Read;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

const HOUR: Duration = Duration::from_secs(3_600);

/// Tries everything.
pub fn all(cx: &mut Cx<'_>) {
    say(cx, "read", File::open("/etc/passwd").map(|_| "open"));
    say(cx, "write", File::create("/probe").map(|_| "open"));
    say(cx, "list", std::fs::read_dir("/").map(|_| "open"));
    say(
        cx,
        "connect",
        TcpStream::connect("127.0.0.1:9").map(|_| "open"),
    );
    say(
        cx,
        "listen",
        TcpListener::bind("127.0.0.1:0").map(|_| "open"),
    );
    say(cx, "udp", UdpSocket::bind("127.0.0.1:0").map(|_| "open"));
    say(
        cx,
        "lookup",
        "localhost:80".to_socket_addrs().map(|_| "found"),
    );
    let mut byte = [0];
    say(cx, "stdin", std::io::stdin().read(&mut byte));
    cx.info(&format!("environment: {}", std::env::vars().count()));
    let args: Vec<String> = std::env::args().collect();
    cx.info(&format!("arguments: {args:?}"));
    cx.info(&format!("clock: {}", since_epoch_ms()));
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(1) {}
    cx.info("a polled clock advances");
    std::thread::sleep(HOUR);
    cx.info(&format!("slept an hour: {}", begin.elapsed() >= HOUR));
    cx.info(&format!("random: {}", RandomState::new().hash_one(0)));
    println!("to standard output");
    eprintln!("to standard error");
}

fn since_epoch_ms() -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_millis()
}

fn say<T: Display>(cx: &Cx<'_>, what: &str, outcome: std::io::Result<T>) {
    match outcome {
        Ok(value) => cx.info(&format!("{what}: {value}")),
        Err(error) => cx.info(&format!("{what}: refused, {:?}", error.kind())),
    }
}
