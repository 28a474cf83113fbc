//! What is news to whom: a framework is offered the agents on which one of its demands fits and that
//! it has not seen as they are now. Which ones it finds is in `look.rs`, how much of each it gets in
//! `lease.rs`.
//!
//! *News*: each time an agent has more to give, or is another than before, it gets the next number,
//! and all agents that have something to give stand in the order of theirs. A framework remembers up
//! to which number it has looked, and one bit an agent says whether it has seen it as it is. An
//! agent that is leased whole is hidden until that turn ends; should somebody have passed over it
//! meanwhile, it comes back with a new number, and whoever has seen it before passes over it. What a
//! turn has left without refusing it is looked at again. So nothing is shown twice without need, no
//! wake-up is lost, and a cluster in which nothing happens does nothing.

use crate::cluster::{Cluster, FIRST_NEWS, Spot};
use crate::fit::Conditions;
use crate::framework::{CPU_HEAVY_US, Host};
use crate::order::{NEVER, Seen};
use crate::state::FrameworkState;
use mezzo_types::{AgentId, Demand, FrameworkId, Resources};

/// An agent's place in the bits: agents are numbered from 1 without large gaps.
pub(crate) fn slot(agent: AgentId) -> usize {
    usize::try_from(agent.0).unwrap_or(usize::MAX)
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
        // Counts change with each launch, conditions seldom: what is compiled stays.
        let old = core::mem::take(&mut host.conditions);
        let compile = |(i, demand): (usize, &Demand)| {
            let known = old.get(i).filter(|known| known.are(&demand.conditions));
            let known = known.or_else(|| old.iter().find(|known| known.are(&demand.conditions)));
            known
                .cloned()
                .unwrap_or_else(|| Conditions::compile(&demand.conditions).unwrap_or_default())
        };
        host.conditions = framework.demands.iter().enumerate().map(compile).collect();
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
        // It counts as free before claims take of it: what is kept for others is reckoned from all.
        self.show_agent(agent);
        self.feed_claims(agent);
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
    pub(crate) fn show_agent_with(&mut self, agent: AgentId, free: Option<Resources>) {
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
}

/// Which kinds of demands there are.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    /// Served piece by piece, from what is unreserved.
    single: bool,
    /// Served as a whole.
    gang: bool,
}
