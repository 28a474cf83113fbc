//! Who is offered reservations: they are lent to one turn at a time.
//!
//! A reservation is not looked for among all agents: a framework keeps the few that it is to look at
//! (`Host::reserved`), and each one that improves is put there for everyone who could use it.

use crate::cluster::Cluster;
use crate::framework::Host;
use crate::lease::Lease;
use crate::state::{FrameworkState, Reservation, State};
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{AgentId, Demand, FrameworkId, OfferId, ReservationId, Resources};

impl Cluster {
    /// A reservation has more to give: whoever could use it is to look at it.
    pub(crate) fn reservation_improved(&mut self, id: ReservationId) {
        let Some(known) = self.state.reservation(id).cloned() else {
            return;
        };
        let role = &known.record.role;
        let mut able: Vec<FrameworkId> = Vec::new();
        for (name, below) in self.state.roles.range(Arc::clone(role)..) {
            if !name.starts_with(&**role) {
                break;
            }
            if State::roles_above(name).any(|above| *above == **role) {
                able.extend(&below.frameworks);
            }
        }
        for framework in able {
            let uses = self
                .state
                .frameworks
                .get(&framework)
                .is_some_and(|f| f.demands.iter().any(|demand| could_use(demand, &known)));
            if uses && let Some(host) = self.hosts.get_mut(&framework) {
                host.reserved.insert(id);
                self.rank(framework);
            }
        }
    }

    /// An agent is back: so are its reservations.
    pub(crate) fn agent_reservations_improved(&mut self, agent: AgentId) {
        let known = self.state.agents.get(&agent);
        let ids: Vec<ReservationId> = known.map_or_else(Vec::new, |known| {
            known.reservations.iter().copied().collect()
        });
        for id in ids {
            self.reservation_improved(id);
        }
    }

    /// All reservations that a framework's demands could use, used or not.
    pub(crate) fn usable_reservations(
        &self,
        framework: &FrameworkState,
    ) -> BTreeSet<ReservationId> {
        let wanted = framework.demands.iter();
        let wanted = wanted.filter(|demand| demand.count > 0 && !demand.together);
        let named: BTreeSet<ReservationId> = wanted
            .clone()
            .flat_map(|demand| demand.reservations.iter().copied())
            .collect();
        let takes_open = wanted.clone().any(|demand| demand.reservations.is_empty());
        let mut usable = BTreeSet::new();
        for role in State::roles_above(&framework.record.role) {
            let Some(role) = self.state.roles.get(role) else {
                continue;
            };
            let used = role.reservations.iter().filter(|(id, known)| {
                let open = takes_open && known.is_open();
                !known.record.ending && (open || named.contains(id))
            });
            usable.extend(used.map(|(id, _)| *id));
        }
        usable
    }

    /// Leases reservations to a framework that is about to have a turn, at most `max`.
    pub(crate) fn lease_reservations(&mut self, id: FrameworkId, max: usize) -> Vec<Lease> {
        let (Some(framework), Some(host)) =
            (self.state.frameworks.get(&id), self.hosts.get_mut(&id))
        else {
            return Vec::new();
        };
        if host.reserved.is_empty() {
            return Vec::new();
        }
        let demands = Arc::clone(&framework.demands);
        let mut looked = core::mem::take(&mut host.reserved);
        let mut leases = Vec::new();
        let mut later = BTreeSet::new();
        while let Some(reservation) = looked.pop_first() {
            if leases.len() == max {
                later.insert(reservation);
                continue;
            }
            if let Some(waiting) = self.lent.get_mut(&reservation) {
                waiting.insert(id);
                continue;
            }
            if let Some(lease) = self.lease_reservation(id, reservation, &demands) {
                // At once: another reservation of the same agent may want its ports.
                let charged = lease.charged().into_owned();
                self.hold(lease.agent, &charged, &lease.ports);
                leases.push(lease);
            }
        }
        if let Some(host) = self.hosts.get_mut(&id) {
            host.reserved = later;
        }
        leases
    }

