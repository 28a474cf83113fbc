//! `mezzo agent`: an agent in this process; `ls` and `inspect` ask the master about all of them.

mod leave;
mod probe;
mod start;

use super::values::{age, entries, milli, names, numbers, pairs, resources, size, text};
use crate::cli::{Access, Shown};
use crate::client::{Client, refused};
use crate::output;
use crate::query::encode;
use crate::table::{self, Table};
use anyhow::bail;
use serde_json::Value;
pub use start::runner;
use start::{Settings, start};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Agent {
    #[command(subcommand)]
    command: Option<Ask>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, clap::Subcommand)]
enum Ask {
    /// List agents
    Ls {
        #[command(flatten)]
        shown: Shown,
    },
    /// All about one agent, by its number or its name
    Inspect {
        /// Its number or its name
        agent: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Place nothing new on an agent, and ask its tasks to end
    Drain(leave::Drain),
    /// Place nothing new on an agent; its tasks go on
    Deactivate {
        /// Its number or its name
        agent: String,
    },
    /// Take a drained or deactivated agent back in
    Activate {
        /// Its number or its name
        agent: String,
    },
    /// Say that an agent never comes back: its tasks are lost, and it is refused should it come
    Gone {
        /// Its number or its name
        agent: String,
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

impl Agent {
    pub fn run(self, access: Access) -> anyhow::Result<ExitCode> {
        match self.command {
            Some(ask) => super::client(access, async |client| ask.run(client).await),
            None => start(&self.settings),
        }
    }
}

impl Ask {
    async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        match self {
            Ask::Ls { shown } => ls(&client, shown).await?,
            Ask::Drain(drain) => leave::drain(&client, drain).await?,
            Ask::Deactivate { agent } => leave::deactivate(&client, &agent).await?,
            Ask::Activate { agent } => leave::activate(&client, &agent).await?,
            Ask::Gone { agent, yes } => leave::gone(&client, &agent, yes).await?,
            Ask::Inspect { agent, shown } => {
                let agent = find(&client, &agent).await?;
                match shown.json() {
                    true => output::json(&agent)?,
                    false => inspect(&agent)?,
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether it is there, and whether it leaves.
fn state(agent: &Value) -> String {
    match agent["leaving"].as_str() {
        Some("gone") | None => text(&agent["state"]),
        Some(leaving) => format!("{}, {leaving}", text(&agent["state"])),
    }
}

async fn ls(client: &Client, shown: Shown) -> anyhow::Result<()> {
    let agents = client.list("/api/v1/agents", "agents").await?;
    if shown.json() {
        return output::json(&agents);
    }
    let mut table = Table::new(&["id", "name", "state", "tasks", "cpu", "memory", "joined"]);
    for agent in entries(&agents, "agents") {
        let (used, total) = (&agent["used"], &agent["total"]);
        table.row([
            text(&agent["id"]),
            text(&agent["hostname"]),
            state(agent),
            text(&agent["tasks"]),
            format!(
                "{} of {}",
                milli(&used["cpu_milli"]),
                milli(&total["cpu_milli"])
            ),
            format!(
                "{} of {}",
                size(&used["memory_bytes"]),
                size(&total["memory_bytes"])
            ),
            age(&agent["joined_ms"]),
        ]);
    }
    table.print()
}

/// By number, or by a name that only one has.
pub async fn find(client: &Client, agent: &str) -> anyhow::Result<Value> {
    let number = !agent.is_empty() && agent.bytes().all(|b| b.is_ascii_digit());
    if number {
        let path = format!("/api/v1/agents/{}", encode(agent));
        match client.get(&path).await {
            Err(error) if refused(&error) == Some(404) => {}
            answer => return answer,
        }
    }
    let agents = client.list("/api/v1/agents", "agents").await?;
    let agents = entries(&agents, "agents");
    let is = |a: &&Value| a["hostname"] == agent || a["identity"] == agent;
    let mut found = agents.iter().filter(is);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.clone()),
        (Some(_), Some(_)) => {
            bail!("several agents are called {agent:?}; give a number of `mezzo agent ls`")
        }
        (None, _) => {
            let known = names(agents, |a| {
                format!("{} ({})", text(&a["id"]), text(&a["hostname"]))
            });
            match number {
                true => bail!("there is no agent {agent}; there is {known}"),
                false => bail!("no agent is called {agent:?}; there is {known}"),
            }
        }
    }
}

fn inspect(agent: &Value) -> anyhow::Result<()> {
    let runtimes: Vec<String> = entries(agent, "runtimes").iter().map(text).collect();
    table::facts(&[
        ("id", text(&agent["id"])),
        ("name", text(&agent["hostname"])),
        ("identity", text(&agent["identity"])),
        ("state", state(agent)),
        ("silent for", age(&agent["silent_since_ms"])),
        ("address", text(&agent["address"])),
        ("region", text(&agent["region"])),
        ("zone", text(&agent["zone"])),
        ("joined", age(&agent["joined_ms"])),
        ("version", text(&agent["version"])),
        ("runtimes", runtimes.join(", ")),
        ("attributes", pairs(&agent["attributes"])),
        ("total", resources(&agent["total"])),
        ("used", resources(&agent["used"])),
        ("free", resources(&agent["free"])),
        ("reserved", resources(&agent["reserved"])),
        ("reservations", numbers(&agent["reservations"])),
        ("tasks", text(&agent["tasks"])),
    ])
}
