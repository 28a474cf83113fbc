//! `cargo xtask demo`: builds Mezzo, starts a cluster of real processes, uploads a framework, and has it count the
//! words of the checkout. Owns the story and its words; every figure in it is measured or asked for as it runs.

mod build;
mod cluster;
mod http;
mod signals;
mod words;

use crate::workspace;
use anyhow::{Context, Result, ensure};
use build::Built;
use cluster::Cluster;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use words::Counted;

/// How many agents the cluster has.
const AGENTS: usize = 3;

/// Under which name the framework is installed. `batch` is there already, so that this one really is uploaded.
const FRAMEWORK: &str = "words";

/// What no machine has.
const IMPOSSIBLE_CPUS: u64 = 1_000;

/// Plays it through; then stays up until Ctrl-C, or with `once` stops the cluster.
pub fn run(once: bool) -> Result<()> {
    signals::listen();
    let built = build::run()?;
    let mut cluster = start(&built, once)?;
    install(&built, &cluster)?;
    count_words(&cluster)?;
    ask_why_it_waits(&built, &cluster)?;
    if !once {
        invite(&built);
        cluster.wait_for_interrupt()?;
    }
    stop(cluster)
}

fn start(built: &Built, once: bool) -> Result<Cluster> {
    let began = Instant::now();
    let cluster = Cluster::start(&built.mezzo, AGENTS, !once)?;
    step(
        "cluster",
        &format!(
            "a master and {AGENTS} agents, processes of their own, ready in {} at {}",
            seconds(began.elapsed()),
            cluster.url
        ),
    );
    Ok(cluster)
}

fn install(built: &Built, cluster: &Cluster) -> Result<()> {
    let bytes = std::fs::metadata(&built.component)
        .with_context(|| built.component.display().to_string())?;
    let component = built.component.to_string_lossy();
    let began = Instant::now();
    cluster.mezzo(&["framework", "install", FRAMEWORK, &component])?;
    step(
        "upload",
        &format!(
            "framework `{FRAMEWORK}`, a WebAssembly component of {} KB: compiled, sandboxed and live in {}",
            bytes.len() / 1_000,
            seconds(began.elapsed())
        ),
    );
    Ok(())
}

fn count_words(cluster: &Cluster) -> Result<()> {
    let files = workspace::files()?;
    let counted = words::count(cluster, FRAMEWORK, &files)?;
    let tasks = counted.tasks.len();
    let rate = counted.ran_for.as_secs_f64().max(0.001);
    step(
        "job",
        &format!(
            "{tasks} tasks, one `wc -w` for each file of this checkout: all done in {} ({:.0} a second)",
            seconds(counted.ran_for),
            tasks as f64 / rate
        ),
    );
    table(&counted);
    let direct = words::count_directly(&files)?;
    for (task, &direct) in counted.tasks.iter().zip(&direct) {
        ensure!(
            task.words == direct,
            "{}: task {} counted {} words, `wc` run directly {direct}. Has the file changed meanwhile?",
            task.file.display(),
            task.id,
            task.words
        );
    }
    let sum: u64 = counted.tasks.iter().map(|task| task.words).sum();
    let direct: u64 = direct.iter().sum();
    step(
        "check",
        &format!(
            "{} words by {tasks} tasks, {} by `wc` run directly: equal (outputs read back in {})",
            grouped(sum),
            grouped(direct),
            seconds(counted.read_for)
        ),
    );
    Ok(())
}

/// Where the tasks ran, and a few of them.
fn table(counted: &Counted) {
    println!();
    println!("             {:<8}{:>7}{:>10}", "agent", "tasks", "words");
    for (agent, (tasks, words)) in counted.by_agent() {
        println!("             {agent:<8}{tasks:>7}{:>10}", grouped(words));
    }
    println!();
    println!(
        "             {:<12}{:<8}{:>7}  file",
        "task", "agent", "words"
    );
    let every = (counted.tasks.len() / 4).max(1);
    for task in counted.tasks.iter().step_by(every).take(4) {
        println!(
            "             {:<12}{:<8}{:>7}  {}",
            task.id,
            task.agent,
            grouped(task.words),
            task.file.display()
        );
    }
    println!();
}

fn ask_why_it_waits(built: &Built, cluster: &Cluster) -> Result<()> {
    let job = json!({
        "name": "impossible", "argv": ["true"], "cpu_milli": IMPOSSIBLE_CPUS * 1_000,
    });
    let job = cluster
        .client()?
        .post(&format!("/fw/{FRAMEWORK}/jobs"), &job)?;
    let id = job["id"].as_str().context("the job has no id")?.to_owned();
    cluster.wait_until("the impossible job is known to wait", |client| {
        let explanation = client.get_json(&format!("/api/v1/frameworks/{FRAMEWORK}/explain"))?;
        let demands = explanation["demands"].as_array().map_or(0, Vec::len);
        Ok(demands > 0)
    })?;
    let why = cluster.mezzo(&["explain", FRAMEWORK])?;
    step(
        "why",
        &format!(
            "job {id} asks for {} cpus and waits. `{} explain {FRAMEWORK}` says:",
            grouped(IMPOSSIBLE_CPUS),
            built.shown()
        ),
    );
    println!();
    for line in why.lines() {
        println!("             {line}");
    }
    println!();
    Ok(())
}

fn invite(built: &Built) {
    println!("The cluster is yours until Ctrl-C. In another terminal:\n");
    for command in [
        "run --count 3 -- sh -c 'echo hello from $BATCH_INDEX'",
        "status",
        "task ls",
        "events",
    ] {
        println!("  {} {command}", built.shown());
    }
    println!();
}

fn stop(cluster: Cluster) -> Result<()> {
    let data = cluster.data.clone().filter(|data| data.exists());
    let began = Instant::now();
    cluster.stop()?;
    let gone = if data.is_some_and(|data| !data.exists()) {
        ", its data folder is gone"
    } else {
        ""
    };
    step(
        "stop",
        &format!("everything stopped in {}{gone}", seconds(began.elapsed())),
    );
    Ok(())
}

/// One line of the story.
fn step(name: &str, text: &str) {
    println!("  {name:<9}  {text}");
}

fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What the API calls an agent: a number or a text.
fn name_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_legible() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(123), "123");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(seconds(Duration::from_millis(420)), "420 ms");
        assert_eq!(seconds(Duration::from_millis(1_260)), "1.3 s");
    }
}
