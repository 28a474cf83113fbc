//! Testing an agent against conditions, as the master does it: a framework with several demands must know which of
//! them an offer is good for.

use crate::types::{Agent, AttributeValue, Comparison, Condition};
use regex_lite::Regex;

/// Whether all conditions hold. One that cannot be read (a bad expression, a bad number) does not hold.
pub fn all_hold(conditions: &[Condition], agent: &Agent) -> bool {
    conditions.iter().all(|condition| holds(condition, agent))
}

/// Whether the value can be read: a regular expression of at most 256 bytes, a number with up to three places.
pub fn is_valid(condition: &Condition) -> bool {
    match condition.test {
        Comparison::Matches => condition.value.len() <= 256 && Regex::new(&condition.value).is_ok(),
        Comparison::AtLeast | Comparison::AtMost => parse_milli(&condition.value).is_some(),
        _ => true,
    }
}

/// Whether one condition holds.
pub fn holds(condition: &Condition, agent: &Agent) -> bool {
    match condition.attribute.as_str() {
        "@hostname" => test_text(condition, Some(&agent.hostname)),
        "@region" => test_text(condition, agent.region.as_deref()),
        "@zone" => test_text(condition, agent.zone.as_deref()),
        "@runtime" => test_runtimes(condition, agent),
        name => match agent
            .attributes
            .iter()
            .find(|attribute| attribute.name == name)
        {
            None => test_text(condition, None),
            Some(attribute) => match &attribute.value {
                AttributeValue::Text(text) => test_text(condition, Some(text)),
                AttributeValue::NumberMilli(number) => test_number(condition, *number),
            },
        },
    }
}

/// An agent has several runtimes: `equals` and `matches` ask for any of them, `differs` for none.
fn test_runtimes(condition: &Condition, agent: &Agent) -> bool {
    let any = |test: Comparison| {
        let condition = Condition {
            test,
            ..condition.clone()
        };
        agent
            .runtimes
            .iter()
            .any(|runtime| test_text(&condition, Some(runtime)))
    };
    match condition.test {
        Comparison::Differs => !any(Comparison::Equals),
        Comparison::Absent => agent.runtimes.is_empty(),
        test => any(test),
    }
}

fn test_text(condition: &Condition, text: Option<&str>) -> bool {
    match condition.test {
        Comparison::Present => text.is_some(),
        Comparison::Absent => text.is_none(),
        Comparison::Equals => text == Some(condition.value.as_str()),
        Comparison::Differs => text != Some(condition.value.as_str()),
        Comparison::Matches => text.is_some_and(|text| whole_match(&condition.value, text)),
        Comparison::AtLeast | Comparison::AtMost => false,
    }
}

fn test_number(condition: &Condition, number: i64) -> bool {
    let wanted = parse_milli(&condition.value);
    match condition.test {
        Comparison::Present => true,
        Comparison::Absent => false,
        Comparison::Equals => wanted == Some(number),
        Comparison::Differs => wanted != Some(number),
        Comparison::Matches => whole_match(&condition.value, &format_milli(number)),
        Comparison::AtLeast => wanted.is_some_and(|wanted| number >= wanted),
        Comparison::AtMost => wanted.is_some_and(|wanted| number <= wanted),
    }
}

fn whole_match(expression: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{expression})$")).is_ok_and(|regex| regex.is_match(text))
}

/// A decimal number with up to three places, in thousandths.
pub fn parse_milli(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || places.len() > 3 || !all_digits(whole) || !all_digits(places) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let places: i64 = format!("{places:0<3}").parse().ok()?;
    whole
        .checked_mul(1_000)?
        .checked_add(places)?
        .checked_mul(sign)
}

/// With three places, as the master writes it for `matches`.
fn format_milli(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let magnitude = number.unsigned_abs();
    format!("{sign}{}.{:03}", magnitude / 1_000, magnitude % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Attribute, Resources};

    fn agent() -> Agent {
        Agent {
            id: 1,
            hostname: "n1.example".into(),
            address: "127.0.0.1".into(),
            region: None,
            zone: Some("z1".into()),
            attributes: vec![
                Attribute {
                    name: "cores".into(),
                    value: AttributeValue::NumberMilli(8_000),
                },
                Attribute {
                    name: "rack".into(),
                    value: AttributeValue::Text("r7".into()),
                },
            ],
            total: Resources::default(),
            runtimes: vec!["process".into(), "module".into()],
            leaving_at: None,
        }
    }

    fn check(attribute: &str, test: Comparison, value: &str, expected: bool) {
        let condition = Condition {
            attribute: attribute.into(),
            test,
            value: value.into(),
        };
        assert_eq!(holds(&condition, &agent()), expected, "{condition:?}");
    }

    #[test]
    fn text_number_and_built_in_facts() {
        check("rack", Comparison::Equals, "r7", true);
        check("rack", Comparison::Equals, "r", false);
        check("rack", Comparison::Matches, "r[0-9]", true);
        check("rack", Comparison::Matches, "r", false);
        check("rack", Comparison::Matches, "r7|x", true);
        check("rack", Comparison::Matches, "(", false);
        check("rack", Comparison::AtLeast, "1", false);
        check("cores", Comparison::AtLeast, "8", true);
        check("cores", Comparison::AtMost, "7.999", false);
        check("cores", Comparison::Equals, "8.0", true);
        check("cores", Comparison::Matches, "8[.]0+", true);
        check("gpu", Comparison::Absent, "", true);
        check("gpu", Comparison::Differs, "h100", true);
        check("@zone", Comparison::Equals, "z1", true);
        check("@region", Comparison::Present, "", false);
        check("@runtime", Comparison::Equals, "module", true);
        check("@runtime", Comparison::Differs, "module", false);
        check("@runtime", Comparison::Equals, "container", false);
        check("@hostname", Comparison::Matches, ".*\\.example", true);
    }

    #[test]
    fn numbers_are_read_exactly_or_not_at_all() {
        assert_eq!(parse_milli("1.5"), Some(1_500));
        assert_eq!(parse_milli("-0.001"), Some(-1));
        for bad in ["", ".5", "1.0005", "1e3", "+1", "9223372036854775807"] {
            assert_eq!(parse_milli(bad), None, "{bad}");
        }
        assert_eq!(
            (format_milli(-1_500), format_milli(10_000)),
            ("-1.500".into(), "10.000".into())
        );
    }
}
