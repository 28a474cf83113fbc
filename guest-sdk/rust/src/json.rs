//! Reading JSON with errors that say where: the field's path, the line and the column.

use serde::de::DeserializeOwned;

/// Why a text was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// Whether it is no JSON at all; else it is JSON of the wrong shape.
    pub malformed: bool,
    /// Where in the value, such as `tasks[3].argv`; empty for the whole.
    pub field: String,
    /// What is wrong, without the place.
    pub message: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

impl std::fmt::Display for JsonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(
            f,
            "{} (line {}, column {})",
            self.message, self.line, self.column
        )
    }
}

impl std::error::Error for JsonError {}

/// Reads a whole JSON text. Give the type `#[serde(deny_unknown_fields)]` and unknown fields are refused by name.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        place(
            if path == "." { String::new() } else { path },
            error.inner(),
        )
    })?;
    reader.end().map_err(|error| place(String::new(), &error))?;
    Ok(value)
}

fn place(field: String, error: &serde_json::Error) -> JsonError {
    let full = error.to_string();
    let message = full
        .rsplit_once(" at line ")
        .map_or(full.as_str(), |(message, _)| message);
    JsonError {
        malformed: !error.is_data(),
        field,
        message: message.to_owned(),
        line: error.line(),
        column: error.column(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        tasks: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        argv: Vec<String>,
    }

    fn check(text: &str, malformed: bool, field: &str, place: (usize, usize), message: &str) {
        let error = parse::<Outer>(text.as_bytes()).unwrap_err();
        assert_eq!(
            (
                error.malformed,
                error.field.as_str(),
                error.line,
                error.column
            ),
            (malformed, field, place.0, place.1),
            "{error}"
        );
        assert!(error.message.starts_with(message), "{error}");
        assert!(!error.message.contains(" at line "), "{error}");
    }

    #[test]
    fn the_place_is_named() {
        check(
            "{\"tasks\":[\n{\"argv\":[1]}]}",
            false,
            "tasks[0].argv[0]",
            (2, 10),
            "invalid type: integer `1`",
        );
        check(
            "{\"tasks\":[{\"arg\":[]}]}",
            false,
            "tasks[0].arg",
            (1, 16),
            "unknown field `arg`",
        );
        check(
            "{\"task\":[]}",
            false,
            "task",
            (1, 7),
            "unknown field `task`",
        );
        check("{}", false, "", (1, 2), "missing field `tasks`");
        check("{\"tasks\":[}", true, "tasks[0]", (1, 11), "expected value");
        check("{\"tasks\":[]} x", true, "", (1, 14), "trailing characters");
        check("", true, "", (1, 0), "EOF while parsing a value");
    }
}
