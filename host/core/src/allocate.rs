//! What a framework is offered: the agents on which one of its demands fits and that it has not
//! seen as they are now, cut to what it can use.
//!
//! An agent whose offer a finished turn has refused, or on which nothing fits, has its bit set in
//! the framework's `seen` and is not looked at again until it improves, so that an idle cycle costs
//! nothing. What was only leased to somebody else stays unset, and the framework waits among the
//! `blocked` until that turn ends: no wake-up is lost.

use crate::cluster::Cluster;
use crate::fairness::{Claim, Share, Standing, WHOLE, dominant, water_fill};
use crate::fit::Conditions;
use crate::framework::CPU_HEAVY_US;
use crate::turn::{Effects, Offer};
use crate::turns::Running;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{AgentId, Demand, FrameworkId, OfferId, PortSet, Preference, Resources};

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
}

impl Lease {
    /// As the turn sees it.
    pub(crate) fn offer(&self) -> Offer {
        Offer {
            id: self.offer,
            agent: self.agent,
            free: self.amount.clone(),
            port_set: self.ports.clone(),
        }
    }
}

/// An agent's place in the bits: agents are numbered from 1 without large gaps.
pub(crate) fn slot(agent: AgentId) -> usize {
    usize::try_from(agent.0).unwrap_or(usize::MAX)
}

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
            host.seen.clear();
        }
        let record = &framework.record;
        if framework.demands.is_empty() || record.quarantined || record.removing {
            self.queue.wanting.remove(&id);
            self.queue.hungry.remove(&id);
            self.queue.blocked.remove(&id);
        } else {
            self.queue.wanting.insert(id);
            self.queue.hungry.insert(id);
        }
    }

    /// An agent has more to give, or is another than before: whoever wants something looks again.
    pub(crate) fn agent_improved(&mut self, agent: AgentId) {
        for id in &self.queue.wanting {
            if let Some(host) = self.hosts.get_mut(id) {
                host.seen.remove(slot(agent));
                self.queue.hungry.insert(*id);
            }
        }
    }

    /// Who is to be offered something next: of those that may find something, the one with the
    /// smallest dominant share for its weight, role by role, then within the role.
    pub(crate) fn next_in_fairness(&self, heavy_allowed: bool) -> Option<FrameworkId> {
        let mut standings: BTreeMap<&str, Standing> = BTreeMap::new();
        let mut best: Option<(Standing, Standing, FrameworkId)> = None;
        for id in &self.queue.hungry {
            let (Some(framework), Some(host)) = (self.state.frameworks.get(id), self.hosts.get(id))
            else {
                continue;
            };
            let able = host.turn.is_none() && host.instance.is_some();
            if !able || !(heavy_allowed || host.recent_cpu_us(self.now) <= CPU_HEAVY_US) {
                continue;
            }
            let role = &framework.record.role;
            let of_role = *standings
                .entry(role)
                .or_insert_with(|| self.role_standing(role));
            let share = dominant(&framework.used, &self.state.total);
            let of_framework = Standing {
                share,
                weight: 1,
                served: host.served,
            };
            if best.is_none_or(|(role, framework, _)| (of_role, of_framework) < (role, framework)) {
                best = Some((of_role, of_framework, *id));
            }
        }
        best.map(|(_, _, id)| id)
    }

    fn role_standing(&self, role: &Arc<str>) -> Standing {
        let served = self.queue.roles_served.get(role).copied().unwrap_or(0);
        self.state.roles.get(role).map_or(
            Standing {
                share: Share(0),
                weight: 1,
                served,
            },
            |role| Standing {
                share: dominant(&role.used, &self.state.total),
                weight: role.weight,
                served,
            },
        )
    }

    /// Leases agents to a framework that is about to have a turn. If there is nothing for it, it is no
    /// longer hungry.
    pub(crate) fn lease(&mut self, id: FrameworkId) -> Vec<Lease> {
        let Some(framework) = self.state.frameworks.get(&id) else {
            return Vec::new();
        };
        let demands = Arc::clone(&framework.demands);
        let limits = Arc::clone(&framework.record.limits);
        let role = Arc::clone(&framework.record.role);
        let max = usize::try_from(limits.offers_per_turn_max).unwrap_or(usize::MAX);
        let mut pieces_left = self.fair_pieces(id, &demands);
        let candidates = self.look_for_agents(
            id,
            &demands,
            max.min(usize::try_from(pieces_left).unwrap_or(usize::MAX)),
        );
        let mut leases = Vec::with_capacity(candidates.len());
        for (agent, free) in candidates {
            if pieces_left == 0 {
                break;
            }
            let (amount, pieces) = cut(&demands, &free, pieces_left);
            pieces_left = pieces_left.saturating_sub(pieces.max(1));
            let ports = self.lease_ports(agent, &demands, amount.ports);
            let mut amount = amount;
            amount.ports = ports.len();
            let offer = OfferId(self.take_numbers(1));
            if let Some(link) = self.links.get_mut(&agent) {
                link.leased.add(&amount);
                for port in ports.iter() {
                    link.ports_leased.insert(port);
                }
            }
            leases.push(Lease {
                offer,
                agent,
                amount,
                ports,
            });
        }
        if leases.is_empty() {
            self.queue.hungry.remove(&id);
        } else {
            self.queue.served += 1;
            self.queue.roles_served.insert(role, self.queue.served);
            if let Some(host) = self.hosts.get_mut(&id) {
                host.served = self.queue.served;
            }
        }
        leases
    }

    /// Agents on which one of the demands fits, at most `max`, in the order of preference.
    fn look_for_agents(
        &mut self,
        id: FrameworkId,
        demands: &[Demand],
        max: usize,
    ) -> Vec<(AgentId, Resources)> {
        let Some(host) = self.hosts.get_mut(&id) else {
            return Vec::new();
        };
        let (mut seen, conditions) = (
            core::mem::take(&mut host.seen),
            core::mem::take(&mut host.conditions),
        );
        let mut cursor = host.cursor;
        let end = slot(self.state.cluster.last_agent) + 1;
        let prefer = demands
            .first()
            .map_or(Preference::Any, |demand| demand.prefer);
        // A preference means looking at all of them; else the first that fit will do, from where the
        // last look ended.
        let enough = if prefer == Preference::Any {
            max
        } else {
            usize::MAX
        };
        let mut found = Vec::new();
        let mut blocked = false;
        let start = if (1..end).contains(&cursor) {
            cursor
        } else {
            1
        };
        for (from, to) in [(start, end), (1, start)] {
            let mut at = from;
            while found.len() < enough
                && let Some(next) = seen.first_absent(at, to)
            {
                at = next + 1;
                cursor = at;
                let agent = AgentId(next as u64);
                match self.look(agent, demands, &conditions) {
                    Look::Fits(free) => found.push((agent, free)),
                    Look::Unfit => seen.insert(next),
                    Look::Leased => blocked = true,
                }
            }
        }
        if blocked {
            self.queue.blocked.insert(id);
        }
        if let Some(host) = self.hosts.get_mut(&id) {
            (host.seen, host.conditions, host.cursor) = (seen, conditions, cursor);
        }
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
        found.truncate(max);
        found
    }

    fn look(&self, id: AgentId, demands: &[Demand], conditions: &[Conditions]) -> Look {
        let Some(free) = self.free(id) else {
            return Look::Unfit;
        };
        let (Some(agent), Some(link)) = (self.state.agents.get(&id), self.links.get(&id)) else {
            return Look::Unfit;
        };
        let facts = &agent.record.info.facts;
        let mut unleased: Option<Resources> = None;
        let mut leased = false;
        for (i, demand) in demands.iter().enumerate() {
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

    fn lease_ports(&self, agent: AgentId, demands: &[Demand], count: u64) -> PortSet {
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

    /// How many pieces a framework may be leased now: up to its fair level if others want something
    /// too, at least one; as many as it wants if it is alone.
    fn fair_pieces(&self, id: FrameworkId, demands: &[Demand]) -> u64 {
        let wanted: u64 = demands.iter().map(|demand| u64::from(demand.count)).sum();
        if self.queue.wanting.len() < 2 {
            return u64::MAX;
        }
        let Some(level) = self.fair_level(id) else {
            return wanted.max(1);
        };
        let has = self
            .state
            .frameworks
            .get(&id)
            .map_or(Share(0), |f| dominant(&f.used, &self.state.total));
        let room = level.0.saturating_sub(has.0);
        let smallest = demands
            .iter()
            .map(|demand| dominant(&demand.each, &self.state.total).0)
            .filter(|s| *s > 0)
            .min();
        smallest
            .map_or(wanted, |piece| room / piece)
            .clamp(1, wanted.max(1))
    }

    /// Up to where the framework may go: progressive filling over the roles that want something, then
    /// over the frameworks of its role.
    fn fair_level(&self, id: FrameworkId) -> Option<Share> {
        let own_role = &self.state.frameworks.get(&id)?.record.role;
        let mut roles: BTreeMap<&str, Vec<(FrameworkId, Claim)>> = BTreeMap::new();
        for wanting in &self.queue.wanting {
            let framework = self.state.frameworks.get(wanting)?;
            let has = dominant(&framework.used, &self.state.total);
            let mut all = framework.used.clone();
            for demand in framework.demands.iter() {
                all.add(&demand.each.times(u64::from(demand.count)));
            }
            let could_use = dominant(&all, &self.state.total).min(WHOLE);
            roles.entry(&framework.record.role).or_default().push((
                *wanting,
                Claim {
                    weight: 1,
                    has,
                    could_use,
                },
            ));
        }
        let mut held_by_wanting = 0;
        let role_claims: Vec<(&str, Claim)> = roles
            .iter()
            .map(|(role, members)| {
                let sum = |part: fn(&Claim) -> u64| {
                    members.iter().map(|(_, claim)| part(claim)).sum::<u64>()
                };
                let (has, could_use) = (sum(|c| c.has.0), sum(|c| c.could_use.0).min(WHOLE.0));
                held_by_wanting += has;
                let weight = self.state.roles.get(*role).map_or(1, |role| role.weight);
                (
                    *role,
                    Claim {
                        weight,
                        has: Share(has),
                        could_use: Share(could_use.max(has)),
                    },
                )
            })
            .collect();
        let mut used_in_all = Resources::NONE;
        for role in self.state.roles.values() {
            used_in_all.add(&role.used);
        }
        let held = dominant(&used_in_all, &self.state.total).0;
        let capacity = Share(WHOLE.0.saturating_sub(held).saturating_add(held_by_wanting));
        let claims: Vec<Claim> = role_claims.iter().map(|(_, claim)| *claim).collect();
        let levels = water_fill(capacity, &claims);
        let own = role_claims
            .iter()
            .position(|(role, _)| *role == &**own_role)?;
        let members = roles.get(&**own_role)?;
        let member_claims: Vec<Claim> = members.iter().map(|(_, claim)| *claim).collect();
        let member_levels = water_fill(*levels.get(own)?, &member_claims);
        let place = members.iter().position(|(member, _)| *member == id)?;
        member_levels.get(place).copied()
    }

    /// A turn is over: what it held is free again, and whoever was blocked by it looks again.
    pub(crate) fn end_leases(&mut self, running: &Running) {
        if running.leases.is_empty() {
            return;
        }
        for lease in &running.leases {
            if let Some(link) = self.links.get_mut(&lease.agent) {
                link.leased.take(&lease.amount);
                for port in lease.ports.iter() {
                    link.ports_leased.remove(port);
                }
            }
        }
        let blocked = core::mem::take(&mut self.queue.blocked);
        self.queue
            .hungry
            .extend(blocked.intersection(&self.queue.wanting));
    }

    /// What a clean turn has refused is not shown again: an offer of which so much is left that a
    /// demand still fits. Whoever has launched all that was wanted has refused nothing.
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
            if refused {
                host.seen.insert(slot(lease.agent));
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

/// What the demands can use of an agent, in at most so many pieces, and how many pieces that is.
fn cut(demands: &[Demand], free: &Resources, pieces_max: u64) -> (Resources, u64) {
    let mut useful = Resources::NONE;
    let mut pieces = 0_u64;
    for demand in demands {
        let fit = free
            .pieces(&demand.each)
            .min(u64::from(demand.count))
            .min(pieces_max);
        useful.add(&demand.each.times(fit));
        pieces = pieces.saturating_add(fit);
        let ports = (demand.fixed_ports.len() as u64).saturating_mul(fit.min(1));
        useful.ports = useful.ports.max(ports);
    }
    (useful.least(free), pieces)
}
