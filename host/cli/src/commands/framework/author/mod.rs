//! `mezzo framework new|build|check|dev|bind`: for authors. What they do is in `mezzo-author`; here is how it is asked
//! for and said.

mod bind;
mod check;
mod dev;

use crate::cli::Access;
use crate::output::line;
use crate::units::pair;
use anyhow::Context;
use mezzo_author::{Language, Project};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[derive(clap::Subcommand, Debug)]
pub enum Author {
    /// Make a folder with a framework that builds, with a test and a README
    New {
        /// Its name, and the folder's
        name: String,
        /// What it is written in: rust, go, cpp, python or js
        #[arg(long = "lang")]
        language: Language,
        /// Where; a folder of its name here, if absent
        #[arg(long)]
        folder: Option<PathBuf>,
    },
    /// Build the framework of a folder to a component
    Build {
        /// The folder with its `mezzo.toml`
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Say what a component imports and costs, against the limits of a role; no cluster is needed
    Check(check::Check),
    /// Build at every change, and upgrade the framework on the cluster
    Dev(dev::Dev),
    /// Write bindings of the contract, for those who use no SDK
    Bind(bind::Bind),
}

impl Author {
    pub fn run(self, access: Access) -> anyhow::Result<ExitCode> {
        match self {
            Author::New {
                name,
                language,
                folder,
            } => new(&name, language, folder),
            Author::Build { folder } => build(&Project::open(&folder)?),
            Author::Check(check) => check.run(),
            Author::Dev(dev) => dev.run(access),
            Author::Bind(bind) => bind.run(),
        }
    }
}

fn new(name: &str, language: Language, folder: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let folder = folder.unwrap_or_else(|| PathBuf::from(name));
    mezzo_author::new(&folder, name, language)?;
    let folder = folder.display();
    line(&format!(
        "{folder} is a framework in {}; {folder}/README.md says what is where. Try:",
        language.title()
    ))?;
    line(&format!("  cd {folder}"))?;
    line("  mezzo framework build")?;
    line(&format!("  mezzo framework install {name}.wasm"))?;
    Ok(ExitCode::SUCCESS)
}

fn build(project: &Project) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let built = mezzo_author::build(project)?;
    line(&format!(
        "{} ({}) in {}",
        built.component.display(),
        size(built.bytes),
        seconds(began)
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn seconds(began: Instant) -> String {
    format!("{:.1} s", began.elapsed().as_secs_f64())
}

/// Which limits a framework has, and which options: as it is installed.
#[derive(clap::Args, Debug)]
pub struct As {
    /// A JSON object for the framework
    #[arg(long, default_value = "{}")]
    options: String,
    /// One of its limits: NAME=VALUE
    #[arg(long = "limit", value_parser = pair)]
    limits: Vec<(String, String)>,
}

impl As {
    fn limits(&self) -> anyhow::Result<mezzo_core::FrameworkLimits> {
        let mut limits = serde_json::Map::new();
        for (name, value) in &self.limits {
            let number: u64 = value
                .parse()
                .map_err(|_| anyhow::anyhow!("--limit {name}={value}: expected a whole number"))?;
            limits.insert(name.clone(), number.into());
        }
        serde_json::from_value(limits.into()).context("--limit")
    }
}
