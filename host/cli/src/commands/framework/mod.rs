//! `mezzo framework`.

mod author;
mod show;

use super::values::{entries, text};
use crate::cli::Shown;
use crate::client::{Client, refused};
use crate::output::{self, line};
use crate::query::{encode, with};
use crate::units::{pair, whole};
use anyhow::{Context, anyhow, bail};
pub use author::Author;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Subcommand, Debug)]
pub enum Framework {
    /// Upload a component and let it schedule
    Install {
        /// A `.wasm` file, or `builtin:NAME`; a name may stand before it
        #[arg(num_args = 1..=2, value_names = ["NAME", "COMPONENT"], required = true)]
        what: Vec<String>,
        /// Its name; the file's name if absent
        #[arg(long)]
        name: Option<String>,
        /// Who is charged for its tasks; its name if absent
        #[arg(long)]
        role: Option<String>,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        shown: Shown,
    },
    /// List the frameworks
    Ls {
        #[command(flatten)]
        shown: Shown,
    },
    /// Show one framework: its limits, demands and newest fault
    Inspect {
        /// Which
        name: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Replace its component or change its settings; if the new one fails its trial, everything stays
    Upgrade {
        /// Which
        name: String,
        /// A `.wasm` file, or `builtin:NAME`; without one only the settings change
        component: Option<String>,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        shown: Shown,
    },
    /// Drop its instance and start another
    Restart {
        /// Which
        name: String,
    },
    /// End its quarantine and open its web API again
    Resume {
        /// Which
        name: String,
        /// Take the event that failed as handled
        #[arg(long)]
        skip: bool,
    },
    /// Kill its tasks and take it away
    Remove {
        /// Which
        name: String,
        /// Wait until its last task has ended
        #[arg(long)]
        wait: bool,
    },
    /// Show its log
    Logs {
        /// Which
        name: String,
        /// Go on
        #[arg(long, short = 'f')]
        follow: bool,
        /// Only so many lines from the end
        #[arg(long, default_value_t = 1000, value_parser = whole::<u32>)]
        tail: u32,
        #[command(flatten)]
        shown: Shown,
    },
}

#[derive(clap::Args, Debug)]
pub struct Settings {
    /// A JSON object for the framework, or @FILE
    #[arg(long)]
    options: Option<String>,
    /// One of its limits: NAME=VALUE
    #[arg(long = "limit", value_parser = pair)]
    limits: Vec<(String, String)>,
}

impl Settings {
    fn options(&self) -> anyhow::Result<Option<String>> {
        let Some(options) = &self.options else {
            return Ok(None);
        };
        match options.strip_prefix('@') {
            Some(path) => Ok(Some(
                std::fs::read_to_string(path).with_context(|| path.to_string())?,
            )),
            None => Ok(Some(options.clone())),
        }
    }

    fn limits(&self) -> anyhow::Result<Option<Value>> {
        if self.limits.is_empty() {
            return Ok(None);
        }
        let mut limits = Map::new();
        for (name, value) in &self.limits {
            let value: u64 = value
                .parse()
                .map_err(|_| anyhow!("--limit {name}={value}: expected a whole number"))?;
            limits.insert(name.clone(), value.into());
        }
        Ok(Some(Value::Object(limits)))
    }

