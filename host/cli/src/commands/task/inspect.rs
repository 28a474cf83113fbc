//! `mezzo task inspect`, for people.

use crate::commands::values::{ago, entries, pairs, resources, text};
use crate::table;
use crate::units::show_millis;
use serde_json::Value;

pub fn show(task: &Value) -> anyhow::Result<()> {
    let workload = &task["workload"];
    let name = match task["name"] == task["task"] {
        true => String::new(),
        false => text(&task["name"]),
    };
    let ports = entries(task, "ports").iter();
    let ports = ports.map(|port| format!("{}={}", text(&port["name"]), text(&port["number"])));
    let mounts = entries(task, "mounts").iter();
    let mounts =
        mounts.map(|mount| format!("{} at {}", text(&mount["volume"]), text(&mount["path"])));
    let priority = match task["priority"].as_i64() {
        Some(0) | None => String::new(),
        Some(priority) => priority.to_string(),
    };
    let preemptible = match task["preemptible"].as_bool() {
        Some(true) => "yes".to_string(),
        _ => String::new(),
    };
    let kill = match task["kill_requested"].as_bool() {
        Some(true) => "requested".to_string(),
        _ => String::new(),
    };
    let duration = |value: &Value| value.as_u64().map_or_else(String::new, show_millis);
    table::facts(&[
        ("framework", text(&task["framework"])),
        ("task", text(&task["task"])),
        ("name", name),
        ("group", text(&task["group"])),
        ("state", text(&task["state"])),
        ("since", ago(&task["since_ms"])),
        ("reason", text(&task["reason"])),
        ("message", text(&task["message"])),
        ("exit code", text(&task["exit_code"])),
        ("kill", kill),
        (
            "agent",
            format!("{} {}", text(&task["agent"]), text(&task["hostname"])),
        ),
        ("address", text(&task["address"])),
        ("launched", ago(&task["launched_ms"])),
        ("run", text(&task["run"])),
        ("kind", text(&workload["kind"])),
        ("argv", words(&workload["argv"])),
        ("image", text(&workload["image"])),
        ("component", text(&workload["component"])),
        ("env", pairs(&task["env"])),
        ("resources", resources(&task["resources"])),
        ("ports", ports.collect::<Vec<_>>().join(", ")),
        ("reservation", text(&task["reservation"])),
        ("volumes", mounts.collect::<Vec<_>>().join(", ")),
        ("priority", priority),
        ("preemptible", preemptible),
        ("labels", pairs(&task["labels"])),
        ("runtime at most", duration(&task["runtime_max_ms"])),
        ("kill grace", duration(&task["kill_grace_ms"])),
    ])
}

/// As they would be typed: what is not plain stands in quotes.
fn words(argv: &Value) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    let words = argv.as_array().into_iter().flatten().map(|word| {
        let word = text(word);
        match !word.is_empty() && word.chars().all(plain) {
            true => word,
            false => format!("'{}'", word.replace('\'', r"'\''")),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_can_be_told_apart() {
        let argv = json!(["sh", "-c", "echo it's", ""]);
        assert_eq!(words(&argv), r"sh -c 'echo it'\''s' ''");
    }
}
