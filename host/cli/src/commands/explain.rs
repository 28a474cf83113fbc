//! `mezzo explain`: why a demand waits. `run` uses it as well, while it waits itself.

use super::values::{entries, resources, text};
use crate::cli::Shown;
use crate::client::Client;
use crate::output;
use crate::query::{encode, with};
use anyhow::bail;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The framework's name; all of them if left out
    framework: Option<String>,
    /// One demand, such as a job's id
    demand: Option<String>,
    #[command(flatten)]
    shown: Shown,
}

impl Explain {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        let explanations = match &self.framework {
            Some(framework) => vec![ask(&client, framework, self.demand.clone()).await?],
            None => all(&client).await?,
        };
        if self.shown.json() {
            match (&self.framework, explanations.as_slice()) {
                (Some(_), [one]) => output::json(one)?,
                _ => output::json(&json!({"explanations": explanations}))?,
            }
            return Ok(ExitCode::SUCCESS);
        }
        let text: String = explanations.iter().map(said).collect();
        match text.is_empty() {
            true => output::line("nothing waits")?,
            false => output::bytes(text.as_bytes())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks for one framework.
pub async fn ask(
    client: &Client,
    framework: &str,
    demand: Option<String>,
) -> anyhow::Result<Value> {
    let path = format!("/api/v1/frameworks/{}/explain", encode(framework));
    client.get(&with(&path, &[("demand", demand)])).await
}

async fn all(client: &Client) -> anyhow::Result<Vec<Value>> {
    let frameworks = client.list("/api/v1/frameworks", "frameworks").await?;
    let mut explanations = Vec::new();
    for framework in entries(&frameworks, "frameworks") {
        let Some(name) = framework["name"].as_str() else {
            bail!("the master listed a framework without a name");
        };
        let explanation = ask(client, name, None).await?;
        if !said(&explanation).is_empty() {
            explanations.push(explanation);
        }
    }
    Ok(explanations)
}

/// For people; empty if nothing waits.
pub fn said(explanation: &Value) -> String {
    let name = text(&explanation["framework"]);
    let mut out = String::new();
    let state = text(&explanation["state"]);
    if !state.is_empty() {
        out.push_str(&format!("framework {name}: {state}\n"));
    }
    for demand in entries(explanation, "demands") {
        let wanted = &demand["demand"];
        out.push_str(&format!(
            "{name} {} waits: {} × ({})\n",
            text(&wanted["name"]),
            text(&wanted["count"]),
            resources(&wanted["each"]),
        ));
        out.push_str(&reasons(demand));
    }
    out
}

/// The lines below one demand.
pub fn reasons(demand: &Value) -> String {
    let agents = demand["agents"].as_u64().unwrap_or(0);
    let fit = demand["agents_fit"].as_u64().unwrap_or(0);
    let mut out = match (agents, fit) {
        (0, _) => "  there are no agents\n".to_string(),
        (_, 0) => format!("  fits on none of {agents} agents\n"),
        _ => format!("  fits on {fit} of {agents} agents\n"),
    };
    for reason in entries(demand, "reasons") {
        let passing = match reason["passing"].as_bool() {
            Some(true) => " (for now)",
            _ => "",
        };
        let count = text(&reason["agents"]);
        out.push_str(&format!(
            "  {count} × {}{passing}\n",
            text(&reason["reason"])
        ));
    }
    let hint = text(&demand["hint"]);
    if !hint.is_empty() {
        out.push_str(&format!("  {hint}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_the_hint_are_said() {
        let explanation = json!({"framework": "batch", "state": "", "demands": [{
            "demand": {"name": "j1", "each": {"cpu_milli": 64000}, "count": 2},
            "agents_fit": 0, "agents": 3, "hint": "a larger agent",
            "reasons": [{"reason": "short of cpu", "agents": 3, "passing": false}],
        }]});
        assert_eq!(
            said(&explanation),
            "batch j1 waits: 2 × (64 cpu)\n  fits on none of 3 agents\n  3 × short of cpu\n  a larger agent\n"
        );
        assert_eq!(
            said(&json!({"framework": "x", "state": "", "demands": []})),
            ""
        );
    }
}
