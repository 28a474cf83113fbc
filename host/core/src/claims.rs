//! Claims: leases that are held before there is a turn for them, until all that a demand needs is
//! there or a deadline passes.
//!
//! A gang (`gangs.rs`) claims what becomes free anywhere, until all of its pieces are there; who
//! preempts (`preempt.rs`) claims what its victims leave on certain agents. What is claimed counts as
//! used, like any lease, and is handed to the framework's next turn once it is complete. Only one
//! gang claims at a time, and what preempts waits for nothing but its victims' ends: so no two
//! half-collected claims wait for each other.

use crate::cluster::{Cluster, Deadline};
use crate::fit::Conditions;
use crate::lease::Lease;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use mezzo_types::{AgentId, Demand, FrameworkId, Instant, OfferId, PortSet, Resources};

/// What is held for one demand.
#[derive(Debug)]
pub struct Claim {
    /// Whose.
    pub framework: FrameworkId,
    /// What for, as it was when the claim began.
    pub demand: Demand,
    /// It is given up then.
    pub until: Instant,
    /// What it takes.
    pub takes: Takes,
    /// The demand's, ready to be tested.
    pub conditions: Conditions,
    /// What it has.
    pub parts: BTreeMap<AgentId, Part>,
}

/// What a claim takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Pieces wherever they fit, until it has so many.
    Pieces(u64),
    /// So much of these agents.
    Of(BTreeMap<AgentId, Resources>),
}

/// What a claim has of one agent.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// How much.
    pub amount: Resources,
    /// Which ports.
    pub ports: PortSet,
}

impl Claim {
    /// How many pieces it is for.
    #[must_use]
    pub fn pieces_wanted(&self) -> u64 {
        match &self.takes {
            Takes::Pieces(all) => *all,
            Takes::Of(wanted) => {
                let each = &self.demand.each;
                wanted.values().map(|wanted| wanted.pieces(each)).sum()
            }
        }
    }

    /// What it takes of certain agents and has not got yet.
    #[must_use]
    pub fn lacks(&self) -> Resources {
        let mut lacks = Resources::NONE;
        if let Takes::Of(wanted) = &self.takes {
            for (agent, wanted) in wanted {
                let mut left = wanted.clone();
                if let Some(part) = self.parts.get(agent) {
                    left.take(&part.amount);
                }
                lacks.add(&left);
            }
        }
        lacks
    }

    /// How many pieces it has.
    #[must_use]
    pub fn pieces(&self) -> u64 {
        let each = &self.demand.each;
        let parts = self.parts.values();
        parts.map(|part| part.amount.pieces(each)).sum()
    }

    /// Whether it has all that it takes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match &self.takes {
            Takes::Pieces(all) => self.pieces() >= *all,
            Takes::Of(wanted) => wanted.iter().all(|(agent, wanted)| {
                let part = self.parts.get(agent);
                part.is_some_and(|part| part.amount.contains(wanted))
            }),
        }
    }

    /// Whether it is a gang's.
    #[must_use]
    pub fn is_gang(&self) -> bool {
        matches!(self.takes, Takes::Pieces(_))
    }
}

impl Cluster {
    /// Every claim that stands: for those who check what was taken back, and for whom.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Begins to claim, with what is free now.
    pub(crate) fn claim(&mut self, claim: Claim, of: &[AgentId]) {
        let (framework, until) = (claim.framework, claim.until);
        self.deadlines.insert((until, Deadline::Claim(framework)));
        self.claims.push(claim);
        for agent in of {
            self.feed_claims(*agent);
        }
        self.touch(framework);
    }

    /// An agent has more to give: claims come first.
    pub(crate) fn feed_claims(&mut self, agent: AgentId) {
        if self.claims.is_empty() {
            return;
        }
        // What others were ended for is not for a gang.
        let is_gang = |at: &usize| self.claims[*at].is_gang();
        let (gangs, others): (Vec<usize>, Vec<usize>) = (0..self.claims.len()).partition(is_gang);
        for at in others.into_iter().chain(gangs) {
            let Some((mut amount, framework)) = self.claimed(at, agent) else {
                continue;
            };
            let demand = self.claims[at].demand.clone();
            let ports = self.lease_ports(agent, core::slice::from_ref(&demand), amount.ports);
            amount.ports = ports.len();
            self.hold(agent, &amount, &ports);
            self.shares.charge(framework, &amount);
            let part = self.claims[at].parts.entry(agent).or_default();
            part.amount.add(&amount);
            for port in ports.iter() {
                part.ports.insert(port);
            }
            if self.claims[at].is_full() {
                self.touch(framework);
            }
        }
    }

    /// What a claim takes of an agent now, if anything.
    fn claimed(&self, at: usize, agent: AgentId) -> Option<(Resources, FrameworkId)> {
        let claim = self.claims.get(at)?;
        let (framework, each) = (claim.framework, &claim.demand.each);
        let free = self.free(agent)?;
        let room = self.room(framework);
        let amount = match &claim.takes {
            Takes::Pieces(all) => {
                let facts = &self.state.agents.get(&agent)?.record.info.facts;
                if !claim.conditions.hold(facts) {
                    return None;
                }
                let fixed = &claim.demand.fixed_ports;
                // A port that is fixed is there once: one piece an agent.
                let most = match (fixed.is_empty(), claim.parts.contains_key(&agent)) {
                    (true, _) => u64::MAX,
                    (false, true) => return None,
                    (false, false) => {
                        let ports = self.free_ports(agent);
                        u64::from(fixed.iter().all(|port| ports.contains(*port)))
                    }
                };
                let pieces = all
                    .saturating_sub(claim.pieces())
                    .min(free.pieces(each))
                    .min(room.pieces(each))
                    .min(most);
                each.times(pieces)
            }
            Takes::Of(wanted) => {
                let mut wanted = wanted.get(&agent)?.clone();
                if let Some(part) = claim.parts.get(&agent) {
                    wanted.take(&part.amount);
                }
                room.cap(&wanted.least(&free))
            }
        };
        (!amount.is_none()).then_some((amount, framework))
    }

