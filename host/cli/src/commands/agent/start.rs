//! Starting an agent: its flags, its file, and what is missing in both.

use super::probe;
use crate::commands::master::{log_to_stderr, read_toml};
use crate::signals::Signals;
use crate::units;
use anyhow::{Context, anyhow, bail};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// All that an agent must be told.
const WHOLE: &str =
    "`mezzo agent --master 127.0.0.1:7071 --token-file MASTER-DATA/agent.token --data DIR`";

/// What an agent is told; the flags win over the file.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// Its settings, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the master listens for agents; may be given several times
    #[arg(long, value_name = "HOST:PORT", value_parser = units::address)]
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
    /// Keep so much of it for a role, such as prod/db:cpus=4,memory=8GiB; may be given several times
    #[arg(long, value_name = "ROLE:AMOUNTS", value_parser = units::role_amounts)]
    reserve: Vec<(String, units::Amounts)>,
    /// A fact that conditions can test, such as rack=r7; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = units::pair)]
    attribute: Vec<(String, String)>,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    with_parent: bool,
}

/// Runs an agent with these settings until it is told to stop.
pub fn start(settings: &Settings) -> anyhow::Result<ExitCode> {
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
        // Agents of `mezzo dev` know where their master is.
        if !settings.with_parent {
            probe::each(&config.masters).await?;
        }
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
        for master in &config.masters {
            units::address(master).map_err(|problem| anyhow!("`masters`: {problem}"))?;
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
        if !self.reserve.is_empty() {
            config.reserve = self.reserve.iter().map(reserve).collect();
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
                "an agent needs a folder of its own: --data DIR, as in {WHOLE}, or `--config FILE`"
            );
        };
        if self.master.is_empty() {
            bail!(
                "an agent needs a master: --master HOST:PORT, as in {WHOLE} (a master listens for agents on 127.0.0.1:7071 unless told otherwise)"
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
                "an agent needs the agents' token: --token-file FILE, as in {WHOLE} (the master keeps it as `agent.token` in its data folder)"
            );
        };
        let token = std::fs::read_to_string(path)
            .with_context(|| format!("read the agents' token from {}", path.display()))?;
        Ok(token.trim().to_string())
    }
}

fn reserve((role, amounts): &(String, units::Amounts)) -> mezzo_agent::Reserve {
    let amounts = amounts.iter();
    mezzo_agent::Reserve {
        role: role.clone(),
        resources: amounts.map(|(name, n)| ((*name).to_string(), *n)).collect(),
        custom: BTreeMap::new(),
    }
}

/// Module tasks are run by this very program.
pub fn runner() -> anyhow::Result<mezzo_agent::Program> {
    Ok(mezzo_agent::Program {
        program: std::env::current_exe().context("find this program's own file")?,
        args: vec!["runner".into()],
    })
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
            "--reserve",
            "prod/db:cpus=1,disk=2GiB",
        ])
        .unwrap();
        assert_eq!(config.token, "secret");
        assert_eq!(config.resources["cpu_milli"], 1_500);
        assert_eq!(config.resources["memory_bytes"], 1 << 30);
        assert_eq!(config.ports, [(5, 9)]);
        assert_eq!(config.attributes["rack"], "r7");
        assert_eq!(config.reserve[0].role, "prod/db");
        assert_eq!(config.reserve[0].resources["cpu_milli"], 1_000);
        assert_eq!(config.reserve[0].resources["disk_bytes"], 2 << 30);
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
