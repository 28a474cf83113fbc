//! `mezzo principal`.

use super::values::{age, entries, text};
use crate::cli::Shown;
use crate::client::Client;
use crate::output;
use crate::query::encode;
use crate::table::Table;
use hyper::Method;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum Principal {
    /// Make a principal, or give it another token; prints the token, this once
    Create {
        /// Its name
        name: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// List principals
    Ls {
        #[command(flatten)]
        shown: Shown,
    },
    /// Take a principal away: its token is worth nothing from then on
    Remove {
        /// Its name
        name: String,
    },
}

impl Principal {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        match self {
            Principal::Create { name, shown } => {
                let made = client.json(Method::PUT, &path(&name), None).await?;
                match shown.json() {
                    true => output::json(&made)?,
                    false => output::line(&text(&made["token"]))?,
                }
            }
            Principal::Ls { shown } => ls(&client, shown).await?,
            Principal::Remove { name } => {
                client.json(Method::DELETE, &path(&name), None).await?;
                output::line(&format!("principal {name} is removed"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/principals/{}", encode(name))
}

async fn ls(client: &Client, shown: Shown) -> anyhow::Result<()> {
    let principals = client.get("/api/v1/principals").await?;
    if shown.json() {
        return output::json(&principals);
    }
    let mut table = Table::new(&["name", "age"]);
    for principal in entries(&principals, "principals") {
        table.row([text(&principal["name"]), age(&principal["created_ms"])]);
    }
    table.print()
}
