//! What a framework still wants, and the tests that an agent must pass for it.

use crate::{Resources, name::check_name};
use alloc::string::String;
use alloc::vec::Vec;

/// The longest regular expression in a condition, in bytes.
pub const PATTERN_BYTES_MAX: usize = 256;

/// How a condition compares; the contract says what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the names say it, and wit/types.wit says it in full"
)]
pub enum Comparison {
    Equals,
    Differs,
    Matches,
    AtLeast,
    AtMost,
    Present,
    Absent,
}

impl Comparison {
    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Comparison::Equals => "equals",
            Comparison::Differs => "differs",
            Comparison::Matches => "matches",
            Comparison::AtLeast => "at-least",
            Comparison::AtMost => "at-most",
            Comparison::Present => "present",
            Comparison::Absent => "absent",
        }
    }
}

/// A test of one attribute, or of `@hostname`, `@region`, `@zone`, `@runtime`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Condition {
    /// Which.
    pub attribute: String,
    /// How.
    pub test: Comparison,
    /// With what.
    #[serde(default)]
    pub value: String,
}

/// Which agents come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preference {
    /// Whichever are quickest to find.
    #[default]
    Any,
    /// The largest free share first: spreads.
    MostFree,
    /// The smallest free share first: packs.
    LeastFree,
}

/// What a framework still wants.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Demand {
    /// Unique among the framework's demands.
    pub name: String,
    /// The least that an offer must hold.
    pub each: Resources,
    /// How many such pieces.
    pub count: u32,
    /// All must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Ports that must be free, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed_ports: Vec<u16>,
    /// Which agents come first.
    #[serde(default)]
    pub prefer: Preference,
}

impl Demand {
    /// Whether an agent that is fit for one is fit for the other: all but name and count.
    #[must_use]
    pub fn same_shape(&self, other: &Demand) -> bool {
        self.each == other.each
            && self.conditions == other.conditions
            && self.fixed_ports == other.fixed_ports
            && self.prefer == other.prefer
    }

    /// Says what is wrong with the demand's own fields, if anything; patterns are checked where
    /// they are compiled.
    #[must_use]
    pub fn invalid(&self) -> Option<String> {
        if let Err(error) = check_name(&self.name) {
            return Some(alloc::format!("demand name: {error}"));
        }
        if let Some(kind) = self.each.invalid() {
            return Some(alloc::format!(
                "demand {}: each.{kind} is out of range",
                self.name
            ));
        }
        if self.each.runs_nothing() {
            return Some(alloc::format!(
                "demand {}: `each` asks for neither cpu nor memory nor any device, so nothing could run on it",
                self.name
            ));
        }
        None
    }
}
