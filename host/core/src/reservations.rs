//! Reservations: made by operators, by agents' configuration and by turns; given back; offered.
//!
//! A reservation is offered as it is, apart from what the agent has unreserved. It is not looked for
//! among all agents: a framework keeps the few that it is to look at (`Host::reserved`), and each one
//! that improves is put there for everyone who could use it. One turn at a time has it.

use crate::action::{Answer, RefusedKind};
use crate::allocate::Lease;
use crate::cluster::{Cluster, Deadline};
use crate::event::Reserve;
use crate::framework::Host;
use crate::ledger::{in_use, invalid_reservation};
use crate::quota::check_role;
use crate::record::{Maker, Record, ReservationRecord};
use crate::state::{FrameworkState, Reservation, State};
use crate::turn;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentFacts, AgentId, Demand, FrameworkId, OfferId, RequestId, ReservationId, ReservedShare,
    Resources,
};

/// Reservations of one agent's configuration.
const CONFIGURED_MAX: usize = 64;

impl Cluster {
    pub(crate) fn on_reserve(&mut self, id: RequestId, reserve: Reserve) {
        if let Err((kind, message)) = self.check_reserve(&reserve) {
            return self.refuse(id, kind, message);
        }
        let reservation = ReservationId(self.take_numbers(1));
        self.make_reservation(ReservationRecord {
            id: reservation,
            agent: reserve.agent,
            role: Arc::from(reserve.role),
            amount: reserve.amount,
            within: reserve.within,
            made_by: Maker::Principal(reserve.principal),
            made: self.now,
            labels: reserve.labels,
            until: reserve.until,
            ending: false,
            volumes: Vec::new(),
        });
        self.reply(id, Answer::Reserved(reservation));
    }

    fn check_reserve(&self, reserve: &Reserve) -> Result<(), (RefusedKind, String)> {
        let invalid = |message| Err((RefusedKind::Invalid, message));
        if let Err(problem) = check_role(&reserve.role) {
            return invalid(format!("role: {problem}"));
        }
        if let Some(problem) = invalid_reservation(&reserve.amount, &reserve.labels) {
            return invalid(problem);
        }
        if reserve.until.is_some_and(|until| until <= self.now) {
            return invalid("until: it is over already".into());
        }
        let agent = reserve.agent;
        let Some(known) = self
            .state
            .agents
            .get(&agent)
            .filter(|a| !a.record.is_gone())
        else {
            let message =
                format!("there is no agent {agent}; `mezzo agent ls` lists those there are");
            return Err((RefusedKind::NotFound, message));
        };
        match reserve.within {
            Some(within) => self.check_within(reserve, within),
            None => {
                let facts = &known.record.info.facts;
                let mut free = facts.total.clone();
                free.take(&known.used);
                let what = format!("agent {} ({agent})", facts.hostname);
                has_free(&free, &reserve.amount, &what)?;
                if let Some(link) = self.links.get(&agent) {
                    free.take(&link.leased);
                }
                if has_free(&free, &reserve.amount, &what).is_err() {
                    let message =
                        format!("{what} is being offered to a framework; try again in a moment");
                    return Err((RefusedKind::Unavailable, message));
                }
                self.check_room(&reserve.role, &reserve.amount)
            }
        }
    }

    fn check_within(
        &self,
        reserve: &Reserve,
        within: ReservationId,
    ) -> Result<(), (RefusedKind, String)> {
        let Some(whole) = self.state.reservation(within) else {
            return Err((RefusedKind::NotFound, no_reservation(within)));
        };
        if whole.record.agent != reserve.agent {
            let message = format!(
                "within: reservation {within} is on agent {}, not on {}",
                whole.record.agent, reserve.agent
            );
            return Err((RefusedKind::Invalid, message));
        }
        if !State::roles_above(&reserve.role).any(|role| *role == *whole.record.role) {
            let message = format!(
                "role: reservation {within} is for role {}, and {} is not below it",
                whole.record.role, reserve.role
            );
            return Err((RefusedKind::Invalid, message));
        }
        if whole.record.ending {
            let message = format!("reservation {within} was given back");
            return Err((RefusedKind::Conflict, message));
        }
        has_free(
            &whole.free(),
            &reserve.amount,
            &format!("reservation {within}"),
        )?;
        if self.lent.contains_key(&within) {
            let message = format!(
                "reservation {within} is being offered to a framework; try again in a moment"
            );
            return Err((RefusedKind::Unavailable, message));
        }
        Ok(())
    }

