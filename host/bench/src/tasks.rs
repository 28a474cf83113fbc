//! How fast small tasks start and end, beside a bare loop of fork, exec and wait; and how long one
//! `mezzo run -- true` takes from submit to exit.

use crate::Size;
use crate::cluster::Cluster;
use crate::report::{Report, median, percentile, us};
use anyhow::bail;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tasks of one job.
const TASKS: usize = 2_000;
/// Runs of the single command, and of the bare one.
const SINGLES: usize = 40;
/// Processes at a time, on either side.
const WORKERS: usize = 2;

/// See the module.
pub fn run(size: Size, report: &mut Report) -> anyhow::Result<()> {
    let count = size.count.unwrap_or(TASKS);
    let cluster = Cluster::start(1)?;
    job(&cluster, count.min(100))?;
    let (mut bare, mut mezzo) = (Vec::new(), Vec::new());
    for _ in 0..size.runs {
        bare.push(count as f64 / bare_loop(count)?.as_secs_f64());
        mezzo.push(count as f64 / job(&cluster, count)?.as_secs_f64());
    }
    let ratios: Vec<f64> = mezzo.iter().zip(&bare).map(|(m, b)| m / b).collect();
    report.row("bare-loop", &[("rate_per_s", median(bare))]);
    report.row(
        "batch",
        &[("rate_per_s", median(mezzo)), ("ratio", median(ratios))],
    );
    single(&cluster, report)
}

/// `/bin/true`, started and waited for, by so many threads.
fn bare_loop(count: usize) -> anyhow::Result<Duration> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                scope.spawn(|| -> std::io::Result<()> {
                    for _ in 0..count / WORKERS {
                        Command::new("/bin/true").stdin(Stdio::null()).status()?;
                    }
                    Ok(())
                })
            })
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(result) => result?,
                Err(_) => bail!("a worker panicked"),
            }
        }
        Ok(())
    })?;
    Ok(started.elapsed())
}

/// From submit to the end of the last task, as the client sees it.
fn job(cluster: &Cluster, count: usize) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let spec =
        json!({"count": count, "argv": ["/bin/true"], "cpu_milli": 1, "memory_bytes": 1 << 20});
    let events = cluster.client.ask(
        "POST",
        "/fw/batch/jobs?watch=true",
        &serde_json::to_vec(&spec)?,
    )?;
    let took = started.elapsed();
    let events = String::from_utf8_lossy(&events);
    let last = events.lines().rfind(|line| line.starts_with("data:"));
    let end: Value = serde_json::from_str(last.unwrap_or_default().trim_start_matches("data:"))?;
    if end["state"] != "finished" {
        bail!("the job did not finish: {end}");
    }
    Ok(took)
}

fn single(cluster: &Cluster, report: &mut Report) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let (mut bare, mut mezzo) = (Vec::new(), Vec::new());
    for _ in 0..SINGLES {
        let started = Instant::now();
        Command::new("/bin/true").status()?;
        bare.push(us(started.elapsed()));
        let started = Instant::now();
        let status = Command::new(&program)
            .args(["run", "--url", &cluster.url, "--", "true"])
            .env("MEZZO_TOKEN", &cluster.client.token)
            .env("MEZZO_URL", &cluster.url)
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("`mezzo run -- true` ended with {status}");
        }
        mezzo.push(us(started.elapsed()));
    }
    let bare_p50 = percentile(&mut bare, 50);
    let mezzo_p50 = percentile(&mut mezzo, 50);
    report.row("bare-command", &[("p50_us", bare_p50)]);
    let figures = [
        ("p50_us", mezzo_p50),
        ("p99_us", percentile(&mut mezzo, 99)),
        ("more_than_bare_p50_us", mezzo_p50 - bare_p50),
    ];
    report.row("mezzo-run", &figures);
    Ok(())
}
