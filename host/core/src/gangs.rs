//! Gangs: demands of which all pieces are offered in one turn, or none.
//!
//! A gang is tried whenever there is news, at most once a second: all that is free is looked at, for a
//! gang needs many agents at once. If there is not enough, the one that has waited longest claims
//! (`claims.rs`) what becomes free, until it is complete or `claim_ms` have passed; then the next one
//! may, and it itself waits twice as long before it claims again.

use crate::claims::{Claim, Takes};
use crate::cluster::{Cluster, Deadline};
use crate::fit::Conditions;
use crate::framework::Host;
use crate::lease::Lease;
use crate::state::{AgentState, FrameworkState};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use mezzo_types::{AgentId, Demand, FrameworkId, Instant, OfferId, Preference, Resources};

/// Between two tries of one framework's gangs, in milliseconds.
const TRY_MS: u64 = 1_000;
/// The wait between two claims doubles at most so often.
const DOUBLINGS_MAX: u32 = 6;

/// What of a framework's gangs lasts as long as this leadership.
#[derive(Debug, Default)]
pub struct Gangs {
    /// Up to which news they were tried.
    looked: u64,
    /// Not to be tried before.
    try_at: Instant,
    /// Which of them waits for more than there was, and since when.
    waiting: Option<(Instant, Demand)>,
    /// Not to claim before.
    claim_at: Instant,
    /// Claims in a row that were given up.
    failed: u32,
}

/// How much of a gang fits.
#[derive(Clone, Copy, Debug)]
pub struct GangPieces {
    /// Now.
    pub now: u64,
    /// If nothing ran, up to all of it.
    pub possible: u64,
    /// How long until it may claim again, in milliseconds.
    pub waits_ms: u64,
}

impl Cluster {
    /// Up to which news a framework's gangs were tried; none if none is to be tried now.
    pub(crate) fn gangs_behind(&self, host: &Host) -> Option<u64> {
        (host.gangs.try_at <= self.now).then_some(host.gangs.looked)
    }

    /// A framework's gangs are to be tried anew.
    pub(crate) fn gangs_anew(&mut self, id: FrameworkId) {
        let (Some(framework), Some(host)) =
            (self.state.frameworks.get(&id), self.hosts.get_mut(&id))
        else {
            return;
        };
        host.gangs.looked = 0;
        // Its place among those that wait is the gang's: another one begins at the end. When it may
        // claim again stays, whatever it wants meanwhile.
        let gone = |(_, gang): &(Instant, Demand)| !framework.demands.contains(gang);
        if host.gangs.waiting.as_ref().is_some_and(gone) {
            host.gangs.waiting = None;
        }
    }

    /// Leases the first of a framework's gangs that is there as a whole; one that is not may begin to
    /// claim.
    pub(crate) fn lease_gang(&mut self, id: FrameworkId, max: usize) -> Vec<Lease> {
        let (Some(framework), Some(host)) = (self.state.frameworks.get(&id), self.hosts.get(&id))
        else {
            return Vec::new();
        };
        let gangs = self.gangs(id, framework);
        if gangs.is_empty() || self.gangs_behind(host).is_none() {
            return Vec::new();
        }
        let try_at = self.now.after_ms(TRY_MS);
        self.deadlines.insert((try_at, Deadline::Gang(id)));
        let news = self.news;
        if let Some(host) = self.hosts.get_mut(&id) {
            (host.gangs.looked, host.gangs.try_at) = (news, try_at);
        }
        let room = self.room(id);
        for (at, gang) in &gangs {
            let count = u64::from(gang.count);
            if room.pieces(&gang.each) < count {
                self.hold_demand(id, gang);
                self.wait_no_more(id, gang);
                continue;
            }
            let found = self.gang_places(id, *at, gang);
            let there: u64 = found.iter().map(|(_, pieces)| *pieces).sum();
            if there >= count
                && let Some(places) = choose(found.clone(), count, max)
            {
                self.gang_is_there(id);
                return self.lease_places(gang, &places);
            }
            if self.claim_of(id).is_none() && there < count {
                self.wait_for_gang(id, *at, gang, &found);
            }
        }
        Vec::new()
    }

    /// A framework's gangs that quota does not hold back, with their places among its demands.
    fn gangs(&self, id: FrameworkId, framework: &FrameworkState) -> Vec<(usize, Demand)> {
        let held = self.held.get(&id);
        let demands = framework.demands.iter().enumerate();
        demands
            .filter(|(_, demand)| demand.together && demand.count > 0)
            .filter(|(_, demand)| !held.is_some_and(|held| held.contains(&demand.name)))
            .map(|(at, demand)| (at, demand.clone()))
            .collect()
    }

