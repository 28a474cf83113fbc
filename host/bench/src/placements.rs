//! Durable placements a second: `batch` places one large job on 10,000 simulated agents, through the
//! real core, sandbox, committer and embedded registry with fsync. Only the agents are played: they
//! take their launches and say nothing.

use crate::Size;
use crate::report::{Report, median};
use crate::turn::{facts, prepare_batch, sandbox};
use anyhow::{Context, bail};
use mezzo_core::event::Install;
use mezzo_core::turn::WebRequest;
use mezzo_core::{Answer, Event, FrameworkLimits, Request};
use mezzo_master::Config;
use mezzo_master::parts::{Lead, Outcome, Threads, take};
use mezzo_proto::v1::from_master::Message;
use mezzo_registry::{Embedded, EmbeddedLimits};
use mezzo_types::RequestId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Simulated agents.
const AGENTS: u64 = 10_000;
/// Tasks of the job.
const TASKS: usize = 80_000;
/// A job that takes longer has failed.
const LATE: Duration = Duration::from_secs(120);

/// See the module.
pub fn run(size: Size, report: &mut Report) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let count = size.count.unwrap_or(TASKS);
    let mut all: Vec<Vec<(String, f64)>> = Vec::new();
    for _ in 0..size.runs {
        all.push(runtime.block_on(once(count))?);
    }
    let names: Vec<String> = all
        .first()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect();
    let medians: Vec<(String, f64)> = names
        .into_iter()
        .map(|name| {
            let figures = all.iter().flatten().filter(|(n, _)| *n == name);
            (name.clone(), median(figures.map(|(_, f)| *f).collect()))
        })
        .collect();
    let figures: Vec<(&str, f64)> = medians.iter().map(|(n, f)| (n.as_str(), *f)).collect();
    report.row("10k-agents", &figures);
    Ok(())
}

async fn once(count: usize) -> anyhow::Result<Vec<(String, f64)>> {
    let folder = tempfile::tempdir()?;
    let sandbox = Arc::new(sandbox(folder.path())?);
    let component = prepare_batch(&sandbox)?;
    let registry = Embedded::open(&folder.path().join("registry"), EmbeddedLimits::default())?;
    let config = Config {
        workers: 2,
        ..Config::new(folder.path().into())
    };
    let (lead, threads) = take(&config, Box::new(registry), &sandbox, "bench".into())?;
    let result = measure(&lead, component, count).await;
    end(lead, threads).await;
    result
}

async fn end(lead: Lead, threads: Threads) {
    lead.stop();
    drop(lead);
    let _ = tokio::task::spawn_blocking(move || threads.join()).await;
}

async fn measure(
    lead: &Lead,
    component: mezzo_types::Digest,
    count: usize,
) -> anyhow::Result<Vec<(String, f64)>> {
    let install = Install {
        name: "batch".into(),
        role: "batch".into(),
        component,
        web: true,
        options: "{}".into(),
        limits: FrameworkLimits::default(),
        principal: Arc::from("bench"),
    };
    if let Answer::Refused(refused) = lead.ask(Request::Install(install)).await? {
        bail!("{}", refused.message);
    }
    let (to, mut messages) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    for n in 1..=AGENTS {
        let session = lead
            .sessions
            .open(to.clone(), Arc::clone(&waiting))
            .context("no session")?;
        lead.mailbox
            .post_when_room(Event::AgentConnected {
                session,
                facts: facts(n),
                runs: Vec::new(),
            })
            .await;
    }
    let mut welcomes = 0;
    while welcomes < AGENTS {
        let message = messages.recv().await.context("no welcome")??;
        waiting.fetch_sub(1, Ordering::Relaxed);
        welcomes += u64::from(matches!(message.message, Some(Message::Welcome(_))));
    }
    let body = format!(
        r#"{{"count":{count},"argv":["sh","-c","exec work"],"env":{{"A":"1"}},"labels":{{"team":"x"}},"cpu_milli":100,"memory_bytes":1048576}}"#
    );
    let request = WebRequest {
        id: RequestId(0),
        method: "POST".into(),
        path: "/jobs".into(),
        headers: Vec::new(),
        body: body.into_bytes(),
        principal: "bench".into(),
    };
    let cpu_before = threads_cpu_s();
    let started = Instant::now();
    let (outcome, seen) = lead.ask_framework("batch", request).await?;
    seen.ended();
    match outcome {
        Outcome::Answer(Answer::Web(response)) if response.status == 201 => {}
        other => bail!("the job was not taken: {other:?}"),
    }
    let mut launched = 0;
    while launched < count {
        let message = tokio::time::timeout(LATE, messages.recv())
            .await
            .with_context(|| format!("only {launched} of {count} tasks were launched"))?
            .context("the sessions ended")??;
        waiting.fetch_sub(1, Ordering::Relaxed);
        if let Some(Message::Launch(launch)) = message.message {
            launched += launch.tasks.len();
        }
    }
    let took = started.elapsed().as_secs_f64();
    let cpu_after = threads_cpu_s();
    let mut turns: Vec<f64> = lead
        .view
        .turn_times_us()
        .into_iter()
        .map(f64::from)
        .collect();
    let mut figures = vec![
        ("rate_per_s".to_string(), count as f64 / took),
        (
            "turn_p50_us".to_string(),
            crate::report::percentile(&mut turns, 50),
        ),
        (
            "turn_p99_us".to_string(),
            crate::report::percentile(&mut turns, 99),
        ),
        ("turns_count".to_string(), turns.len() as f64),
        ("seconds".to_string(), took),
    ];
    for (thread, after) in cpu_after {
        let before = cpu_before.get(&thread).copied().unwrap_or(0.0);
        if after - before > 0.005 {
            figures.push((format!("cpu_{thread}_s"), after - before));
        }
    }
    Ok(figures)
}

/// CPU time by the threads' names, in seconds; numbered ones together.
fn threads_cpu_s() -> BTreeMap<String, f64> {
    let mut by_name = BTreeMap::new();
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    for task in tasks.flatten() {
        let Ok(text) = std::fs::read_to_string(task.path().join("stat")) else {
            continue;
        };
        let (Some(open), Some(close)) = (text.find('('), text.rfind(')')) else {
            continue;
        };
        let name = text[open + 1..close]
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .trim_end_matches('-')
            .to_string();
        let fields: Vec<&str> = text[close + 1..].split_whitespace().collect();
        let ticks: f64 = [11, 12]
            .iter()
            .filter_map(|i| fields.get(*i)?.parse::<f64>().ok())
            .sum();
        // SAFETY: asks for a constant.
        let per_s = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        *by_name.entry(name).or_insert(0.0) += ticks / per_s;
    }
    by_name
}
