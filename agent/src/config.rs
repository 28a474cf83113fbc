//! Every setting of an agent, with its default.

use crate::Error;
use mezzo_types::{Attribute, AttributeValue, PortSet};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What an agent is told at its start; in TOML.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where masters listen for agents: `host:port`, each.
    pub masters: Vec<String>,
    /// The agents' token.
    pub token: String,
    /// Everything the agent keeps; its own alone.
    pub folder: PathBuf,
    /// The machine's name; found out if absent.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Where its tasks can be reached.
    #[serde(default = "default_address")]
    pub address: String,
    /// The larger fault domain.
    #[serde(default)]
    pub region: Option<String>,
    /// The smaller fault domain.
    #[serde(default)]
    pub zone: Option<String>,
    /// Facts that conditions can test; they win over those that the agent finds out.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Amounts that are given out instead of those found: `cpu_milli`, `memory_bytes`, `disk_bytes`, `gpus`.
    #[serde(default)]
    pub resources: BTreeMap<String, u64>,
    /// Thousandths of what else there is, by name.
    #[serde(default)]
    pub custom: BTreeMap<String, u64>,
    /// Ports that are given out, first and last of each range.
    #[serde(default = "default_ports")]
    pub ports: Vec<(u16, u16)>,
    /// The program `mezzo-shim`; the one beside this program if absent.
    #[serde(default)]
    pub shim: Option<PathBuf>,
    /// What runs components; none: no module tasks.
    #[serde(default)]
    pub runner: Option<Program>,
    /// Limits by name.
    #[serde(default)]
    pub limits: Limits,
}

/// A program and what comes before its other arguments.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its file.
    pub program: PathBuf,
    /// Its first arguments.
    #[serde(default)]
    pub args: Vec<String>,
}

/// Limits of an agent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// An output file is rotated at this size, in bytes; the one before it is kept.
    pub output_bytes_max: u64,
    /// How long folders of ended tasks are kept, in seconds.
    pub ended_kept_s: u64,
    /// How many folders of ended tasks are kept.
    pub ended_kept_max: usize,
    /// What folders of ended tasks take on the disk, together, in bytes.
    pub ended_bytes_max: u64,
    /// Longest delay between two attempts to reach a master, in milliseconds.
    pub reconnect_ms_max: u64,
    /// Components that are kept, together, in bytes.
    pub components_bytes_max: u64,
    /// The largest component, in bytes.
    pub component_bytes_max: u64,
    /// Longest time that compiling one component may take, in milliseconds.
    pub compile_ms_max: u64,
    /// Readers of output that wait at once.
    pub readers_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            output_bytes_max: 8 << 20,
            ended_kept_s: 24 * 3600,
            ended_kept_max: 2_000,
            ended_bytes_max: 10 << 30,
            reconnect_ms_max: 5_000,
            components_bytes_max: 2 << 30,
            component_bytes_max: 64 << 20,
            compile_ms_max: 60_000,
            readers_max: 256,
        }
    }
}

fn default_address() -> String {
    "127.0.0.1".into()
}

fn default_ports() -> Vec<(u16, u16)> {
    vec![(31_000, 32_000)]
}

impl Config {
    /// A configuration with nothing but what must be said.
    #[must_use]
    pub fn new(masters: Vec<String>, token: String, folder: PathBuf) -> Config {
        Config {
            masters,
            token,
            folder,
            hostname: None,
            address: default_address(),
            region: None,
            zone: None,
            attributes: BTreeMap::new(),
            resources: BTreeMap::new(),
            custom: BTreeMap::new(),
            ports: default_ports(),
            shim: None,
            runner: None,
            limits: Limits::default(),
        }
    }

    /// Says which setting is wrong, before anything is done.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |field, problem: &str| {
            Err(Error::Config {
                field,
                problem: problem.to_string(),
            })
        };
        if self.masters.is_empty() {
            return wrong("masters", "name at least one, as host:port");
        }
        if self.token.is_empty() {
            return wrong(
                "token",
                "the agents' token; the master keeps it in `agent.token` in its data folder",
            );
        }
        if let Some(name) = self
            .resources
            .keys()
            .find(|name| !KNOWN.contains(&name.as_str()))
        {
            return wrong(
                "resources",
                &format!(
                    "{name:?} is none of {}; use `custom` for others",
                    KNOWN.join(", ")
                ),
            );
        }
        self.port_set()?;
        Ok(())
    }

    /// The ports that are given out.
    pub fn port_set(&self) -> Result<PortSet, Error> {
        PortSet::try_from(self.ports.clone()).map_err(|problem| Error::Config {
            field: "ports",
            problem,
        })
    }

    /// The attributes that were set, as numbers where they are numbers.
    pub fn attribute_list(&self) -> impl Iterator<Item = Attribute> + '_ {
        self.attributes.iter().map(|(name, text)| {
            let number = text.parse::<f64>().ok().filter(|n| n.abs() < 1e12);
            let value = match number {
                Some(n) => AttributeValue::NumberMilli((n * 1_000.0).round() as i64),
                None => AttributeValue::Text(text.clone()),
            };
            Attribute {
                name: name.clone(),
                value,
            }
        })
    }
}

/// What can be set under `resources`.
const KNOWN: [&str; 4] = ["cpu_milli", "memory_bytes", "disk_bytes", "gpus"];
