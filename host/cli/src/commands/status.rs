//! `mezzo status`.

use super::values::{resources, text};
use crate::cli::Shown;
use crate::client::Client;
use crate::{output, table, units};
use serde_json::Value;
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
        let counts = |value: &Value| {
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
            ("agents", agents(&status["agents"])),
            ("frameworks", counts(&status["frameworks"])),
            ("tasks", counts(&status["tasks"])),
            ("used", resources(&status["resources"]["used"])),
            ("of", resources(&status["resources"]["total"])),
        ])?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Such as `2, 1 not connected`: `silent` alone would hide one that went a moment ago.
fn agents(counts: &Value) -> String {
    let count = |name: &str| counts[name].as_u64().unwrap_or(0);
    let (total, silent) = (count("total"), count("silent"));
    match (total.saturating_sub(count("connected")), silent) {
        _ if total == 0 => "none".into(),
        (0, _) => total.to_string(),
        (away, 0) => format!("{total}, {away} not connected"),
        (away, _) => format!("{total}, {away} not connected ({silent} silent)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn agents_that_are_away_are_counted() {
        let said = |total, connected, silent| {
            agents(&json!({"total": total, "connected": connected, "silent": silent}))
        };
        assert_eq!(said(0, 0, 0), "none");
        assert_eq!(said(2, 2, 0), "2");
        assert_eq!(said(2, 1, 0), "2, 1 not connected");
        assert_eq!(said(3, 1, 1), "3, 2 not connected (1 silent)");
    }
}
