//! `mezzo role`: the tree of roles, their weights and quota.

use super::values::{entries, milli, resources, text};
use crate::cli::Shown;
use crate::client::Client;
use crate::output;
use crate::query::{encode, with};
use crate::table::Table;
use crate::units::{self, whole};
use anyhow::bail;
use hyper::Method;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub enum Role {
    /// List roles, their weights, what they are promised and what they use
    Ls {
        #[command(flatten)]
        shown: Shown,
    },
    /// Set a role's weight, or what it is promised and held to
    Set(Set),
    /// Take back what was said of a role; it is gone if nothing holds it
    Remove {
        /// Its name
        role: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its name, such as `prod` or `prod/web`
    role: String,
    /// Against the weights of its siblings, from 1; twice the weight is twice the share
    #[arg(long, value_parser = whole::<u32>)]
    weight: Option<u32>,
    /// So much is kept for it: `cpu=10,memory=64GiB`; top-level roles only
    #[arg(long, value_name = "AMOUNTS", value_parser = amounts)]
    guarantee: Option<Value>,
    /// It gets no more than that: `cpu=20,memory=128GiB,gpus=4`; top-level roles only
    #[arg(long, value_name = "AMOUNTS", value_parser = amounts)]
    limit: Option<Value>,
    /// Take guarantee and limit away
    #[arg(long, conflicts_with_all = ["guarantee", "limit"])]
    no_quota: bool,
    /// Even if it uses more by now, or the cluster has less than is guaranteed
    #[arg(long)]
    force: bool,
    /// Only say whether it would be accepted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
}

/// As the API has it.
fn amounts(text: &str) -> Result<Value, String> {
    let all = units::amounts(text)?;
    let fields = all.into_iter().map(|(name, n)| (name.into(), n.into()));
    Ok(Value::Object(fields.collect()))
}

impl Role {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        match self {
            Role::Ls { shown } => ls(&client, shown).await?,
            Role::Set(role) => set(&client, role).await?,
            Role::Remove { role } => {
                let path = format!("/api/v1/roles/{}", encode(&role));
                client.json(Method::DELETE, &path, None).await?;
                output::line(&format!("nothing is said of role {role} any more"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn set(client: &Client, set: Set) -> anyhow::Result<()> {
    let mut body = Map::new();
    body.extend(set.weight.map(|weight| ("weight".into(), weight.into())));
    if set.no_quota {
        body.insert("guarantee".into(), json!({}));
    }
    if set.guarantee.is_some() || set.limit.is_some() {
        // Both together are the quota: the one that is not given stays as it is.
        let known = client.get("/api/v1/roles").await?;
        let known = entries(&known, "roles")
            .iter()
            .find(|r| r["role"] == set.role.as_str());
        for (name, given) in [("guarantee", set.guarantee), ("limit", set.limit)] {
            let kept = known.map_or(Value::Null, |role| kept(&role[name]));
            body.insert(name.into(), given.unwrap_or(kept));
        }
    }
    if body.is_empty() {
        bail!("say what to set: --weight, --guarantee, --limit or --no-quota");
    }
    let path = with(
        &format!("/api/v1/roles/{}", encode(&set.role)),
        &[
            ("force", set.force.then(|| "true".into())),
            ("dry_run", set.dry_run.then(|| "true".into())),
        ],
    );
    client
        .json(Method::PUT, &path, Some(&Value::Object(body.clone())))
        .await?;
    if set.shown.json() {
        body.insert("role".into(), set.role.into());
        return output::json(&Value::Object(body));
    }
    let done = if set.dry_run { "would be" } else { "is" };
    output::line(&format!("role {} {done} set", set.role))
}

/// The amounts of the list, without what cannot be set.
fn kept(amounts: &Value) -> Value {
    let fields = ["cpu_milli", "memory_bytes", "disk_bytes", "gpus"];
    let kept = fields
        .iter()
        .filter(|field| amounts[**field].as_u64().is_some_and(|n| n > 0))
        .map(|field| ((*field).to_string(), amounts[*field].clone()));
    Value::Object(kept.collect())
}

async fn ls(client: &Client, shown: Shown) -> anyhow::Result<()> {
    let roles = client.get("/api/v1/roles").await?;
    if shown.json() {
        return output::json(&roles);
    }
    let head = [
        "role",
        "weight",
        "share",
        "used",
        "reserved",
        "guarantee",
        "limit",
    ];
    let mut table = Table::new(&head);
    for role in entries(&roles, "roles") {
        table.row([
            text(&role["role"]),
            text(&role["weight"]),
            milli(&role["share_milli"]),
            resources(&role["used"]),
            resources(&role["reserved"]),
            resources(&role["guarantee"]),
            resources(&role["limit"]),
        ]);
    }
    table.print()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_named() {
        let read = amounts("cpu=1.5,memory=2GiB,gpus=1").expect("good amounts");
        assert_eq!(
            read,
            json!({"cpu_milli": 1_500, "memory_bytes": 2_u64 << 30, "gpus": 1})
        );
        for bad in ["cpu", "cpu=x", "water=3", "gpus=1.5"] {
            amounts(bad).expect_err(bad);
        }
    }
}
