//! Amounts of what an agent can give, as integers with a fixed scale, and their arithmetic.
//!
//! There are no floats: sums and differences are exact, so that what is taken apart adds up again.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;

/// The largest amount of one resource: JavaScript frameworks hold amounts as numbers.
pub const AMOUNT_MAX: u64 = (1 << 53) - 1;

/// Amounts of each resource. What is absent is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Thousandths of one processor.
    pub cpu_milli: u64,
    /// Main memory.
    pub memory_bytes: u64,
    /// Space below the agent's work folder.
    pub disk_bytes: u64,
    /// Whole devices.
    #[serde(skip_serializing_if = "is_zero")]
    pub gpus: u64,
    /// How many ports; which ones is the business of [`crate::PortSet`].
    #[serde(skip_serializing_if = "is_zero")]
    pub ports: u64,
    /// Thousandths of what else the cluster names; never holds a 0.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, u64>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// One kind of resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind<'a> {
    /// `cpu`
    Cpu,
    /// `memory`
    Memory,
    /// `disk`
    Disk,
    /// `gpus`
    Gpus,
    /// `ports`
    Ports,
    /// By its own name.
    Custom(&'a str),
}

impl ResourceKind<'static> {
    /// Those with fields of their own, in the order of [`Resources::plain`].
    pub const PLAIN: [ResourceKind<'static>; 5] = [
        ResourceKind::Cpu,
        ResourceKind::Memory,
        ResourceKind::Disk,
        ResourceKind::Gpus,
        ResourceKind::Ports,
    ];
}

impl fmt::Display for ResourceKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResourceKind::Cpu => "cpu",
            ResourceKind::Memory => "memory",
            ResourceKind::Disk => "disk",
            ResourceKind::Gpus => "gpus",
            ResourceKind::Ports => "ports",
            ResourceKind::Custom(name) => name,
        })
    }
}

impl Resources {
    /// None of anything.
    pub const NONE: Resources = Resources {
        cpu_milli: 0,
        memory_bytes: 0,
        disk_bytes: 0,
        gpus: 0,
        ports: 0,
        custom: BTreeMap::new(),
    };

    /// Whether it holds nothing that a program runs on: no cpu, memory, device or what else the cluster
    /// names. Disk and ports alone run nothing.
    #[must_use]
    pub fn runs_nothing(&self) -> bool {
        self.cpu_milli == 0 && self.memory_bytes == 0 && self.gpus == 0 && self.custom.is_empty()
    }

