//! What an idle `mezzo dev` with one agent uses, all of its processes together.

use crate::cluster::Cluster;
use crate::report::Report;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// What is left of the start, before it counts as idle.
const SETTLED: Duration = Duration::from_secs(3);

/// See the module.
pub fn run(report: &mut Report) -> anyhow::Result<()> {
    let cluster = Cluster::start(1)?;
    std::thread::sleep(SETTLED);
    let (from, started) = (usage(cluster.master_pid), Instant::now());
    std::thread::sleep(WATCHED);
    let (to, took) = (usage(cluster.master_pid), started.elapsed());
    let figures = [
        ("ready_ms", cluster.ready.as_secs_f64() * 1e3),
        (
            "cpu_percent",
            (to.cpu_s - from.cpu_s) / took.as_secs_f64() * 100.0,
        ),
        ("memory_mib", to.memory_bytes / f64::from(1 << 20)),
        ("processes_count", to.processes),
    ];
    report.row("dev-one-agent", &figures);
    Ok(())
}

struct Usage {
    cpu_s: f64,
    /// Proportional set sizes: pages that several share count once.
    memory_bytes: f64,
    processes: f64,
}

fn usage(root: u32) -> Usage {
    let tree = tree(root);
    let ticks = tree.iter().filter_map(|pid| cpu_ticks(*pid)).sum::<u64>();
    // SAFETY: asks for a constant.
    let per_s = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Usage {
        cpu_s: ticks as f64 / per_s as f64,
        memory_bytes: tree.iter().filter_map(|pid| pss_bytes(*pid)).sum::<u64>() as f64,
        processes: tree.len() as f64,
    }
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_string).collect())
}

fn cpu_ticks(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

fn pss_bytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

/// A process and all below it.
fn tree(root: u32) -> BTreeSet<u32> {
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let mut tree = BTreeSet::from([root]);
    loop {
        let known = tree.len();
        let below = all.iter().filter(|(_, parent)| tree.contains(parent));
        let below: Vec<u32> = below.map(|(pid, _)| *pid).collect();
        tree.extend(below);
        if tree.len() == known {
            return tree;
        }
    }
}
