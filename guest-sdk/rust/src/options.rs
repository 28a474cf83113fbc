//! Reading the operator's options.

use crate::json;
use crate::types::Setup;
use serde::de::DeserializeOwned;

/// Reads options as the framework's own type. The error names the field and the place, fit for `start` to return.
pub fn parse<T: DeserializeOwned>(options: &str) -> Result<T, String> {
    let text = if options.trim().is_empty() {
        "{}"
    } else {
        options
    };
    json::parse(text.as_bytes()).map_err(|error| format!("the options are not accepted: {error}"))
}

impl Setup {
    /// The options as the framework's own type; see [`parse`].
    pub fn options_as<T: DeserializeOwned>(&self) -> Result<T, String> {
        parse(&self.options)
    }
}

#[cfg(test)]
mod tests {
    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Options {
        size: u32,
    }

    #[test]
    fn options_name_what_is_wrong() {
        assert_eq!(super::parse::<Options>(""), Ok(Options { size: 0 }));
        assert_eq!(
            super::parse::<Options>("{\"size\":3}"),
            Ok(Options { size: 3 })
        );
        let error = super::parse::<Options>("{\"size\":-3}").unwrap_err();
        assert!(
            error.contains("size: invalid value: integer `-3`, expected u32"),
            "{error}"
        );
        let error = super::parse::<Options>("{\"seize\":3}").unwrap_err();
        assert!(error.contains("unknown field `seize`"), "{error}");
    }
}
