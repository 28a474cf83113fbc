//! `mezzo task`. Each of its commands has a file of its own.

mod find;
mod inspect;
mod kill;
mod logs;
mod ls;
mod states;

use crate::cli::Shown;
use crate::client::Client;
use crate::output;
use find::find;
pub use logs::copy;
use std::process::ExitCode;

#[derive(clap::Subcommand, Debug)]
pub enum Task {
    /// List tasks
    Ls(ls::Ls),
    /// Show one task
    Inspect {
        /// Its id, or FRAMEWORK/ID
        task: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Show what a task wrote
    Logs(logs::Logs),
    /// End a task
    Kill(kill::Kill),
}

impl Task {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        match self {
            Task::Ls(ls) => ls.run(&client).await?,
            Task::Inspect { task, shown } => {
                let found = find(&client, &task).await?;
                match shown.json() {
                    true => output::json(&found)?,
                    false => inspect::show(&found)?,
                }
            }
            Task::Logs(logs) => logs.run(client).await?,
            Task::Kill(kill) => kill.run(&client).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
