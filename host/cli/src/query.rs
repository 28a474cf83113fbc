//! Paths and queries of URLs, with everything escaped that has a meaning there.

/// A part of a path, or a value of a query.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A path with the pairs that have a value as its query.
pub fn with(path: &str, pairs: &[(&str, Option<String>)]) -> String {
    let query: Vec<String> = pairs
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", encode(value.as_deref()?))))
        .collect();
    if query.is_empty() {
        path.to_string()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_value_is_sent_and_it_is_escaped() {
        let path = with(
            "/x",
            &[
                ("a", Some("1 &ü".into())),
                ("b", None),
                ("c", Some("d/e".into())),
            ],
        );
        assert_eq!(path, "/x?a=1%20%26%C3%BC&c=d%2Fe");
        assert_eq!(with("/x", &[("a", None)]), "/x");
    }
}
