//! Frameworks as tables.

use crate::commands::values::{ago, entries, numbers, resources, size, text};
use crate::output::line;
use crate::table::{self, Table};
use crate::units::show_millis;
use serde_json::Value;

/// All frameworks.
pub fn list(frameworks: &Value) -> anyhow::Result<()> {
    let head = [
        "name", "role", "state", "tasks", "demands", "faults", "turns",
    ];
    let mut table = Table::new(&head);
    for framework in entries(frameworks, "frameworks") {
        table.row([
            text(&framework["name"]),
            text(&framework["role"]),
            text(&framework["state"]),
            text(&framework["tasks"]),
            entries(framework, "demands").len().to_string(),
            text(&framework["faults"]),
            text(&framework["turns"]),
        ]);
    }
    table.print()
}

/// One framework, with its limits below it.
pub fn one(framework: &Value) -> anyhow::Result<()> {
    let demands = entries(framework, "demands").iter().map(|demand| {
        let count = text(&demand["count"]);
        let each = resources(&demand["each"]);
        let mut said = format!("{} {count} × ({each})", text(&demand["name"]));
        if demand["together"] == true {
            said += " together";
        }
        if demand["priority"].as_i64().is_some_and(|n| n != 0) {
            said += &format!(" of priority {}", text(&demand["priority"]));
        }
        match numbers(&demand["reservations"]) {
            on if on.is_empty() => said,
            on => format!("{said} on reservations {on}"),
        }
    });
    let options = match &framework["options"] {
        Value::Object(options) if options.is_empty() => String::new(),
        options => text(options),
    };
    let cpu = framework["cpu_us"].as_u64().unwrap_or(0) / 1_000;
    table::facts(&[
        ("name", text(&framework["name"])),
        ("id", text(&framework["id"])),
        ("role", text(&framework["role"])),
        ("state", text(&framework["state"])),
        ("web API", web(framework)),
        ("component", text(&framework["component"])),
        ("installed", ago(&framework["installed_ms"])),
        ("by", text(&framework["principal"])),
        ("upgraded", ago(&framework["upgraded_ms"])),
        ("upgraded from", text(&framework["upgraded_from"])),
        ("options", options),
        ("tasks", text(&framework["tasks"])),
        ("used", resources(&framework["used"])),
        ("demands", demands.collect::<Vec<_>>().join("; ")),
        ("durable state", size(&framework["state_bytes"])),
        ("turns", text(&framework["turns"])),
        ("cpu in turns", show_millis(cpu)),
        ("faults in a row", text(&framework["faults"])),
        ("web faults", text(&framework["web_faults"])),
        ("newest fault", fault(&framework["last_fault"])),
    ])?;
    line("")?;
    let mut table = Table::new(&["limit", "value"]);
    for (name, value) in framework["limits"].as_object().into_iter().flatten() {
        table.row([name.clone(), text(value)]);
    }
    table.print()
}

fn web(framework: &Value) -> String {
    match (
        framework["web"].as_bool(),
        framework["web_closed"].as_bool(),
    ) {
        (Some(true), Some(true)) => {
            "closed after too many faults; `mezzo framework resume` opens it".into()
        }
        (Some(true), _) => format!("/fw/{}/", text(&framework["name"])),
        _ => "none".into(),
    }
}

/// Such as `7, 5m ago, trap in handle: out of bounds; told: offers 1`.
fn fault(fault: &Value) -> String {
    if fault.is_null() {
        return String::new();
    }
    let told = match text(&fault["events"]) {
        events if events.is_empty() => events,
        events => format!("; it was told: {events}"),
    };
    format!(
        "{}, {}, {} in {}: {}{told}",
        text(&fault["id"]),
        ago(&fault["at_ms"]),
        text(&fault["kind"]),
        text(&fault["call"]),
        text(&fault["message"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_is_one_line_and_none_is_nothing() {
        assert_eq!(fault(&Value::Null), "");
        let said = fault(
            &json!({"id": 7, "at_ms": 0, "kind": "trap", "call": "handle",
            "message": "unreachable", "events": "offers"}),
        );
        assert!(said.starts_with("7, "), "{said}");
        assert!(
            said.ends_with("trap in handle: unreachable; it was told: offers"),
            "{said}"
        );
    }
}
