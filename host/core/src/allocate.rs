//! What a framework is offered: the agents on which one of its demands fits and that it has not
//! seen as they are now, cut to what it can use.
//!
//! *News*: each time an agent has more to give, or is another than before, it gets the next number,
//! and all agents that have something to give stand in the order of theirs. A framework remembers up
//! to which number it has looked, and one bit an agent says whether it has seen it as it is. An
//! agent that is leased whole is hidden until that turn ends; should somebody have passed over it
//! meanwhile, it comes back with a new number, and whoever has seen it before passes over it. What a
//! turn has left without refusing it is looked at again. So nothing is shown twice without need, no
//! wake-up is lost, and a cluster in which nothing happens does nothing.

use crate::agents::free_of;
use crate::bits::Bits;
use crate::cluster::{Cluster, FIRST_NEWS, Spot};
use crate::fairness::{Share, dominant};
use crate::fit::Conditions;
use crate::framework::{CPU_HEAVY_US, Host};
use crate::order::{NEVER, Seen};
use crate::quota::Room;
use crate::record::charged;
use crate::state::FrameworkState;
use crate::turn::{Effects, Offer};
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound::{Excluded, Included, Unbounded};
use mezzo_types::{
    AgentId, Demand, FrameworkId, OfferId, PortSet, Preference, ReservationId, Resources,
};

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

/// An agent's place in the bits: agents are numbered from 1 without large gaps.
pub(crate) fn slot(agent: AgentId) -> usize {
    usize::try_from(agent.0).unwrap_or(usize::MAX)
}

/// With more hidden agents than that, who looks for the first time does not note each that it passes.
const HIDDEN_FEW: usize = 64;

/// Why an agent was not taken.
enum Look {
    /// It fits; this much is free.
    Fits(Resources),
    /// It does not fit, and will not until it improves.
    Unfit,
    /// It may fit once another turn gives back what it holds.
    Leased,
}

impl Cluster {
    /// A framework's demands, or who it is, have changed. `anew` says that it may now use what it has
    /// seen and left.
    pub(crate) fn demands_changed(&mut self, id: FrameworkId, anew: bool) {
        let (Some(framework), Some(host)) =
            (self.state.frameworks.get(&id), self.hosts.get_mut(&id))
        else {
            return;
        };
        let compile = |demand: &Demand| Conditions::compile(&demand.conditions).unwrap_or_default();
        host.conditions = framework.demands.iter().map(compile).collect();
        if anew {
            host.looked = 0;
            host.again.clear();
            host.seen.clear();
            self.hold_nothing(id);
        }
        self.look_at_reservations(id, anew);
        if anew {
            self.gangs_anew(id);
        }
        self.check_claim(id);
        self.rank(id);
    }

    /// Notes where a framework stands among those that want something: to be called whenever that, or
    /// what it has seen, may have changed.
    pub(crate) fn rank(&mut self, id: FrameworkId) {
        let (Some(framework), Some(host)) = (self.state.frameworks.get(&id), self.hosts.get(&id))
        else {
            return;
        };
        let wants = self.wants(id, framework);
        let able = host.turn.is_none() && host.instance.is_some();
        let behind = if able { self.behind(id) } else { None };
        let any = behind.unwrap_or(NEVER);
        let light = if host.recent_cpu_us(self.now) <= CPU_HEAVY_US {
            any
        } else {
            NEVER
        };
        self.shares
            .set_seen(id, wants.then_some(Seen { any, light }));
        self.note_reserving(id, wants);
        self.await_preemption(id);
    }

    /// Up to which news a framework has looked at all that it could use; none if it could use nothing.
    pub(crate) fn behind(&self, id: FrameworkId) -> Option<u64> {
        let (framework, host) = (self.state.frameworks.get(&id)?, self.hosts.get(&id)?);
        if host.looks_at_reservations() || self.has_full_claim(id) {
            return Some(0);
        }
        let kinds = self.kinds_wanted(id, framework);
        let single = if host.again.is_empty() {
            host.looked
        } else {
            0
        };
        let single = kinds.single.then_some(single);
        let gang = self.gangs_behind(host).filter(|_| kinds.gang);
        single.into_iter().chain(gang).min()
    }

