//! Who is next: the tree of roles, what each role and framework is charged, and where each stands.
//!
//! Weighted dominant-resource fairness level by level (`fairness.rs`): at each role, the child with
//! the smallest dominant share for its weight goes first, ties to whoever was served longest ago. A
//! role is charged what its frameworks and sub-roles are, what turns have been offered included. Only
//! who wants something is in the order; who has seen all there is to offer is passed over
//! (`order.rs`).

use crate::fairness::{Excluded, Share, WHOLE, dominant};
use crate::order::{NEVER, Order, Seen};
use crate::record::Quota;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{FrameworkId, Resources};

/// Shares are reckoned anew when the cluster's total has changed by more than one part in so many.
const DRIFT: u64 = 64;
/// Levels are shares for a weight of 1, with so many more bits.
const LEVEL_BITS: u32 = 16;

/// Where a child stands among its siblings: smaller is sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Whether it has what it is promised: those that lack it come first.
    satisfied: bool,
    level: u64,
    served: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Child {
    Role(usize),
    Framework(FrameworkId),
}

/// A role; the first is the root, of which all top-level roles are children.
#[derive(Debug)]
struct Role {
    parent: usize,
    weight: u32,
    charged: Resources,
    /// What it is promised, if it is a top-level role.
    guarantee: [u64; 5],
    served: u64,
    /// Children that want something.
    order: Order<Child, Place>,
    /// Their weights together.
    weights: u64,
}

#[derive(Debug)]
struct Leaf {
    role: usize,
    charged: Resources,
    served: u64,
    /// None: it wants nothing.
    seen: Option<Seen>,
}

/// See the module.
#[derive(Debug)]
pub struct Shares {
    roles: Vec<Role>,
    names: BTreeMap<Arc<str>, usize>,
    leaves: BTreeMap<FrameworkId, Leaf>,
    /// The cluster's total when shares were last reckoned.
    total: Resources,
    /// That of it that counts.
    counted: Resources,
    excluded: Excluded,
    served: u64,
    /// What roles lack of their guarantees, all together.
    lacking: [u64; 5],
    /// All guarantees together.
    guaranteed: [u128; 5],
    /// Top-level roles that were charged less, or were given another quota, since that was last asked.
    loosened: BTreeSet<usize>,
}

impl Default for Shares {
    fn default() -> Shares {
        Shares {
            roles: alloc::vec![Role::new(0, 1)],
            names: BTreeMap::new(),
            leaves: BTreeMap::new(),
            total: Resources::NONE,
            counted: Resources::NONE,
            excluded: Excluded::default(),
            served: 0,
            lacking: [0; 5],
            guaranteed: [0; 5],
            loosened: BTreeSet::new(),
        }
    }
}

impl Role {
    fn lacks(&self) -> [u64; 5] {
        let mut lacks = self.guarantee;
        for (lacks, charged) in lacks.iter_mut().zip(self.charged.plain()) {
            *lacks = lacks.saturating_sub(charged);
        }
        lacks
    }

    fn new(parent: usize, weight: u32) -> Role {
        Role {
            parent,
            weight,
            charged: Resources::NONE,
            guarantee: [0; 5],
            served: 0,
            order: Order::default(),
            weights: 0,
        }
    }
}

impl Shares {
    /// Of nobody yet; shares are reckoned without what is excluded.
    pub fn new(excluded: Excluded) -> Shares {
        Shares {
            excluded,
            ..Shares::default()
        }
    }

    fn role(&mut self, name: &str) -> usize {
        if let Some(known) = self.names.get(name) {
            return *known;
        }
        let parent = match name.rsplit_once('/') {
            Some((parent, _)) => self.role(parent),
            None => 0,
        };
        self.roles.push(Role::new(parent, 1));
        let number = self.roles.len() - 1;
        self.names.insert(Arc::from(name), number);
        number
    }

    /// Sets what an operator says of a role.
    pub fn set_role(&mut self, name: &str, weight: u32, quota: Option<&Quota>) {
        let role = self.role(name);
        self.count_lacking(role, false);
        let guarantee = quota.map_or([0; 5], |quota| quota.guarantee.plain());
        let before = core::mem::replace(&mut self.roles[role].guarantee, guarantee);
        for ((all, before), now) in self.guaranteed.iter_mut().zip(before).zip(guarantee) {
            *all = *all - u128::from(before) + u128::from(now);
        }
        self.loosened.insert(role);
        self.count_lacking(role, true);
        let parent = self.roles[role].parent;
        let old = core::mem::replace(&mut self.roles[role].weight, weight.max(1));
        if self.roles[parent].order.contains(&Child::Role(role)) {
            let weights = &mut self.roles[parent].weights;
            *weights = *weights - u64::from(old) + u64::from(weight.max(1));
        }
        self.place(role);
    }