    /// Whether a framework has a claim that is complete.
    pub(crate) fn has_full_claim(&self, framework: FrameworkId) -> bool {
        self.claim_of(framework).is_some_and(Claim::is_full)
    }

    /// A framework's claim.
    pub(crate) fn claim_of(&self, framework: FrameworkId) -> Option<&Claim> {
        let mut claims = self.claims.iter();
        claims.find(|claim| claim.framework == framework)
    }

    /// Hands a complete claim over, as leases of the framework's next turn, which are charged already:
    /// the demand, how many pieces there are of it, and the leases.
    pub(crate) fn take_claim(
        &mut self,
        framework: FrameworkId,
    ) -> Option<(String, u64, Vec<Lease>)> {
        let full = |claim: &Claim| claim.framework == framework && claim.is_full();
        let at = self.claims.iter().position(full)?;
        let claim = self.claims.swap_remove(at);
        self.deadlines
            .remove(&(claim.until, Deadline::Claim(framework)));
        let pieces = claim.pieces();
        let mut leases = Vec::with_capacity(claim.parts.len());
        for (agent, part) in claim.parts {
            leases.push(Lease {
                offer: OfferId(self.take_numbers(1)),
                agent,
                amount: part.amount,
                ports: part.ports,
                reservation: None,
                volumes: Vec::new(),
            });
        }
        if matches!(claim.takes, Takes::Pieces(_)) {
            self.gang_is_there(framework);
            self.wake_gangs();
        } else {
            let offers = leases.iter().map(|lease| lease.offer).collect();
            self.await_use(framework, &claim.demand.name, offers);
        }
        Some((claim.demand.name, pieces, leases))
    }

    /// An agent gives nothing any more: what was claimed of it is lost.
    pub(crate) fn unclaim(&mut self, agent: AgentId) {
        if self.claims.is_empty() {
            return;
        }
        let mut losers: Vec<FrameworkId> = Vec::new();
        for at in 0..self.claims.len() {
            if let Some(part) = self.claims[at].parts.remove(&agent) {
                let framework = self.claims[at].framework;
                self.release(framework, agent, &part);
                losers.push(framework);
            }
            if let Takes::Of(wanted) = &mut self.claims[at].takes
                && wanted.remove(&agent).is_some()
                && self.claims[at].is_full()
            {
                // The rest is all there.
                self.touch(self.claims[at].framework);
            }
        }
        let empty = |claim: &Claim| matches!(&claim.takes, Takes::Of(wanted) if wanted.is_empty());
        while let Some(at) = self.claims.iter().position(empty) {
            self.end_claim(at);
        }
        self.release_held();
        // A claim that was complete is so no more: there may be nothing left to have a turn for.
        losers
            .into_iter()
            .for_each(|framework| self.rank(framework));
    }

    /// A framework's demands have changed: a claim for one that is no longer wanted ends.
    pub(crate) fn check_claim(&mut self, framework: FrameworkId) {
        let Some(at) = self.claims.iter().position(|c| c.framework == framework) else {
            return;
        };
        let claim = &self.claims[at];
        let (demand, pieces, is_gang) = (&claim.demand, claim.pieces_wanted(), claim.is_gang());
        let stays = self.state.frameworks.get(&framework).is_some_and(|known| {
            let mut demands = known.demands.iter();
            let wanted = demands.find(|wanted| wanted.name == demand.name);
            !known.record.quarantined
                && !known.record.removing
                && wanted.is_some_and(|wanted| {
                    let count = u64::from(wanted.count);
                    let as_many = if is_gang {
                        count == pieces
                    } else {
                        count >= pieces
                    };
                    wanted.same_shape(demand) && as_many
                })
        });
        if !stays {
            // To want something else for a moment buys no further claim.
            self.gang_failed(framework, is_gang);
            self.end_claim(at);
        }
    }

    /// Its time is up before all was there.
    pub(crate) fn on_claim_due(&mut self, framework: FrameworkId) {
        let due = |claim: &Claim| claim.framework == framework && claim.until <= self.now;
        if let Some(at) = self.claims.iter().position(due) {
            self.gang_failed(framework, self.claims[at].is_gang());
            self.end_claim(at);
        }
    }

    /// Gives back what a claim has.
    fn end_claim(&mut self, at: usize) {
        let claim = self.claims.swap_remove(at);
        for (agent, part) in &claim.parts {
            self.release(claim.framework, *agent, part);
        }
        for agent in claim.parts.keys() {
            self.feed_claims(*agent);
        }
        self.release_held();
        if claim.is_gang() {
            self.wake_gangs();
        }
        self.touch(claim.framework);
    }

    fn release(&mut self, framework: FrameworkId, agent: AgentId, part: &Part) {
        self.shares.discharge(framework, &part.amount);
        self.unhold(agent, &part.amount, &part.ports);
    }
}
