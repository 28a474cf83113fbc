//! `mezzo job logs`: what the tasks of a job wrote, each stream to ours of the same name, and behind
//! its index when there are several.

use super::follow::{Followers, Lines};
use super::watch::{Event, Watch};
use super::{jobs, path};
use crate::client::{Client, refused};
use crate::commands::task;
use crate::exit::{self, OutputClosed};
use crate::output::note;
use crate::query::encode;
use anyhow::bail;
use serde_json::Value;
use std::process::ExitCode;

/// Tasks that are asked for at a time.
const PAGE: usize = 1_000;

#[derive(Debug, clap::Args)]
pub struct Logs {
    /// Its id, such as j1
    job: String,
    /// Go on until the job ends
    #[arg(long, short = 'f')]
    follow: bool,
    /// Only the task of this index, counted from 0
    #[arg(long, value_parser = crate::units::whole::<u64>)]
    index: Option<u64>,
}

impl Logs {
    pub async fn run(self, client: Client, framework: &str) -> anyhow::Result<ExitCode> {
        let path = path(framework, &self.job);
        let count = client.get(&path).await?["count"].as_u64().unwrap_or(1);
        if let Some(index) = self.index.filter(|index| *index >= count) {
            bail!(
                "job {} has no index {index}: expected 0 to {}",
                self.job,
                count - 1
            );
        }
        let several = count > 1 && self.index.is_none();
        match self.follow {
            true => self.follow(client, framework, several).await,
            false => self.read(&client, framework, &path, several).await,
        }
    }

    async fn follow(
        self,
        client: Client,
        framework: &str,
        several: bool,
    ) -> anyhow::Result<ExitCode> {
        let mut watch = Watch::of(client.clone(), jobs(framework), self.job);
        let mut followers = Followers::new(client, framework, several);
        let closed = followers.closed();
        loop {
            let event = tokio::select! {
                event = watch.next() => event?,
                () = closed.notified() => return Ok(ExitCode::SUCCESS),
            };
            match event {
                Event::Task(task) if self.index.is_none_or(|index| task["index"] == index) => {
                    followers.task(&task);
                }
                Event::Task(_) => {}
                Event::End(_) => {
                    followers.finish().await;
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }

    /// What there is now of the newest attempt of each index.
    async fn read(
        &self,
        client: &Client,
        framework: &str,
        path: &str,
        several: bool,
    ) -> anyhow::Result<ExitCode> {
        let mut whole = true;
        let (mut after, limit) = match self.index {
            Some(0) => (None, 1),
            Some(index) => (Some(index - 1), 1),
            None => (None, PAGE),
        };
        loop {
            let after_query = after.map_or(String::new(), |after| format!("&after={after}"));
            let page = format!("{path}/tasks?limit={limit}{after_query}");
            let page = client.get(&page).await?;
            for task in crate::commands::values::entries(&page, "tasks") {
                whole &= one(client, framework, task, several).await?;
            }
            after = page["next"].as_u64();
            if after.is_none() || self.index.is_some() {
                break;
            }
        }
        Ok(ExitCode::from(if whole { exit::OK } else { exit::ERROR }))
    }
}

/// Both streams of one task; whether they could be read.
async fn one(
    client: &Client,
    framework: &str,
    task: &Value,
    several: bool,
) -> anyhow::Result<bool> {
    let Some(id) = task["task"].as_str() else {
        return Ok(true);
    };
    let path = format!("/api/v1/tasks/{}/{}", encode(framework), encode(id));
    for stream in ["stdout", "stderr"] {
        let mut lines = Lines::new(several, task, stream);
        let add = |data: &[u8]| lines.add(data);
        match task::copy(client, &path, stream, None, add).await {
            Ok(_) => lines.end()?,
            Err(error) if error.is::<OutputClosed>() => return Err(error),
            // Not started yet, or forgotten long ago.
            Err(error) if refused(&error) == Some(404) => {}
            Err(error) => {
                note(&format!(
                    "the {stream} of {id} could not be read: {error:#}"
                ));
                return Ok(false);
            }
        }
    }
    Ok(true)
}