    /// A framework and the role that it is charged to.
    pub fn add(&mut self, framework: FrameworkId, role: &str) {
        let role = self.role(role);
        self.leaves.entry(framework).or_insert(Leaf {
            role,
            charged: Resources::NONE,
            served: 0,
            seen: None,
        });
    }

    /// A framework that is gone; it is charged nothing any more.
    pub fn remove(&mut self, framework: FrameworkId) {
        self.set_seen(framework, None);
        self.leaves.remove(&framework);
    }

    /// Charges a framework more.
    pub fn charge(&mut self, framework: FrameworkId, more: &Resources) {
        self.change(framework, |charged| charged.add(more));
    }

    /// Charges a framework less.
    pub fn discharge(&mut self, framework: FrameworkId, less: &Resources) {
        self.loosened.extend(self.top_of(framework));
        self.change(framework, |charged| {
            let _ = charged.take(less);
        });
    }

    /// Charges a role, and those above it, for what is reserved; those from `below` on not.
    pub fn charge_role(&mut self, role: &str, below: Option<&str>, more: &Resources) {
        let (role, below) = (self.role(role), below.map(|name| self.role(name)));
        self.change_roles(role, below, |charged| charged.add(more));
    }

    /// The opposite of [`Shares::charge_role`].
    pub fn discharge_role(&mut self, role: &str, below: Option<&str>, less: &Resources) {
        let (role, below) = (self.role(role), below.map(|name| self.role(name)));
        self.change_roles(role, below, |charged| {
            let _ = charged.take(less);
        });
        self.loosened.insert(self.top(role));
    }

    fn change(&mut self, framework: FrameworkId, change: impl Fn(&mut Resources)) {
        let Some(leaf) = self.leaves.get_mut(&framework) else {
            return;
        };
        change(&mut leaf.charged);
        let role = leaf.role;
        self.place_leaf(framework);
        self.change_roles(role, None, change);
    }

    fn change_roles(
        &mut self,
        mut role: usize,
        below: Option<usize>,
        change: impl Fn(&mut Resources),
    ) {
        while below != Some(role) {
            self.count_lacking(role, false);
            change(&mut self.roles[role].charged);
            self.count_lacking(role, true);
            if role == 0 {
                return;
            }
            self.place(role);
            role = self.roles[role].parent;
        }
    }

    /// Counts what a role lacks of its guarantee in, or out.
    fn count_lacking(&mut self, role: usize, add: bool) {
        if self.roles[role].guarantee == [0; 5] {
            return;
        }
        let lacks = self.roles[role].lacks();
        for (all, lacks) in self.lacking.iter_mut().zip(lacks) {
            *all = if add { *all + lacks } else { *all - lacks };
        }
    }

    /// What roles lack of their guarantees, all together, in the order of [`Resources::plain`].
    pub fn lacking(&self) -> &[u64; 5] {
        &self.lacking
    }

    /// All guarantees together, in the same order.
    pub fn guaranteed(&self) -> &[u128; 5] {
        &self.guaranteed
    }

    /// The number of the top-level role that a framework belongs to.
    pub fn top_of(&self, framework: FrameworkId) -> Option<usize> {
        Some(self.top(self.leaves.get(&framework)?.role))
    }

    fn top(&self, mut role: usize) -> usize {
        while self.roles[role].parent != 0 {
            role = self.roles[role].parent;
        }
        role
    }

    /// The top-level roles that were charged less, or were given another quota, since the last call.
    pub fn take_loosened(&mut self) -> BTreeSet<usize> {
        core::mem::take(&mut self.loosened)
    }

    /// What a role is charged, offers included.
    pub fn of_role(&self, name: &str) -> Option<&Resources> {
        let role = self.names.get(name)?;
        self.roles.get(*role).map(|role| &role.charged)
    }

    /// What a framework is charged, offers included.
    pub fn charged(&self, framework: FrameworkId) -> Option<&Resources> {
        self.leaves.get(&framework).map(|leaf| &leaf.charged)
    }

    /// How much a framework has seen of what is offered; none if it wants nothing.
    pub fn set_seen(&mut self, framework: FrameworkId, seen: Option<Seen>) {
        let Some(leaf) = self.leaves.get_mut(&framework) else {
            return;
        };
        if leaf.seen == seen {
            return;
        }
        leaf.seen = seen;
        self.place_leaf(framework);
    }

    /// Whether a framework wants something.
    pub fn wants(&self, framework: FrameworkId) -> bool {
        self.leaves
            .get(&framework)
            .is_some_and(|leaf| leaf.seen.is_some())
    }

