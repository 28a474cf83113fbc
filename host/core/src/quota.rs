//! What an operator promises a role, and holds it to: a guarantee and a limit for each resource.
//!
//! A limit is never exceeded: offers are cut to what is left of it, and what is offered counts as
//! used. A guarantee is never oversold: the guarantees of all roles together fit into the cluster, and
//! as much as they still lack stays free of everyone else, even while their frameworks are slow or
//! absent. Only top-level roles have quota; what is below them shares it.

use crate::action::{Answer, RefusedKind};
use crate::cluster::{Cluster, WEIGHT_MAX};
use crate::explain::words::{amount, of};
use crate::record::{Quota, Record, RoleRecord};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AMOUNT_MAX, Demand, FrameworkId, RequestId, ResourceKind, Resources, check_name,
};

/// Levels of a role's name.
const LEVELS_MAX: usize = 8;
/// What stands for no bound.
const UNBOUNDED: u64 = u64::MAX;
/// The resources with fields of their own, as people write them.
const KINDS: [&str; 5] = ["cpu", "memory", "disk", "gpus", "ports"];

/// How much more a framework may be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room([u64; 5]);

impl Room {
    /// How many such pieces it holds.
    pub fn pieces(&self, each: &Resources) -> u64 {
        let pieces = self.0.iter().zip(each.plain());
        pieces
            .filter(|(left, n)| **left != UNBOUNDED && *n > 0)
            .map(|(left, n)| left / n)
            .min()
            .unwrap_or(UNBOUNDED)
    }

    /// As much of an amount as it holds.
    pub fn cap(&self, amount: &Resources) -> Resources {
        let [cpu, memory, disk, gpus, ports] = self.0;
        amount.least(&Resources {
            cpu_milli: cpu,
            memory_bytes: memory,
            disk_bytes: disk,
            gpus,
            ports,
            custom: amount.custom.clone(),
        })
    }

    /// So much of it is used no more.
    pub fn give(&mut self, amount: &Resources) {
        for (left, n) in self.0.iter_mut().zip(amount.plain()) {
            if *left != UNBOUNDED {
                *left = left.saturating_add(n);
            }
        }
    }

    /// So much of it is used.
    pub fn take(&mut self, amount: &Resources) {
        for (left, n) in self.0.iter_mut().zip(amount.plain()) {
            if *left != UNBOUNDED {
                *left = left.saturating_sub(n);
            }
        }
    }
}

/// How many pieces of a demand there must be room for.
pub(crate) fn needed(demand: &Demand) -> u64 {
    if demand.together {
        u64::from(demand.count)
    } else {
        1
    }
}

/// The top-level role that a role belongs to.
pub fn top(role: &str) -> &str {
    role.split('/').next().unwrap_or(role)
}

/// A role's name: names with `/` between them.
pub fn check_role(role: &str) -> Result<(), String> {
    let levels: Vec<&str> = role.split('/').collect();
    if levels.len() > LEVELS_MAX {
        return Err(format!("at most {LEVELS_MAX} levels, not {}", levels.len()));
    }
    for level in levels {
        check_name(level).map_err(|error| format!("{level:?}: {error}"))?;
    }
    Ok(())
}

/// What an operator wants a role to be; what is none stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleChange {
    /// At least 1.
    pub weight: Option<u32>,
    /// Another guarantee and limit; an empty quota takes both away.
    pub quota: Option<Quota>,
    /// Even if the role has more by now, or the cluster has not so much.
    pub force: bool,
    /// Only say whether it would be accepted.
    pub dry_run: bool,
}

impl Cluster {
    pub(crate) fn on_set_role(&mut self, id: RequestId, role: &str, change: RoleChange) {
        if let Err(problem) = self.check_change(role, &change) {
            let (kind, message) = problem;
            return self.refuse(id, kind, message);
        }
        if !change.dry_run {
            let old = self.state.roles.get(role);
            let quota = match change.quota {
                Some(quota) => Some(quota).filter(|quota| *quota != Quota::default()),
                None => old.and_then(|old| old.quota.clone()),
            };
            self.record(Record::Role(RoleRecord {
                name: Arc::from(role),
                weight: change.weight.or(old.map(|old| old.weight)).unwrap_or(1),
                quota,
            }));
            self.release_held();
        }
        self.reply(id, Answer::Done);
    }

