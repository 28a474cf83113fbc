//! All agents side by side, and which of them a demand fits: looked at once for all demands of a
//! framework, so that thousands of agents and many demands are answered in one step.
//!
//! What a condition tests is kept in columns: each value that agents have of an attribute stands once
//! in its column, and each condition is tested once a value. Owns no words (`remedy.rs`).

use crate::cluster::{Cluster, Link};
use crate::fit::{Conditions, Value, value};
use crate::framework::Host;
use crate::record::How;
use crate::state::AgentState;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use mezzo_types::{AgentFacts, AgentId, Demand, PortSet, ResourceKind, Resources};

/// Columns that are kept from one demand to the next: attributes are named by guests, and a column is
/// as long as there are agents.
const COLUMNS_MAX: usize = 32;
/// Values that are named of an attribute.
const VALUES_SHOWN_MAX: usize = 3;

/// What is in the way on an agent. Of several it is the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The condition in this place does not hold.
    Condition(usize),
    /// It has less in all of the resource in this place.
    TooSmall(usize),
    /// It does not give out this port.
    PortNotGiven(u16),
    Deactivated,
    Draining,
    Gone,
    Silent,
    NotConnected,
    /// The resource in this place is kept for roles, so that what is left is too small.
    Reserved(usize),
    /// Tasks use the resource in this place.
    InUse(usize),
    PortInUse(u16),
    /// A turn that runs was offered the resource in this place.
    Offered(usize),
    PortOffered(u16),
    /// The framework was offered it as it is, and left it.
    Left,
}

/// The agents on which the same is in the way.
#[derive(Debug)]
pub struct Group<'a> {
    pub obstacle: Obstacle,
    pub agents: u64,
    /// Which of them lacks least, or is silent for longest.
    pub closest: usize,
    distance: u64,
    /// What they have of the attribute that a condition names, the most common ones first.
    pub values: Vec<(Value<'a>, u64)>,
    /// How many more values there are.
    pub values_more: usize,
}

/// Each agent in one place.
#[derive(Debug, Default)]
pub struct Sorted<'a> {
    pub fit: u64,
    pub groups: Vec<Group<'a>>,
}

/// Which part of what an agent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Total,
    /// Not kept for roles.
    Unreserved,
    /// By no task, and not kept for roles.
    Unused,
    /// And not offered either.
    Free,
}

/// One agent.
#[derive(Debug)]
pub struct Row<'a> {
    pub id: AgentId,
    pub agent: &'a AgentState,
    facts: &'a AgentFacts,
    link: Option<&'a Link>,
    /// None if it has none, which is cheaper to see than an empty set behind a pointer.
    ports_used: Option<&'a PortSet>,
    ports_offered: Option<&'a PortSet>,
    total: [u64; 5],
    unreserved: [u64; 5],
    unused: [u64; 5],
    free: [u64; 5],
    /// What is in the way of every demand on it.
    away: Option<Obstacle>,
    /// Whether the framework has seen it as it is, and is not looking at it now.
    seen: bool,
}

#[derive(Debug)]
struct Column<'a> {
    values: Vec<Value<'a>>,
    /// Which of them each agent has.
    of: Vec<usize>,
}

/// See the module.
#[derive(Debug)]
pub struct Roster<'a> {
    pub rows: Vec<Row<'a>>,
    columns: BTreeMap<&'a str, Column<'a>>,
}

impl<'a> Row<'a> {
    /// One agent of a cluster, as a framework sees it to whose running turn these are offered.
    fn new(
        cluster: &'a Cluster,
        host: &Host,
        offered: &BTreeSet<AgentId>,
        (id, agent): (AgentId, &'a AgentState),
    ) -> Row<'a> {
        let link = cluster.links.get(&id);
        let facts = &agent.record.info.facts;
        let total = facts.total.plain();
        let less = |have: [u64; 5], less: [u64; 5]| {
            core::array::from_fn(|i| have[i].saturating_sub(less[i]))
        };
        let unused = less(total, agent.used.plain());
        let reserved = agent.reservations.iter();
        let reserved = reserved.filter_map(|id| cluster.state.reservation(*id));
        let reserved = reserved.filter(|known| known.record.within.is_none());
        let unreserved =
            reserved.fold(total, |left, known| less(left, known.record.amount.plain()));
        let leased = link.map_or([0; 5], |link| link.leased.plain());
        let seen = host.seen.contains(crate::allocate::slot(id))
            && !host.again.contains(&id)
            && !offered.contains(&id)
            && link.is_some_and(|link| link.improved <= host.looked);
        Row {
            id,
            agent,
            facts,
            link,
            ports_used: some(&agent.ports_used),
            ports_offered: link.and_then(|link| some(&link.ports_leased)),
            total,
            unreserved,
            unused,
            free: less(unused, leased),
            away: away(agent, link),
            seen,
        }
    }