    /// Whether anybody else wants something.
    fn alone(&self, role: usize) -> bool {
        let mut at = role;
        loop {
            if self.roles[at].order.len() > 1 {
                return false;
            }
            if at == 0 {
                return true;
            }
            at = self.roles[at].parent;
        }
    }

    /// A framework has been offered so much, and has a turn: it is charged, comes after its equals, and
    /// is not next before [`Shares::set_seen`] says so.
    pub fn serve(&mut self, framework: FrameworkId, more: &Resources) {
        self.served += 1;
        let served = self.served;
        let Some(leaf) = self.leaves.get_mut(&framework) else {
            return;
        };
        leaf.served = served;
        if leaf.seen.is_some() {
            leaf.seen = Some(Seen {
                any: NEVER,
                light: NEVER,
            });
        }
        let mut role = leaf.role;
        while role != 0 {
            self.roles[role].served = served;
            role = self.roles[role].parent;
        }
        self.charge(framework, more);
    }

    /// The framework that is next of those that have seen less than `news`.
    pub fn next(&self, news: u64, light_only: bool) -> Option<FrameworkId> {
        let mut role = 0;
        loop {
            match self.roles[role].order.first(news, light_only)? {
                Child::Framework(framework) => return Some(framework),
                Child::Role(child) => role = child,
            }
        }
    }

    /// How much more a framework may be offered at once, as a share of the cluster; none if nobody
    /// else wants anything. Up to where it has as much, for its weight, as whoever is next after it;
    /// or half of its part of all that is left, if that is more: so that a crowd is served in few
    /// rounds, and nobody runs far ahead.
    pub fn allowance(&self, framework: FrameworkId, news: u64) -> Option<Share> {
        let leaf = self.leaves.get(&framework)?;
        if self.alone(leaf.role) {
            return None;
        }
        let mut path = alloc::vec![leaf.role];
        while let Some(role) = path.last().copied().filter(|role| *role != 0) {
            path.push(self.roles[role].parent);
        }
        let held = self.share(&self.roles[0].charged);
        let mut spare = WHOLE.0.saturating_sub(held.0);
        for (i, at) in path.iter().enumerate().rev() {
            let (child, weight, charged) = match i.checked_sub(1).and_then(|i| path.get(i)) {
                Some(role) => {
                    let below = &self.roles[*role];
                    (Child::Role(*role), below.weight, &below.charged)
                }
                None => (Child::Framework(framework), 1, &leaf.charged),
            };
            let role = &self.roles[*at];
            if role.order.len() < 2 {
                continue;
            }
            let (first, second) = role.order.first_two(news, false);
            let rival = [first, second]
                .into_iter()
                .flatten()
                .find(|(id, _)| *id != child);
            let own = level(self.share(charged), weight);
            let gap = rival.map_or(0, |(_, place)| place.level.saturating_sub(own));
            let gap = (u128::from(gap) * u128::from(weight)) >> LEVEL_BITS;
            let part = u128::from(spare) * u128::from(weight)
                / u128::from(role.weights.max(u64::from(weight)))
                / 2;
            spare = u64::try_from(gap.max(part)).unwrap_or(u64::MAX).min(spare);
        }
        Some(Share(spare))
    }

    /// What so much is of the part of the cluster that counts.
    pub fn share(&self, amount: &Resources) -> Share {
        dominant(amount, &self.counted)
    }

    /// Reckons all shares anew if the cluster's total is another by now, to a noticeable degree.
    pub fn rescale(&mut self, total: &Resources) {
        if !drifted(&self.total, total) {
            return;
        }
        self.total = total.clone();
        self.counted = self.excluded.counted(total);
        let leaves: Vec<FrameworkId> = self.leaves.keys().copied().collect();
        for leaf in leaves {
            self.place_leaf(leaf);
        }
        for role in 1..self.roles.len() {
            self.place(role);
        }
    }

    fn place_leaf(&mut self, framework: FrameworkId) {
        let Some(leaf) = self.leaves.get(&framework) else {
            return;
        };
        let (role, seen) = (leaf.role, leaf.seen);
        let place = Place {
            satisfied: true,
            level: level(self.share(&leaf.charged), 1),
            served: leaf.served,
        };
        self.put(role, Child::Framework(framework), 1, place, seen);
    }

    /// Puts a role where it belongs among its siblings.
    fn place(&mut self, role: usize) {
        if role == 0 {
            return;
        }
        let it = &self.roles[role];
        let seen = (it.order.len() > 0).then(|| it.order.least());
        let place = Place {
            satisfied: it.lacks() == [0; 5],
            level: level(self.share(&it.charged), it.weight),
            served: it.served,
        };
        let (parent, weight) = (it.parent, it.weight);
        self.put(parent, Child::Role(role), weight, place, seen);
    }

