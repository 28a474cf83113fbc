//! What a turn holds while it runs: leases, cut to what its demands can use, and given back at its end.

use crate::cluster::Cluster;
use crate::framework::Host;
use crate::order::NEVER;
use crate::quota::Room;
use crate::record::charged;
use crate::turn::{Effects, Offer};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{AgentId, Demand, FrameworkId, OfferId, PortSet, ReservationId, Resources};

/// A framework is offered no more agents than it wants pieces, or so many if that is more: to choose
/// from, and not every agent of a large cluster for the one task that it wants.
const CHOICE: u64 = 64;

/// What a running turn holds of one agent.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Names the offer.
    pub offer: OfferId,
    /// Whose.
    pub agent: AgentId,
    /// How much.
    pub amount: Resources,
    /// Which ports.
    pub ports: PortSet,
    /// The reservation that it is of; none: what is unreserved.
    pub reservation: Option<ReservationId>,
    /// That reservation's volumes that no task uses.
    pub volumes: Vec<Arc<str>>,
}

impl Lease {
    /// As the turn sees it.
    pub(crate) fn offer(&self) -> Offer {
        Offer {
            id: self.offer,
            agent: self.agent,
            free: self.amount.clone(),
            port_set: self.ports.clone(),
            reservation: self.reservation,
            volumes: self.volumes.clone(),
        }
    }

    /// What it takes of its agent's unreserved part.
    pub(crate) fn charged(&self) -> Cow<'_, Resources> {
        charged(&self.amount, self.reservation)
    }
}

impl Cluster {
    /// Leases agents to a framework that is about to have a turn, and is ranked when that has begun.
    /// What it looks at it has seen.
    pub(crate) fn lease(&mut self, id: FrameworkId) -> Vec<Lease> {
        let Some(framework) = self.state.frameworks.get(&id) else {
            return Vec::new();
        };
        let demands = Arc::clone(&framework.demands);
        let limits = Arc::clone(&framework.record.limits);
        let max = usize::try_from(limits.offers_per_turn_max).unwrap_or(usize::MAX);
        let mut leases = self.lease_reservations(id, max);
        self.charge_leases(id, &leases);
        let mut demands = single(demands);
        match self.take_claim(id) {
            Some((demand, pieces, of_claim)) => {
                demands = less(demands, &demand, pieces);
                leases.extend(of_claim);
            }
            None => {
                let gang = self.lease_gang(id, max.saturating_sub(leases.len()));
                self.charge_leases(id, &gang);
                leases.extend(gang);
            }
        }
        let max = max.saturating_sub(leases.len());
        let mut room = self.room(id);
        let demands = self.hold_back(id, demands, &room);
        if demands.iter().all(|demand| demand.count == 0) {
            return self.lent_to(id, leases, &Resources::NONE);
        }
        let mut pieces_left = self.fair_pieces(id, &demands);
        let agents = pieces_left.min(wanted(&demands).max(CHOICE));
        let max = max.min(usize::try_from(agents).unwrap_or(usize::MAX));
        let candidates = self.look_for_agents(id, &demands, max);
        leases.reserve(candidates.len());
        let mut leased = Resources::NONE;
        for (agent, mut free) in candidates {
            if pieces_left == 0 {
                self.look_again(id, agent);
                continue;
            }
            let (mut amount, pieces) = cut(&demands, &free, pieces_left, &mut room);
            if pieces == 0 {
                self.look_again(id, agent);
                continue;
            }
            pieces_left = pieces_left.saturating_sub(pieces.max(1));
            let ports = self.lease_ports(agent, &demands, amount.ports);
            amount.ports = ports.len();
            let offer = OfferId(self.take_numbers(1));
            self.note_held(agent, &amount, &ports);
            leased.add(&amount);
            free.take(&amount);
            self.show_agent_with(agent, Some(free));
            leases.push(Lease {
                offer,
                agent,
                amount,
                ports,
                reservation: None,
                volumes: Vec::new(),
            });
        }
        self.lent_to(id, leases, &leased)
    }

    /// So much of an agent is leased from now on.
    pub(crate) fn hold(&mut self, agent: AgentId, amount: &Resources, ports: &PortSet) {
        self.note_held(agent, amount, ports);
        self.show_agent(agent);
    }

