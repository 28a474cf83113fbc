//! `mezzo run`: a program run to its end by `batch`, its output here, its exit code ours.

mod follow;
mod job;
mod watch;

use crate::client::Client;
use crate::exit;
use crate::output::{line, note};
use crate::query::encode;
use crate::signals::Signals;
use follow::Followers;
use hyper::Method;
pub use job::Run;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;
use watch::{Event, Watch};

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
    let signals = Signals::listen()?;
    let session = Session {
        watch: Watch::submit(client.clone(), jobs, &spec).await?,
        signals,
        followers: Followers::new(client.clone(), &args.framework, args.count > 1),
        client,
        framework: args.framework,
        launched: false,
        interrupted: false,
    };
    session.until_end().await
}

struct Session {
    client: Client,
    watch: Watch,
    signals: Signals,
    followers: Followers,
    framework: String,
    launched: bool,
    interrupted: bool,
}

impl Session {
    async fn until_end(mut self) -> anyhow::Result<ExitCode> {
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        let mut explained = false;
        let closed = self.followers.closed();
        loop {
            let event = tokio::select! {
                event = self.watch.next() => event?,
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
            match event {
                Event::Task(task) => {
                    self.launched = true;
                    self.followers.task(&task);
                }
                Event::End(job) => {
                    self.followers.finish().await;
                    return self.verdict(&job);
                }
            }
        }
    }

    /// The first Ctrl-C cancels, a second one leaves at once.
    async fn interrupt(&mut self) -> anyhow::Result<()> {
        if self.interrupted || self.watch.id().is_empty() {
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
        self.interrupted = true;
        note(&format!(
            "cancelling job {}; Ctrl-C again leaves at once",
            self.watch.id()
        ));
        self.cancel().await
    }

    async fn cancel(&self) -> anyhow::Result<()> {
        self.client
            .json(Method::DELETE, &self.watch.path(), None)
            .await?;
        Ok(())
    }

    async fn explain(&self) {
        let id = self.watch.id();
        let demand = (!id.is_empty()).then(|| id.to_string());
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
        let id = self.watch.id();
        match job["state"].as_str() {
            Some("finished") => Ok(ExitCode::SUCCESS),
            Some("cancelled") if self.interrupted => Ok(ExitCode::from(exit::INTERRUPTED)),
            Some("cancelled") => fail(exit::ERROR, format!("job {id} was cancelled")),
            Some("timed-out") if !self.launched => fail(
                exit::NOT_PLACED,
                format!(
                    "job {id} was not placed in time; `mezzo explain` says what a demand waits for"
                ),
            ),
            Some("timed-out") => fail(
                exit::TIMED_OUT,
                format!("job {id} did not end in time and was stopped"),
            ),
            _ => match job["exit_code"].as_i64() {
                Some(code) => {
                    let code = u8::try_from(code.rem_euclid(256)).unwrap_or(1);
                    Ok(ExitCode::from(code.max(1)))
                }
                None => fail(
                    exit::ERROR,
                    format!("job {id} failed without an exit code; `mezzo task ls -a` shows why"),
                ),
            },
        }
    }
}
