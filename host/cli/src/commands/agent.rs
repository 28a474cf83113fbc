//! `mezzo agent`: an agent in this process; `ls` and `inspect` ask the master about all of them.

use super::master::{log_to_stderr, read_toml};
use super::values::{age, entries, milli, names, pairs, resources, size, text};
use crate::cli::{Access, Shown};
use crate::client::{Client, refused};
use crate::query::encode;
use crate::signals::Signals;
use crate::table::{self, Table};
use crate::{output, units};
use anyhow::{Context, bail};
use serde_json::Value;
use std::path::PathBuf;
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
        agent: String,
        #[command(flatten)]
        shown: Shown,
    },
}

/// What an agent is told; the flags win over the file.
#[derive(Debug, clap::Args)]
struct Settings {
    /// Its settings, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the master listens for agents; may be given several times
    #[arg(long, value_name = "HOST:PORT")]
    master: Vec<String>,
    /// A file with the agents' token: `agent.token` in the master's data folder
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where it keeps everything
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Its name [default: the machine's]
    #[arg(long)]
    name: Option<String>,
    /// Processors to give out, such as 3.5 [default: all]
    #[arg(long, value_parser = units::cpus)]
    cpus: Option<u64>,
    /// Memory to give out, such as 4GiB [default: all]
    #[arg(long, value_parser = units::bytes)]
    memory: Option<u64>,
    /// Disk to give out, such as 20GiB [default: what is free]
    #[arg(long, value_parser = units::bytes)]
    disk: Option<u64>,
    /// Ports to give out, such as 31000-32000; may be given several times
    #[arg(long, value_parser = units::ports)]
    ports: Vec<(u16, u16)>,
    /// A fact that conditions can test, such as rack=r7; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = units::pair)]
    attribute: Vec<(String, String)>,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl Agent {
    pub fn run(self, access: Access) -> anyhow::Result<ExitCode> {
        match self.command {
            Some(ask) => super::client(access, async |client| ask.run(client).await),
            None => start(&self.settings),
        }
    }
}

fn start(settings: &Settings) -> anyhow::Result<ExitCode> {
    if settings.with_parent {
        let terminate = rustix::process::Signal::TERM;
        rustix::process::set_parent_process_death_signal(Some(terminate))?;
    }
    let config = settings.config()?;
    log_to_stderr("info");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let stop = async {
            signals.next().await;
        };
        mezzo_agent::run(config, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

impl Settings {
    fn config(&self) -> anyhow::Result<mezzo_agent::Config> {
        let mut config = match &self.config {
            Some(path) => read_toml(path)?,
            None => self.base()?,
        };
        if self.config.is_some() {
            if !self.master.is_empty() {
                config.masters = self.master.clone();
            }
            if self.token_file.is_some() {
                config.token = self.token()?;
            }
            config.folder = self.data.clone().unwrap_or(config.folder);
        }
        if self.name.is_some() {
            config.hostname = self.name.clone();
        }
        let amounts = [
            ("cpu_milli", self.cpus),
            ("memory_bytes", self.memory),
            ("disk_bytes", self.disk),
        ];
        for (name, amount) in amounts {
            config
                .resources
                .extend(amount.map(|amount| (name.to_string(), amount)));
        }
        if !self.ports.is_empty() {
            config.ports = self.ports.clone();
        }
        config.attributes.extend(self.attribute.iter().cloned());
        if config.runner.is_none() {
            config.runner = Some(runner()?);
        }
        Ok(config)
    }

    fn base(&self) -> anyhow::Result<mezzo_agent::Config> {
        let Some(data) = &self.data else {
            bail!(
                "an agent needs a folder of its own: `mezzo agent --master HOST:PORT --token-file FILE --data DIR`, or `--config FILE`"
            );
        };
        if self.master.is_empty() {
            bail!(
                "an agent needs a master: --master HOST:PORT (a master listens for agents on 127.0.0.1:7071 unless told otherwise)"
            );
        }
        Ok(mezzo_agent::Config::new(
            self.master.clone(),
            self.token()?,
            data.clone(),
        ))
    }

    fn token(&self) -> anyhow::Result<String> {
        let Some(path) = &self.token_file else {
            bail!(
                "an agent needs the agents' token: --token-file FILE (the master keeps it as `agent.token` in its data folder)"
            );
        };
        let token = std::fs::read_to_string(path)
            .with_context(|| format!("read the agents' token from {}", path.display()))?;
        Ok(token.trim().to_string())
    }
}

/// Module tasks are run by this very program.
pub fn runner() -> anyhow::Result<mezzo_agent::Program> {
    Ok(mezzo_agent::Program {
        program: std::env::current_exe().context("find this program's own file")?,
        args: vec!["runner".into()],
    })
}

impl Ask {
    async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        match self {
            Ask::Ls { shown } => ls(&client, shown).await?,
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
            text(&agent["state"]),
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
        ("state", text(&agent["state"])),
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
        ("tasks", text(&agent["tasks"])),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    fn config(args: &[&str]) -> Result<mezzo_agent::Config, String> {
        let line = Line::try_parse_from(std::iter::once("agent").chain(args.iter().copied()))
            .map_err(|error| error.to_string())?;
        line.settings.config().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn flags_become_settings() {
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "secret\n").unwrap();
        let path = token.path().to_str().unwrap();
        let config = config(&[
            "--master",
            "h:1",
            "--token-file",
            path,
            "--data",
            "/x",
            "--cpus",
            "1.5",
            "--memory",
            "1GiB",
            "--ports",
            "5-9",
            "--attribute",
            "rack=r7",
        ])
        .unwrap();
        assert_eq!(config.token, "secret");
        assert_eq!(config.resources["cpu_milli"], 1_500);
        assert_eq!(config.resources["memory_bytes"], 1 << 30);
        assert_eq!(config.ports, [(5, 9)]);
        assert_eq!(config.attributes["rack"], "r7");
        assert!(config.runner.is_some());
    }

    #[test]
    fn what_is_missing_is_named() {
        for (args, word) in [
            (vec![], "--data"),
            (vec!["--data", "/x"], "--master"),
            (vec!["--data", "/x", "--master", "h:1"], "--token-file"),
        ] {
            let error = config(&args).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
