//! `mezzo task kill`.

use super::find::{find, path};
use super::states;
use crate::client::Client;
use crate::commands::values::text;
use crate::output::line;
use crate::query::with;
use crate::units;
use hyper::Method;
use serde_json::Value;

#[derive(Debug, clap::Args)]
pub struct Kill {
    /// Its id, or FRAMEWORK/ID
    task: String,
    /// From the first signal to the last, such as 10s
    #[arg(long, value_parser = units::millis)]
    grace: Option<u64>,
}

impl Kill {
    pub async fn run(self, client: &Client) -> anyhow::Result<()> {
        let found = find(client, &self.task).await?;
        let name = text(&found["task"]);
        if states::is_final(&text(&found["state"])) {
            return line(&format!("{name} has already ended ({})", end(&found)));
        }
        let grace = self.grace.map(|grace| grace.to_string());
        let path = with(&path(&found), &[("grace_ms", grace)]);
        client.json(Method::DELETE, &path, None).await?;
        let agent = text(&found["agent"]);
        let when = match client.get(&format!("/api/v1/agents/{agent}")).await {
            Ok(known) if known["state"] != "connected" => format!(" when agent {agent} is back"),
            _ => String::new(),
        };
        line(&format!("{name} is asked to end{when}"))
    }
}

/// Such as `failed, exit code 3` or `lost, agent-gone`.
fn end(task: &Value) -> String {
    let state = text(&task["state"]);
    match (task["exit_code"].as_i64(), text(&task["reason"])) {
        (Some(code), _) => format!("{state}, exit code {code}"),
        (None, reason) if reason.is_empty() => state,
        (None, reason) => format!("{state}, {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_end_is_said_with_what_is_known_of_it() {
        let finished = json!({"state": "finished", "exit_code": 0, "reason": "exited"});
        assert_eq!(end(&finished), "finished, exit code 0");
        let lost = json!({"state": "lost", "exit_code": null, "reason": "agent-gone"});
        assert_eq!(end(&lost), "lost, agent-gone");
    }
}
