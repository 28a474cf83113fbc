//! `mezzo role`.

use super::values::{entries, milli, resources, text};
use crate::cli::Shown;
use crate::client::Client;
use crate::output;
use crate::query::encode;
use crate::table::Table;
use crate::units::whole;
use hyper::Method;
use serde_json::json;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum Role {
    /// List roles, their weights and what they use
    Ls {
        #[command(flatten)]
        shown: Shown,
    },
    /// Set a role's weight; twice the weight is twice the share
    Set {
        /// Its name
        role: String,
        /// Against the weights of the others, from 1
        #[arg(long, value_parser = whole::<u32>)]
        weight: u32,
        #[command(flatten)]
        shown: Shown,
    },
}

impl Role {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        match self {
            Role::Ls { shown } => ls(&client, shown).await?,
            Role::Set {
                role,
                weight,
                shown,
            } => {
                let path = format!("/api/v1/roles/{}", encode(&role));
                client
                    .json(Method::PUT, &path, Some(&json!({"weight": weight})))
                    .await?;
                match shown.json() {
                    true => output::json(&json!({"role": role, "weight": weight}))?,
                    false => output::line(&format!("role {role} has weight {weight}"))?,
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn ls(client: &Client, shown: Shown) -> anyhow::Result<()> {
    let roles = client.get("/api/v1/roles").await?;
    if shown.json() {
        return output::json(&roles);
    }
    let mut table = Table::new(&["role", "weight", "share", "used"]);
    for role in entries(&roles, "roles") {
        table.row([
            text(&role["role"]),
            text(&role["weight"]),
            milli(&role["share_milli"]),
            resources(&role["used"]),
        ]);
    }
    table.print()
}
