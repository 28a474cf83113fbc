//! Taking values out of the API's JSON for tables. What is absent shows as nothing: an older or a
//! newer master may leave a field out.

use crate::units::{show_bytes, show_milli, show_millis};
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// The entries of a list.
pub fn entries<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

/// A text as it is, a number in digits, null as nothing.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// How long ago a time was.
pub fn age(value: &Value) -> String {
    let ago = |then| show_millis(now_ms().saturating_sub(then));
    value.as_u64().map_or_else(String::new, ago)
}

/// The same, as it is said.
pub fn ago(value: &Value) -> String {
    match age(value) {
        age if age.is_empty() => age,
        age => format!("{age} ago"),
    }
}

/// What there is, for whoever asked for something else: the first of them by name.
pub fn names(entries: &[Value], name: impl Fn(&Value) -> String) -> String {
    const SHOWN_MAX: usize = 10;
    let mut shown: Vec<String> = entries.iter().take(SHOWN_MAX).map(name).collect();
    match entries.len().saturating_sub(SHOWN_MAX) {
        0 if shown.is_empty() => return "none".into(),
        0 => {}
        more => shown.push(format!("{more} more")),
    }
    shown.join(", ")
}

/// Such as `7, 9`.
pub fn numbers(value: &Value) -> String {
    let all: Vec<String> = value.as_array().into_iter().flatten().map(text).collect();
    all.join(", ")
}

/// A time, as UTC.
pub fn time(value: &Value) -> String {
    value
        .as_u64()
        .map_or_else(String::new, crate::units::show_time)
}

/// Thousandths.
pub fn milli(value: &Value) -> String {
    show_milli(value.as_u64().unwrap_or(0))
}

/// Bytes.
pub fn size(value: &Value) -> String {
    show_bytes(value.as_u64().unwrap_or(0))
}

/// Such as `0.5 cpu, 64 MiB, 1 port`.
pub fn resources(value: &Value) -> String {
    let amount = |name: &str| value[name].as_u64().filter(|amount| *amount > 0);
    let mut parts = Vec::new();
    parts.extend(amount("cpu_milli").map(|n| format!("{} cpu", show_milli(n))));
    parts.extend(amount("memory_bytes").map(show_bytes));
    parts.extend(amount("disk_bytes").map(|n| format!("{} disk", show_bytes(n))));
    parts.extend(amount("gpus").map(|n| format!("{n} gpu")));
    parts.extend(amount("ports").map(|n| format!("{n} ports")));
    let custom = value["custom"].as_object().into_iter().flatten();
    parts.extend(custom.map(|(name, n)| format!("{} {name}", milli(n))));
    parts.join(", ")
}

/// Such as `arch=x86_64, rack=r7`.
pub fn pairs(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let shown: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    shown.join(", ")
}

/// Now, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn resources_are_said_without_zeros() {
        let value = json!({"cpu_milli": 500, "memory_bytes": 67108864, "disk_bytes": 0, "custom": {"license": 2000}});
        assert_eq!(resources(&value), "0.5 cpu, 64 MiB, 2 license");
        assert_eq!(resources(&Value::Null), "");
    }

    #[test]
    fn what_there_is_is_named_up_to_a_number() {
        let all: Vec<Value> = (0..12).map(Value::from).collect();
        assert_eq!(names(&all[..2], text), "0, 1");
        assert!(names(&all, text).ends_with("9, 2 more"));
        assert_eq!(names(&[], text), "none");
    }

    #[test]
    fn absent_values_show_as_nothing() {
        let value = json!({"a": "x", "n": 3, "none": null});
        assert_eq!(text(&value["a"]), "x");
        assert_eq!(text(&value["n"]), "3");
        assert_eq!(text(&value["none"]), "");
        assert_eq!(age(&value["missing"]), "");
        assert!(entries(&value, "missing").is_empty());
    }
}