    /// How much of one kind it has.
    pub fn has(&self, part: Part, kind: &ResourceKind<'_>) -> u64 {
        let plain = match part {
            Part::Total => &self.total,
            Part::Unreserved => &self.unreserved,
            Part::Unused => &self.unused,
            Part::Free => &self.free,
        };
        match kind {
            ResourceKind::Cpu => plain[0],
            ResourceKind::Memory => plain[1],
            ResourceKind::Disk => plain[2],
            ResourceKind::Gpus => plain[3],
            ResourceKind::Ports => plain[4],
            ResourceKind::Custom(_) => {
                let all = self.facts.total.amount(kind);
                let amount = |of: Option<&Resources>| of.map_or(0, |of| of.amount(kind));
                let whole = matches!(part, Part::Total | Part::Unreserved);
                let used = amount(Some(&self.agent.used).filter(|_| !whole));
                let leased = self.link.map(|link| &link.leased);
                let leased = amount(leased.filter(|_| part == Part::Free));
                all.saturating_sub(used).saturating_sub(leased)
            }
        }
    }

    /// What is in the way but for conditions.
    fn obstacle(&self, demand: &Demand, wants: &[(ResourceKind<'_>, u64)]) -> Option<Obstacle> {
        let short = |part| {
            let mut wants = wants.iter();
            wants.position(|(kind, n)| self.has(part, kind) < *n)
        };
        let port = |bad: &dyn Fn(u16) -> bool| {
            let mut ports = demand.fixed_ports.iter().copied();
            ports.find(|port| bad(*port))
        };
        let among = |ports: Option<&PortSet>| {
            let ports = ports?;
            port(&|port| ports.contains(port))
        };
        short(Part::Total)
            .map(Obstacle::TooSmall)
            .or_else(|| {
                port(&|port| !self.facts.port_set.contains(port)).map(Obstacle::PortNotGiven)
            })
            .or(self.away)
            .or_else(|| short(Part::Unreserved).map(Obstacle::Reserved))
            .or_else(|| short(Part::Unused).map(Obstacle::InUse))
            .or_else(|| among(self.ports_used).map(Obstacle::PortInUse))
            .or_else(|| short(Part::Free).map(Obstacle::Offered))
            .or_else(|| among(self.ports_offered).map(Obstacle::PortOffered))
            .or_else(|| self.seen.then_some(Obstacle::Left))
    }

    /// How far it is from having no such obstacle, against others that have it as well.
    fn distance(&self, obstacle: Obstacle, wants: &[(ResourceKind<'_>, u64)]) -> u64 {
        let part = match obstacle {
            Obstacle::TooSmall(_) => Part::Total,
            Obstacle::Reserved(_) => Part::Unreserved,
            Obstacle::InUse(_) => Part::Unused,
            Obstacle::Offered(_) => Part::Free,
            Obstacle::Silent => return self.agent.record.silent_since.map_or(0, |at| at.0),
            _ => return 0,
        };
        // As parts of what is wanted of each: amounts of different kinds cannot be compared.
        let lack = |(kind, n): &(ResourceKind<'_>, u64)| {
            let lack = u128::from(n.saturating_sub(self.has(part, kind)));
            u64::try_from((lack << 20) / u128::from(*n).max(1)).unwrap_or(u64::MAX)
        };
        wants.iter().map(lack).max().unwrap_or(0)
    }
}

fn some(ports: &PortSet) -> Option<&PortSet> {
    Some(ports).filter(|ports| !ports.is_empty())
}

fn away(agent: &AgentState, link: Option<&Link>) -> Option<Obstacle> {
    let leaving = agent.record.leaving.as_ref().map(|leaving| leaving.how);
    match leaving {
        Some(How::Deactivated) => Some(Obstacle::Deactivated),
        Some(How::Draining { .. }) => Some(Obstacle::Draining),
        Some(How::Gone) => Some(Obstacle::Gone),
        None if link.is_some_and(|link| link.session.is_some()) => None,
        None if agent.record.silent_since.is_some() => Some(Obstacle::Silent),
        None => Some(Obstacle::NotConnected),
    }
}

impl<'a> Roster<'a> {
    /// All agents, as one framework sees them.
    pub fn new(cluster: &'a Cluster, host: &Host) -> Roster<'a> {
        let running = host.turn.and_then(|turn| cluster.turns.get(&turn));
        let leases = running.iter().flat_map(|turn| &turn.leases);
        let offered: BTreeSet<AgentId> = leases.map(|lease| lease.agent).collect();
        let agents = cluster.state.agents.iter();
        Roster {
            rows: agents
                .map(|(id, agent)| Row::new(cluster, host, &offered, (*id, agent)))
                .collect(),
            columns: BTreeMap::new(),
        }
    }

    fn column(&mut self, attribute: &'a str) -> &Column<'a> {
        if self.columns.len() >= COLUMNS_MAX && !self.columns.contains_key(attribute) {
            self.columns.clear();
        }
        let rows = &self.rows;
        self.columns.entry(attribute).or_insert_with(|| {
            let values = rows.iter().map(|row| value(row.facts, attribute));
            match attribute {
                // Each machine has its own: there is nothing to find twice.
                "@hostname" => Column {
                    values: values.collect(),
                    of: (0..rows.len()).collect(),
                },
                _ => Column::new(values),
            }
        })
    }

    /// Puts every agent under the first thing that is in the way of a demand, or counts it as fit.
    pub fn sort(&mut self, demand: &'a Demand, conditions: &Conditions) -> Sorted<'a> {
        let mut sorted = Sorted::default();
        let mut passing: Vec<usize> = (0..self.rows.len()).collect();
        for (place, condition) in demand.conditions.iter().enumerate() {
            if passing.is_empty() {
                break;
            }
            let column = self.column(&condition.attribute);
            let failing = column.split(&mut passing, |value| conditions.holds_for(place, value));
            let failing = failing.map(|group| Group {
                obstacle: Obstacle::Condition(place),
                ..group
            });
            sorted.groups.extend(failing);
        }
        let wants: Vec<(ResourceKind<'_>, u64)> = demand.each.amounts().collect();
        let mut groups: BTreeMap<Obstacle, Group<'a>> = BTreeMap::new();
        for place in passing {
            let row = &self.rows[place];
            let Some(obstacle) = row.obstacle(demand, &wants) else {
                sorted.fit += 1;
                continue;
            };
            let distance = row.distance(obstacle, &wants);
            let group = groups
                .entry(obstacle)
                .or_insert_with(|| Group::new(obstacle, place, distance));
            group.agents += 1;
            if distance < group.distance {
                (group.closest, group.distance) = (place, distance);
            }
        }
        sorted.groups.extend(groups.into_values());
        sorted
    }
}

impl<'a> Group<'a> {
    fn new(obstacle: Obstacle, closest: usize, distance: u64) -> Group<'a> {
        Group {
            obstacle,
            agents: 0,
            closest,
            distance,
            values: Vec::new(),
            values_more: 0,
        }
    }
}

impl<'a> Column<'a> {
    fn new(all: impl Iterator<Item = Value<'a>>) -> Column<'a> {
        let mut places: BTreeMap<Value<'a>, usize> = BTreeMap::new();
        let mut values = Vec::new();
        let place = |value| {
            *places.entry(value).or_insert_with(|| {
                values.push(value);
                values.len() - 1
            })
        };
        let of = all.map(place).collect();
        Column { values, of }
    }

    /// Takes the agents out whose value does not pass.
    fn split(
        &self,
        passing: &mut Vec<usize>,
        passes: impl Fn(Value<'a>) -> bool,
    ) -> Option<Group<'a>> {
        let mut tested: Vec<Option<bool>> = vec![None; self.values.len()];
        let mut counts = vec![0_u64; self.values.len()];
        let mut first = None;
        passing.retain(|row| {
            let value = self.of[*row];
            let holds = *tested[value].get_or_insert_with(|| passes(self.values[value]));
            if !holds {
                counts[value] += 1;
                first.get_or_insert(*row);
            }
            holds
        });
        let mut group = Group::new(Obstacle::Condition(0), first?, 0);
        let values = self.values.iter().copied().zip(counts);
        group.values = values.filter(|(_, agents)| *agents > 0).collect();
        group.agents = group.values.iter().map(|(_, agents)| agents).sum();
        group
            .values
            .sort_by_key(|(value, agents)| (core::cmp::Reverse(*agents), *value));
        group.values_more = group.values.len().saturating_sub(VALUES_SHOWN_MAX);
        group.values.truncate(VALUES_SHOWN_MAX);
        Some(group)
    }
}
