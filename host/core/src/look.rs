//! Which agents a framework finds: what fits one of its demands, of all that it has not seen as it is.

use crate::agents::free_of;
use crate::allocate::slot;
use crate::bits::Bits;
use crate::cluster::{Cluster, Spot};
use crate::fairness::{Share, dominant};
use crate::fit::Conditions;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Bound::{Excluded, Included, Unbounded};
use mezzo_types::{AgentId, Demand, FrameworkId, Preference, Resources};

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
    /// Agents on which one of the demands fits, at most `max`, in the order of preference. All that it
    /// looks at the framework has seen, or is to look at again.
    pub(crate) fn look_for_agents(
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
        let mut hidden: Vec<AgentId> = Vec::new();
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
            // One that has become news since is met below; one that is hidden is looked at when the
            // turn that holds it is over. To come again before would be to come for nothing.
            if let Some(link) = self.links.get(&agent) {
                if self.offerable.contains_key(&link.shown) && link.improved <= before {
                    full = look(agent, &mut seen);
                } else {
                    seen.remove(slot(agent));
                    hidden.extend(self.hidden.contains_key(&link.shown).then_some(agent));
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
        for agent in leased.into_iter().chain(hidden) {
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
    pub(crate) fn look_again(&mut self, framework: FrameworkId, agent: AgentId) {
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
}
