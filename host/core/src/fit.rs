//! Whether an agent is fit for a demand: conditions compiled once, tested often.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use mezzo_types::{AgentFacts, AttributeValue, Comparison, Condition, PATTERN_BYTES_MAX, Runtime};
use regex::{Regex, RegexBuilder};

/// Compiled regular expressions may take so much memory, in bytes; a pattern is guest-controlled.
const PATTERN_PROGRAM_BYTES_MAX: usize = 64 << 10;

/// Conditions ready to be tested.
#[derive(Clone, Debug, Default)]
pub struct Conditions(Box<[Test]>);

#[derive(Clone, Debug)]
struct Test {
    condition: Condition,
    number_milli: Option<i64>,
    pattern: Option<Regex>,
}

impl Conditions {
    /// Checks and compiles; the error names the condition and what is wrong with it.
    pub fn compile(conditions: &[Condition]) -> Result<Conditions, String> {
        let tests: Result<Vec<Test>, String> =
            conditions.iter().enumerate().map(compile_one).collect();
        Ok(Conditions(tests?.into_boxed_slice()))
    }

    /// Whether they are these.
    #[must_use]
    pub fn are(&self, conditions: &[Condition]) -> bool {
        let own = self.0.iter().map(|test| &test.condition);
        self.0.len() == conditions.len() && own.eq(conditions)
    }

    /// Whether all hold.
    #[must_use]
    pub fn hold(&self, agent: &AgentFacts) -> bool {
        self.0
            .iter()
            .all(|test| test.holds(value(agent, &test.condition.attribute)))
    }

    /// Whether one of them, by its place in the demand, holds for a value of its attribute.
    #[must_use]
    pub fn holds_for(&self, place: usize, value: Value<'_>) -> bool {
        self.0.get(place).is_none_or(|test| test.holds(value))
    }
}

/// What an agent has under an attribute's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value<'a> {
    /// Nothing.
    Absent,
    /// A text.
    Text(&'a str),
    /// Thousandths.
    NumberMilli(i64),
    /// What it can run.
    Runtimes(&'a [Runtime]),
}

/// What an agent has under an attribute's name.
#[must_use]
pub fn value<'a>(agent: &'a AgentFacts, attribute: &str) -> Value<'a> {
    let text = |text: Option<&'a str>| text.map_or(Value::Absent, Value::Text);
    match attribute {
        "@runtime" => Value::Runtimes(&agent.runtimes),
        "@hostname" => Value::Text(&agent.hostname),
        "@region" => text(agent.region.as_deref()),
        "@zone" => text(agent.zone.as_deref()),
        name => {
            let found = agent.attributes.iter().find(|a| a.name == name);
            found.map_or(Value::Absent, |a| match &a.value {
                AttributeValue::Text(text) => Value::Text(text),
                AttributeValue::NumberMilli(n) => Value::NumberMilli(*n),
            })
        }
    }
}

fn compile_one((i, condition): (usize, &Condition)) -> Result<Test, String> {
    let number_milli = parse_milli(&condition.value);
    let name = || format!("conditions[{i}] on {}", condition.attribute);
    if matches!(condition.test, Comparison::AtLeast | Comparison::AtMost) && number_milli.is_none()
    {
        return Err(format!(
            "{}: {:?} is no number with at most three decimals",
            name(),
            condition.value
        ));
    }
    let pattern = if condition.test == Comparison::Matches {
        Some(compile_pattern(&condition.value))
    } else {
        None
    };
    let pattern = pattern
        .transpose()
        .map_err(|e| format!("{}: {e}", name()))?;
    Ok(Test {
        condition: condition.clone(),
        number_milli,
        pattern,
    })
}

fn compile_pattern(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!(
            "a pattern has at most {PATTERN_BYTES_MAX} bytes, this one {}",
            pattern.len()
        ));
    }
    // Without Unicode tables: the classes are ASCII ones, and the crate stays small.
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .unicode(false)
        .size_limit(PATTERN_PROGRAM_BYTES_MAX)
        .build()
        .map_err(|e| format!("the pattern {pattern:?} cannot be used: {e}"))
}