    /// Whether a role's limit, and what is kept for others' guarantees, leave room for so much.
    fn check_room(&self, role: &str, amount: &Resources) -> Result<(), (RefusedKind, String)> {
        if self.room_of(role).pieces(amount) > 0 {
            return Ok(());
        }
        let why = self.no_room(role, amount);
        Err((RefusedKind::Conflict, format!("it is not reserved: {why}")))
    }

    fn make_reservation(&mut self, record: ReservationRecord) {
        let (id, agent, until) = (record.id, record.agent, record.until);
        self.record(Record::Reservation(Arc::new(record)));
        if let Some(until) = until {
            self.deadlines.insert((until, Deadline::Reservation(id)));
        }
        self.show_agent(agent);
        self.reservation_improved(id);
        // What it is promised is kept from others no longer, as far as it has it now.
        self.release_held();
    }

    /// What a clean turn keeps of its offers. What has gone meanwhile is not kept: what was to run on
    /// it is lost (`effects.rs`).
    pub(crate) fn keep(&mut self, framework: FrameworkId, reserve: turn::Reserve) {
        let Some(record) = self.state.frameworks.get(&framework).map(|f| &f.record) else {
            return;
        };
        let (role, name) = (Arc::clone(&record.role), Arc::clone(&record.name));
        let agent = self.state.agents.get(&reserve.agent);
        let whole_stays = reserve.within.is_none_or(|within| {
            self.state
                .reservation(within)
                .is_some_and(|whole| !whole.record.ending)
        });
        if !whole_stays || agent.is_none_or(|agent| agent.record.is_gone()) {
            return;
        }
        self.make_reservation(ReservationRecord {
            id: reserve.id,
            agent: reserve.agent,
            role,
            amount: reserve.amount,
            within: reserve.within,
            made_by: Maker::Framework(name),
            made: self.now,
            labels: reserve.labels,
            until: reserve.until,
            ending: false,
            volumes: Vec::new(),
        });
    }

    pub(crate) fn on_unreserve(&mut self, id: RequestId, reservation: ReservationId) {
        let Some(known) = self.state.reservation(reservation).cloned() else {
            return self.refuse(id, RefusedKind::NotFound, no_reservation(reservation));
        };
        if known.record.made_by == Maker::AgentConfiguration {
            let message = format!(
                "reservation {reservation} was made by the configuration of agent {}; take it out there and start the agent anew",
                known.record.agent
            );
            return self.refuse(id, RefusedKind::Conflict, message);
        }
        if let Some(problem) = in_use(&known) {
            return self.refuse(id, RefusedKind::Conflict, problem);
        }
        self.give_back(reservation);
        self.reply(id, Answer::Done);
    }

    /// A reservation goes as soon as nothing uses it.
    pub(crate) fn give_back(&mut self, id: ReservationId) {
        let Some(known) = self.state.reservation(id) else {
            return;
        };
        if !known.record.ending {
            let record = ReservationRecord {
                ending: true,
                ..ReservationRecord::clone(&known.record)
            };
            self.record(Record::Reservation(Arc::new(record)));
        }
        self.finish_reservation(id);
    }

    /// Takes a reservation away that was given back, if nothing uses it any more.
    pub(crate) fn finish_reservation(&mut self, id: ReservationId) {
        let Some(known) = self.state.reservation(id) else {
            return;
        };
        let record = Arc::clone(&known.record);
        if !record.ending || !known.is_unused() || self.lent.contains_key(&id) {
            return;
        }
        self.record(Record::ReservationRemoved(id));
        match record.within {
            Some(within) => {
                self.reservation_improved(within);
                self.finish_reservation(within);
            }
            None => self.agent_improved(record.agent),
        }
    }

    /// Its time is up: it goes, unless something uses it.
    pub(crate) fn on_reservation_due(&mut self, id: ReservationId) {
        let unused = self.state.reservation(id).is_some_and(|r| r.is_unused());
        if unused {
            self.give_back(id);
        }
    }

    /// After a new leadership: deadlines of all reservations; and those are taken away that only a
    /// turn of the last one had held.
    pub(crate) fn await_reservations(&mut self) {
        let ids: Vec<ReservationId> = self.state.reservations.keys().copied().collect();
        for id in ids {
            if let Some(until) = self.state.reservation(id).and_then(|r| r.record.until) {
                self.deadlines.insert((until, Deadline::Reservation(id)));
            }
            self.finish_reservation(id);
        }
    }

