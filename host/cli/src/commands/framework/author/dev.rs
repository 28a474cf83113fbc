//! `mezzo framework dev`: builds at every change and upgrades the framework on the cluster in place. A build or a trial
//! that fails leaves the old one running; the compiler's words stand on the terminal.

use super::super::{read, upload};
use super::seconds;
use crate::cli::Access;
use crate::client::{Client, refused};
use crate::commands::client;
use crate::commands::values::text;
use crate::output::{line, note};
use crate::query::{encode, with};
use anyhow::Context;
use hyper::Method;
use mezzo_author::Project;
use mezzo_author::watch::{self, Sources};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often the sources are looked at.
const LOOK: Duration = Duration::from_millis(100);

#[derive(clap::Args, Debug)]
pub struct Dev {
    /// The folder with its `mezzo.toml`
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Its name on the cluster; that of `mezzo.toml` if absent
    #[arg(long)]
    name: Option<String>,
    /// Who is charged for its tasks, when it is installed; its name if absent
    #[arg(long)]
    role: Option<String>,
    /// A JSON object for the framework, when it is installed
    #[arg(long)]
    options: Option<String>,
    /// Build and upgrade once, then end
    #[arg(long)]
    once: bool,
}

impl Dev {
    pub fn run(self, access: Access) -> anyhow::Result<ExitCode> {
        let mut seen: Option<Sources> = None;
        loop {
            let now = settled(&self.folder);
            if seen.as_ref() != Some(&now) {
                say_what_changed(&now, seen.as_ref(), &self.folder);
                seen = Some(now);
                match self.round(access.clone()) {
                    Ok(()) => {}
                    Err(error) if self.once => return Err(error),
                    // Whoever sits before it mends it, and the next change is another try.
                    Err(error) => note(&format!(
                        "error: {error:#}\nwhat ran before runs on; waiting for the next change"
                    )),
                }
            }
            if self.once {
                return Ok(ExitCode::SUCCESS);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// One build and one upgrade. `mezzo.toml` is read anew: it may be what has changed.
    fn round(&self, access: Access) -> anyhow::Result<()> {
        let began = Instant::now();
        let project = Project::open(&self.folder)?;
        let built = mezzo_author::build(&project)?;
        let built_in = seconds(began);
        let name = self.name.clone().unwrap_or_else(|| project.name.clone());
        let path = built.component.display().to_string();
        client(access, async |client| {
            let done = self.bring(&client, &name, &path).await?;
            let total = seconds(began);
            line(&format!(
                "{name} is {done} in {total}; the build took {built_in}"
            ))?;
            Ok(ExitCode::SUCCESS)
        })?;
        Ok(())
    }

    /// Installs or upgrades; what was done, in words.
    async fn bring(&self, client: &Client, name: &str, path: &str) -> anyhow::Result<String> {
        let (bytes, _) = read(path)?;
        let at = format!("/api/v1/frameworks/{}", encode(name));
        let there = match client.get(&at).await {
            Ok(_) => true,
            Err(error) if refused(&error) == Some(404) => false,
            Err(error) => return Err(error),
        };
        let made = if there {
            let at = format!("{at}/component");
            upload(client, Method::PUT, &at, bytes)
                .await
                .context("the upgrade")?
        } else {
            let role = self.role.clone().unwrap_or_else(|| name.to_owned());
            let query = [
                ("name", Some(name.to_owned())),
                ("role", Some(role)),
                ("options", self.options.clone()),
            ];
            let at = with("/api/v1/frameworks", &query);
            upload(client, Method::POST, &at, bytes)
                .await
                .context("the installation")?
        };
        let word = if there { "upgraded" } else { "installed" };
        Ok(format!("{word} ({})", text(&made["component"])))
    }
}

/// The sources, once nothing has changed for a look: an editor may write several files.
fn settled(folder: &std::path::Path) -> Sources {
    let mut before = watch::look(folder);
    loop {
        std::thread::sleep(LOOK / 2);
        let now = watch::look(folder);
        if now == before {
            return now;
        }
        before = now;
    }
}

fn say_what_changed(now: &Sources, before: Option<&Sources>, folder: &std::path::Path) {
    let Some(before) = before else { return };
    let changed = now.changed_since(before);
    let names = changed.iter().map(|path| {
        let name = path.strip_prefix(folder).unwrap_or(path);
        name.display().to_string()
    });
    let names: Vec<String> = names.collect();
    note(&format!("changed: {}", names.join(", ")));
}