    /// Which kinds of demands a framework has that quota does not hold back.
    fn kinds_wanted(&self, id: FrameworkId, framework: &FrameworkState) -> Kinds {
        let held = self.held.get(&id);
        let mut kinds = Kinds::default();
        for demand in framework.demands.iter() {
            if demand.count > 0 && !held.is_some_and(|held| held.contains(&demand.name)) {
                kinds.gang |= demand.together;
                kinds.single |= !demand.together && demand.reservations.is_empty();
            }
        }
        kinds
    }

    /// Whether a framework competes with others: for something that quota does not hold back.
    pub(crate) fn wants(&self, id: FrameworkId, framework: &FrameworkState) -> bool {
        let kinds = self.kinds_wanted(id, framework);
        let reserved = || self.hosts.get(&id).is_some_and(Host::looks_at_reservations);
        (kinds.single || kinds.gang || reserved() || self.has_full_claim(id))
            && !framework.record.quarantined
            && !framework.record.removing
    }

    /// An agent has more to give, or is another than before: whoever wants something looks again.
    pub(crate) fn agent_improved(&mut self, agent: AgentId) {
        self.withdraw(agent);
        self.news += 1;
        if let Some(link) = self.links.get_mut(&agent) {
            (link.improved, link.shown, link.missed) = (self.news, self.news, false);
        }
        self.feed_claims(agent);
        self.show_agent(agent);
        self.release_held();
    }

    /// Takes an agent away from what is offered.
    pub(crate) fn withdraw(&mut self, agent: AgentId) {
        if let Some(link) = self.links.get(&agent) {
            self.offerable.remove(&link.shown);
            self.hidden.remove(&link.shown);
        }
        if let Some(spot) = self.spots.get_mut(slot(agent)) {
            let before = core::mem::take(&mut spot.free);
            for (total, before) in self.free_total.iter_mut().zip(before) {
                *total -= before;
            }
        }
    }

    /// Puts an agent where it belongs after what it has to give has changed without being news.
    pub(crate) fn show_agent(&mut self, agent: AgentId) {
        let free = self.free(agent);
        self.show_agent_with(agent, free);
    }

    /// The same, with what [`Cluster::free`] says of it.
    fn show_agent_with(&mut self, agent: AgentId, free: Option<Resources>) {
        let Some(link) = self.links.get_mut(&agent) else {
            return self.withdraw(agent);
        };
        let at = slot(agent);
        if self.spots.len() <= at {
            self.spots.resize(at + 1, Spot::default());
        }
        let gives = free.as_ref().is_some_and(|free| !free.runs_nothing());
        let hides = free.is_some() && !gives && !link.leased.is_none();
        let mut unleased = free.unwrap_or_default();
        let now = unleased.plain();
        unleased.add(&link.leased);
        let spot = Spot {
            unleased: unleased.plain(),
            free: now,
            improved: link.improved,
        };
        let before = core::mem::replace(&mut self.spots[at], spot).free;
        for ((total, before), now) in self.free_total.iter_mut().zip(before).zip(now) {
            *total = *total - before + now;
        }
        if !hides {
            self.hidden.remove(&link.shown);
        }
        if gives && (link.missed || link.shown <= self.passed) {
            self.offerable.remove(&link.shown);
            self.news += 1;
            (link.shown, link.missed) = (self.news, false);
        }
        if gives {
            self.offerable.insert(link.shown, agent);
        } else {
            self.offerable.remove(&link.shown);
        }
        if hides {
            self.hidden.insert(link.shown, agent);
        }
    }

