//! What is in the way, and what would change it, in words. Owns no decision (`roster.rs`).

use super::ReasonCount;
use super::roster::{Group, Obstacle, Part, Row};
use super::words::{count, duration, milli, more, short};
use crate::fit::Value;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use mezzo_types::{Comparison, Condition, Demand, Instant, ResourceKind};

/// What sentences need beside the group that they are about.
#[derive(Debug)]
pub struct Words<'a> {
    pub demand: &'a Demand,
    pub rows: &'a [Row<'a>],
    pub now: Instant,
    pub agent_silent_ms: u64,
}

impl Words<'_> {
    /// A group as it is answered.
    pub fn say(&self, group: &Group<'_>) -> ReasonCount {
        ReasonCount {
            reason: self.reason(group.obstacle),
            agents: group.agents,
            passing: passes(group.obstacle),
            remedy: self.remedy(group),
        }
    }

    fn kind(&self, place: usize) -> String {
        let kind = self.demand.each.amounts().nth(place);
        kind.map_or(String::new(), |(kind, _)| kind.to_string())
    }

    fn reason(&self, obstacle: Obstacle) -> String {
        match obstacle {
            Obstacle::Condition(place) => self.demand.conditions.get(place).map_or_else(
                || "a condition".into(),
                |condition| format!("condition {}", written(condition)),
            ),
            Obstacle::TooSmall(kind) => {
                format!("too small: not enough {} in all", self.kind(kind))
            }
            Obstacle::PortNotGiven(port) => format!("port {port} is not given out there"),
            Obstacle::Deactivated => "deactivated by an operator".into(),
            Obstacle::Draining => "being drained by an operator".into(),
            Obstacle::Gone => "gone for good".into(),
            Obstacle::Silent => "silent".into(),
            Obstacle::NotConnected => "not connected".into(),
            Obstacle::Reserved(kind) => format!("short of {}: kept for roles", self.kind(kind)),
            Obstacle::InUse(kind) => format!("short of {}: in use", self.kind(kind)),
            Obstacle::PortInUse(port) => format!("port {port} is in use"),
            Obstacle::Offered(kind) => {
                format!(
                    "short of {}: offered to a turn that is running",
                    self.kind(kind)
                )
            }
            Obstacle::PortOffered(port) => {
                format!("port {port} is offered to a turn that is running")
            }
            Obstacle::Left => "offered, and left by the framework".into(),
        }
    }

    fn remedy(&self, group: &Group<'_>) -> String {
        let closest = &self.rows[group.closest];
        match group.obstacle {
            Obstacle::Condition(place) => self.other_values(place, group),
            Obstacle::TooSmall(_) => {
                let lack = self.lack(closest, Part::Total).join(" and ");
                format!(
                    "would fit if {} had {lack} in all",
                    self.one_with(group, closest)
                )
            }
            Obstacle::PortNotGiven(port) => format!(
                "would fit if {} gave out port {port} (`ports` in its settings), or if any port will do",
                one_of(group, closest)
            ),
            Obstacle::Deactivated | Obstacle::Draining => {
                format!(
                    "`mezzo agent activate {}` takes {} back",
                    closest.id,
                    it(group)
                )
            }
            Obstacle::Gone => "nothing: an agent that is gone never comes back; add another".into(),
            Obstacle::Silent => self.silent(group, closest),
            Obstacle::NotConnected => format!(
                "passes when {} connects; after {} without a session it counts as silent (`agent_silent_ms`)",
                one_of(group, closest),
                duration(self.agent_silent_ms)
            ),
            Obstacle::Reserved(_) => {
                let lack = self.lack(closest, Part::Unreserved).join(" and ");
                format!(
                    "would fit if {} had {lack} that is not reserved (`mezzo reservation ls`)",
                    self.one_with(group, closest)
                )
            }
            Obstacle::InUse(_) => {
                let mut lack = self.lack(closest, Part::Unused);
                let ports = self.demand.fixed_ports.iter();
                let used = ports.filter(|port| closest.agent.ports_used.contains(**port));
                lack.extend(used.map(|port| format!("port {port}")));
                format!(
                    "would fit if {} had {} free",
                    self.one_with(group, closest),
                    lack.join(" and ")
                )
            }
            Obstacle::PortInUse(port) => {
                format!("passes when the task that has port {port} ends, or if any port will do")
            }
            Obstacle::Offered(_) | Obstacle::PortOffered(_) => {
                "passes with that turn, unless it launches on it".into()
            }
            Obstacle::Left => format!(
                "offered again when {} has more than now, when the demand changes, or when the framework asks for it (`revive`)",
                one_of(group, closest)
            ),
        }
    }

    /// What one agent lacks, of all that is wanted.
    fn lack(&self, row: &Row<'_>, part: Part) -> Vec<String> {
        let wants = self.demand.each.amounts();
        let lack = |(kind, n): (ResourceKind<'_>, u64)| {
            let lack = n.saturating_sub(row.has(part, &kind));
            (lack > 0).then(|| more(&kind, lack))
        };
        wants.filter_map(lack).collect()
    }

    /// Such as ``one of these 12 agents with `rack=r7` ``: whose amounts would have to change.
    fn one_with(&self, group: &Group<'_>, closest: &Row<'_>) -> String {
        let conditions = self.demand.conditions.iter();
        let equal = conditions.filter(|condition| condition.test == Comparison::Equals);
        let with: Vec<String> = equal.map(pair).collect();
        let who = one_of(group, closest);
        match with.is_empty() || group.agents == 1 {
            true => who,
            false => format!("{who} with {}", with.join(" and ")),
        }
    }

    fn silent(&self, group: &Group<'_>, longest: &Row<'_>) -> String {
        let since = longest.agent.record.silent_since.unwrap_or(self.now);
        let first = match group.agents {
            1 => "",
            _ => ", the first of them",
        };
        format!(
            "agent {} was declared silent {} ago{first}: passes when it connects again; if the machine is lost, `mezzo agent gone {} --yes`",
            longest.id,
            duration(self.now.since_ms(since)),
            longest.id
        )
    }

    fn other_values(&self, place: usize, group: &Group<'_>) -> String {
        let Some(condition) = self.demand.conditions.get(place) else {
            return String::new();
        };
        let add = match condition.test {
            Comparison::Equals => format!("add an agent with {}", pair(condition)),
            _ => "add an agent for which it holds".into(),
        };
        if let [(Value::Absent, agents)] = group.values.as_slice() {
            let agents = count(*agents, "agent");
            return format!(
                "{} is not set on {agents}: do without, or {add}",
                condition.attribute
            );
        }
        let mut shown: Vec<String> = Vec::new();
        for (value, agents) in &group.values {
            let agents = match shown.is_empty() {
                true => count(*agents, "agent"),
                false => agents.to_string(),
            };
            shown.push(format!("{} ({agents})", said(*value)));
        }
        if group.values_more > 0 {
            shown.push(count(group.values_more as u64, "more value"));
        }
        format!(
            "{} is {}: ask for another, or {add}",
            condition.attribute,
            shown.join(", ")
        )
    }
}

