//! How long a module task takes from its launch to running and to its end, beside `/bin/true` as a
//! process: the component is cached, compiled, on the agent.

use crate::Size;
use crate::cluster::Cluster;
use crate::report::{Report, percentile, us};
use anyhow::Context;
use serde_json::{Value, json};
use std::time::Instant;

const COMMAND: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mezzo-command.wasm"));

/// Tasks of each kind.
const TASKS: usize = 100;

/// See the module.
pub fn run(size: Size, report: &mut Report) -> anyhow::Result<()> {
    let tasks = size.count.unwrap_or(TASKS);
    let cluster = Cluster::start(1)?;
    let kept = cluster.client.ask("POST", "/api/v1/components", COMMAND)?;
    let kept: Value = serde_json::from_slice(&kept)?;
    let digest = kept["digest"].as_str().context("no digest")?;
    let module = json!({"module": digest, "argv": ["command"]});
    let process = json!({"argv": ["/bin/true"]});
    // The first of each makes what the others find: the compiled component, pages of programs.
    task(&cluster, &module)?;
    task(&cluster, &process)?;
    let (mut modules, mut processes) = (Times::default(), Times::default());
    for _ in 0..tasks {
        modules.add(task(&cluster, &module)?);
        processes.add(task(&cluster, &process)?);
    }
    report.row("process", &processes.figures(0));
    report.row("module", &modules.figures(COMMAND.len()));
    Ok(())
}

#[derive(Default)]
struct Times {
    running_us: Vec<f64>,
    ended_us: Vec<f64>,
}

impl Times {
    fn add(&mut self, (running_us, ended_us): (f64, f64)) {
        self.running_us.push(running_us);
        self.ended_us.push(ended_us);
    }

    fn figures(&mut self, component_bytes: usize) -> [(&'static str, f64); 5] {
        [
            (
                "launch_to_running_p50_us",
                percentile(&mut self.running_us, 50),
            ),
            (
                "launch_to_running_p99_us",
                percentile(&mut self.running_us, 99),
            ),
            ("launch_to_end_p50_us", percentile(&mut self.ended_us, 50)),
            ("launch_to_end_p99_us", percentile(&mut self.ended_us, 99)),
            ("component_bytes", component_bytes as f64),
        ]
    }
}

/// One task; how long after its launch it ran and had ended, as a watcher of its job hears it.
fn task(cluster: &Cluster, job: &Value) -> anyhow::Result<(f64, f64)> {
    let mut heard: Vec<(String, Instant)> = Vec::new();
    cluster.client.watch(
        "/fw/batch/jobs?watch=true",
        &serde_json::to_vec(job)?,
        &mut |data| {
            if data["index"] == 0 {
                heard.push((
                    data["state"].as_str().unwrap_or_default().into(),
                    Instant::now(),
                ));
            }
        },
    )?;
    let at = |state: &str| {
        let found = heard.iter().find(|(heard, _)| heard == state);
        found
            .map(|(_, at)| *at)
            .with_context(|| format!("the task was never {state}: {heard:?}"))
    };
    let (launched, ended) = (at("pending")?, at("finished")?);
    // Two states that come close together may be told as the later one.
    let running = at("running").unwrap_or(ended);
    Ok((us(running - launched), us(ended - launched)))
}