    /// A gang of a framework is offered.
    pub(crate) fn gang_is_there(&mut self, id: FrameworkId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.gangs.waiting = None;
            (host.gangs.failed, host.gangs.claim_at) = (0, Instant(0));
        }
    }

    /// Nobody waits behind a gang that cannot be.
    fn wait_no_more(&mut self, id: FrameworkId, gang: &Demand) {
        if let Some(host) = self.hosts.get_mut(&id)
            && host
                .gangs
                .waiting
                .as_ref()
                .is_some_and(|(_, it)| it == gang)
        {
            host.gangs.waiting = None;
        }
    }

    /// Where pieces of a gang fit now, and how many.
    fn gang_places(&self, id: FrameworkId, at: usize, gang: &Demand) -> Vec<(AgentId, u64)> {
        let conditions = self.hosts.get(&id).and_then(|host| host.conditions.get(at));
        let agents = self.offerable.values().filter_map(|agent| {
            let facts = &self.state.agents.get(agent)?.record.info.facts;
            let pieces = self.free(*agent)?.pieces(&gang.each);
            if pieces == 0 || !conditions.is_none_or(|all| all.hold(facts)) {
                return None;
            }
            if gang.fixed_ports.is_empty() {
                return Some((*agent, pieces));
            }
            // A port that is fixed is there once: one piece an agent.
            let ports = self.free_ports(*agent);
            let mut fixed = gang.fixed_ports.iter();
            fixed
                .all(|port| ports.contains(*port))
                .then_some((*agent, 1))
        });
        let mut places: Vec<(AgentId, u64)> = agents.collect();
        match gang.prefer {
            Preference::Any => {}
            Preference::MostFree => places.sort_by_key(|(_, pieces)| core::cmp::Reverse(*pieces)),
            Preference::LeastFree => places.sort_by_key(|(_, pieces)| *pieces),
        }
        places
    }

    fn lease_places(&mut self, gang: &Demand, places: &[(AgentId, u64)]) -> Vec<Lease> {
        let mut leases = Vec::with_capacity(places.len());
        for (agent, pieces) in places {
            let mut amount = gang.each.times(*pieces);
            let ports = self.lease_ports(*agent, core::slice::from_ref(gang), amount.ports);
            amount.ports = ports.len();
            self.hold(*agent, &amount, &ports);
            leases.push(Lease {
                offer: OfferId(self.take_numbers(1)),
                agent: *agent,
                amount,
                ports,
                reservation: None,
                volumes: Vec::new(),
            });
        }
        leases
    }

    /// There is not enough for a gang: it waits for its claim, or begins it.
    fn wait_for_gang(
        &mut self,
        id: FrameworkId,
        at: usize,
        gang: &Demand,
        found: &[(AgentId, u64)],
    ) {
        let now = self.now;
        if !self.could_ever_fit(id, at, gang) {
            return self.wait_no_more(id, gang);
        }
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        let claim_at = host.gangs.claim_at;
        let waiting = &mut host.gangs.waiting;
        let since = waiting.get_or_insert_with(|| (now, gang.clone())).0;
        let somebody_claims = self.claims.iter().any(Claim::is_gang);
        if somebody_claims || claim_at > now || self.is_behind_another(id, since) {
            return;
        }
        let Ok(conditions) = Conditions::compile(&gang.conditions) else {
            return;
        };
        let agents: Vec<AgentId> = found.iter().map(|(agent, _)| *agent).collect();
        let claim = Claim {
            framework: id,
            demand: gang.clone(),
            until: now.after_ms(self.limits.claim_ms),
            takes: Takes::Pieces(u64::from(gang.count)),
            conditions,
            parts: BTreeMap::new(),
        };
        self.claim(claim, &agents);
    }

    /// Whether another framework's gang has waited longer and may claim.
    fn is_behind_another(&self, id: FrameworkId, since: Instant) -> bool {
        self.hosts.iter().any(|(other, host)| {
            let waiting = host.gangs.waiting.as_ref();
            let older = waiting.is_some_and(|(theirs, _)| (*theirs, *other) < (since, id));
            older
                && host.gangs.claim_at <= self.now
                && host.instance.is_some()
                && self
                    .state
                    .frameworks
                    .get(other)
                    .is_some_and(|known| !known.record.quarantined)
        })
    }

    /// How much of a gang fits.
    pub(crate) fn gang_pieces(&self, id: FrameworkId, gang: &Demand) -> Option<GangPieces> {
        let framework = self.state.frameworks.get(&id)?;
        let mut demands = framework.demands.iter();
        let at = demands.position(|demand| demand.name == gang.name)?;
        let places = self.gang_places(id, at, gang);
        let claim_at = self.hosts.get(&id).map(|host| host.gangs.claim_at);
        Some(GangPieces {
            now: places.iter().map(|(_, pieces)| *pieces).sum(),
            possible: self.possible_pieces(id, at, gang),
            waits_ms: claim_at.unwrap_or_default().since_ms(self.now),
        })
    }

    /// Whether a gang would fit if nothing ran.
    fn could_ever_fit(&self, id: FrameworkId, at: usize, gang: &Demand) -> bool {
        self.possible_pieces(id, at, gang) >= u64::from(gang.count)
    }

    /// How many pieces of a gang would fit if nothing ran, up to all of them.
    fn possible_pieces(&self, id: FrameworkId, at: usize, gang: &Demand) -> u64 {
        let conditions = self.hosts.get(&id).and_then(|host| host.conditions.get(at));
        let mut pieces = 0_u64;
        for (agent, known) in &self.state.agents {
            let facts = &known.record.info.facts;
            let there = self.session_of(*agent).is_some() && known.record.leaving.is_none();
            if there && conditions.is_none_or(|all| all.hold(facts)) {
                let here = self.unreserved(known).pieces(&gang.each);
                let once = !gang.fixed_ports.is_empty();
                pieces = pieces.saturating_add(if once { here.min(1) } else { here });
            }
            if pieces >= u64::from(gang.count) {
                break;
            }
        }
        pieces
    }

    /// What an agent has that is not kept for roles.
    fn unreserved(&self, agent: &AgentState) -> Resources {
        let mut total = agent.record.info.facts.total.clone();
        for id in &agent.reservations {
            let known = self.state.reservation(*id);
            if let Some(known) = known.filter(|known| known.record.within.is_none()) {
                total.take(&known.record.amount);
            }
        }
        total
    }

    /// A gang's claim was given up: it goes behind all others, and waits longer each time.
    pub(crate) fn gang_failed(&mut self, id: FrameworkId, is_gang: bool) {
        let (now, claim_ms) = (self.now, self.limits.claim_ms);
        if let Some(host) = self.hosts.get_mut(&id).filter(|_| is_gang) {
            let wait_ms = claim_ms.saturating_mul(1 << host.gangs.failed.min(DOUBLINGS_MAX));
            host.gangs.failed = host.gangs.failed.saturating_add(1);
            let claim_at = now.after_ms(wait_ms);
            host.gangs.claim_at = claim_at;
            if let Some((since, _)) = &mut host.gangs.waiting {
                *since = now;
            }
            self.deadlines.insert((claim_at, Deadline::Gang(id)));
        }
    }

    /// No gang claims any more: those that wait try again, the longest waiting first.
    pub(crate) fn wake_gangs(&mut self) {
        let waits = |(_, host): &(&FrameworkId, &Host)| host.gangs.waiting.is_some();
        let waiting = self.hosts.iter().filter(waits);
        let waiting: Vec<FrameworkId> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            if let Some(host) = self.hosts.get_mut(&id) {
                host.gangs.looked = 0;
            }
            self.touch(id);
        }
    }

    /// A framework's gangs may be tried again.
    pub(crate) fn on_gang_due(&mut self, id: FrameworkId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            // Whoever may claim again need not wait for news.
            if host.gangs.claim_at > Instant(0) && host.gangs.claim_at <= self.now {
                (host.gangs.looked, host.gangs.claim_at) = (0, Instant(0));
            }
            self.touch(id);
        }
    }
}

/// As many places as a gang needs, on at most so many agents; none if it needs more of them.
fn choose(mut places: Vec<(AgentId, u64)>, count: u64, max: usize) -> Option<Vec<(AgentId, u64)>> {
    let first = |places: &[(AgentId, u64)]| {
        let mut left = count;
        let mut chosen = Vec::new();
        for (agent, pieces) in places {
            let taken = left.min(*pieces);
            chosen.push((*agent, taken));
            left -= taken;
            if left == 0 {
                break;
            }
        }
        (left == 0 && chosen.len() <= max).then_some(chosen)
    };
    first(&places).or_else(|| {
        places.sort_by_key(|(_, pieces)| core::cmp::Reverse(*pieces));
        first(&places)
    })
}
