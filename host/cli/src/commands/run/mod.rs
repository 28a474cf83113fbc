//! `mezzo run`: a program run to its end by `batch`, its output here, its exit code ours.

mod flags;
mod refusal;

use super::explain;
use super::job;
use super::job::follow::Followers;
use super::job::outcome::Outcome;
use super::job::watch::{Event, Watch};
use crate::client::Client;
use crate::exit;
use crate::output::{self, line, note};
use crate::signals::Signals;
use anyhow::bail;
pub use flags::Run;
use hyper::Method;
use std::process::ExitCode;
use std::time::Duration;

/// A job that has not been placed after so long is explained.
const PATIENCE: Duration = Duration::from_secs(2);
/// So long before its end at the latest, why a job waits is asked once more: afterwards nobody knows.
const BEFORE_END: Duration = Duration::from_millis(500);

impl Run {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        submit(client, self).await
    }
}

async fn submit(client: Client, args: Run) -> anyhow::Result<ExitCode> {
    if args.shown.json() && !args.detach {
        bail!("-o json shows the job that was submitted: give --detach with it");
    }
    let spec = flags::spec(&client, &args).await?;
    let jobs = job::jobs(&args.framework);
    if args.detach {
        let job = client.json(Method::POST, &jobs, Some(&spec)).await;
        let job = job.map_err(refusal::in_flags)?;
        match args.shown.json() {
            true => output::json(&job)?,
            false => line(job["id"].as_str().unwrap_or_default())?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let signals = Signals::listen()?;
    let session = Session {
        watch: Watch::submit(client.clone(), jobs, &spec)
            .await
            .map_err(refusal::in_flags)?,
        signals,
        followers: Followers::new(client.clone(), &args.framework, args.count > 1),
        outcome: Outcome::new(client.clone(), args.framework.clone()),
        client,
        framework: args.framework.clone(),
        interrupted: false,
    };
    session.until_end(args.timeout()).await
}

struct Session {
    client: Client,
    watch: Watch,
    signals: Signals,
    followers: Followers,
    framework: String,
    outcome: Outcome,
    interrupted: bool,
}

impl Session {
    async fn until_end(mut self, timeout: Option<Duration>) -> anyhow::Result<ExitCode> {
        let patience = tokio::time::sleep(PATIENCE);
        let last = timeout.unwrap_or_default();
        let last = tokio::time::sleep(last.saturating_sub(BEFORE_END.min(last / 4)));
        tokio::pin!(patience, last);
        let (mut explained, mut asked_last) = (false, timeout.is_none());
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
                () = &mut patience, if !explained && !self.outcome.was_launched() => {
                    explained = true;
                    self.explain(true).await;
                    continue;
                }
                () = &mut last, if !asked_last && !self.outcome.was_launched() => {
                    asked_last = true;
                    self.explain(false).await;
                    continue;
                }
            };
            match event {
                Event::Task(task) => {
                    self.outcome.launched();
                    self.followers.task(&task);
                }
                Event::End(job) => {
                    self.followers.finish().await;
                    return self.outcome.said(&job).await;
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
        self.outcome.interrupted();
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

    async fn explain(&mut self, say: bool) {
        let id = self.watch.id();
        let demand = (!id.is_empty()).then(|| id.to_string());
        let Ok(explanation) = explain::ask(&self.client, &self.framework, demand).await else {
            return;
        };
        let said = explain::said(&explanation);
        let said = said.trim_end();
        if say && !said.is_empty() {
            note(said);
        }
        self.outcome.explained(said, say);
    }
}
