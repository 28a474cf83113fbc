//! `mezzo reserve`: a part of an agent, kept for a role.

use super::agent::find;
use super::reservation::summary;
use crate::cli::Shown;
use crate::client::Client;
use crate::output;
use crate::units::{self, pair, whole};
use anyhow::bail;
use hyper::Method;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
It is offered to the role's frameworks and to those of the roles below it, and to nobody else, used or not.\n\
`mezzo reservation ls|inspect|rm` lists reservations, looks at one, gives one back;\n\
`mezzo volume create` makes a volume on its disk, which outlives tasks.")]
pub struct Reserve {
    /// The agent's number or its name
    agent: String,
    /// For whom, such as prod/db
    #[arg(long)]
    role: String,
    /// Processors, such as 0.5
    #[arg(long, value_parser = units::cpus)]
    cpus: Option<u64>,
    /// Memory, such as 8GiB
    #[arg(long, value_parser = units::bytes)]
    memory: Option<u64>,
    /// Disk, for sandboxes and volumes
    #[arg(long, value_parser = units::bytes)]
    disk: Option<u64>,
    /// Whole devices
    #[arg(long, value_parser = whole::<u64>)]
    gpus: Option<u64>,
    /// Make it a part of this reservation, whose role is the same or above
    #[arg(long, value_name = "ID", value_parser = whole::<u64>)]
    within: Option<u64>,
    /// A note on it: KEY=VALUE; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// End it after this time if nothing uses it then, such as 2h
    #[arg(long, value_name = "TIME", value_parser = units::millis)]
    until: Option<u64>,
    #[command(flatten)]
    shown: Shown,
}

impl Reserve {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        let amount = self.amount()?;
        let agent = find(&client, &self.agent).await?;
        let labels = self.label.iter();
        let labels: Map<String, Value> = labels
            .map(|(key, value)| (key.clone(), value.clone().into()))
            .collect();
        let until = match self.until {
            // The master's clock counts, not the one here.
            Some(ms) => client.get("/api/v1/status").await?["now_ms"]
                .as_u64()
                .map(|now| now.saturating_add(ms)),
            None => None,
        };
        let body = json!({
            "agent": agent["id"], "role": self.role, "amount": amount, "within": self.within,
            "labels": labels, "until_ms": until,
        });
        let made = client
            .json(Method::POST, "/api/v1/reservations", Some(&body))
            .await?;
        if self.shown.json() {
            output::json(&made)?;
        } else {
            output::line(&format!("{} is made", summary(&made)))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn amount(&self) -> anyhow::Result<Value> {
        let given = [
            ("cpu_milli", self.cpus),
            ("memory_bytes", self.memory),
            ("disk_bytes", self.disk),
            ("gpus", self.gpus),
        ];
        let mut amount = Map::new();
        for (name, n) in given {
            amount.extend(n.map(|n| (name.to_string(), n.into())));
        }
        if amount.is_empty() {
            bail!("say how much: --cpus, --memory, --disk or --gpus");
        }
        Ok(Value::Object(amount))
    }
}
