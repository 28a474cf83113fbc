//! `mezzo task ls`.

use super::states;
use crate::cli::Shown;
use crate::client::{Client, refused};
use crate::commands::agent;
use crate::commands::values::{age, entries, names, text};
use crate::output;
use crate::query::{encode, with};
use crate::table::Table;
use anyhow::bail;
use clap::builder::PossibleValuesParser;
use serde_json::Value;

#[derive(Debug, clap::Args)]
pub struct Ls {
    /// Only this framework's
    #[arg(long)]
    framework: Option<String>,
    /// Only on this agent: its number, or its name
    #[arg(long)]
    agent: Option<String>,
    /// Only in these states, comma-separated; a final one lists ended tasks as well
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(states::all()))]
    state: Vec<String>,
    /// Those that have ended as well, as long as they are kept
    #[arg(long, short = 'a')]
    ended: bool,
    #[command(flatten)]
    shown: Shown,
}

impl Ls {
    pub async fn run(self, client: &Client) -> anyhow::Result<()> {
        let agent = match &self.agent {
            Some(agent) => Some(text(&agent::find(client, agent).await?["id"])),
            None => None,
        };
        let ended = self.ended || self.state.iter().any(|state| states::is_final(state));
        let states = (!self.state.is_empty()).then(|| self.state.join(","));
        let path = with(
            "/api/v1/tasks",
            &[
                ("framework", self.framework.clone()),
                ("agent", agent),
                ("state", states),
                ("ended", ended.then(|| "true".into())),
            ],
        );
        let tasks = client.list(&path, "tasks").await?;
        if let (Some(framework), []) = (&self.framework, entries(&tasks, "tasks")) {
            known(client, framework).await?;
        }
        match self.shown.json() {
            true => output::json(&tasks),
            false => table(&tasks).print(),
        }
    }
}

/// One that was removed may still have ended tasks, so that only the lack of any is a reason to ask.
async fn known(client: &Client, framework: &str) -> anyhow::Result<()> {
    let path = format!("/api/v1/frameworks/{}", encode(framework));
    match client.get(&path).await {
        Err(error) if refused(&error) == Some(404) => {
            let all = client.list("/api/v1/frameworks", "frameworks").await?;
            let known = names(entries(&all, "frameworks"), |entry| text(&entry["name"]));
            bail!("there is no framework {framework:?}; there is {known}")
        }
        answer => answer.map(|_| ()),
    }
}

fn table(tasks: &Value) -> Table {
    let tasks = entries(tasks, "tasks");
    let named = tasks.iter().any(|task| task["name"] != task["task"]);
    let mut head = vec![
        "framework",
        "task",
        "state",
        "agent",
        "age",
        "exit",
        "reason",
    ];
    if named {
        head.insert(2, "name");
    }
    let mut table = Table::new(&head);
    for task in tasks {
        let mut cells = vec![
            text(&task["framework"]),
            text(&task["task"]),
            text(&task["state"]),
            format!("{} {}", text(&task["agent"]), text(&task["hostname"])),
            age(&task["launched_ms"]),
            text(&task["exit_code"]),
            text(&task["reason"]),
        ];
        if named {
            let own = task["name"] != task["task"];
            cells.insert(
                2,
                if own {
                    text(&task["name"])
                } else {
                    String::new()
                },
            );
        }
        table.row(cells);
    }
    table
}
