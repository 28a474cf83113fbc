//! `mezzo volume`: data that outlives tasks, on the disk of reservations.

use super::reservation::{list, path};
use super::values::{age, entries, size, text};
use crate::cli::Shown;
use crate::client::Client;
use crate::output;
use crate::query::encode;
use crate::table::Table;
use crate::units::{self, whole};
use anyhow::bail;
use hyper::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum Volume {
    /// List volumes
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
    /// Make an empty volume on a reservation's disk
    Create {
        /// The reservation's number
        #[arg(value_parser = whole::<u64>)]
        reservation: u64,
        /// Its name, which no other volume of the reservation has
        name: String,
        /// How much of the reservation's disk, such as 10GiB
        #[arg(long, value_parser = units::bytes)]
        size: u64,
        #[command(flatten)]
        shown: Shown,
    },
    /// Destroy a volume that no task uses, with its data
    Destroy {
        /// The reservation's number
        #[arg(value_parser = whole::<u64>)]
        reservation: u64,
        /// Its name
        name: String,
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

impl Volume {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        match self {
            Volume::Ls { agent, role, shown } => {
                let volumes = volumes(&list(&client, agent, role).await?);
                match shown.json() {
                    true => output::json(&json!({ "volumes": volumes }))?,
                    false => ls(&volumes)?,
                }
            }
            Volume::Create {
                reservation,
                name,
                size,
                shown,
            } => {
                let body = json!({"name": name, "size_bytes": size});
                let path = format!("{}/volumes", path(reservation));
                let made = client.json(Method::POST, &path, Some(&body)).await?;
                match shown.json() {
                    true => output::json(&made)?,
                    false => output::line(&format!(
                        "volume {name} of reservation {reservation} is made"
                    ))?,
                }
            }
            Volume::Destroy {
                reservation,
                name,
                yes,
            } => destroy(&client, reservation, &name, yes).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn destroy(client: &Client, reservation: u64, name: &str, yes: bool) -> anyhow::Result<()> {
    if !yes {
        bail!(
            "all data in volume {name} of reservation {reservation} would be lost; add --yes if that is right"
        );
    }
    let path = format!("{}/volumes/{}", path(reservation), encode(name));
    client.json(Method::DELETE, &path, None).await?;
    output::line(&format!(
        "volume {name} of reservation {reservation} is being destroyed"
    ))
}

/// Each with where it is.
fn volumes(reservations: &Value) -> Vec<Value> {
    let all = entries(reservations, "reservations").iter();
    let volumes = all.flat_map(|known| {
        entries(known, "volumes").iter().map(|volume| {
            let mut volume = volume.clone();
            volume["reservation"] = known["id"].clone();
            for field in ["agent", "hostname", "role"] {
                volume[field] = known[field].clone();
            }
            volume
        })
    });
    volumes.collect()
}

fn ls(volumes: &[Value]) -> anyhow::Result<()> {
    let head = [
        "reservation",
        "volume",
        "size",
        "state",
        "tasks",
        "agent",
        "role",
        "age",
    ];
    let mut table = Table::new(&head);
    for volume in volumes {
        table.row([
            text(&volume["reservation"]),
            text(&volume["name"]),
            size(&volume["size_bytes"]),
            text(&volume["state"]),
            text(&volume["tasks"]),
            format!("{} {}", text(&volume["agent"]), text(&volume["hostname"])),
            text(&volume["role"]),
            age(&volume["made_ms"]),
        ]);
    }
    table.print()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_says_where_it_is() {
        let all = json!({"reservations": [
            {"id": 7, "agent": 1, "hostname": "h", "role": "db", "volumes": [
                {"name": "a", "size_bytes": 5, "state": "ready", "tasks": 1}, {"name": "b"}]},
            {"id": 8, "volumes": []},
        ]});
        let volumes = volumes(&all);
        assert_eq!(volumes.len(), 2);
        assert_eq!(volumes[0]["reservation"], 7);
        assert_eq!(volumes[0]["name"], "a");
        assert_eq!(volumes[1]["role"], "db");
    }
}