    /// Why an agent's configuration cannot keep for roles what it says; `known` is who it is.
    pub(crate) fn invalid_configuration(
        &self,
        known: Option<AgentId>,
        facts: &AgentFacts,
    ) -> Option<String> {
        if facts.reserved.len() > CONFIGURED_MAX {
            return Some(format!(
                "reserved: at most {CONFIGURED_MAX} entries, not {}",
                facts.reserved.len()
            ));
        }
        let mut sum = Resources::NONE;
        for (i, share) in facts.reserved.iter().enumerate() {
            let problem = check_role(&share.role)
                .err()
                .map(|problem| format!("role: {problem}"));
            let problem = problem.or_else(|| invalid_reservation(&share.amount, &[]));
            if let Some(problem) = problem {
                return Some(format!("reserved[{i}].{problem}"));
            }
            sum.add(&share.amount);
        }
        if let Some(kind) = facts.total.short_of(&sum) {
            return Some(format!(
                "reserved: {} of {kind} together is more than the agent has, {}",
                sum.amount(&kind),
                facts.total.amount(&kind)
            ));
        }
        let made = self.made_by_configuration(known);
        let news = facts.reserved.iter().enumerate().filter(|(_, share)| {
            let same = |record: &Arc<ReservationRecord>| is_share(record, share);
            !made.iter().any(same)
        });
        news.map(|(i, share)| (i, self.check_room(&share.role, &share.amount)))
            .find_map(|(i, room)| Some(format!("reserved[{i}]: {}", room.err()?.1)))
    }

    fn made_by_configuration(&self, agent: Option<AgentId>) -> Vec<Arc<ReservationRecord>> {
        let known = agent.and_then(|agent| self.state.agents.get(&agent));
        let ids = known.into_iter().flat_map(|known| &known.reservations);
        ids.filter_map(|id| Some(Arc::clone(&self.state.reservation(*id)?.record)))
            .filter(|record| record.made_by == Maker::AgentConfiguration && !record.ending)
            .collect()
    }

    /// What an agent's configuration keeps for roles becomes reservations, and those that it no
    /// longer names go.
    pub(crate) fn reserve_by_configuration(&mut self, agent: AgentId) {
        let Some(known) = self.state.agents.get(&agent) else {
            return;
        };
        let mut wanted: Vec<ReservedShare> = known.record.info.facts.reserved.clone();
        for record in self.made_by_configuration(Some(agent)) {
            match wanted.iter().position(|share| is_share(&record, share)) {
                Some(at) => drop(wanted.swap_remove(at)),
                None => self.give_back(record.id),
            }
        }
        for share in wanted {
            let id = ReservationId(self.take_numbers(1));
            self.make_reservation(ReservationRecord {
                id,
                agent,
                role: Arc::from(share.role),
                amount: share.amount,
                within: None,
                made_by: Maker::AgentConfiguration,
                made: self.now,
                labels: Vec::new(),
                until: None,
                ending: false,
                volumes: Vec::new(),
            });
        }
    }

    /// All of an agent's reservations go with it, and their volumes.
    pub(crate) fn drop_reservations(&mut self, agent: AgentId) {
        let known = self.state.agents.get(&agent);
        let ids: Vec<ReservationId> = known.map_or_else(Vec::new, |known| {
            known.reservations.iter().copied().collect()
        });
        // The newest first: they are parts of older ones.
        for id in ids.into_iter().rev() {
            self.record(Record::ReservationRemoved(id));
        }
        self.release_held();
    }

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
        let mut usable = BTreeSet::new();
        for role in State::roles_above(&framework.record.role) {
            let Some(role) = self.state.roles.get(role) else {
                continue;
            };
            for (id, known) in role.reservations.iter() {
                if framework
                    .demands
                    .iter()
                    .any(|demand| could_use(demand, known))
                {
                    usable.insert(*id);
                }
            }
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
            leases.extend(self.lease_reservation(id, reservation, &demands));
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
        let mut free = known.free();
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

fn is_share(record: &ReservationRecord, share: &ReservedShare) -> bool {
    *share.role == *record.role && share.amount == record.amount
}

fn has_free(free: &Resources, amount: &Resources, what: &str) -> Result<(), (RefusedKind, String)> {
    let Some(kind) = free.short_of(amount) else {
        return Ok(());
    };
    let message = format!(
        "amount: {} of {kind} is more than {what} has free, {}",
        amount.amount(&kind),
        free.amount(&kind)
    );
    Err((RefusedKind::Conflict, message))
}

/// For requests that name a reservation that is not there.
pub(crate) fn no_reservation(id: ReservationId) -> String {
    format!("there is no reservation {id}; `mezzo reservation ls` lists those there are")
}
