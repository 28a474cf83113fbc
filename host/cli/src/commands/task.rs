//! `mezzo task`.

use super::job;
use super::values::{entries, text};
use crate::cli::Shown;
use crate::client::{Client, refused};
use crate::output::{self, bytes, line};
use crate::query::{encode, with};
use crate::table::Table;
use crate::task_output::TaskOutput;
use crate::units;
use anyhow::anyhow;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::Value;
use std::process::ExitCode;

#[derive(clap::Subcommand, Debug)]
pub enum Task {
    /// List tasks
    Ls {
        /// Only this framework's
        #[arg(long)]
        framework: Option<String>,
        /// Only on this agent
        #[arg(long)]
        agent: Option<u64>,
        /// Only in these states, comma-separated
        #[arg(long)]
        state: Option<String>,
        /// Those that have ended as well, as long as they are kept
        #[arg(long, short = 'a')]
        ended: bool,
        #[command(flatten)]
        shown: Shown,
    },
    /// Show one task
    Inspect {
        /// Its id, or FRAMEWORK/ID
        task: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Show what a task wrote
    Logs {
        /// Its id, or FRAMEWORK/ID
        task: String,
        /// Go on until it ends
        #[arg(long, short = 'f')]
        follow: bool,
        /// Its standard error instead of its standard output
        #[arg(long)]
        stderr: bool,
        /// Only so many lines from the end
        #[arg(long)]
        tail: Option<u32>,
    },
    /// End a task
    Kill {
        /// Its id, or FRAMEWORK/ID
        task: String,
        /// From the first signal to the last
        #[arg(long, value_parser = units::millis)]
        grace: Option<u64>,
    },
}

impl Task {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        match self {
            Task::Ls {
                framework,
                agent,
                state,
                ended,
                shown,
            } => {
                let path = with(
                    "/api/v1/tasks",
                    &[
                        ("framework", framework),
                        ("agent", agent.map(|id| id.to_string())),
                        ("state", state),
                        ("ended", ended.then(|| "true".into())),
                    ],
                );
                let tasks = client.list(&path, "tasks").await?;
                if shown.json() {
                    output::json(&tasks)?;
                } else {
                    table(&tasks).print()?;
                }
            }
            Task::Inspect { task, shown } => {
                // The whole of it either way: a task has no short form.
                let _ = shown;
                output::json(&find(&client, &task).await?)?;
            }
            Task::Logs {
                task,
                follow,
                stderr,
                tail,
            } => {
                let found = find(&client, &task).await?;
                let stream = if stderr { "stderr" } else { "stdout" };
                if follow {
                    let offset = match tail {
                        // Where the last lines end is known when they have been read.
                        Some(_) => match copy(&client, &path(&found), stream, tail, bytes).await {
                            // Not started yet.
                            Err(error) if refused(&error) == Some(404) => 0,
                            end => end?,
                        },
                        None => 0,
                    };
                    let logs = format!("{}/logs?stream={stream}&follow=true", path(&found));
                    let mut output = TaskOutput::new(client, logs, offset);
                    while let Some(data) = output.next(false).await? {
                        bytes(&data)?;
                    }
                } else {
                    copy(&client, &path(&found), stream, tail, bytes).await?;
                }
            }
            Task::Kill { task, grace } => {
                let found = find(&client, &task).await?;
                let path = with(&path(&found), &[("grace_ms", grace.map(|g| g.to_string()))]);
                client.json(Method::DELETE, &path, None).await?;
                line(&format!("{} is asked to end", text(&found["task"])))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn table(tasks: &Value) -> Table {
    let mut table = Table::new(&["framework", "task", "state", "agent", "exit", "reason"]);
    for task in entries(tasks, "tasks") {
        table.row([
            text(&task["framework"]),
            text(&task["task"]),
            text(&task["state"]),
            format!("{} {}", text(&task["agent"]), text(&task["hostname"])),
            text(&task["exit_code"]),
            text(&task["reason"]),
        ]);
    }
    table
}

/// The task of that name: `FRAMEWORK/ID`, or an id that only one framework has.
async fn find(client: &Client, name: &str) -> anyhow::Result<Value> {
    if let Some((framework, task)) = name.split_once('/') {
        let path = format!("/api/v1/tasks/{}/{}", encode(framework), encode(task));
        let found = client.get(&path).await;
        return match found {
            Err(error) if refused(&error) == Some(404) && is_job(client, framework, task).await => {
                Err(a_job(framework, task))
            }
            found => found,
        };
    }
    let path = with(
        "/api/v1/tasks",
        &[("task", Some(name.into())), ("ended", Some("true".into()))],
    );
    let found = client.list(&path, "tasks").await?;
    match entries(&found, "tasks") {
        [one] => Ok(one.clone()),
        [] => Err(match is_job(client, "batch", name).await {
            true => a_job("batch", name),
            false => {
                anyhow!("there is no task {name:?}; `mezzo task ls --ended` lists those there are")
            }
        }),
        [first, ..] => Err(anyhow!(
            "several frameworks have a task {name:?}: say which, such as {}/{name}",
            text(&first["framework"])
        )),
    }
}

async fn is_job(client: &Client, framework: &str, id: &str) -> bool {
    job::is_id(id) && client.get(&job::path(framework, id)).await.is_ok()
}

fn a_job(framework: &str, id: &str) -> anyhow::Error {
    let of = match framework {
        "batch" => String::new(),
        other => format!(" --framework {other}"),
    };
    anyhow!(
        "{id} is a job, not a task: use `mezzo job inspect|logs|cancel {id}{of}`, or name one of its tasks, such as {id}.0.1"
    )
}

fn path(task: &Value) -> String {
    format!(
        "/api/v1/tasks/{}/{}",
        encode(&text(&task["framework"])),
        encode(&text(&task["task"]))
    )
}

/// What there is now, piece by piece; where it ends.
pub async fn copy(
    client: &Client,
    task: &str,
    stream: &str,
    tail: Option<u32>,
    mut show: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut offset = tail.map_or("0".to_string(), |lines| format!("-{lines}"));
    loop {
        let path = format!("{task}/logs?stream={stream}&offset={offset}");
        let mut piece = client.stream(Method::GET, &path, Bytes::new()).await?;
        let mut at = piece.offset().unwrap_or(0);
        let begun = at;
        while let Some(data) = piece.next().await? {
            at += data.len() as u64;
            show(&data)?;
        }
        if at == begun {
            return Ok(at);
        }
        offset = at.to_string();
    }
}
