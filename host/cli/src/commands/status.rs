//! `mezzo status`.

use super::values::{resources, text};
use crate::cli::Shown;
use crate::client::Client;
use crate::{output, table, units};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    shown: Shown,
}

impl Status {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        let status = client.get("/api/v1/status").await?;
        if self.shown.json() {
            output::json(&status)?;
            return Ok(ExitCode::SUCCESS);
        }
        let counts = |value: &serde_json::Value| {
            let counts = value.as_object().into_iter().flatten();
            let some = counts.filter(|(_, n)| n.as_u64() != Some(0));
            let shown: Vec<String> = some
                .map(|(name, n)| format!("{} {name}", text(n)))
                .collect();
            if shown.is_empty() {
                "none".into()
            } else {
                shown.join(", ")
            }
        };
        let up = match (status["now_ms"].as_u64(), status["started_ms"].as_u64()) {
            (Some(now), Some(started)) => units::show_millis(now.saturating_sub(started)),
            _ => String::new(),
        };
        let registry = match text(&status["registry"]["message"]) {
            message if message.is_empty() => text(&status["registry"]["state"]),
            message => format!("{}: {message}", text(&status["registry"]["state"])),
        };
        table::facts(&[
            ("master", client.url().to_string()),
            ("cluster", text(&status["cluster"])),
            ("version", text(&status["version"])),
            ("up", up),
            ("you are", text(&status["principal"])),
            ("registry", registry),
            ("agents", counts(&status["agents"])),
            ("frameworks", counts(&status["frameworks"])),
            ("tasks", counts(&status["tasks"])),
            ("used", resources(&status["resources"]["used"])),
            ("of", resources(&status["resources"]["total"])),
        ])?;
        Ok(ExitCode::SUCCESS)
    }
}
