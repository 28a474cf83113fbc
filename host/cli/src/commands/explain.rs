//! `mezzo explain`: why a demand waits, or a task that was launched. `run` uses it as well, while it waits itself.

use super::values::{entries, resources, text};
use crate::cli::Shown;
use crate::client::Client;
use crate::output;
use crate::query::{encode, with};
use crate::table::Table;
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
    out.push_str(&pending(&name, explanation));
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
    let mut table = Table::new(&["agents", "in the way", "what would change it"]);
    let reasons = entries(demand, "reasons");
    for reason in reasons {
        let passing = match reason["passing"].as_bool() {
            Some(true) => " (for now)",
            _ => "",
        };
        table.row([
            text(&reason["agents"]),
            format!("{}{passing}", text(&reason["reason"])),
            text(&reason["remedy"]),
        ]);
    }
    if !reasons.is_empty() {
        out.push_str(&table.indented());
    }
    let hint = text(&demand["hint"]);
    if !hint.is_empty() {
        out.push_str(&format!("  {hint}\n"));
    }
    out
}

/// Tasks that were launched and of which nothing is heard; empty if there are none.
fn pending(name: &str, explanation: &Value) -> String {
    let tasks = entries(explanation, "pending");
    if tasks.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["task", "state", "why", "what would change it"]);
    for task in tasks {
        table.row(["task", "state", "reason", "remedy"].map(|field| text(&task[field])));
    }
    let more = match explanation["pending_more"].as_u64() {
        None | Some(0) => String::new(),
        Some(more) => format!("  and {more} more\n"),
    };
    let head = format!("{name}: launched, and nothing is heard of them\n");
    head + &table.indented() + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_the_hint_are_said() {
        let explanation = json!({"framework": "batch", "state": "", "demands": [{
            "demand": {"name": "j1", "each": {"cpu_milli": 64000}, "count": 2},
            "agents_fit": 0, "agents": 4, "hint": "a larger agent",
            "reasons": [
                {"reason": "too small", "agents": 3, "passing": false, "remedy": "4 more cpus"},
                {"reason": "silent", "agents": 1, "passing": true, "remedy": "agent 7 was declared silent 5 min ago"},
            ],
        }]});
        assert_eq!(
            said(&explanation),
            "batch j1 waits: 2 × (64 cpu)
  fits on none of 4 agents
  AGENTS  IN THE WAY        WHAT WOULD CHANGE IT
  3       too small         4 more cpus
  1       silent (for now)  agent 7 was declared silent 5 min ago
  a larger agent
"
        );
        assert_eq!(
            said(&json!({"framework": "x", "state": "", "demands": []})),
            ""
        );
    }

    #[test]
    fn tasks_that_wait_are_said() {
        let task = json!({
            "task": "j1.0.1", "agent": 3, "state": "pending", "since_ms": 1,
            "reason": "agent 3 is not connected", "remedy": "it connects",
        });
        let mut explanation = json!({"framework": "batch", "state": "", "demands": [],
            "pending": [task], "pending_more": 0});
        let lines = "batch: launched, and nothing is heard of them
  TASK    STATE    WHY                       WHAT WOULD CHANGE IT
  j1.0.1  pending  agent 3 is not connected  it connects
";
        assert_eq!(said(&explanation), lines);
        explanation["pending_more"] = json!(7);
        assert_eq!(said(&explanation), format!("{lines}  and 7 more\n"));
    }
}
