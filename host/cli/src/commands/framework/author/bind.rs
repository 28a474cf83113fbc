//! `mezzo framework bind`.

use crate::output::line;
use anyhow::bail;
use mezzo_author::{World, bind};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub struct Bind {
    /// Where to write them
    folder: PathBuf,
    /// For which language: c or go
    #[arg(long = "lang")]
    language: String,
    /// What the framework exports: framework, or web-framework
    #[arg(long, default_value = "framework")]
    world: World,
    /// Go: the import path of the folder
    #[arg(long)]
    package: Option<String>,
    /// Go: the import path of the folder with the packages `runtime` and `types` that they use
    #[arg(long)]
    support: Option<String>,
}

impl Bind {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let files = match (self.language.as_str(), self.package, self.support) {
            ("c", None, None) => bind::c(self.world)?,
            ("go", Some(package), Some(support)) => {
                bind::go(self.world, &bind::Go { package, support })?
            }
            ("go", _, _) => bail!("--lang go: expected --package and --support too"),
            ("c", _, _) => bail!("--lang c: --package and --support are for go"),
            (other, _, _) => bail!(
                "--lang {other}: there are bindings for c and go; the SDK of every other language has them"
            ),
        };
        for (name, bytes) in files {
            let path = self.folder.join(name);
            mezzo_author::write(&path, &bytes)?;
            line(&path.display().to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
