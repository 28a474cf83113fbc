//! What a turn of the fake cluster is told: events, and offers cut to the demand.

use super::Cluster;
use super::turn::Effects;
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
    /// The reservations and agents on which a demand fits and that the framework has not seen as they are.
    fn lease(&mut self) -> Vec<Offer> {
        let max = self.limits.offers_per_turn_max;
        let mut ports: BTreeMap<AgentId, u32> = BTreeMap::new();
        let mut leases = Vec::new();
        let ids: Vec<ReservationId> = self.reservations.keys().copied().collect();
        for id in ids {
            if leases.len() == max {
                return leases;
            }
            leases.extend(self.lease_reservation(id, &mut ports));
        }
        let demands = self.demands.clone();
        let demands = demands
            .iter()
            .filter(|demand| demand.reservations.is_empty());
        let (gangs, single): (Vec<&Demand>, Vec<&Demand>) = demands.partition(|d| d.together);
        let gangs = self.gangs(&gangs, max - leases.len());
        let ids: Vec<AgentId> = self.agents.keys().copied().collect();
        for id in ids {
            if leases.len() == max {
                break;
            }
            let Some(agent) = self.agents.get(&id).filter(|agent| !agent.silent) else {
                continue;
            };
            let mut useful = Resources::default();
            let mut any = false;
            let single = single.iter().filter(|_| !agent.seen);
            let single = single.filter(|demand| fits(agent, demand));
            let single = single.map(|demand| (*demand, u64::from(demand.count)));
            let gangs = gangs.get(&id).into_iter().flatten().copied();
            for (demand, pieces) in single.chain(gangs) {
                useful.add(&demand.each.times(pieces));
                any = true;
            }
            if !any {
                continue;
            }
            let mut free = agent.free.at_most(&useful);
            let given = ports.get(&id).copied().unwrap_or(0);
            free.ports = free.ports.min(agent.free.ports.saturating_sub(given));
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

    /// A reservation is offered as it is, with as many of its agent's ports as the demands could use.
    fn lease_reservation(
        &mut self,
        id: ReservationId,
        given: &mut BTreeMap<AgentId, u32>,
    ) -> Option<Offer> {
        let known = self.reservations.get(&id).filter(|known| !known.seen)?;
        let agent = self.agents.get(&known.view.agent)?;
        if agent.silent {
            return None;
        }
        let given = given.entry(known.view.agent).or_default();
        let mut free = known.view.free.clone();
        free.ports = agent.free.ports.saturating_sub(*given);
        let fitting = self.demands.iter().filter(|demand| {
            known.serves(demand) && free.holds(&demand.each) && accepts(agent, demand)
        });
        let fitting: Vec<&Demand> = fitting.collect();
        if fitting.is_empty() {
            return None;
        }
        let wanted = fitting.iter().map(|demand| {
            let pieces = pieces(&free, &demand.each, demand.count);
            let fixed = u32::try_from(demand.fixed_ports.len()).unwrap_or(u32::MAX);
            demand.each.ports.saturating_mul(pieces).max(fixed)
        });
        free.ports = wanted.fold(0, u32::saturating_add).min(free.ports);
        *given += free.ports;
        let (agent, volumes) = (known.view.agent, known.free_volumes());
        Some(Offer {
            id: self.fresh_id(),
            agent,
            free,
            reservation: Some(id),
            volumes,
        })
    }

    /// For each agent, the gangs that it is offered to and with how many pieces: those that fit as a whole on at most
    /// `max` agents, of which at least one has not been seen as it is.
    fn gangs<'d>(
        &self,
        gangs: &[&'d Demand],
        max: usize,
    ) -> BTreeMap<AgentId, Vec<(&'d Demand, u64)>> {
        let mut offered: BTreeMap<AgentId, Vec<(&'d Demand, u64)>> = BTreeMap::new();
        for demand in gangs {
            let able = self.agents.iter().filter(|(_, agent)| !agent.silent);
            let mut able: Vec<_> = able.filter(|(_, agent)| fits(agent, demand)).collect();
            if able.iter().all(|(_, agent)| agent.seen) {
                continue;
            }
            // What is new first: the same agents once more would be refused once more.
            able.sort_by_key(|(_, agent)| agent.seen);
            let mut missing = demand.count;
            let mut parts: Vec<(AgentId, u32)> = Vec::new();
            for (id, agent) in able {
                // One agent has each port once.
                let most = if demand.fixed_ports.is_empty() {
                    missing
                } else {
                    missing.min(1)
                };
                let pieces = pieces(&agent.free, &demand.each, most);
                missing -= pieces;
                parts.extend((pieces > 0).then_some((*id, pieces)));
            }
            if missing == 0 && parts.len() <= max {
                for (agent, pieces) in parts {
                    let own = offered.entry(agent).or_default();
                    own.push((demand, pieces.into()));
                }
            }
        }
        offered
    }
}

/// How many times `each` fits, at most `count`.
fn pieces(free: &Resources, each: &Resources, count: u32) -> u32 {
    let (mut fits, mut too_many) = (0, u64::from(count) + 1);
    while too_many - fits > 1 {
        let half = fits + (too_many - fits) / 2;
        if free.holds(&each.times(half)) {
            fits = half;
        } else {
            too_many = half;
        }
    }
    u32::try_from(fits).unwrap_or(count)
}

/// The offers that a turn has refused: so much of them is left that a demand fits which it has not launched in full.
pub(super) fn refused<'o>(world: &World, offers: &'o [Offer], effects: &Effects) -> Vec<&'o Offer> {
    let mut served: BTreeMap<&str, u32> = BTreeMap::new();
    for demand in effects.launches.iter().filter_map(|l| l.demand.as_deref()) {
        *served.entry(demand).or_default() += 1;
    }
    let served = |demand: &Demand| served.get(demand.name.as_str()).copied().unwrap_or(0);
    let wanted: Vec<&Demand> = world
        .demands
        .iter()
        .filter(|demand| served(demand) < demand.count)
        .collect();
    let could_serve = |offer: &Offer, demand: &Demand| match offer.reservation {
        None => demand.reservations.is_empty(),
        Some(id) => {
            let known = world.reservations.get(&id);
            known.is_some_and(|known| known.serves(demand))
        }
    };
    let fits = |offer: &Offer, demand: &Demand| {
        let agent = world.agents.get(&offer.agent);
        let left = effects.left.get(&offer.id);
        could_serve(offer, demand)
            && left.is_some_and(|left| left.free.holds(&demand.each))
            && agent.is_some_and(|agent| condition::all_hold(&demand.conditions, &agent.info))
    };
    offers
        .iter()
        .filter(|offer| wanted.iter().any(|demand| fits(offer, demand)))
        .collect()
}

fn fits(agent: &FakeAgent, demand: &Demand) -> bool {
    agent.free.holds(&demand.each) && accepts(agent, demand)
}

/// Whether ports by number and conditions hold.
fn accepts(agent: &FakeAgent, demand: &Demand) -> bool {
    demand
        .fixed_ports
        .iter()
        .all(|port| !agent.fixed_used.contains(port))
        && condition::all_hold(&demand.conditions, &agent.info)
}
