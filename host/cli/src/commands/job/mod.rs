//! `mezzo job`: jobs of `batch`, which `mezzo run` submits. What a job's end means, its watch and its
//! output lie beside this file; `run` uses them as well.

mod failures;
pub mod follow;
mod logs;
pub mod outcome;
mod show;
pub mod watch;

use crate::cli::Shown;
use crate::client::Client;
use crate::output::{self, line};
use crate::query::encode;
use crate::units;
use hyper::Method;
use outcome::Outcome;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;
use watch::{Event, Watch};

/// States of a job that are final.
const FINAL: [&str; 4] = ["finished", "failed", "cancelled", "timed-out"];

#[derive(Debug, clap::Args)]
pub struct Job {
    /// Which framework runs it
    #[arg(long, global = true, default_value = "batch")]
    framework: String,
    #[command(subcommand)]
    ask: Ask,
}

#[derive(Debug, clap::Subcommand)]
enum Ask {
    /// List the jobs, oldest first
    Ls {
        #[command(flatten)]
        shown: Shown,
    },
    /// Show one job and its tasks
    Inspect {
        /// Its id, such as j1
        job: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Show what a job's tasks wrote, as `mezzo run` does
    Logs(logs::Logs),
    /// Kill what runs of a job and launch nothing more
    Cancel {
        /// Its id, such as j1
        job: String,
    },
    /// Wait for a job's end, and end with its exit code
    Wait {
        /// Its id, such as j1
        job: String,
        /// Give up waiting after so long, such as 5m; the job goes on
        #[arg(long, value_parser = units::millis)]
        timeout: Option<u64>,
    },
}

/// The path of a framework's jobs.
pub fn jobs(framework: &str) -> String {
    format!("/fw/{}/jobs", encode(framework))
}

/// The path of one job.
pub fn path(framework: &str, job: &str) -> String {
    format!("{}/{}", jobs(framework), encode(job))
}

/// Whether this is what `batch` calls its jobs.
pub fn is_id(text: &str) -> bool {
    text.strip_prefix('j')
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

impl Job {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        let framework = self.framework;
        match self.ask {
            Ask::Ls { shown } => {
                let all = client.get(&jobs(&framework)).await?;
                match shown.json() {
                    true => output::json(&all)?,
                    false => show::list(&all)?,
                }
            }
            Ask::Inspect { job, shown } => {
                let path = path(&framework, &job);
                let found = client.get(&path).await?;
                match shown.json() {
                    true => output::json(&found)?,
                    false => show::one(&client, &path, &found).await?,
                }
            }
            Ask::Logs(logs) => return logs.run(client, &framework).await,
            Ask::Cancel { job } => {
                let path = path(&framework, &job);
                let found = client.json(Method::DELETE, &path, None).await?;
                line(&cancelled(&job, &found))?;
            }
            Ask::Wait { job, timeout } => {
                let timeout = timeout.map(Duration::from_millis);
                return wait(client, framework, job, timeout).await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a request to cancel has come to.
fn cancelled(id: &str, job: &Value) -> String {
    match job["state"].as_str().unwrap_or_default() {
        "cancelled" => format!("job {id} is cancelled"),
        state if FINAL.contains(&state) => format!("job {id} has already ended ({state})"),
        _ => format!("job {id} is being cancelled"),
    }
}

async fn wait(
    client: Client,
    framework: String,
    job: String,
    timeout: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let mut watch = Watch::of(client.clone(), jobs(&framework), job.clone());
    let mut outcome = Outcome::new(client, framework);
    let until_end = async {
        loop {
            match watch.next().await? {
                Event::Task(_) => outcome.launched(),
                Event::End(job) => return outcome.said(&job).await,
            }
        }
    };
    let Some(timeout) = timeout else {
        return until_end.await;
    };
    match tokio::time::timeout(timeout, until_end).await {
        Ok(end) => end,
        Err(_) => Ok(outcome::timed_out(&format!(
            "job {job} has not ended in time; it goes on: `mezzo job inspect {job}` shows it"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_jobs_id_is_known_by_its_form() {
        assert!(is_id("j1") && is_id("j1234"));
        assert!(!is_id("j") && !is_id("j1.0.1") && !is_id("job") && !is_id("1"));
    }

    #[test]
    fn what_a_cancel_came_to_is_said() {
        let said = |state| cancelled("j1", &json!({ "state": state }));
        assert_eq!(said("running"), "job j1 is being cancelled");
        assert_eq!(said("cancelled"), "job j1 is cancelled");
        assert_eq!(said("finished"), "job j1 has already ended (finished)");
    }
}