    /// Who is to be offered something next: of those that may find something, the one with the
    /// smallest dominant share for its weight, level by level.
    pub(crate) fn next_in_fairness(&mut self, heavy_allowed: bool) -> Option<FrameworkId> {
        self.shares.rescale(&self.state.total);
        let newest = self.offerable.last_key_value().map(|(news, _)| *news);
        // A reservation or a claim is no news of its agent, but somebody is to be offered it.
        let newest = newest.or((!self.reserving.is_empty()).then_some(FIRST_NEWS))?;
        self.shares.next(newest, !heavy_allowed)
    }

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
        for lease in &leases {
            let charged = lease.charged().into_owned();
            self.hold(lease.agent, &charged, &lease.ports);
        }
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
        let candidates = self.look_for_agents(
            id,
            &demands,
            max.min(usize::try_from(pieces_left).unwrap_or(usize::MAX)),
        );
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

    /// Agents on which one of the demands fits, at most `max`, in the order of preference. All that it
    /// looks at the framework has seen, or is to look at again.
    fn look_for_agents(
        &mut self,
        id: FrameworkId,
        demands: &[Demand],
        max: usize,
    ) -> Vec<(AgentId, Resources)> {
        let Some(host) = self.hosts.get_mut(&id) else {
            return Vec::new();
        };
        let (conditions, again, mut seen) = (
            core::mem::take(&mut host.conditions),
            core::mem::take(&mut host.again),
            core::mem::take(&mut host.seen),
        );
        let before = host.looked;
        let first_look = seen.is_empty();
        let prefer = demands
            .first()
            .map_or(Preference::Any, |demand| demand.prefer);
        // A preference means looking at all of them; else the first that fit will do, the longest
        // unseen first.
        let enough = match prefer {
            Preference::Any => max,
            _ => usize::MAX,
        };
        let mut found: Vec<(AgentId, Resources)> = Vec::new();
        let mut later: BTreeSet<AgentId> = BTreeSet::new();
        let mut leased: Vec<AgentId> = Vec::new();
        let wanted = demands.iter().filter(|demand| demand.count > 0);
        let least: Vec<[u64; 5]> = wanted.map(|demand| demand.each.plain()).collect();
        let fits_plain = |spot: &Spot| {
            let holds = |each: &[u64; 5]| spot.unleased.iter().zip(each).all(|(has, n)| has >= n);
            least.iter().any(holds)
        };
        let mut look = |agent: AgentId, seen: &mut Bits| {
            let spot = self.spots.get(slot(agent));
            let look = if spot.is_some_and(fits_plain) {
                self.look(agent, demands, &conditions)
            } else {
                Look::Unfit
            };
            match look {
                Look::Fits(free) => found.push((agent, free)),
                Look::Unfit => {}
                Look::Leased => leased.push(agent),
            }
            seen.insert(slot(agent));
            found.len() >= enough
        };
        let mut full = enough == 0;
        for agent in again {
            if full {
                later.insert(agent);
                continue;
            }
            // One that has become news since is met below; one that is hidden is when it is back.
            if let Some(link) = self.links.get(&agent) {
                if self.offerable.contains_key(&link.shown) && link.improved <= before {
                    full = look(agent, &mut seen);
                } else {
                    seen.remove(slot(agent));
                    later.extend(self.hidden.contains_key(&link.shown).then_some(agent));
                }
            }
        }
        let mut looked = before;
        for (shown, agent) in self.offerable.range((Excluded(before), Unbounded)) {
            if full {
                break;
            }
            looked = *shown;
            let is_news = self
                .spots
                .get(slot(*agent))
                .is_some_and(|spot| spot.improved > before);
            if is_news || !seen.contains(slot(*agent)) {
                full = look(*agent, &mut seen);
            }
        }
        if !full {
            looked = self.news;
        }
        let passed: Vec<AgentId> = if first_look && self.hidden.len() > HIDDEN_FEW {
            self.passed = self.passed.max(looked);
            Vec::new()
        } else {
            let passed = self.hidden.range((Excluded(before), Included(looked)));
            passed.map(|(_, agent)| *agent).collect()
        };
        for agent in passed {
            if let Some(link) = self.links.get_mut(&agent) {
                link.missed = true;
                if link.improved > before {
                    seen.remove(slot(agent));
                }
            }
        }
        for agent in leased {
            seen.remove(slot(agent));
            if let Some(link) = self.links.get_mut(&agent) {
                link.waiting.insert(id);
            }
        }
        // How free an agent is has nothing to do with fairness: what that excludes counts here.
        let total = |agent: &AgentId| {
            self.state
                .agents
                .get(agent)
                .map(|a| &a.record.info.facts.total)
        };
        let free_share = |(agent, free): &(AgentId, Resources)| {
            total(agent).map_or(Share(0), |total| dominant(free, total))
        };
        match prefer {
            Preference::Any => {}
            Preference::MostFree => found.sort_by_key(|one| core::cmp::Reverse(free_share(one))),
            Preference::LeastFree => found.sort_by_key(free_share),
        }
        for (agent, _) in found.split_off(max.min(found.len())) {
            later.insert(agent);
        }
        if let Some(host) = self.hosts.get_mut(&id) {
            (host.conditions, host.again, host.seen) = (conditions, later, seen);
            host.looked = looked;
        }
        found
    }