/// Whether it would go away without a change to the cluster.
fn passes(obstacle: Obstacle) -> bool {
    match obstacle {
        Obstacle::Condition(_)
        | Obstacle::TooSmall(_)
        | Obstacle::PortNotGiven(_)
        | Obstacle::Draining
        | Obstacle::Reserved(_)
        | Obstacle::Gone => false,
        Obstacle::Deactivated
        | Obstacle::Silent
        | Obstacle::NotConnected
        | Obstacle::InUse(_)
        | Obstacle::PortInUse(_)
        | Obstacle::Offered(_)
        | Obstacle::PortOffered(_)
        | Obstacle::Left => true,
    }
}

fn it(group: &Group<'_>) -> &'static str {
    match group.agents {
        1 => "it",
        _ => "the first of them",
    }
}

fn one_of(group: &Group<'_>, closest: &Row<'_>) -> String {
    match group.agents {
        1 => format!("agent {}", closest.id),
        n => format!("one of these {n} agents"),
    }
}

/// Such as `rack equals r7`.
fn written(condition: &Condition) -> String {
    let words = format!(
        "{} {} {}",
        condition.attribute,
        condition.test.as_str(),
        condition.value
    );
    words.trim_end().to_string()
}

/// Such as `` `rack=r7` ``.
fn pair(condition: &Condition) -> String {
    format!("`{}={}`", condition.attribute, short(&condition.value))
}

fn said(value: Value<'_>) -> String {
    match value {
        Value::Absent => "not set".into(),
        Value::Text(text) => short(text),
        Value::NumberMilli(n) => {
            let sign = if n < 0 { "-" } else { "" };
            format!("{sign}{}", milli(n.unsigned_abs()))
        }
        Value::Runtimes([]) => "none".into(),
        Value::Runtimes(all) => {
            let names: Vec<&str> = all.iter().map(|runtime| runtime.as_str()).collect();
            names.join("+")
        }
    }
}
