//! Every setting of an agent, with its default.

use crate::Error;
use mezzo_types::{Attribute, AttributeValue, PortSet, ReservedShare, Resources};
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
    /// What of all this is kept for roles.
    #[serde(default)]
    pub reserve: Vec<Reserve>,
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

/// A part of what there is that is kept for a role, whoever asks for it first.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// For whom, such as `prod/db`.
    pub role: String,
    /// How much, as under `resources`.
    #[serde(default)]
    pub resources: BTreeMap<String, u64>,
    /// As under `custom`.
    #[serde(default)]
    pub custom: BTreeMap<String, u64>,
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
            reserve: Vec::new(),
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
        if let Some(problem) = unknown(&self.resources) {
            return wrong("resources", &problem);
        }
        for reserve in &self.reserve {
            if let Some(problem) = reserve.problem() {
                let role = &reserve.role;
                return wrong("reserve", &format!("for the role {role:?}: {problem}"));
            }
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

    /// What is kept for roles, of so much.
    pub fn reserved(&self, total: &Resources) -> Result<Vec<ReservedShare>, Error> {
        let mut sum = Resources::NONE;
        let shares: Vec<ReservedShare> = self.reserve.iter().map(Reserve::share).collect();
        for share in &shares {
            sum.add(&share.amount);
            if let Some(kind) = total.short_of(&sum) {
                let (sum, total) = (sum.amount(&kind), total.amount(&kind));
                return Err(Error::Config {
                    field: "reserve",
                    problem: format!(
                        "up to the role {:?} it is {sum} of {kind} together, and the agent gives out {total}",
                        share.role
                    ),
                });
            }
        }
        Ok(shares)
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

impl Reserve {
    fn problem(&self) -> Option<String> {
        let mut levels = self.role.split('/');
        if let Some(problem) = levels.find_map(|level| mezzo_types::check_name(level).err()) {
            return Some(format!("role: {problem}"));
        }
        if let Some(problem) = unknown(&self.resources) {
            return Some(format!("resources: {problem}"));
        }
        let nothing = self.share().amount.is_none();
        nothing.then(|| "it is nothing; name some of `resources` or `custom`".into())
    }

    fn share(&self) -> ReservedShare {
        let amount = |name: &str| self.resources.get(name).copied().unwrap_or(0);
        let custom = self.custom.iter().filter(|(_, n)| **n > 0);
        ReservedShare {
            role: self.role.clone(),
            amount: Resources {
                cpu_milli: amount("cpu_milli"),
                memory_bytes: amount("memory_bytes"),
                disk_bytes: amount("disk_bytes"),
                gpus: amount("gpus"),
                custom: custom.map(|(name, n)| (name.clone(), *n)).collect(),
                ..Resources::NONE
            },
        }
    }
}

/// Says which of these cannot be set, if one cannot.
fn unknown(resources: &BTreeMap<String, u64>) -> Option<String> {
    let mut names = resources.keys();
    let name = names.find(|name| !KNOWN.contains(&name.as_str()))?;
    Some(format!(
        "{name:?} is none of {}; use `custom` for others",
        KNOWN.join(", ")
    ))
}

/// What can be set under `resources`.
const KNOWN: [&str; 4] = ["cpu_milli", "memory_bytes", "disk_bytes", "gpus"];

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &str) -> Config {
        let text = format!("masters = [\"h:1\"]\ntoken = \"t\"\nfolder = \"/x\"\n{settings}");
        toml::from_str(&text).expect("a configuration")
    }

    #[test]
    fn what_is_kept_for_roles_is_read_and_summed_up() {
        let two = config(
            "[[reserve]]\nrole = \"prod/db\"\nresources = { cpu_milli = 2000, disk_bytes = 5 }\n\
             [[reserve]]\nrole = \"ml\"\nresources = { cpu_milli = 1000 }\ncustom = { license = 7, none = 0 }\n",
        );
        two.check().expect("a good configuration");
        let total = Resources {
            cpu_milli: 3_000,
            disk_bytes: 5,
            custom: BTreeMap::from([("license".into(), 7)]),
            ..Resources::NONE
        };
        let shares = two.reserved(&total).expect("there is so much");
        assert_eq!(shares[0].role, "prod/db");
        assert_eq!(
            (shares[0].amount.cpu_milli, shares[0].amount.disk_bytes),
            (2_000, 5)
        );
        let custom = BTreeMap::from([("license".to_string(), 7)]);
        assert_eq!(shares[1].amount.custom, custom);
        let less = Resources {
            cpu_milli: 2_999,
            ..total
        };
        let error = two.reserved(&less).expect_err("one too few").to_string();
        assert!(
            error.contains("`reserve`")
                && error.contains("\"ml\"")
                && error.contains("3000 of cpu"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        for (reserve, word) in [
            ("role = \"a//b\"\nresources = { gpus = 1 }", "role"),
            ("role = \"a\"\nresources = { cpu = 1 }", "\"cpu\""),
            ("role = \"a\"", "nothing"),
            ("role = \"a\"\nresources = { gpus = 0 }", "nothing"),
        ] {
            let config = config(&format!("[[reserve]]\n{reserve}\n"));
            let error = config.check().expect_err(reserve).to_string();
            assert!(
                error.contains("`reserve`") && error.contains(word),
                "{error}"
            );
        }
    }
}