/// A decimal number in thousandths; none if it is none or has more than three decimals.
fn parse_milli(text: &str) -> Option<i64> {
    let (negative, digits) = text
        .strip_prefix('-')
        .map_or((false, text), |rest| (true, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || part.len() > 3 || !plain(whole) || !plain(part) {
        return None;
    }
    let part: i64 = format!("{part:0<3}").parse().ok()?;
    let milli = whole
        .parse::<i64>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(part)?;
    Some(if negative { -milli } else { milli })
}

impl Test {
    fn holds(&self, value: Value<'_>) -> bool {
        match value {
            Value::Absent => self.any(core::iter::empty()),
            Value::Text(text) => self.any(core::iter::once(Seen::Text(text))),
            Value::NumberMilli(n) => self.any(core::iter::once(Seen::NumberMilli(n))),
            Value::Runtimes(all) => self.any(all.iter().map(|r| Seen::Text(r.as_str()))),
        }
    }

    /// A test of several values holds if it holds for one; those of absence, if for all.
    fn any<'a>(&self, mut seen: impl Iterator<Item = Seen<'a>>) -> bool {
        match self.condition.test {
            Comparison::Present => seen.next().is_some(),
            Comparison::Absent => seen.next().is_none(),
            Comparison::Differs => !seen.any(|s| self.equals(&s)),
            Comparison::Equals => seen.any(|s| self.equals(&s)),
            Comparison::Matches => {
                let pattern = self.pattern.as_ref();
                seen.any(|s| pattern.is_some_and(|p| s.matches(p)))
            }
            Comparison::AtLeast => seen.any(|s| {
                s.number()
                    .zip(self.number_milli)
                    .is_some_and(|(n, than)| n >= than)
            }),
            Comparison::AtMost => seen.any(|s| {
                s.number()
                    .zip(self.number_milli)
                    .is_some_and(|(n, than)| n <= than)
            }),
        }
    }

    fn equals(&self, seen: &Seen<'_>) -> bool {
        match seen {
            Seen::Text(text) => *text == self.condition.value,
            Seen::NumberMilli(n) => self.number_milli == Some(*n),
        }
    }
}

enum Seen<'a> {
    Text(&'a str),
    NumberMilli(i64),
}

impl Seen<'_> {
    fn matches(&self, pattern: &Regex) -> bool {
        match self {
            Seen::Text(text) => pattern.is_match(text),
            Seen::NumberMilli(n) => {
                pattern.is_match(&format!("{}.{:03}", n / 1000, (n % 1000).abs()))
            }
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Seen::Text(_) => None,
            Seen::NumberMilli(n) => Some(*n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use mezzo_types::{Attribute, Resources, Runtime};

    fn agent() -> AgentFacts {
        AgentFacts {
            identity: "a".into(),
            hostname: "node-7".into(),
            address: "127.0.0.1".into(),
            region: None,
            zone: Some("z1".into()),
            attributes: vec![
                Attribute {
                    name: "rack".into(),
                    value: AttributeValue::Text("r7".into()),
                },
                Attribute {
                    name: "ghz".into(),
                    value: AttributeValue::NumberMilli(2500),
                },
            ],
            total: Resources::NONE,
            port_set: Default::default(),
            runtimes: vec![Runtime::Process, Runtime::Module],
            version: String::new(),
            reserved: vec![],
        }
    }

    fn check(attribute: &str, test: Comparison, value: &str) -> bool {
        let condition = Condition {
            attribute: attribute.into(),
            test,
            value: value.into(),
        };
        Conditions::compile(&[condition]).unwrap().hold(&agent())
    }

    #[test]
    fn each_comparison() {
        use Comparison::*;
        assert!(check("rack", Equals, "r7") && !check("rack", Equals, "r8"));
        assert!(
            check("rack", Differs, "r8")
                && check("nothing", Differs, "r8")
                && !check("rack", Differs, "r7")
        );
        assert!(
            check("rack", Matches, "r[0-9]") && !check("rack", Matches, "r"),
            "the whole text must fit"
        );
        assert!(
            check("ghz", AtLeast, "2.5")
                && !check("ghz", AtLeast, "2.501")
                && check("ghz", AtMost, "3")
        );
        assert!(
            check("ghz", Equals, "2.500") && !check("rack", AtLeast, "1"),
            "text is no number"
        );
        assert!(
            check("@zone", Present, "")
                && check("@region", Absent, "")
                && check("@hostname", Equals, "node-7")
        );
        assert!(check("@runtime", Equals, "module") && check("@runtime", Differs, "container"));
    }

    #[test]
    fn hostile_patterns_and_numbers_are_refused_by_name() {
        for (test, value) in [
            (Comparison::Matches, "("),
            (Comparison::Matches, "(?=x)"),
            (Comparison::Matches, "((a{99}){99}){99}"),
            (Comparison::Matches, &"x".repeat(257) as &str),
            (Comparison::AtLeast, "1.0001"),
            (Comparison::AtMost, "99999999999999999999"),
            (Comparison::AtMost, "1e9"),
        ] {
            let condition = Condition {
                attribute: "rack".into(),
                test,
                value: value.into(),
            };
            let error = Conditions::compile(&[condition]).unwrap_err();
            assert!(error.starts_with("conditions[0] on rack: "), "{error}");
        }
    }
}
