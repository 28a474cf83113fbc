//! What a framework still wants, and the tests that an agent must pass for it.

use crate::{ReservationId, Resources, name::check_name};
use alloc::string::String;
use alloc::vec::Vec;

/// The longest regular expression in a condition, in bytes.
pub const PATTERN_BYTES_MAX: usize = 256;

/// Reservations that one demand may name.
pub const RESERVATIONS_MAX: usize = 1_000;
/// Conditions of one demand.
pub const CONDITIONS_MAX: usize = 32;
/// Fixed ports of one demand.
pub const FIXED_PORTS_MAX: usize = 64;

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
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// If there are any, it is served from these alone, and from nothing unreserved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reservations: Vec<ReservationId>,
    /// All pieces in one turn, or none: a gang.
    #[serde(default, skip_serializing_if = "is_false")]
    pub together: bool,
    /// Within the role. Above 0 it may take back what preemptible tasks of a smaller one use; its own
    /// tasks are then not preemptible.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &i32) -> bool {
    *value == 0
}

impl Demand {
    /// Whether an agent that is fit for one is fit for the other: all but name and count.
    #[must_use]
    pub fn same_shape(&self, other: &Demand) -> bool {
        self.each == other.each
            && self.conditions == other.conditions
            && self.fixed_ports == other.fixed_ports
            && self.prefer == other.prefer
            && self.reservations == other.reservations
            && self.together == other.together
            && self.priority == other.priority
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
        let lists = [
            ("reservations", RESERVATIONS_MAX, self.reservations.len()),
            ("conditions", CONDITIONS_MAX, self.conditions.len()),
            ("fixed ports", FIXED_PORTS_MAX, self.fixed_ports.len()),
        ];
        if let Some((what, max, n)) = lists.into_iter().find(|(_, max, n)| n > max) {
            return Some(alloc::format!(
                "demand {}: at most {max} {what}, not {n}",
                self.name
            ));
        }
        if self.together && !self.reservations.is_empty() {
            return Some(alloc::format!(
                "demand {}: what is wanted `together` cannot be served from reservations",
                self.name
            ));
        }
        None
    }
}
