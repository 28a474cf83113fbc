//! Which demands quota holds back, and which of them are to be looked at once something has changed:
//! not all, each time.
//!
//! What a framework may still be offered grows in two ways only. Its own role is charged less, or has
//! another quota: then whoever is held in that role is looked at. Or more is free *beyond* what all
//! roles lack of their guarantees: then whoever is held behind guarantees is looked at, unless no more
//! is beyond than when all of them were looked at last.

use crate::cluster::Cluster;
use crate::quota::{needed, top};
use crate::record::Quota;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{Demand, FrameworkId};

/// What is free less what roles lack of their guarantees; below 0 while guarantees cannot be met.
type Beyond = [i128; 5];

/// See the module.
#[derive(Debug, Default)]
pub struct Held {
    demands: BTreeMap<FrameworkId, BTreeSet<String>>,
    /// Frameworks with such demands, by the number of their top-level role.
    of_role: BTreeMap<usize, BTreeSet<FrameworkId>>,
    /// Those that are held by more than their own role's limit.
    behind: BTreeSet<FrameworkId>,
    /// With no more beyond the guarantees than this, nobody of `behind` has room.
    looked_at: Beyond,
}

impl Held {
    /// A framework's demands that are held back.
    pub fn get(&self, framework: &FrameworkId) -> Option<&BTreeSet<String>> {
        self.demands.get(framework)
    }

    /// Holds back a demand of a framework of that top-level role. `behind`: not, or not only, by the
    /// role's limit, with so much beyond all guarantees.
    fn hold(&mut self, id: FrameworkId, role: usize, demand: &Demand, behind: Option<Beyond>) {
        let names = self.demands.entry(id).or_default();
        names.insert(demand.name.clone());
        self.of_role.entry(role).or_default().insert(id);
        if let Some(beyond) = behind {
            self.behind.insert(id);
            for (least, beyond) in self.looked_at.iter_mut().zip(beyond) {
                *least = (*least).min(beyond);
            }
        }
    }

    /// Holds nothing of a framework back any more.
    fn release(&mut self, id: &FrameworkId, role: Option<usize>) {
        if self.demands.remove(id).is_none() {
            return;
        }
        self.behind.remove(id);
        if let Some(role) = role
            && let Some(frameworks) = self.of_role.get_mut(&role)
        {
            frameworks.remove(id);
            if frameworks.is_empty() {
                self.of_role.remove(&role);
            }
        }
    }

    /// Who may have room now, if these roles are charged less or have another quota.
    fn due(&mut self, roles: &BTreeSet<usize>, beyond: Beyond) -> BTreeSet<FrameworkId> {
        let of_roles = roles.iter().filter_map(|role| self.of_role.get(role));
        let mut all: BTreeSet<FrameworkId> = of_roles.flatten().copied().collect();
        let mut grown = beyond.iter().zip(self.looked_at);
        if !self.behind.is_empty() && grown.any(|(is, was)| *is > was) {
            all.extend(&self.behind);
            self.looked_at = beyond;
        }
        all
    }
}

impl Cluster {
    /// Quota holds back a demand of a framework until there is room for a piece of it, or for all
    /// of a gang.
    pub(crate) fn hold_demand(&mut self, id: FrameworkId, demand: &Demand) {
        let Some(role) = self.shares.top_of(id) else {
            return;
        };
        let behind = (!self.at_limit(id, demand)).then(|| self.beyond_guarantees());
        self.held.hold(id, role, demand, behind);
    }

    /// Nothing of a framework is held back any more.
    pub(crate) fn hold_nothing(&mut self, id: FrameworkId) {
        let role = self.shares.top_of(id);
        self.held.release(&id, role);
    }

    /// Frameworks of which quota held back a demand look anew, if there is room for it now.
    pub(crate) fn release_held(&mut self) {
        let roles = self.shares.take_loosened();
        let beyond = self.beyond_guarantees();
        let due = self.held.due(&roles, beyond);
        for id in due {
            let Some(framework) = self.state.frameworks.get(&id) else {
                continue;
            };
            let room = self.room(id);
            let demands = Arc::clone(&framework.demands);
            let is_held = |demand: &&Demand| {
                let held = self.held.get(&id);
                held.is_some_and(|held| held.contains(&demand.name))
            };
            let held: Vec<&Demand> = demands.iter().filter(is_held).collect();
            let has_room = |demand: &&Demand| room.pieces(&demand.each) >= needed(demand);
            if held.iter().any(has_room) {
                self.demands_changed(id, true);
            } else {
                // By something else than before, it may be.
                held.into_iter()
                    .for_each(|demand| self.hold_demand(id, demand));
            }
        }
    }

    /// Whether what is left of its role's limit has no room for a piece, whatever others have.
    fn at_limit(&self, id: FrameworkId, demand: &Demand) -> bool {
        let Some(framework) = self.state.frameworks.get(&id) else {
            return false;
        };
        let role = top(&framework.record.role);
        let quota = self.state.roles.get(role).and_then(|r| r.quota.as_ref());
        let Some(limit) = quota.map(Quota::limit) else {
            return false;
        };
        let charged = self.shares.of_role(role).map_or([0; 5], |all| all.plain());
        let each = demand.each.times(needed(demand)).plain();
        (0..5).any(|i| limit[i] != u64::MAX && limit[i].saturating_sub(charged[i]) < each[i])
    }

    fn beyond_guarantees(&self) -> Beyond {
        let lacking = self.shares.lacking();
        core::array::from_fn(|i| i128::from(self.free_total[i]) - i128::from(lacking[i]))
    }
}