    /// Whether it holds nothing at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.plain() == [0; 5] && self.custom.is_empty()
    }

    /// The amounts that have a field of their own, in its order.
    #[must_use]
    pub fn plain(&self) -> [u64; 5] {
        [
            self.cpu_milli,
            self.memory_bytes,
            self.disk_bytes,
            self.gpus,
            self.ports,
        ]
    }

    fn from_plain(plain: [u64; 5], custom: BTreeMap<String, u64>) -> Resources {
        let [cpu_milli, memory_bytes, disk_bytes, gpus, ports] = plain;
        Resources {
            cpu_milli,
            memory_bytes,
            disk_bytes,
            gpus,
            ports,
            custom,
        }
    }

    /// Each kind of which there is some, with its amount, in a fixed order.
    pub fn amounts(&self) -> impl Iterator<Item = (ResourceKind<'_>, u64)> {
        ResourceKind::PLAIN
            .into_iter()
            .zip(self.plain())
            .chain(
                self.custom
                    .iter()
                    .map(|(name, n)| (ResourceKind::Custom(name), *n)),
            )
            .filter(|(_, n)| *n > 0)
    }

    /// How much there is of one kind.
    #[must_use]
    pub fn amount(&self, kind: &ResourceKind<'_>) -> u64 {
        match kind {
            ResourceKind::Cpu => self.cpu_milli,
            ResourceKind::Memory => self.memory_bytes,
            ResourceKind::Disk => self.disk_bytes,
            ResourceKind::Gpus => self.gpus,
            ResourceKind::Ports => self.ports,
            ResourceKind::Custom(name) => self.custom.get(*name).copied().unwrap_or(0),
        }
    }

    /// The first kind of which `need` asks for more than there is here.
    #[must_use]
    pub fn short_of<'n>(&self, need: &'n Resources) -> Option<ResourceKind<'n>> {
        need.amounts()
            .find(|(kind, n)| *n > self.amount(kind))
            .map(|(kind, _)| kind)
    }

    /// Whether all of `need` is in here.
    #[must_use]
    pub fn contains(&self, need: &Resources) -> bool {
        let (have, want) = (self.plain(), need.plain());
        have.iter().zip(want).all(|(have, want)| *have >= want)
            && need
                .custom
                .iter()
                .all(|(name, n)| self.custom.get(name).is_some_and(|have| have >= n))
    }

    /// How often `piece` fits in here; `u64::MAX` for an empty piece.
    #[must_use]
    pub fn pieces(&self, piece: &Resources) -> u64 {
        piece
            .amounts()
            .map(|(kind, n)| self.amount(&kind) / n)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// `count` times this; amounts stay at `u64::MAX` rather than wrap.
    #[must_use]
    pub fn times(&self, count: u64) -> Resources {
        if count == 0 {
            return Resources::NONE;
        }
        Resources::from_plain(
            self.plain().map(|n| n.saturating_mul(count)),
            self.custom
                .iter()
                .map(|(name, n)| (name.clone(), n.saturating_mul(count)))
                .collect(),
        )
    }

    fn plain_mut(&mut self) -> [&mut u64; 5] {
        [
            &mut self.cpu_milli,
            &mut self.memory_bytes,
            &mut self.disk_bytes,
            &mut self.gpus,
            &mut self.ports,
        ]
    }

    /// Adds `other`. Amounts stay at `u64::MAX` rather than wrap; agents' totals are far below it.
    pub fn add(&mut self, other: &Resources) {
        for (n, more) in self.plain_mut().into_iter().zip(other.plain()) {
            *n = n.saturating_add(more);
        }
        for (name, more) in &other.custom {
            let n = self.custom.entry(name.clone()).or_insert(0);
            *n = n.saturating_add(*more);
        }
    }

    /// Takes `other` away; what is not there stays 0. Returns whether all of it was there.
    pub fn take(&mut self, other: &Resources) -> bool {
        let mut all = true;
        for (n, less) in self.plain_mut().into_iter().zip(other.plain()) {
            all &= *n >= less;
            *n = n.saturating_sub(less);
        }
        for (name, less) in &other.custom {
            let Some(n) = self.custom.get_mut(name) else {
                all = false;
                continue;
            };
            all &= *n >= *less;
            *n = n.saturating_sub(*less);
            if *n == 0 {
                self.custom.remove(name);
            }
        }
        all
    }

    /// The smaller amount of each.
    #[must_use]
    pub fn least(&self, other: &Resources) -> Resources {
        let (mut least, cap) = (self.plain(), other.plain());
        for (n, cap) in least.iter_mut().zip(cap) {
            *n = (*n).min(cap);
        }
        let custom = self
            .custom
            .iter()
            .filter_map(|(name, n)| {
                other
                    .custom
                    .get(name)
                    .map(|cap| (name.clone(), *n.min(cap)))
            })
            .collect();
        Resources::from_plain(least, custom)
    }

    /// The first amount above [`AMOUNT_MAX`] or custom resource without a name or of amount 0.
    #[must_use]
    pub fn invalid(&self) -> Option<ResourceKind<'_>> {
        if let Some(name) = self
            .custom
            .iter()
            .find(|(name, n)| **n == 0 || crate::check_name(name).is_err())
        {
            return Some(ResourceKind::Custom(name.0));
        }
        self.amounts()
            .find(|(_, n)| *n > AMOUNT_MAX)
            .map(|(kind, _)| kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn some() -> impl Strategy<Value = Resources> {
        let custom = proptest::collection::btree_map("[ab]", 1..1_000_u64, 0..2);
        (
            0..1_000_u64,
            0..1_000_u64,
            0..1_000_u64,
            0..4_u64,
            0..4_u64,
            custom,
        )
            .prop_map(|(a, b, c, d, e, custom)| Resources::from_plain([a, b, c, d, e], custom))
    }

    proptest! {
        #[test]
        fn what_is_added_can_be_taken_away(a in some(), b in some()) {
            let mut sum = a.clone();
            sum.add(&b);
            prop_assert!(sum.contains(&a) && sum.contains(&b));
            prop_assert!(sum.take(&b));
            prop_assert_eq!(sum, a);
        }

        #[test]
        fn pieces_fit_and_one_more_does_not(have in some(), piece in some()) {
            prop_assume!(!piece.is_none());
            let n = have.pieces(&piece);
            prop_assert!(have.contains(&piece.times(n)));
            prop_assert!(!have.contains(&piece.times(n + 1)));
        }

        #[test]
        fn short_of_agrees_with_contains(have in some(), need in some()) {
            prop_assert_eq!(have.short_of(&need).is_none(), have.contains(&need));
            prop_assert!(have.contains(&have.least(&need)) && need.contains(&have.least(&need)));
        }
    }

    #[test]
    fn absurd_amounts_are_named() {
        let mut absurd = Resources {
            memory_bytes: AMOUNT_MAX + 1,
            ..Resources::NONE
        };
        assert_eq!(absurd.invalid(), Some(ResourceKind::Memory));
        absurd.memory_bytes = AMOUNT_MAX;
        assert_eq!(absurd.invalid(), None);
        absurd.custom.insert("../x".to_string(), 1);
        assert_eq!(absurd.invalid(), Some(ResourceKind::Custom("../x")));
    }
}