    fn query(&self) -> anyhow::Result<[(&'static str, Option<String>); 2]> {
        let limits = self.limits()?.map(|limits| limits.to_string());
        Ok([("options", self.options()?), ("limits", limits)])
    }
}

impl Framework {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        let path = |name: &str| format!("/api/v1/frameworks/{}", encode(name));
        match self {
            Framework::Install {
                what,
                name,
                role,
                settings,
                shown,
            } => {
                let component = what.last().cloned().unwrap_or_default();
                let (bytes, file_name) = read(&component)?;
                let before = (what.len() == 2).then(|| what[0].clone());
                let name = name.or(before).unwrap_or(file_name);
                let role = role.unwrap_or_else(|| name.clone());
                let [options, limits] = settings.query()?;
                let path = with(
                    "/api/v1/frameworks",
                    &[
                        ("name", Some(name.clone())),
                        ("role", Some(role)),
                        options,
                        limits,
                    ],
                );
                let made = upload(&client, Method::POST, &path, bytes)
                    .await
                    .with_context(|| format!("install {component}"))?;
                let said = format!(
                    "framework {name} is installed ({})",
                    text(&made["component"])
                );
                told(shown, &made, &said)?;
            }
            Framework::Ls { shown } => {
                let all = client.list("/api/v1/frameworks", "frameworks").await?;
                if shown.json() {
                    output::json(&all)?;
                } else {
                    show::list(&all)?;
                }
            }
            Framework::Inspect { name, shown } => {
                let framework = client.get(&path(&name)).await?;
                match shown.json() {
                    true => output::json(&framework)?,
                    false => show::one(&framework)?,
                }
            }
            Framework::Upgrade {
                name,
                component,
                settings,
                shown,
            } => match component {
                Some(component) => {
                    let (bytes, _) = read(&component)?;
                    let path = with(&format!("{}/component", path(&name)), &settings.query()?);
                    let made = upload(&client, Method::PUT, &path, bytes)
                        .await
                        .with_context(|| format!("upgrade {name}"))?;
                    let said = format!(
                        "framework {name} is upgraded ({})",
                        text(&made["component"])
                    );
                    told(shown, &made, &said)?;
                }
                None => {
                    let mut body = Map::new();
                    if let Some(options) = settings.options()? {
                        let options = serde_json::from_str(&options).context("--options")?;
                        body.insert("options".into(), options);
                    }
                    if let Some(limits) = settings.limits()? {
                        body.insert("limits".into(), limits);
                    }
                    if body.is_empty() {
                        bail!("nothing to change: give a component, --options or --limit");
                    }
                    let made = client
                        .json(Method::PATCH, &path(&name), Some(&Value::Object(body)))
                        .await?;
                    told(shown, &made, &format!("framework {name} is changed"))?;
                }
            },
            Framework::Restart { name } => {
                let path = format!("{}/restart", path(&name));
                client.json(Method::POST, &path, None).await?;
                line(&format!("framework {name} is restarted"))?;
            }
            Framework::Resume { name, skip } => {
                let path = format!("{}/resume", path(&name));
                client
                    .json(Method::POST, &path, Some(&json!({ "skip": skip })))
                    .await?;
                line(&format!("framework {name} is resumed"))?;
            }
            Framework::Remove { name, wait } => {
                client.json(Method::DELETE, &path(&name), None).await?;
                if wait {
                    loop {
                        match client.get(&path(&name)).await {
                            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                            Err(error) if refused(&error) == Some(404) => break,
                            Err(error) => return Err(error),
                        }
                    }
                    line(&format!("framework {name} is removed"))?;
                } else {
                    line(&format!("framework {name} is being removed"))?;
                }
            }
            Framework::Logs {
                name,
                follow,
                tail,
                shown,
            } => {
                let path = with(
                    &format!("{}/logs", path(&name)),
                    &[
                        ("tail", Some(tail.to_string())),
                        ("follow", follow.then(|| "true".into())),
                    ],
                );
                if follow {
                    let mut events = client.events(Method::GET, &path, Bytes::new()).await?;
                    while let Some(event) = events.next().await? {
                        if shown.json() {
                            line(&event.data)?;
                        } else {
                            log_line(&serde_json::from_str(&event.data)?)?;
                        }
                    }
                } else {
                    let log = client.get(&path).await?;
                    if shown.json() {
                        output::json(&log)?;
                    } else {
                        entries(&log, "lines").iter().try_for_each(log_line)?;
                    }
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What was made, or in words that it was.
fn told(shown: Shown, made: &Value, said: &str) -> anyhow::Result<()> {
    match shown.json() {
        true => output::json(made),
        false => line(said),
    }
}

fn log_line(entry: &Value) -> anyhow::Result<()> {
    line(&format!(
        "{:<5} {}",
        text(&entry["level"]),
        text(&entry["text"])
    ))
}

/// Sends a file and reads JSON.
pub async fn upload(
    client: &Client,
    method: Method,
    path: &str,
    bytes: Vec<u8>,
) -> anyhow::Result<Value> {
    let answer = client.bytes(method, path, bytes.into()).await?;
    Ok(serde_json::from_slice(&answer)?)
}

/// The bytes of a component and a name for it.
fn read(component: &str) -> anyhow::Result<(Vec<u8>, String)> {
    if let Some(name) = component.strip_prefix("builtin:") {
        let found = mezzo_bundle::ALL.iter().find(|(known, _)| *known == name);
        let known: Vec<&str> = mezzo_bundle::ALL.iter().map(|(name, _)| *name).collect();
        return match found {
            Some((_, bytes)) => Ok((bytes.to_vec(), name.into())),
            None => bail!(
                "there is no built-in framework {name:?}; there is {}",
                known.join(", ")
            ),
        };
    }
    let bytes = std::fs::read(component).with_context(|| component.to_string())?;
    let stem = std::path::Path::new(component).file_stem();
    let name = stem.and_then(|stem| stem.to_str()).unwrap_or(component);
    Ok((bytes, name.into()))
}