    fn check_change(&self, role: &str, change: &RoleChange) -> Result<(), (RefusedKind, String)> {
        let invalid = |message| Err((RefusedKind::Invalid, message));
        if let Err(problem) = check_role(role) {
            return invalid(format!("role: {problem}"));
        }
        if let Some(weight) = change.weight.filter(|w| !(1..=WEIGHT_MAX).contains(w)) {
            return invalid(format!("weight: from 1 to {WEIGHT_MAX}, not {weight}"));
        }
        let Some(quota) = &change.quota else {
            return Ok(());
        };
        if role.contains('/') {
            return invalid(format!(
                "role {role}: only top-level roles have quota; set that of {}",
                top(role)
            ));
        }
        let (guarantee, limit) = (quota.guarantee.plain(), quota.limit());
        if !quota.guarantee.custom.is_empty() || quota.guarantee.invalid().is_some() {
            return invalid(format!(
                "guarantee: of {}, each up to {AMOUNT_MAX}",
                KINDS.join(", ")
            ));
        }
        for ((kind, guarantee), limit) in KINDS.iter().zip(guarantee).zip(limit) {
            if guarantee > limit {
                return invalid(format!(
                    "{kind}: the guarantee, {guarantee}, is more than the limit, {limit}"
                ));
            }
        }
        if change.force {
            return Ok(());
        }
        let conflict = |message| Err((RefusedKind::Conflict, message));
        // What turns hold of it may be launched yet.
        let used = self
            .shares
            .of_role(role)
            .map_or([0; 5], |charged| charged.plain());
        for ((kind, used), limit) in KINDS.iter().zip(used).zip(limit) {
            if used > limit {
                return conflict(format!(
                    "{kind}: role {role} uses or is offered {used}, more than the limit, {limit}; it would get nothing more until it uses less (`force` sets it all the same)"
                ));
            }
        }
        let own = self.state.roles.get(role).and_then(|r| r.quota.as_ref());
        let own = own.map_or([0; 5], |quota| quota.guarantee.plain());
        let promised = self.shares.guaranteed().iter().zip(own).zip(guarantee);
        let promised = promised.map(|((all, own), new)| *all - u128::from(own) + u128::from(new));
        for ((kind, promised), total) in KINDS.iter().zip(promised).zip(self.state.total.plain()) {
            if promised > u128::from(total) {
                return conflict(format!(
                    "{kind}: all guarantees together would be {promised}, and the cluster has {total} (`force` sets it all the same)"
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn on_remove_role(&mut self, id: RequestId, role: &str) {
        let Some(known) = self.state.roles.get(role) else {
            let message =
                format!("there is no role {role:?}; `mezzo role ls` lists those there are");
            return self.refuse(id, RefusedKind::NotFound, message);
        };
        if known.holds > 0 {
            let message = format!(
                "role {role} has {} frameworks, roles and reservations; it goes with the last of them",
                known.holds
            );
            return self.refuse(id, RefusedKind::Conflict, message);
        }
        self.record(Record::RoleRemoved(Arc::from(role)));
        self.release_held();
        self.reply(id, Answer::Done);
    }

    /// How much more a framework may be offered at once.
    pub(crate) fn room(&self, id: FrameworkId) -> Room {
        match self.state.frameworks.get(&id) {
            Some(framework) => self.room_of(&framework.record.role),
            None => Room([UNBOUNDED; 5]),
        }
    }

    /// How much more a role may get at once: what is left of its limit, and what is free beside what
    /// is kept for the guarantees of others.
    pub(crate) fn room_of(&self, role: &str) -> Room {
        let Room(mut room) = self.room_within_limit(role);
        let role = top(role);
        let quota = self.state.roles.get(role).and_then(|r| r.quota.as_ref());
        let kept = self.kept_for_others(quota, self.charged_to(role));
        for (i, room) in room.iter_mut().enumerate() {
            if kept[i] > 0 {
                *room = (*room).min(self.free_total[i].saturating_sub(kept[i]));
            }
        }
        Room(room)
    }

    /// What is left of a role's limit, whatever is free.
    pub(crate) fn room_within_limit(&self, role: &str) -> Room {
        let mut room = [UNBOUNDED; 5];
        let role = top(role);
        let quota = self.state.roles.get(role).and_then(|r| r.quota.as_ref());
        let charged = self.charged_to(role);
        if let Some(quota) = quota {
            for ((room, limit), charged) in room.iter_mut().zip(quota.limit()).zip(charged) {
                if limit != UNBOUNDED {
                    *room = limit.saturating_sub(charged);
                }
            }
        }
        Room(room)
    }

    fn charged_to(&self, top_role: &str) -> [u64; 5] {
        let charged = self.shares.of_role(top_role);
        charged.map_or([0; 5], |charged| charged.plain())
    }

    /// What is kept free of a role for the guarantees of others.
    fn kept_for_others(&self, quota: Option<&Quota>, charged: [u64; 5]) -> [u64; 5] {
        let own = quota.map_or([0; 5], |quota| quota.guarantee.plain());
        let lacks = |i: usize| own[i].saturating_sub(charged[i]);
        core::array::from_fn(|i| self.shares.lacking()[i].saturating_sub(lacks(i)))
    }

    /// Why a demand gets nothing although agents may have room, if quota is in the way.
    pub(crate) fn quota_in_the_way(&self, id: FrameworkId, demand: &Demand) -> Option<String> {
        if self.room(id).pieces(&demand.each) >= needed(demand) {
            return None;
        }
        let role = &self.state.frameworks.get(&id)?.record.role;
        Some(self.no_room(role, &demand.each.times(needed(demand))))
    }

    /// Why there is no room for so much of a role.
    pub(crate) fn no_room(&self, role: &str, wanted: &Resources) -> String {
        let role = top(role);
        let charged = self
            .shares
            .of_role(role)
            .map_or([0; 5], |charged| charged.plain());
        let each = wanted.plain();
        let quota = self.state.roles.get(role).and_then(|r| r.quota.as_ref());
        let limit = quota.map_or([UNBOUNDED; 5], Quota::limit);
        let places = ResourceKind::PLAIN.iter().enumerate();
        let left = |i: usize| limit[i].saturating_sub(charged[i]);
        let mut reached = places.filter(|(i, _)| limit[*i] != UNBOUNDED && left(*i) < each[*i]);
        if let Some((i, kind)) = reached.next() {
            if each[i] > limit[i] {
                return format!(
                    "limit of role `{role}` is {}, and {} are wanted at once; ask for less, or raise the limit with `mezzo role set`",
                    amount(kind, limit[i]),
                    amount(kind, each[i])
                );
            }
            return format!(
                "limit of role `{role}` reached: {}; it goes on when the role uses {} less, or has a higher limit",
                of(kind, charged[i], limit[i]),
                amount(kind, charged[i].saturating_add(each[i]) - limit[i])
            );
        }
        let kept = self.kept_for_others(quota, charged);
        let short = |i: usize| kept[i] > 0 && self.free_total[i].saturating_sub(kept[i]) < each[i];
        let mut places = ResourceKind::PLAIN.iter().enumerate();
        let free = places.find(|(i, _)| short(*i)).map(|(i, kind)| {
            let (free, kept) = (amount(kind, self.free_total[i]), amount(kind, kept[i]));
            format!(": {free} free, {kept} kept")
        });
        format!(
            "what is free is kept for roles that are below their guarantee{}; it goes on when they have it, or when there is more",
            free.unwrap_or_default()
        )
    }

    /// A framework's demands as far as there is room for them. It does not look for the others, and is
    /// to look anew once there is room: what it looks at meanwhile it has seen without them.
    pub(crate) fn hold_back(
        &mut self,
        id: FrameworkId,
        demands: Arc<Vec<Demand>>,
        room: &Room,
    ) -> Arc<Vec<Demand>> {
        let no_room =
            |demand: &Demand| demand.count > 0 && room.pieces(&demand.each) < needed(demand);
        if !demands.iter().any(no_room) {
            return demands;
        }
        let mut allowed = Vec::clone(&demands);
        for demand in allowed.iter_mut().filter(|demand| no_room(demand)) {
            self.hold_demand(id, demand);
            demand.count = 0;
        }
        Arc::new(allowed)
    }
}