    fn lease_reservation(
        &mut self,
        framework: FrameworkId,
        id: ReservationId,
        demands: &[Demand],
    ) -> Option<Lease> {
        let known = Arc::clone(self.state.reservation(id)?);
        let agent = known.record.agent;
        let host = self.hosts.get(&framework)?;
        // An agent that is leaving, or has no session, gives nothing of its reservations either.
        self.free(agent)?;
        let facts = &self.state.agents.get(&agent)?.record.info.facts;
        let mut free = known.free().least(&self.unused(agent)?);
        let ports = self.free_ports(agent);
        free.ports = ports.len();
        let fits = |(i, demand): &(usize, &Demand)| {
            could_use(demand, &known)
                && free.contains(&demand.each)
                && host.conditions.get(*i).is_none_or(|c| c.hold(facts))
                && demand.fixed_ports.iter().all(|port| ports.contains(*port))
        };
        let fitting: Vec<Demand> = demands
            .iter()
            .enumerate()
            .filter(fits)
            .map(|(_, demand)| demand.clone())
            .collect();
        if fitting.is_empty() {
            return None;
        }
        let wanted = |demand: &Demand| {
            let pieces = free.pieces(&demand.each).min(u64::from(demand.count));
            let fixed = demand.fixed_ports.len() as u64;
            demand.each.ports.saturating_mul(pieces).max(fixed)
        };
        let ports = fitting.iter().map(wanted).sum::<u64>().min(free.ports);
        let ports = self.lease_ports(agent, &fitting, ports);
        free.ports = ports.len();
        self.lent.insert(id, BTreeSet::new());
        Some(Lease {
            offer: OfferId(self.take_numbers(1)),
            agent,
            amount: free,
            ports,
            reservation: Some(id),
            volumes: known.free_volumes().cloned().collect(),
        })
    }

    /// What no task on an agent uses and no turn holds, reserved or not. An agent may keep more for roles
    /// than it has: when it comes back with less, or tasks were there before the reservation.
    fn unused(&self, agent: AgentId) -> Option<Resources> {
        let known = self.state.agents.get(&agent)?;
        let mut used = known.used.clone();
        let reserved = known.reservations.iter();
        let reserved = reserved.filter_map(|id| Some((id, self.state.reservation(*id)?)));
        let mut held = Resources::NONE;
        for (id, reservation) in reserved {
            let record = &reservation.record;
            if record.within.is_none() {
                used.take(&record.amount);
            }
            held.add(&reservation.used);
            for volume in &record.volumes {
                held.disk_bytes = held.disk_bytes.saturating_add(volume.size_bytes);
            }
            if self.lent.contains_key(id) {
                held.add(&reservation.free());
            }
        }
        let mut unused = known.record.info.facts.total.clone();
        unused.take(&used);
        unused.take(&held);
        unused.take(&self.links.get(&agent)?.leased);
        unused.ports = u64::MAX;
        Some(unused)
    }

    /// A turn is over that had a reservation: whoever waits for it looks again.
    pub(crate) fn end_lending(&mut self, id: ReservationId) {
        for framework in self.lent.remove(&id).unwrap_or_default() {
            self.look_at_reservation(framework, id);
            self.rank(framework);
        }
    }

    /// A framework is to look at a reservation once more.
    pub(crate) fn look_at_reservation(&mut self, framework: FrameworkId, id: ReservationId) {
        if let Some(host) = self.hosts.get_mut(&framework) {
            host.reserved.insert(id);
        }
    }

    /// A framework's demands have changed: which reservations it is to look at.
    pub(crate) fn look_at_reservations(&mut self, id: FrameworkId, anew: bool) {
        let Some(framework) = self.state.frameworks.get(&id) else {
            return;
        };
        // Most clusters have few or none, and demands change with each launch.
        let usable = if anew && !self.state.reservations.is_empty() {
            self.usable_reservations(framework)
        } else {
            BTreeSet::new()
        };
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        if anew {
            host.reserved = usable;
        } else {
            let used = |id: &ReservationId| {
                self.state.reservation(*id).is_some_and(|known| {
                    let mut demands = framework.demands.iter();
                    demands.any(|demand| could_use(demand, known))
                })
            };
            host.reserved.retain(used);
        }
    }

    /// Notes whether a framework is to be offered something that is no news of an agent.
    pub(crate) fn note_reserving(&mut self, id: FrameworkId, wants: bool) {
        let looks = self.hosts.get(&id).is_some_and(Host::looks_at_reservations);
        if wants && (looks || self.has_full_claim(id)) {
            self.reserving.insert(id);
        } else {
            self.reserving.remove(&id);
        }
    }
}

impl Host {
    /// Whether it is to look at a reservation.
    pub(crate) fn looks_at_reservations(&self) -> bool {
        !self.reserved.is_empty()
    }
}

/// Whether a demand may be served from a reservation, whatever is free of it.
pub(crate) fn could_use(demand: &Demand, reservation: &Reservation) -> bool {
    if demand.count == 0 || demand.together || reservation.record.ending {
        return false;
    }
    if demand.reservations.is_empty() {
        reservation.is_open()
    } else {
        demand.reservations.contains(&reservation.record.id)
    }
}