    fn note_held(&mut self, agent: AgentId, amount: &Resources, ports: &PortSet) {
        if let Some(link) = self.links.get_mut(&agent) {
            link.leased.add(amount);
            for port in ports.iter() {
                link.ports_leased.insert(port);
            }
        }
    }

    /// What a framework was leased counts as used.
    fn charge_leases(&mut self, id: FrameworkId, leases: &[Lease]) {
        if leases.is_empty() {
            return;
        }
        let mut leased = Resources::NONE;
        for lease in leases {
            leased.add(&lease.charged());
        }
        self.shares.charge(id, &leased);
    }

    /// A framework is about to be offered this, of which so much is not charged yet.
    fn lent_to(&mut self, id: FrameworkId, leases: Vec<Lease>, leased: &Resources) -> Vec<Lease> {
        if !leases.is_empty() {
            self.shares.serve(id, leased);
        }
        leases
    }

    pub(crate) fn lease_ports(&self, agent: AgentId, demands: &[Demand], count: u64) -> PortSet {
        let fixed = demands.iter().flat_map(|demand| &demand.fixed_ports);
        if count == 0 && demands.iter().all(|demand| demand.fixed_ports.is_empty()) {
            return PortSet::default();
        }
        let mut free = self.free_ports(agent);
        let mut ports = PortSet::default();
        for port in fixed {
            if free.remove(*port) {
                ports.insert(*port);
            }
        }
        let more = usize::try_from(count.saturating_sub(ports.len()))
            .unwrap_or(usize::MAX)
            .min(usize::from(u16::MAX));
        let more = more.min(usize::try_from(free.len()).unwrap_or(usize::MAX));
        for port in free.take_first(more).unwrap_or_default() {
            ports.insert(port);
        }
        ports
    }

    /// How many pieces a framework may be leased now: up to its fair allowance if others want something
    /// too, at least one; as many as there are if it is alone.
    fn fair_pieces(&self, id: FrameworkId, demands: &[Demand]) -> u64 {
        let newest = self
            .offerable
            .last_key_value()
            .map_or(NEVER, |(news, _)| *news);
        let Some(room) = self.shares.allowance(id, newest) else {
            return u64::MAX;
        };
        let wanted = wanted(demands);
        let smallest = demands
            .iter()
            .map(|demand| self.shares.share(&demand.each).0)
            .filter(|share| *share > 0)
            .min();
        smallest
            .map_or(wanted, |piece| room.0 / piece)
            .clamp(1, wanted.max(1))
    }

    /// A turn is over and what it has used is recorded: what it held is free again, and whoever found
    /// it leased looks again.
    pub(crate) fn end_leases(&mut self, framework: FrameworkId, leases: &[Lease]) {
        if leases.is_empty() {
            return;
        }
        let mut given_back = Resources::NONE;
        for lease in leases {
            given_back.add(&lease.charged());
        }
        // Before anybody claims what is given back: what its role lacks again is kept for it.
        self.shares.discharge(framework, &given_back);
        for lease in leases {
            if let Some(reservation) = lease.reservation {
                self.end_lending(reservation);
                self.finish_reservation(reservation);
            }
            self.unhold(lease.agent, &lease.charged(), &lease.ports);
        }
        self.release_held();
    }

    /// So much of an agent is leased no more: whoever found it leased looks again.
    pub(crate) fn unhold(&mut self, agent: AgentId, amount: &Resources, ports: &PortSet) {
        let Some(link) = self.links.get_mut(&agent) else {
            return;
        };
        link.leased.take(amount);
        for port in ports.iter() {
            link.ports_leased.remove(port);
        }
        for waiting in core::mem::take(&mut link.waiting) {
            self.look_again(waiting, agent);
            self.rank(waiting);
        }
        self.show_agent(agent);
        self.feed_claims(agent);
        if !ports.is_empty() {
            // Ports are of the agent: a task on a reservation of it may have waited for one.
            self.agent_reservations_improved(agent);
        }
    }

