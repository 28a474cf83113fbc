//! Reservations: made by operators, by agents' configuration and by turns, and given back. Who is
//! offered them is in `lend.rs`, what uses them in `reserved.rs`.

use crate::action::{Answer, RefusedKind};
use crate::cluster::{Cluster, Deadline};
use crate::event::Reserve;
use crate::ledger::{in_use, invalid_reservation, invalid_until};
use crate::quota::{check_role, top};
use crate::record::{Maker, Record, ReservationRecord};
use crate::state::State;
use crate::turn;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentFacts, AgentId, FrameworkId, RequestId, ReservationId, ReservedShare, Resources,
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
        if let Some(problem) = invalid_until(reserve.until, self.now) {
            return invalid(problem);
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
        self.await_no_more(&record);
        match record.within {
            Some(within) => {
                self.reservation_improved(within);
                self.finish_reservation(within);
            }
            None => self.agent_improved(record.agent),
        }
    }

    fn await_no_more(&mut self, record: &ReservationRecord) {
        if let Some(until) = record.until {
            self.deadlines
                .remove(&(until, Deadline::Reservation(record.id)));
        }
    }

    /// Its time is up: it goes, unless something uses it; then it stays for good.
    pub(crate) fn on_reservation_due(&mut self, id: ReservationId) {
        let Some(known) = self.state.reservation(id).cloned() else {
            return;
        };
        if known.is_unused() {
            return self.give_back(id);
        }
        let record = ReservationRecord {
            until: None,
            ..ReservationRecord::clone(&known.record)
        };
        self.record(Record::Reservation(Arc::new(record)));
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
        self.no_room_for_configuration(known, facts)
    }

    /// Why quota leaves no room for what an agent's configuration adds: all shares of a role together,
    /// beside what is given back, and with what the agent brings along.
    fn no_room_for_configuration(
        &self,
        known: Option<AgentId>,
        facts: &AgentFacts,
    ) -> Option<String> {
        let mut given_back: Vec<ReservedShare> = Vec::new();
        let mut news: Vec<&ReservedShare> = facts.reserved.iter().collect();
        for record in self.made_by_configuration(known) {
            match news.iter().position(|share| is_share(&record, share)) {
                Some(at) => drop(news.swap_remove(at)),
                None if self.is_unused(record.id) => given_back.push(ReservedShare {
                    role: record.role.as_ref().into(),
                    amount: record.amount.clone(),
                }),
                None => {}
            }
        }
        let mut brings = facts.total.clone();
        if let Some(agent) = known.and_then(|agent| self.state.agents.get(&agent)) {
            brings.take(&agent.used);
        }
        let sum = |shares: &mut dyn Iterator<Item = &Resources>| {
            let mut sum = Resources::NONE;
            shares.for_each(|amount| sum.add(amount));
            sum
        };
        let mut roles: Vec<&str> = news.iter().map(|share| top(&share.role)).collect();
        roles.sort_unstable();
        roles.dedup();
        for role in roles {
            let of = |share: &ReservedShare| top(&share.role) == role;
            let more = sum(&mut news.iter().filter(|s| of(s)).map(|s| &s.amount));
            let less = sum(&mut given_back.iter().filter(|s| of(s)).map(|s| &s.amount));
            let (mut limit, mut beyond) = (self.limit_room(role), self.beyond_room(role));
            limit.give(&less);
            beyond.give(&less);
            beyond.give(&brings);
            if limit.pieces(&more) == 0 || beyond.pieces(&more) == 0 {
                let why = self.no_room(role, &more);
                return Some(format!("reserved: for role {role}: {why}"));
            }
            brings.take(&more);
        }
        None
    }

    fn is_unused(&self, id: ReservationId) -> bool {
        self.state
            .reservation(id)
            .is_some_and(|known| known.is_unused())
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
            if let Some(known) = self.state.reservation(id).cloned() {
                self.await_no_more(&known.record);
            }
            self.record(Record::ReservationRemoved(id));
        }
        self.release_held();
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
