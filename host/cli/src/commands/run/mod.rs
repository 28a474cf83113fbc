//! `mezzo run`: a program run to its end by `batch`, its output here, its exit code ours.

mod follow;
mod job;

use crate::client::{Client, Events};
use crate::exit;
use crate::output::{line, note};
use crate::query::encode;
use crate::signals::Signals;
use anyhow::bail;
use follow::Followers;
use hyper::Method;
pub use job::Run;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// A job that has not been placed after so long is explained.
const PATIENCE: Duration = Duration::from_secs(2);

impl Run {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        submit(client, self).await
    }
}

async fn submit(client: Client, args: Run) -> anyhow::Result<ExitCode> {
    let spec = job::spec(&client, &args).await?;
    let jobs = format!("/fw/{}/jobs", encode(&args.framework));
    if args.detach {
        let job = client.json(Method::POST, &jobs, Some(&spec)).await?;
        line(job["id"].as_str().unwrap_or_default())?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = format!("{jobs}?watch=true");
    let signals = Signals::listen()?;
    let events = client
        .events(Method::POST, &path, spec.to_string().into())
        .await?;
    let watch = Watch {
        events,
        signals,
        followers: Followers::new(client.clone(), &args.framework, args.count > 1),
        client,
        jobs,
        framework: args.framework,
        id: String::new(),
        launched: false,
        interrupted: false,
    };
    watch.until_end().await
}

struct Watch {
    client: Client,
    events: Events,
    signals: Signals,
    followers: Followers,
    jobs: String,
    framework: String,
    id: String,
    launched: bool,
    interrupted: bool,
}

impl Watch {
    async fn until_end(mut self) -> anyhow::Result<ExitCode> {
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        let mut explained = false;
        let closed = self.followers.closed();
        loop {
            let event = tokio::select! {
                event = self.events.next() => event?,
                _ = self.signals.next() => {
                    self.interrupt().await?;
                    continue;
                }
                () = closed.notified() => {
                    self.cancel().await?;
                    return Ok(ExitCode::SUCCESS);
                }
                () = &mut patience, if !explained && !self.launched => {
                    explained = true;
                    self.explain().await;
                    continue;
                }
            };
            let Some(event) = event else {
                bail!(
                    "the watch of job {0} was cut: the framework or the master was restarted; the job goes on: `curl` {1}/{0}, or `mezzo task ls -a`",
                    self.id,
                    self.jobs
                );
            };
            let value: Value = serde_json::from_str(&event.data)?;
            match event.name.as_str() {
                "job" => self.note_id(&value),
                "task" => {
                    self.launched = true;
                    self.followers.task(&value);
                }
                "end" => {
                    self.note_id(&value);
                    self.followers.finish().await;
                    return self.verdict(&value);
                }
                _ => {}
            }
        }
    }

    fn note_id(&mut self, job: &Value) {
        if let Some(id) = job["id"].as_str() {
            self.id = id.to_string();
        }
    }

    /// The first Ctrl-C cancels, a second one leaves at once.
    async fn interrupt(&mut self) -> anyhow::Result<()> {
        if self.interrupted || self.id.is_empty() {
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
        self.interrupted = true;
        note(&format!(
            "cancelling job {}; Ctrl-C again leaves at once",
            self.id
        ));
        self.cancel().await
    }

    async fn cancel(&self) -> anyhow::Result<()> {
        let path = format!("{}/{}", self.jobs, self.id);
        self.client.json(Method::DELETE, &path, None).await?;
        Ok(())
    }

    async fn explain(&self) {
        let demand = (!self.id.is_empty()).then(|| self.id.clone());
        let Ok(explanation) = super::explain::ask(&self.client, &self.framework, demand).await
        else {
            return;
        };
        let said = super::explain::said(&explanation);
        note(said.trim_end());
    }

    fn verdict(&self, job: &Value) -> anyhow::Result<ExitCode> {
        let fail = |code, message: String| {
            note(&format!("error: {message}"));
            Ok(ExitCode::from(code))
        };
        match job["state"].as_str() {
            Some("finished") => Ok(ExitCode::SUCCESS),
            Some("cancelled") if self.interrupted => Ok(ExitCode::from(exit::INTERRUPTED)),
            Some("cancelled") => fail(exit::ERROR, format!("job {} was cancelled", self.id)),
            Some("timed-out") if !self.launched => fail(
                exit::NOT_PLACED,
                format!(
                    "job {} was not placed in time; `mezzo explain` says what a demand waits for",
                    self.id
                ),
            ),
            Some("timed-out") => fail(
                exit::TIMED_OUT,
                format!("job {} did not end in time and was stopped", self.id),
            ),
            _ => match job["exit_code"].as_i64() {
                Some(code) => {
                    let code = u8::try_from(code.rem_euclid(256)).unwrap_or(1);
                    Ok(ExitCode::from(code.max(1)))
                }
                None => fail(
                    exit::ERROR,
                    format!(
                        "job {0} failed without an exit code; `mezzo task ls -a` shows why",
                        self.id
                    ),
                ),
            },
        }
    }
}
