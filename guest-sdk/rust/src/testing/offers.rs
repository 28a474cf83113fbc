//! What a turn of the fake cluster is told: events, and offers cut to the demand.

use super::Cluster;
use super::turn::Launch;
use super::world::{FakeAgent, Told, World};
use crate::condition;
use crate::framework::Framework;
use crate::types::*;
use std::collections::BTreeMap;

impl<F: Framework> Cluster<F> {
    /// Everything that is waiting, in the order of the contract.
    pub(super) fn gather(&mut self) -> (Vec<Event>, Told) {
        let world = &mut self.world;
        let mut told = Told::default();
        let mut events = Vec::new();
        let new: Vec<Agent> = world
            .agents
            .values()
            .filter(|agent| !agent.told)
            .map(|agent| agent.info.clone())
            .collect();
        told.agents = new.iter().map(|agent| agent.id).collect();
        told.gone = world.gone.clone();
        let waiting = world
            .unhandled
            .iter()
            .filter_map(|id| world.tasks.get(id))
            .map(|task| task.status.clone());
        let statuses: Vec<TaskStatus> = waiting.take(world.limits.statuses_per_turn_max).collect();
        told.statuses = statuses
            .iter()
            .map(|status| (status.task.clone(), status.state))
            .collect();
        told.timers = world
            .timers
            .iter()
            .filter(|(_, due)| **due <= world.now)
            .map(|(name, _)| name.clone())
            .collect();
        told.streams = world.streams_gone.clone();
        told.options = self.new_options;
        told.offers = world.lease();
        if !new.is_empty() {
            events.push(Event::Agents(new));
        }
        if !told.gone.is_empty() {
            events.push(Event::AgentsGone(told.gone.clone()));
        }
        if !statuses.is_empty() {
            events.push(Event::Statuses(statuses));
        }
        events.extend(told.timers.iter().cloned().map(Event::Timer));
        if told.options {
            events.push(Event::Options(self.setup.options.clone()));
        }
        if !told.streams.is_empty() {
            events.push(Event::StreamsClosed(told.streams.clone()));
        }
        if !told.offers.is_empty() {
            events.push(Event::Offers(told.offers.clone()));
        }
        (events, told)
    }
}

impl World {
    /// The agents on which a demand fits and that the framework has not seen as they are.
    fn lease(&mut self) -> Vec<Offer> {
        let mut leases = Vec::new();
        let ids: Vec<AgentId> = self.agents.keys().copied().collect();
        for id in ids {
            if leases.len() == self.limits.offers_per_turn_max {
                break;
            }
            let Some(agent) = self
                .agents
                .get(&id)
                .filter(|agent| !agent.seen && !agent.silent)
            else {
                continue;
            };
            let Some(free) = cut(agent, &self.demands) else {
                continue;
            };
            leases.push(Offer {
                id: self.fresh_id(),
                agent: id,
                free,
                reservation: None,
                volumes: Vec::new(),
            });
        }
        leases
    }
}

/// What all demands that fit on the agent could use of it; none if none fits.
fn cut(agent: &FakeAgent, demands: &[Demand]) -> Option<Resources> {
    let mut useful = Resources::default();
    let mut any = false;
    for demand in demands.iter().filter(|demand| fits(agent, demand)) {
        useful.add(&demand.each.times(demand.count.into()));
        any = true;
    }
    any.then(|| agent.free.at_most(&useful))
}

/// The agents that a turn has refused: so much of their offers is left that a demand fits which it has not launched in
/// full.
pub(super) fn refused(world: &World, offers: &[Offer], launches: &[Launch]) -> Vec<AgentId> {
    let mut served: BTreeMap<&str, u32> = BTreeMap::new();
    let mut left: BTreeMap<AgentId, Resources> = offers
        .iter()
        .map(|offer| (offer.agent, offer.free.clone()))
        .collect();
    for launch in launches {
        if let Some(demand) = &launch.demand {
            *served.entry(demand).or_default() += 1;
        }
        if let Some(left) = left.get_mut(&launch.status.agent) {
            left.take(&launch.charged);
        }
    }
    let served = |demand: &Demand| served.get(demand.name.as_str()).copied().unwrap_or(0);
    let wanted: Vec<&Demand> = world
        .demands
        .iter()
        .filter(|demand| served(demand) < demand.count)
        .collect();
    let fits = |agent: &AgentId, left: &Resources, demand: &Demand| {
        let agent = world.agents.get(agent);
        left.holds(&demand.each)
            && agent.is_some_and(|agent| condition::all_hold(&demand.conditions, &agent.info))
    };
    left.into_iter()
        .filter(|(agent, left)| wanted.iter().any(|demand| fits(agent, left, demand)))
        .map(|(agent, _)| agent)
        .collect()
}

fn fits(agent: &FakeAgent, demand: &Demand) -> bool {
    agent.free.holds(&demand.each)
        && demand
            .fixed_ports
            .iter()
            .all(|port| !agent.fixed_used.contains(port))
        && condition::all_hold(&demand.conditions, &agent.info)
}
