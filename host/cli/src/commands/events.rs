//! `mezzo events`.

use super::values::{text, time};
use crate::cli::Shown;
use crate::client::Client;
use crate::query::with;
use crate::{output, sse};
use clap::builder::PossibleValuesParser;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

/// With nothing new for so long, what the master still had is over: its newest batches may have
/// said nothing to people.
const QUIET: Duration = Duration::from_millis(300);
/// Before everything: behind the batch 0, which never was, so that nothing is missing of a new cluster.
const BEGINNING: &str = "0";

/// Kinds of events, as the guide lists them.
const KINDS: [&str; 12] = [
    "task",
    "kill",
    "agent",
    "framework",
    "fault",
    "demands",
    "reservation",
    "volume",
    "role",
    "principal",
    "leader",
    "gap",
];

#[derive(Debug, clap::Args)]
pub struct Events {
    /// Go on with what happens from now on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only these kinds, such as task,fault
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(KINDS))]
    kind: Vec<String>,
    /// Begin behind this one, BATCH.N [default: all that are kept, or with -f the new ones]
    #[arg(long)]
    after: Option<String>,
    #[command(flatten)]
    shown: Shown,
}

impl Events {
    pub async fn run(self, client: Client) -> anyhow::Result<ExitCode> {
        let newest = client.get("/api/v1/status").await?["batch"].as_u64();
        let after = match (&self.after, self.follow) {
            (Some(after), _) => Some(after.clone()),
            (None, true) => newest.map(|batch| format!("{batch}.4294967295")),
            (None, false) => Some(BEGINNING.to_string()),
        };
        let path = with("/api/v1/events", &[("after", after)]);
        let mut events = client.events(Method::GET, &path, Bytes::new()).await?;
        loop {
            let next = events.next();
            let event = match self.follow {
                true => next.await?,
                false => match tokio::time::timeout(QUIET, next).await {
                    Ok(event) => event?,
                    Err(_) => None,
                },
            };
            let Some(event) = event else { break };
            self.show(&event)?;
            let batch = event
                .id
                .split('.')
                .next()
                .and_then(|batch| batch.parse().ok());
            if !self.follow && batch > newest {
                break;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, event: &sse::Event) -> anyhow::Result<()> {
        let wanted = self.kind.is_empty() || self.kind.contains(&event.name);
        match wanted {
            false => Ok(()),
            true if self.shown.json() => output::line(&event.data),
            true => output::line(&said(event)),
        }
    }
}

/// What the head of the line has said already.
const HEAD: [&str; 4] = ["kind", "at_ms", "principal", "cause"];

fn said(event: &sse::Event) -> String {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    let fields = data.as_object().into_iter().flatten();
    let fields: Vec<String> = fields
        .filter(|(name, value)| !HEAD.contains(&name.as_str()) && !text(value).is_empty())
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    let by = match text(&data["principal"]) {
        by if by.is_empty() => by,
        by => format!(" by {by}"),
    };
    let line = format!(
        "{} {:<11} {}{by}",
        time(&data["at_ms"]),
        event.name,
        fields.join(" ")
    );
    line.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_are_those_of_the_guide() {
        let guide = include_str!("../../../../docs/guide/http-api.md");
        let rows = guide
            .lines()
            .skip_while(|line| !line.starts_with("| `kind` |"));
        let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
        let listed: Vec<&str> = rows
            .filter_map(|row| row.split('|').nth(1))
            .flat_map(|cell| cell.split(','))
            .map(|kind| kind.trim().trim_matches('`'))
            .collect();
        assert_eq!(listed, KINDS);
    }

    #[test]
    fn an_event_is_one_line() {
        let event = sse::Event {
            id: "1.0".into(),
            name: "task".into(),
            data: r#"{"kind":"task","at_ms":0,"principal":"agent/1","state":"running","message":"a\nb","reason":""}"#.into(),
        };
        let line = said(&event);
        assert!(line.starts_with("1970-01-01T00:00:00.000Z task"), "{line}");
        assert!(
            line.contains("state=running") && line.contains("message=a b"),
            "{line}"
        );
        assert!(
            line.ends_with("by agent/1") && !line.contains("reason"),
            "{line}"
        );
    }
}