    /// What a clean turn has refused is not shown again: an offer of which so much is left that a
    /// demand still fits. Whoever has launched all that was wanted has refused nothing. The end of a
    /// turn ranks its framework after this.
    pub(crate) fn mark_seen(&mut self, id: FrameworkId, leases: &[Lease], effects: &Effects) {
        let wanted = self.demands_left(id, effects);
        let launches_max = self
            .state
            .frameworks
            .get(&id)
            .map_or(u64::MAX, |f| f.record.limits.launches_per_turn_max);
        // With its launches used up, what it left untouched it had no chance to look at.
        let exhausted = effects.launches.len() as u64 >= launches_max;
        let mut used: BTreeMap<OfferId, Resources> = BTreeMap::new();
        for launch in &effects.launches {
            used.entry(launch.offer)
                .or_insert(Resources::NONE)
                .add(&launch.spec.resources);
        }
        for reserve in &effects.reserves {
            used.entry(reserve.offer)
                .or_insert(Resources::NONE)
                .add(&reserve.amount);
        }
        let agents = &self.state.agents;
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        for lease in leases {
            let used = used.get(&lease.offer);
            let Some(agent) = agents.get(&lease.agent) else {
                continue;
            };
            if exhausted && used.is_none() {
                host.look_again(lease);
                continue;
            }
            let mut left = lease.amount.clone();
            if let Some(used) = used {
                left.take(used);
            }
            let refused = wanted.iter().any(|(i, each)| {
                let conditions = host.conditions.get(*i);
                left.contains(each)
                    && conditions.is_none_or(|all| all.hold(&agent.record.info.facts))
            });
            if !refused {
                host.look_again(lease);
            }
        }
    }

    /// What one task of each demand needs that a turn has not launched in full, with the demand's place.
    fn demands_left(&self, id: FrameworkId, effects: &Effects) -> Vec<(usize, Resources)> {
        let mut launched: BTreeMap<&str, u32> = BTreeMap::new();
        for demand in effects
            .launches
            .iter()
            .filter_map(|launch| launch.demand.as_deref())
        {
            *launched.entry(demand).or_default() += 1;
        }
        let demands = self
            .state
            .frameworks
            .get(&id)
            .into_iter()
            .flat_map(|framework| framework.demands.iter());
        let left = |demand: &Demand| {
            demand.count > launched.get(demand.name.as_str()).copied().unwrap_or(0)
        };
        demands
            .enumerate()
            .filter(|(_, demand)| left(demand))
            .map(|(i, demand)| (i, demand.each.clone()))
            .collect()
    }
}

impl Host {
    /// To look once more at what was leased, although it was seen.
    fn look_again(&mut self, lease: &Lease) {
        match lease.reservation {
            Some(reservation) => drop(self.reserved.insert(reservation)),
            None => drop(self.again.insert(lease.agent)),
        }
    }
}

/// How many pieces all of them want together.
fn wanted(demands: &[Demand]) -> u64 {
    demands.iter().map(|demand| u64::from(demand.count)).sum()
}

/// Demands without those that are served from reservations alone, or as a whole.
fn single(demands: Arc<Vec<Demand>>) -> Arc<Vec<Demand>> {
    let other = |demand: &Demand| demand.together || !demand.reservations.is_empty();
    if !demands.iter().any(other) {
        return demands;
    }
    let mut demands = Vec::clone(&demands);
    for demand in demands.iter_mut().filter(|demand| other(demand)) {
        demand.count = 0;
    }
    Arc::new(demands)
}

/// Demands of which one wants so many pieces less.
fn less(demands: Arc<Vec<Demand>>, name: &str, pieces: u64) -> Arc<Vec<Demand>> {
    let mut demands = Vec::clone(&demands);
    for demand in demands.iter_mut().filter(|demand| demand.name == name) {
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        demand.count = demand.count.saturating_sub(pieces);
    }
    Arc::new(demands)
}

/// What the demands can use of an agent, in at most so many pieces and within the room that quota
/// leaves, of which it is taken; and how many pieces that is.
fn cut(demands: &[Demand], free: &Resources, pieces_max: u64, room: &mut Room) -> (Resources, u64) {
    let mut useful = Resources::NONE;
    let mut pieces = 0_u64;
    for demand in demands {
        let fit = free
            .pieces(&demand.each)
            .min(u64::from(demand.count))
            .min(room.pieces(&demand.each))
            .min(pieces_max);
        room.take(&demand.each.times(fit));
        useful.add(&demand.each.times(fit));
        pieces = pieces.saturating_add(fit);
        let ports = (demand.fixed_ports.len() as u64).saturating_mul(fit.min(1));
        useful.ports = useful.ports.max(ports);
    }
    (useful.least(free), pieces)
}
