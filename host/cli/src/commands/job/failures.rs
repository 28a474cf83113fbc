//! Why a job failed, in one line. A single task that ends by itself with an exit code has said all
//! there is to say: that code is ours.

use super::path;
use crate::client::Client;
use crate::commands::values::{entries, text};
use crate::query::encode;
use serde_json::Value;

/// Failures that are told one by one.
const SHOWN_MAX: usize = 10;
/// Tasks that are asked for at a time.
const PAGE: usize = 1_000;

/// What to say, if anything. That it cannot be found out is no reason to fail otherwise.
pub async fn said(client: &Client, framework: &str, job: &Value) -> Option<String> {
    let id = job["id"].as_str()?;
    let count = job["count"].as_u64()?;
    let failed = job["counts"]["failed"].as_u64()?;
    let found = find(client, &path(framework, id)).await.ok()?;
    if count == 1 {
        let task = found.first()?;
        return match task["reason"].as_str() {
            Some("exited") => None,
            _ => {
                let whole = whole(client, framework, task).await;
                Some(format!(
                    "{}{}: {}",
                    text(&task["task"]),
                    place(&whole),
                    cause(task, &text(&whole["message"]))
                ))
            }
        };
    }
    let mut causes = Vec::new();
    for task in &found {
        let message = match task["reason"].as_str() {
            Some("exited" | "signal") => String::new(),
            _ => text(&whole(client, framework, task).await["message"]),
        };
        causes.push(format!(
            "[{}] {}",
            text(&task["index"]),
            cause(task, &message)
        ));
    }
    Some(several(failed, count, &causes))
}

fn several(failed: u64, count: u64, causes: &[String]) -> String {
    let more = failed.saturating_sub(causes.len() as u64);
    let more = match more {
        0 => String::new(),
        _ => format!(", and {more} more"),
    };
    format!("{failed} of {count} failed: {}{more}", causes.join(", "))
}

/// The first that failed, by index.
async fn find(client: &Client, job: &str) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = client
            .get(&format!("{job}/tasks?limit={PAGE}{after}"))
            .await?;
        let tasks = entries(&page, "tasks").iter();
        let failed = tasks.filter(|task| task["state"] == "failed");
        found.extend(failed.take(SHOWN_MAX - found.len()).cloned());
        match page["next"].as_u64() {
            Some(next) if found.len() < SHOWN_MAX => after = format!("&after={next}"),
            _ => return Ok(found),
        }
    }
}

/// The task as the master knows it: `batch` keeps neither messages nor places.
async fn whole(client: &Client, framework: &str, task: &Value) -> Value {
    let Some(id) = task["task"].as_str() else {
        return Value::Null;
    };
    let path = format!("/api/v1/tasks/{}/{}", encode(framework), encode(id));
    client.get(&path).await.unwrap_or_default()
}

fn place(task: &Value) -> String {
    match text(&task["hostname"]) {
        host if host.is_empty() => host,
        host => format!(" on {host}"),
    }
}

fn cause(task: &Value, message: &str) -> String {
    let code = task["exit_code"].as_i64();
    match (text(&task["reason"]).as_str(), code) {
        ("exited", Some(code)) => format!("exit code {code}"),
        ("signal", Some(code)) if code > 128 => format!("signal {}", code - 128),
        ("", _) => "failed".into(),
        (reason, _) if message.is_empty() => reason.to_string(),
        (reason, _) => format!("{reason}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_cause_has_its_words() {
        for (reason, code, message, said) in [
            ("exited", json!(1), "", "exit code 1"),
            ("signal", json!(137), "", "signal 9"),
            (
                "start-failed",
                json!(null),
                "No such file",
                "start-failed: No such file",
            ),
            ("kill-requested", json!(143), "", "kill-requested"),
            ("", json!(null), "", "failed"),
        ] {
            let task = json!({"reason": reason, "exit_code": code});
            assert_eq!(cause(&task, message), said);
        }
    }

    #[test]
    fn many_are_counted() {
        let causes = ["[1] exit code 1".to_string(), "[2] signal 9".to_string()];
        assert_eq!(
            several(2, 3, &causes),
            "2 of 3 failed: [1] exit code 1, [2] signal 9"
        );
        assert!(several(12, 30, &causes).ends_with("[2] signal 9, and 10 more"));
    }
}
