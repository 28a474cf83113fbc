//! `mezzo master`: a master in this process.

use crate::signals::Signals;
use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Master {
    /// Its settings, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where it keeps everything; wins over the file
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where people reach it; wins over the file [default: 127.0.0.1:7070]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where agents reach it; wins over the file [default: 127.0.0.1:7071]
    #[arg(long)]
    agents_listen: Option<SocketAddr>,
}

impl Master {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.settings()?;
        log_to_stderr("info");
        runtime()?.block_on(async {
            let mut signals = Signals::listen()?;
            let master = mezzo_master::Master::start(config, parts()?).await?;
            tracing::info!(
                url = format!("http://{}", master.address()),
                agents = %master.agents_address(),
                "the master serves"
            );
            let stop = async {
                let signal = signals.next().await;
                tracing::info!(signal, "stopping");
            };
            master.run(stop).await?;
            Ok(ExitCode::SUCCESS)
        })
    }

    fn settings(&self) -> anyhow::Result<mezzo_master::Config> {
        let mut config = match (&self.config, &self.data) {
            (Some(path), _) => read_toml(path)?,
            (None, Some(data)) => mezzo_master::Config::new(data.clone()),
            (None, None) => bail!(
                "a master needs a folder: `mezzo master --data DIR`, or `--config FILE` with `data = \"DIR\"`"
            ),
        };
        if let Some(data) = &self.data {
            config.data = data.clone();
        }
        config.listen = self.listen.unwrap_or(config.listen);
        config.agents_listen = self.agents_listen.unwrap_or(config.agents_listen);
        Ok(config)
    }
}

/// Settings from a file; an error shows the place.
pub fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

/// Compiles with this very program, and brings the frameworks that are built in.
pub fn parts() -> anyhow::Result<mezzo_master::Parts> {
    Ok(mezzo_master::Parts {
        compile: mezzo_wasm::CompileCommand {
            program: std::env::current_exe().context("find this program's own file")?,
            args: vec!["compile-child".into()],
        },
        bundled: mezzo_bundle::ALL.to_vec(),
    })
}

/// A runtime for a server.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// What happens goes to standard error; `RUST_LOG` says how much.
pub fn log_to_stderr(default: &str) {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && !no_colour)
        .with_writer(std::io::stderr)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<mezzo_master::Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let master = Master {
            config: Some(file.path().into()),
            data: None,
            listen: Some("127.0.0.1:0".parse().unwrap()),
            agents_listen: None,
        };
        master.settings().map_err(|error| format!("{error:#}"))
    }

    /// The examples of the guide, in its order: the master's file, the agent's.
    fn examples() -> Vec<&'static str> {
        let guide = include_str!("../../../../docs/guide/operate.md");
        let blocks = guide.split("```toml\n").skip(1);
        blocks
            .map(|block| block.split("```").next().unwrap_or_default())
            .collect()
    }

    /// Every key, those of tables behind a point.
    fn keys(table: &toml::Table) -> std::collections::BTreeSet<String> {
        let mut all = std::collections::BTreeSet::new();
        for (name, value) in table {
            all.insert(name.clone());
            // What stands in these is the operator's own.
            if let (toml::Value::Table(inner), false) = (
                value,
                ["attributes", "resources", "custom"].contains(&name.as_str()),
            ) {
                all.extend(keys(inner).iter().map(|key| format!("{name}.{key}")));
            }
        }
        all
    }

    #[test]
    fn the_guide_shows_every_key_of_both_files_and_the_limits_as_they_are() {
        let examples = examples();
        let master: mezzo_master::Config = toml::from_str(examples[0]).unwrap();
        let agent: mezzo_agent::Config = toml::from_str(examples[1]).unwrap();
        master.check().unwrap();
        agent.check().unwrap();
        assert_eq!(master.limits, mezzo_master::Config::new("/x".into()).limits);
        assert_eq!(agent.limits, mezzo_agent::Limits::default());
        let written = [
            toml::Table::try_from(&master).unwrap(),
            toml::Table::try_from(&agent).unwrap(),
        ];
        for (example, written) in examples.iter().zip(&written) {
            assert_eq!(keys(&example.parse().unwrap()), keys(written));
        }
    }

    #[test]
    fn flags_win_and_a_wrong_setting_is_named_with_its_line() {
        let config = settings("data = \"/x\"\nlisten = \"127.0.0.1:9\"\n").unwrap();
        assert_eq!(config.listen.port(), 0);
        let error = settings("data = \"/x\"\nlistn = \"127.0.0.1:9\"\n").unwrap_err();
        assert!(
            error.contains("line 2") && error.contains("listn"),
            "{error}"
        );
    }
}
