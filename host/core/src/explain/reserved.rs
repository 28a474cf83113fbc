//! Why a demand waits that is served from reservations alone.

use super::ReasonCount;
use super::words::{amount, count};
use crate::cluster::Cluster;
use crate::fit::Conditions;
use crate::lend::could_use;
use crate::state::State;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use mezzo_types::{AgentId, Demand, ReservationId};

impl Cluster {
    /// On how many agents a demand would fit on one of the reservations that it names, and what is in
    /// the way on each other one.
    pub(super) fn explain_reserved(&self, role: &str, demand: &Demand) -> (u64, Vec<ReasonCount>) {
        let mut fit: BTreeSet<AgentId> = BTreeSet::new();
        let mut found: BTreeMap<AgentId, ReasonCount> = BTreeMap::new();
        for id in &demand.reservations {
            let Some(known) = self.state.reservation(*id) else {
                continue;
            };
            let agent = known.record.agent;
            match self.in_the_way_of(role, demand, *id) {
                None => drop(fit.insert(agent)),
                Some((reason, passing, remedy)) => {
                    found.entry(agent).or_insert(ReasonCount {
                        reason,
                        agents: 1,
                        passing,
                        remedy,
                    });
                }
            }
        }
        found.retain(|agent, _| !fit.contains(agent));
        let others = self.state.agents.len() - fit.len() - found.len();
        let gone = demand.reservations.iter();
        let gone = gone
            .filter(|id| self.state.reservation(**id).is_none())
            .count();
        let mut reasons: Vec<ReasonCount> = found.into_values().collect();
        if others > 0 {
            reasons.push(ReasonCount {
                reason: "holds none of the reservations that it names".into(),
                agents: others as u64,
                passing: false,
                remedy: match gone {
                    0 => "would look there too if it named no reservation".into(),
                    n => format!(
                        "{} that it names: gone; name others, or none",
                        count(n as u64, "reservation")
                    ),
                },
            });
        }
        (fit.len() as u64, reasons)
    }

    /// Why a reservation does not serve a demand now, whether that passes, and what would change it.
    fn in_the_way_of(
        &self,
        role: &str,
        demand: &Demand,
        id: ReservationId,
    ) -> Option<(String, bool, String)> {
        let known = self.state.reservation(id)?;
        let record = &known.record;
        if !State::roles_above(role).any(|above| *above == *record.role) {
            return Some((
                format!("reservation {id} is for role {}", record.role),
                false,
                "name one of the framework's own role, or of one above it".into(),
            ));
        }
        if !could_use(demand, known) {
            return Some((
                format!("reservation {id} was given back"),
                false,
                "name another".into(),
            ));
        }
        if let Some(kind) = record.amount.short_of(&demand.each) {
            let (has, wants) = (record.amount.amount(&kind), demand.each.amount(&kind));
            if kind != mezzo_types::ResourceKind::Ports {
                return Some((
                    format!("reservation {id} is too small: not enough {kind} in all"),
                    false,
                    format!(
                        "it is {}, and {} are wanted: reserve more beside it",
                        amount(&kind, has),
                        amount(&kind, wants)
                    ),
                ));
            }
        }
        let Some(mut free) = self.free(record.agent).map(|_| known.free()) else {
            return Some((
                format!("the agent of reservation {id} is away or leaving"),
                true,
                format!("passes when agent {} is back", record.agent),
            ));
        };
        let ports = self.free_ports(record.agent);
        free.ports = ports.len();
        if let Some(problem) = self.unfit(demand, record.agent) {
            return Some((
                problem,
                false,
                "ask for less, or name another reservation".into(),
            ));
        }
        let mut fixed = demand.fixed_ports.iter();
        if let Some(port) = fixed.find(|port| !ports.contains(**port)) {
            return Some((
                format!("port {port} is in use on the agent of reservation {id}"),
                true,
                "passes when it is free again".into(),
            ));
        }
        let kind = free.short_of(&demand.each)?;
        Some((
            format!("reservation {id} is short of {kind}: in use"),
            true,
            format!(
                "would fit if {} more were free: it has {}, {}",
                amount(&kind, demand.each.amount(&kind) - free.amount(&kind)),
                count(known.users.len() as u64, "task"),
                count(record.volumes.len() as u64, "volume")
            ),
        ))
    }

    /// Whether a demand's conditions do not hold on an agent.
    fn unfit(&self, demand: &Demand, agent: AgentId) -> Option<String> {
        let facts = &self.state.agents.get(&agent)?.record.info.facts;
        let conditions = Conditions::compile(&demand.conditions).ok()?;
        (!conditions.hold(facts))
            .then(|| format!("its conditions do not all hold on agent {agent}"))
    }
}
