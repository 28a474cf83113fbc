//! What a turn of the fake cluster is told: events, and offers cut to the demand.

use super::Cluster;
use super::turn::Lease;
use super::world::{FakeAgent, Told, World};
use crate::condition;
use crate::framework::Framework;
use crate::types::*;

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
            events.push(Event::Offers(
                told.offers
                    .iter()
                    .map(|lease| lease.offer.clone())
                    .collect(),
            ));
        }
        (events, told)
    }
}

impl World {
    /// The agents on which a demand fits and that the framework has not seen as they are.
    fn lease(&mut self) -> Vec<Lease> {
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
            let cut = free != agent.free;
            leases.push(Lease {
                cut,
                offer: Offer {
                    id: self.fresh_id(),
                    agent: id,
                    free,
                },
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

fn fits(agent: &FakeAgent, demand: &Demand) -> bool {
    agent.free.holds(&demand.each)
        && demand
            .fixed_ports
            .iter()
            .all(|port| !agent.fixed_used.contains(port))
        && condition::all_hold(&demand.conditions, &agent.info)
}
