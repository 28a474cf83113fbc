//! What frameworks that never stop computing do to the others: the latency of `batch`'s turns, alone
//! and beside one and ten of them.
//!
//! Two kinds: `spinning` stays just below its turn's CPU limit, so nothing ever stops it; `looping`
//! never returns, so each of its turns ends as a fault, and its limits are set so that it is started
//! anew at once and never quarantined.

use crate::Size;
use crate::cluster::Cluster;
use crate::report::{Report, percentile, us};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mezzo-hostile.wasm"));

/// Turns that are measured in each case.
const TURNS: usize = 1_000;
/// Between two of them.
const PACE: Duration = Duration::from_millis(5);
/// So long a neighbour has been at it before anything is measured: by then the master knows it as one
/// that uses much CPU.
const SETTLED: Duration = Duration::from_secs(3);
/// CPU time of each turn of a spinning neighbour, in milliseconds; its limit is 250.
const SPIN_MS: u64 = 200;

/// See the module.
pub fn run(size: Size, report: &mut Report) -> anyhow::Result<()> {
    let turns = size.count.unwrap_or(TURNS);
    let alone = {
        let cluster = Cluster::start(1)?;
        std::thread::sleep(SETTLED);
        measure(&cluster, turns)?
    };
    row(report, "alone", &alone, &alone);
    for kind in ["spinning", "looping"] {
        for count in [1, 10] {
            let cluster = Cluster::start(1)?;
            for n in 0..count {
                install(&cluster, kind, &format!("{kind}-{n}"))?;
            }
            std::thread::sleep(SETTLED);
            let beside = measure(&cluster, turns)?;
            row(report, &format!("beside-{count}-{kind}"), &beside, &alone);
        }
    }
    Ok(())
}

fn row(report: &mut Report, case: &str, times_us: &[f64], alone_us: &[f64]) {
    let at = |times: &[f64], percent| percentile(&mut times.to_vec(), percent);
    let figures = [
        ("turn_p50_us", at(times_us, 50)),
        ("turn_p99_us", at(times_us, 99)),
        ("turn_max_us", at(times_us, 100)),
        ("p99_ratio", at(times_us, 99) / at(alone_us, 99)),
    ];
    report.row(case, &figures);
}

/// The times of requests to `batch`, each of which is one turn, as its client sees them.
fn measure(cluster: &Cluster, turns: usize) -> anyhow::Result<Vec<f64>> {
    let mut times_us = Vec::with_capacity(turns);
    for _ in 0..turns {
        let started = Instant::now();
        cluster.client.ask("GET", "/fw/batch/jobs", b"")?;
        times_us.push(us(started.elapsed()));
        std::thread::sleep(PACE);
    }
    Ok(times_us)
}

fn install(cluster: &Cluster, kind: &str, name: &str) -> anyhow::Result<()> {
    let (options, limits) = match kind {
        "spinning" => (
            json!({"misbehave": "spin-near-limit", "spin_ms": SPIN_MS}),
            json!({}),
        ),
        _ => (
            json!({"misbehave": "loop-in-handle"}),
            json!({"faults_max": 1_000_000, "restart_delay_ms": 1, "restart_delay_ms_max": 1}),
        ),
    };
    let path = format!(
        "/api/v1/frameworks?name={name}&options={}&limits={}",
        encode(&options),
        encode(&limits)
    );
    cluster.client.ask("POST", &path, HOSTILE).map(drop)
}

/// As a value in a query.
fn encode(value: &Value) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let all = value.to_string();
    let byte = |byte: u8| match plain(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    all.bytes().map(byte).collect()
}
