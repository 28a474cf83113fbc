//! The demo's work: the words of every file, one task a file, through a framework's own HTTP API; and the same by `wc`
//! run directly.

use super::cluster::Cluster;
use super::http::Client;
use super::{name_of, signals};
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const JOB_MAX: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);
const PAGE: usize = 1_000;

/// Connections on which outputs are read at a time.
const READERS: usize = 4;

/// Files that `wc` is given at once.
const DIRECT_FILES: usize = 500;

/// What came of the job.
#[derive(Debug)]
pub struct Counted {
    /// One for each file, in the order of the files.
    pub tasks: Vec<Task>,
    /// From the request until the last task had ended.
    pub ran_for: Duration,
    /// How long it took to read back where each ran and what it printed.
    pub read_for: Duration,
}

/// One file's task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id in the cluster.
    pub id: String,
    /// Where it ran.
    pub agent: String,
    /// What it looked at.
    pub file: PathBuf,
    /// What it found.
    pub words: u64,
}

impl Counted {
    /// Tasks and words by agent.
    pub fn by_agent(&self) -> BTreeMap<&str, (usize, u64)> {
        let mut agents = BTreeMap::new();
        for task in &self.tasks {
            let (tasks, words) = agents.entry(task.agent.as_str()).or_insert((0, 0));
            *tasks += 1;
            *words += task.words;
        }
        agents
    }
}

/// Runs the job and reads back what each task printed.
pub fn count(cluster: &Cluster, framework: &str, files: &[PathBuf]) -> Result<Counted> {
    let mut client = cluster.client()?;
    let began = Instant::now();
    let job = client.post(&format!("/fw/{framework}/jobs"), &job(files))?;
    let job = job["id"].as_str().context("the job has no id")?.to_owned();
    wait_for_end(&mut client, framework, &job)?;
    let ran_for = began.elapsed();
    let ids = ids(&mut client, framework, &job)?;
    ensure!(
        ids.len() == files.len(),
        "{} tasks for {} files",
        ids.len(),
        files.len()
    );
    let agents = agents(&mut client, framework)?;
    let mut tasks = Vec::new();
    for (id, file) in ids.into_iter().zip(files) {
        let agent = agents.get(&id).cloned();
        tasks.push(Task {
            agent: agent.with_context(|| format!("the master has forgotten {id}"))?,
            id,
            file: file.clone(),
            words: 0,
        });
    }
    read_outputs(cluster, framework, &mut tasks)?;
    let read_for = began.elapsed().saturating_sub(ran_for);
    Ok(Counted {
        tasks,
        ran_for,
        read_for,
    })
}

fn job(files: &[PathBuf]) -> Value {
    let tasks: Vec<Value> = files
        .iter()
        .map(|file| json!({"argv": ["wc", "-w", workspace::root().join(file)]}))
        .collect();
    json!({
        "name": "count-words", "tasks": tasks, "env": {"LC_ALL": "C"},
        "memory_bytes": 16 << 20, "prefer": "most-free",
    })
}

fn wait_for_end(client: &mut Client, framework: &str, job: &str) -> Result<()> {
    let until = Instant::now() + JOB_MAX;
    loop {
        ensure!(!signals::interrupted(), "interrupted");
        let state = client.get_json(&format!("/fw/{framework}/jobs/{job}"))?;
        match state["state"].as_str() {
            Some("waiting" | "running") => {}
            Some("finished") => return Ok(()),
            _ => bail!("the job ended otherwise than expected: {state}"),
        }
        ensure!(Instant::now() < until, "the job has not ended: {state}");
        std::thread::sleep(POLL);
    }
}

/// The ids of the job's tasks, by index.
fn ids(client: &mut Client, framework: &str, job: &str) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut after = String::new();
    loop {
        let page = client.get_json(&format!(
            "/fw/{framework}/jobs/{job}/tasks?limit={PAGE}{after}"
        ))?;
        for task in page["tasks"].as_array().context("tasks")? {
            ids.push(task["task"].as_str().context("task")?.to_owned());
        }
        match &page["next"] {
            Value::Null => return Ok(ids),
            next => after = format!("&after={}", name_of(next)),
        }
    }
}

/// Which agent each of the framework's tasks ran on.
fn agents(client: &mut Client, framework: &str) -> Result<BTreeMap<String, String>> {
    let mut agents = BTreeMap::new();
    let mut after = String::new();
    loop {
        let path = format!("/api/v1/tasks?framework={framework}&ended=true&limit={PAGE}{after}");
        let page = client.get_json(&path)?;
        for task in page["tasks"].as_array().context("tasks")? {
            let id = task["task"].as_str().context("task")?;
            agents.insert(id.to_owned(), name_of(&task["agent"]));
        }
        match &page["next"] {
            Value::Null => return Ok(agents),
            next => after = format!("&after={}", name_of(next)),
        }
    }
}

/// A few connections, each for a share of the tasks.
fn read_outputs(cluster: &Cluster, framework: &str, tasks: &mut [Task]) -> Result<()> {
    let share = tasks.len().div_ceil(READERS).max(1);
    std::thread::scope(|scope| {
        let readers = tasks.chunks_mut(share).map(|share| {
            scope.spawn(|| -> Result<()> {
                let mut client = cluster.client()?;
                for task in share {
                    task.words = output(&mut client, framework, &task.id)?;
                }
                Ok(())
            })
        });
        let readers: Vec<_> = readers.collect();
        for reader in readers {
            reader.join().expect("a reader does not panic")?;
        }
        Ok(())
    })
}

fn output(client: &mut Client, framework: &str, task: &str) -> Result<u64> {
    let output = client.get(&format!("/api/v1/tasks/{framework}/{task}/logs"))?;
    let output = String::from_utf8_lossy(&output);
    first_number(&output).with_context(|| format!("task {task} printed {output:?}"))
}

/// The same without a cluster: the words of each file, in their order.
pub fn count_directly(files: &[PathBuf]) -> Result<Vec<u64>> {
    let mut words = Vec::new();
    for files in files.chunks(DIRECT_FILES) {
        words.extend(wc(files)?);
    }
    Ok(words)
}

fn wc(files: &[PathBuf]) -> Result<Vec<u64>> {
    let mut command = Command::new("wc");
    let paths = files.iter().map(|file| workspace::root().join(file));
    command.arg("-w").args(paths).env("LC_ALL", "C");
    let output = command.output().context("starting wc")?;
    ensure!(output.status.success(), "wc ended with {}", output.status);
    // A line for each file; with several files, a total behind them.
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<u64> = text
        .lines()
        .filter_map(first_number)
        .take(files.len())
        .collect();
    ensure!(words.len() == files.len(), "wc printed {text:?}");
    Ok(words)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wc_says_the_number_first() {
        assert_eq!(first_number("  42 /a/b c.txt\n"), Some(42));
        assert_eq!(first_number("wc: no such file"), None);
        assert_eq!(first_number(""), None);
    }

    #[test]
    fn a_direct_count_has_one_number_for_each_file() {
        let files = workspace::files().expect("the checkout has files");
        let files = &files[..3];
        let one_by_one = files
            .chunks(1)
            .flat_map(|file| wc(file).expect("it counts"));
        let one_by_one: Vec<u64> = one_by_one.collect();
        assert_eq!(count_directly(files).expect("it counts"), one_by_one);
    }
}