    fn put(&mut self, role: usize, child: Child, weight: u32, place: Place, seen: Option<Seen>) {
        let it = &mut self.roles[role];
        let before = (it.order.least(), it.order.len());
        match seen {
            Some(seen) => {
                let new = it.order.set(child, place, seen);
                it.weights += u64::from(weight) * u64::from(new);
            }
            None => {
                let was = it.order.remove(child);
                it.weights -= u64::from(weight) * u64::from(was);
            }
        }
        // What the role itself shows has changed only with these.
        if before != (it.order.least(), it.order.len()) {
            self.place(role);
        }
    }
}

fn level(share: Share, weight: u32) -> u64 {
    let level = (u128::from(share.0) << LEVEL_BITS) / u128::from(weight.max(1));
    u64::try_from(level).unwrap_or(u64::MAX)
}

fn drifted(old: &Resources, new: &Resources) -> bool {
    let far = |was: u64, is: u64| was.abs_diff(is) > was.max(is) / DRIFT;
    let mut plain = old.plain().into_iter().zip(new.plain());
    if plain.any(|(was, is)| far(was, is)) || old.custom.len() != new.custom.len() {
        return true;
    }
    let was = |name: &String| old.custom.get(name).copied().unwrap_or(0);
    let mut custom = new.custom.iter();
    custom.any(|(name, is)| far(was(name), *is))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWS: u64 = 10;

    fn cpu(milli: u64) -> Resources {
        Resources {
            cpu_milli: milli,
            ..Resources::NONE
        }
    }

    fn seen(any: u64) -> Option<Seen> {
        Some(Seen { any, light: any })
    }

    fn shares(frameworks: &[&str]) -> Shares {
        let mut shares = Shares::default();
        shares.rescale(&cpu(1_000_000));
        for (i, role) in frameworks.iter().enumerate() {
            let id = FrameworkId(i as u64 + 1);
            shares.add(id, role);
            shares.set_seen(id, seen(0));
        }
        shares
    }

    fn next(shares: &Shares) -> Option<u64> {
        shares.next(NEWS, false).map(|id| id.0)
    }

    #[test]
    fn the_poorest_of_the_poorest_role_is_next() {
        let mut shares = shares(&["a", "a", "b/c", "b/d"]);
        shares.charge(FrameworkId(1), &cpu(10_000));
        assert_eq!(next(&shares), Some(3));
        shares.charge(FrameworkId(3), &cpu(15_000));
        assert_eq!(next(&shares), Some(2), "role b has more than a");
        shares.set_role("b", 2, None);
        assert_eq!(next(&shares), Some(4), "for its weight it has less");
        shares.discharge(FrameworkId(3), &cpu(15_000));
        shares.set_role("b", 1, None);
        shares.charge(FrameworkId(2), &cpu(5_000));
        shares.charge(FrameworkId(4), &cpu(20_000));
        assert_eq!(next(&shares), Some(2), "within a role, the poorest");
    }

    #[test]
    fn ties_go_round_and_who_has_seen_all_is_passed_over() {
        let mut shares = shares(&["a", "a", "b"]);
        let mut served = Vec::new();
        for _ in 0..4 {
            let id = shares.next(NEWS, false).expect("somebody");
            served.push(id.0);
            shares.serve(id, &Resources::NONE);
            shares.set_seen(id, seen(0));
        }
        assert_eq!(served, [1, 3, 2, 3]);
        shares.set_seen(FrameworkId(3), seen(NEWS));
        assert_eq!(next(&shares), Some(1));
        shares.set_seen(FrameworkId(1), None);
        shares.set_seen(FrameworkId(2), seen(NEWS));
        assert_eq!(next(&shares), None);
        assert_eq!(shares.next(NEWS + 1, false), Some(FrameworkId(2)));
    }

    #[test]
    fn an_allowance_ends_where_the_next_one_stands_or_at_half_of_a_fair_part() {
        let mut shares = shares(&["a", "b"]);
        let milli = |share: Share| (u128::from(share.0) * 1_000_000) >> 40;
        let allowed = |shares: &Shares, id| shares.allowance(FrameworkId(id), NEWS).map(milli);
        assert_eq!(allowed(&shares, 1), Some(250_000));
        shares.charge(FrameworkId(2), &cpu(400_000));
        assert!(allowed(&shares, 1).is_some_and(|a| a.abs_diff(400_000) < 10));
        shares.set_seen(FrameworkId(2), None);
        assert_eq!(allowed(&shares, 1), None, "nobody else wants anything");
    }
}