    /// A framework is to look at an agent once more, although it has seen it.
    fn look_again(&mut self, framework: FrameworkId, agent: AgentId) {
        if let Some(host) = self.hosts.get_mut(&framework) {
            host.again.insert(agent);
        }
    }

    fn look(&self, id: AgentId, demands: &[Demand], conditions: &[Conditions]) -> Look {
        let (Some(agent), Some(link)) = (self.state.agents.get(&id), self.links.get(&id)) else {
            return Look::Unfit;
        };
        let Some(free) = free_of(agent, link) else {
            return Look::Unfit;
        };
        let facts = &agent.record.info.facts;
        let mut unleased: Option<Resources> = None;
        let mut leased = false;
        for (i, demand) in demands.iter().enumerate() {
            if demand.count == 0 {
                continue;
            }
            let fits = free.contains(&demand.each);
            let fits_unleased = fits
                || !link.leased.is_none()
                    && unleased
                        .get_or_insert_with(|| {
                            let mut all = free.clone();
                            all.add(&link.leased);
                            all
                        })
                        .contains(&demand.each);
            if !fits_unleased || !conditions.get(i).is_none_or(|c| c.hold(facts)) {
                continue;
            }
            let port_used =
                |port: &u16| !facts.port_set.contains(*port) || agent.ports_used.contains(*port);
            if demand.fixed_ports.iter().any(port_used) {
                continue;
            }
            if !fits
                || demand
                    .fixed_ports
                    .iter()
                    .any(|port| link.ports_leased.contains(*port))
            {
                leased = true;
                continue;
            }
            return Look::Fits(free);
        }
        if leased { Look::Leased } else { Look::Unfit }
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
    /// too, at least one; as many as it wants if it is alone.
    fn fair_pieces(&self, id: FrameworkId, demands: &[Demand]) -> u64 {
        let newest = self
            .offerable
            .last_key_value()
            .map_or(NEVER, |(news, _)| *news);
        let Some(room) = self.shares.allowance(id, newest) else {
            return u64::MAX;
        };
        let wanted: u64 = demands.iter().map(|demand| u64::from(demand.count)).sum();
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
            let charged = lease.charged();
            given_back.add(&charged);
            if let Some(reservation) = lease.reservation {
                self.end_lending(reservation);
                self.finish_reservation(reservation);
            }
            self.unhold(lease.agent, &charged, &lease.ports);
        }
        self.shares.discharge(framework, &given_back);
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
        self.feed_claims(agent);
        self.show_agent(agent);
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

/// Which kinds of demands there are.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    /// Served piece by piece, from what is unreserved.
    single: bool,
    /// Served as a whole.
    gang: bool,
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
