//! Taking an agent out of the cluster and back in: drain, deactivate, activate, gone.

use super::super::values::text;
use super::find;
use crate::client::Client;
use crate::output::{line, note};
use crate::units;
use anyhow::bail;
use hyper::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// How often a drain is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub struct Drain {
    /// Its number or its name
    agent: String,
    /// When its tasks are asked to end; frameworks are told at once
    #[arg(long, value_name = "TIME", value_parser = units::millis)]
    after: Option<u64>,
    /// From the first signal to the last; each task's own if absent
    #[arg(long, value_name = "TIME", value_parser = units::millis)]
    grace: Option<u64>,
    /// Do not wait until no task is left
    #[arg(long, short)]
    detach: bool,
}

/// Nothing new is placed there; its tasks are asked to end.
pub async fn drain(client: &Client, drain: Drain) -> anyhow::Result<()> {
    let agent = find(client, &drain.agent).await?;
    let body = json!({"after_ms": drain.after, "grace_ms": drain.grace});
    let path = path(&agent);
    client
        .json(Method::POST, &format!("{path}/drain"), Some(&body))
        .await?;
    if drain.detach {
        return line(&format!("{} is being drained", name(&agent)));
    }
    let mut shown = None;
    loop {
        let now = client.get(&path).await?;
        let left = now["tasks"].as_u64().unwrap_or(0);
        match now["leaving"].as_str() {
            Some("drained") => {
                return line(&format!(
                    "{} is drained: no task is left; `mezzo agent activate {}` takes it back in",
                    name(&agent),
                    text(&agent["id"])
                ));
            }
            Some("draining") if shown != Some(left) => {
                shown = Some(left);
                note(&format!("{}: {left} tasks left", name(&agent)));
            }
            Some("draining") => {}
            _ => bail!("{} is not being drained any more", name(&agent)),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Nothing new is placed there; its tasks go on.
pub async fn deactivate(client: &Client, agent: &str) -> anyhow::Result<()> {
    change(client, agent, "deactivate", "gets no more tasks").await
}

/// It gets tasks again.
pub async fn activate(client: &Client, agent: &str) -> anyhow::Result<()> {
    change(client, agent, "activate", "gets tasks again").await
}

/// It never comes back.
pub async fn gone(client: &Client, agent: &str, yes: bool) -> anyhow::Result<()> {
    let known = find(client, agent).await?;
    if !yes {
        bail!(
            "{} has {} tasks, which would be lost, and could never join again with its folder; add --yes if that is right",
            name(&known),
            text(&known["tasks"])
        );
    }
    change(client, agent, "gone", "is gone for good").await
}

async fn change(client: &Client, agent: &str, what: &str, said: &str) -> anyhow::Result<()> {
    let agent = find(client, agent).await?;
    let path = format!("{}/{what}", path(&agent));
    client.json(Method::POST, &path, None).await?;
    line(&format!("{} {said}", name(&agent)))
}

fn path(agent: &Value) -> String {
    format!("/api/v1/agents/{}", text(&agent["id"]))
}

fn name(agent: &Value) -> String {
    format!(
        "agent {} ({})",
        text(&agent["id"]),
        text(&agent["hostname"])
    )
}
