//! What `batch` says of a field of the job's description, said of the flag that it came from.

use crate::client::Refused;

/// A field, the flag that it comes from, and what the numbers of its rule count.
const FLAGS: [(&str, &str, &str); 11] = [
    ("cpu_milli", "--cpus", "thousandths of a processor"),
    ("memory_bytes", "--memory", "bytes"),
    ("disk_bytes", "--disk", "bytes"),
    ("timeout_ms", "--timeout", "milliseconds"),
    ("parallel_max", "--parallel", ""),
    ("count", "--count", ""),
    ("retries", "--retries", ""),
    ("conditions", "--condition", ""),
    ("env", "--env", ""),
    ("name", "--name", ""),
    ("module", "--module", ""),
];

/// An error of a submission, for whoever gave flags.
pub fn in_flags(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(mut refused) => {
            let field = refused.field.clone().unwrap_or_default();
            refused.message = said(&field, &refused.message);
            refused.into()
        }
        Err(error) => error,
    }
}

fn said(field: &str, message: &str) -> String {
    let end = field.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let name = &field[..end.unwrap_or(field.len())];
    let Some((_, flag, unit)) = FLAGS.iter().find(|(known, ..)| *known == name) else {
        return message.to_string();
    };
    let rest = message
        .strip_prefix(field)
        .map_or(message, |rest| rest.strip_prefix(": ").unwrap_or(rest));
    // The master speaks of a demand, which nobody who submits a job has heard of.
    let rest = match rest
        .strip_prefix("demand ")
        .and_then(|rest| rest.split_once(": "))
    {
        Some((_, rest)) => rest,
        None => rest,
    };
    // Which of several it is, the attribute says as well.
    let rest = match rest.strip_prefix("conditions[") {
        Some(place) => place.split_once("] on ").map_or(rest, |(_, rest)| rest),
        None => rest,
    };
    match unit.is_empty() || !rest.contains(" is not in ") {
        true => format!("{flag}: {rest}"),
        false => format!("{flag}: {rest} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_said_as_its_flag() {
        for (field, message, expected) in [
            (
                "cpu_milli",
                "cpu_milli: 0 is not in 1 to 1000",
                "--cpus: 0 is not in 1 to 1000 thousandths of a processor",
            ),
            (
                "parallel_max",
                "parallel_max: 0 is not in 1 to 9",
                "--parallel: 0 is not in 1 to 9",
            ),
            (
                "conditions",
                "conditions: demand j2: conditions[0] on rack: bad",
                "--condition: rack: bad",
            ),
            ("conditions[1]", "conditions[1]: bad", "--condition: bad"),
            ("argv", "argv: empty", "argv: empty"),
            ("", "no place", "no place"),
        ] {
            assert_eq!(said(field, message), expected);
        }
    }
}
