//! `mezzo reservation`: what is kept for roles, who made it, what uses it.

use super::agent::find;
use super::values::{ago, entries, numbers, pairs, resources, size, text, time};
use crate::cli::Shown;
use crate::client::Client;
use crate::output;
use crate::query::with;
use crate::table::{self, Table};
use crate::units::whole;
use hyper::Method;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum Reservation {
    /// List reservations, who made them and what of them is free
    Ls {
        /// Only on this agent, by its number or its name
        #[arg(long)]
        agent: Option<String>,
        /// Only for this role and those below it
        #[arg(long)]
        role: Option<String>,
        #[command(flatten)]
        shown: Shown,
    },
    /// All about one reservation: its tasks, its volumes, its parts
    Inspect {
        /// Its number
        #[arg(value_parser = whole::<u64>)]
        id: u64,
        #[command(flatten)]
        shown: Shown,
    },
    /// Give a reservation back that nothing uses
    Rm {
        /// Its number
        #[arg(value_parser = whole::<u64>)]
        id: u64,
    },
}

impl Reservation {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        match self {
            Reservation::Ls { agent, role, shown } => {
                let all = list(&client, agent, role).await?;
                match shown.json() {
                    true => output::json(&all)?,
                    false => ls(&all)?,
                }
            }
            Reservation::Inspect { id, shown } => {
                let known = client.get(&path(id)).await?;
                match shown.json() {
                    true => output::json(&known)?,
                    false => inspect(&known)?,
                }
            }
            Reservation::Rm { id } => {
                client.json(Method::DELETE, &path(id), None).await?;
                output::line(&format!("reservation {id} is given back"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Where one is asked for.
pub fn path(id: u64) -> String {
    format!("/api/v1/reservations/{id}")
}

/// All of them, or those of an agent or a role.
pub async fn list(
    client: &Client,
    agent: Option<String>,
    role: Option<String>,
) -> anyhow::Result<Value> {
    let agent = match agent {
        Some(agent) => Some(text(&find(client, &agent).await?["id"])),
        None => None,
    };
    let path = with("/api/v1/reservations", &[("agent", agent), ("role", role)]);
    client.list(&path, "reservations").await
}

/// Such as `reservation 17 (4 cpu of agent 1 (node-1) for role db)`.
pub fn summary(reservation: &Value) -> String {
    format!(
        "reservation {} ({} of agent {} ({}) for role {})",
        text(&reservation["id"]),
        resources(&reservation["amount"]),
        text(&reservation["agent"]),
        text(&reservation["hostname"]),
        text(&reservation["role"]),
    )
}

fn ls(all: &Value) -> anyhow::Result<()> {
    let head = [
        "id", "agent", "role", "amount", "free", "tasks", "volumes", "made by",
    ];
    let mut table = Table::new(&head);
    for known in entries(all, "reservations") {
        let id = match known["within"].as_u64() {
            Some(whole) => format!("{} in {whole}", text(&known["id"])),
            None => text(&known["id"]),
        };
        table.row([
            id,
            format!("{} {}", text(&known["agent"]), text(&known["hostname"])),
            text(&known["role"]),
            resources(&known["amount"]),
            resources(&known["free"]),
            entries(known, "tasks").len().to_string(),
            entries(known, "volumes").len().to_string(),
            text(&known["made_by"]),
        ]);
    }
    table.print()
}

fn inspect(known: &Value) -> anyhow::Result<()> {
    let tasks = entries(known, "tasks").iter();
    let tasks = tasks.map(|task| format!("{}/{}", text(&task["framework"]), text(&task["task"])));
    let volumes = entries(known, "volumes").iter().map(|volume| {
        let in_use = match volume["tasks"].as_u64() {
            Some(0) | None => "",
            Some(_) => ", in use",
        };
        format!(
            "{} ({}, {}{in_use})",
            text(&volume["name"]),
            size(&volume["size_bytes"]),
            text(&volume["state"])
        )
    });
    let ending = match known["ending"].as_bool() {
        Some(true) => "as soon as nothing uses it".to_string(),
        _ => time(&known["until_ms"]),
    };
    table::facts(&[
        ("id", text(&known["id"])),
        (
            "agent",
            format!("{} {}", text(&known["agent"]), text(&known["hostname"])),
        ),
        ("role", text(&known["role"])),
        ("within", text(&known["within"])),
        ("made by", text(&known["made_by"])),
        ("made", ago(&known["made_ms"])),
        ("ends", ending),
        ("labels", pairs(&known["labels"])),
        ("amount", resources(&known["amount"])),
        ("used", resources(&known["used"])),
        ("free", resources(&known["free"])),
        ("parts", numbers(&known["parts"])),
        ("tasks", tasks.collect::<Vec<_>>().join(", ")),
        ("volumes", volumes.collect::<Vec<_>>().join(", ")),
    ])
}
