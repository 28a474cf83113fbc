//! Who is next, and how far its level goes: weighted dominant-resource fairness.
//!
//! Source: A. Ghodsi and others, "Dominant Resource Fairness: Fair Allocation of Multiple Resource
//! Types", NSDI 2011. A consumer's dominant share is the largest of its shares of any one
//! resource; whoever has the smallest one for its weight goes first. Here it is applied to roles,
//! then to the frameworks of a role; ties go to whoever was served longest ago.

use alloc::vec::Vec;
use core::cmp::Ordering;
use mezzo_types::Resources;

/// A part of the whole, in units of 2^-40: an integer, so that every machine decides alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u64);

/// The whole.
pub const WHOLE: Share = Share(1 << 40);

/// The dominant share of `used` in `total`. A resource of which there is none does not count.
#[must_use]
pub fn dominant(used: &Resources, total: &Resources) -> Share {
    let share = |(kind, n): (_, u64)| match total.amount(&kind) {
        0 => 0,
        total => (u128::from(n) << 40) / u128::from(total),
    };
    Share(
        used.amounts()
            .map(share)
            .max()
            .map_or(0, |share| u64::try_from(share).unwrap_or(u64::MAX)),
    )
}

/// Where someone stands in the queue. Smaller is sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its dominant share.
    pub share: Share,
    /// At least 1.
    pub weight: u32,
    /// A counter of when it was last served.
    pub served: u64,
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Standing) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Standing {
    fn cmp(&self, other: &Standing) -> Ordering {
        let left = u128::from(self.share.0) * u128::from(other.weight);
        let right = u128::from(other.share.0) * u128::from(self.weight);
        left.cmp(&right).then(self.served.cmp(&other.served))
    }
}

/// One who shares: its weight, what it has and what it could use in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// At least 1.
    pub weight: u32,
    /// What it has.
    pub has: Share,
    /// What it has and still wants.
    pub could_use: Share,
}

/// Progressive filling: raises everyone who wants more to one level (for its weight) until
/// `capacity` is used up. Returns up to where each may go; never below what it has.
#[must_use]
pub fn water_fill(capacity: Share, claims: &[Claim]) -> Vec<Share> {
    let at = |level: u128| -> Vec<Share> {
        claims
            .iter()
            .map(|claim| {
                let level =
                    u64::try_from((level * u128::from(claim.weight)) >> 20).unwrap_or(u64::MAX);
                Share(level.clamp(claim.has.0, claim.could_use.0.max(claim.has.0)))
            })
            .collect()
    };
    let sum = |shares: &[Share]| shares.iter().map(|share| u128::from(share.0)).sum::<u128>();
    // The largest level (in units of 2^-60 for a weight of 1) that the capacity bears.
    let (mut low, mut high) = (0_u128, 1_u128 << 61);
    while low + 1 < high {
        let middle = (low + high) / 2;
        if sum(&at(middle)) <= u128::from(capacity.0) {
            low = middle
        } else {
            high = middle
        }
    }
    at(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amounts(cpu_milli: u64, memory_bytes: u64) -> Resources {
        Resources {
            cpu_milli,
            memory_bytes,
            ..Resources::NONE
        }
    }

    #[test]
    fn the_largest_share_dominates() {
        let total = amounts(9_000, 18);
        assert_eq!(dominant(&amounts(1_000, 4), &total), Share((4 << 40) / 18));
        assert_eq!(dominant(&amounts(3_000, 1), &total), Share((1 << 40) / 3));
        assert_eq!(
            dominant(
                &Resources {
                    gpus: 1,
                    ..Resources::NONE
                },
                &total
            ),
            Share(0)
        );
    }

    #[test]
    fn weight_then_time_decide() {
        let standing = |share, weight, served| Standing {
            share: Share(share),
            weight,
            served,
        };
        assert!(standing(2, 1, 0) > standing(3, 2, 0));
        assert!(standing(2, 1, 1) < standing(4, 2, 2));
    }

    #[test]
    fn filling_stops_at_wants_and_shares_the_rest() {
        let claim = |weight, has, could_use| Claim {
            weight,
            has: Share(has),
            could_use: Share(could_use),
        };
        let levels = water_fill(
            Share(100_000),
            &[
                claim(1, 0, 10_000),
                claim(1, 0, 1_000_000),
                claim(2, 0, 1_000_000),
            ],
        );
        assert_eq!(levels[0], Share(10_000));
        assert!(
            levels[1].0.abs_diff(30_000) <= 2 && levels[2].0.abs_diff(60_000) <= 2,
            "{levels:?}"
        );
    }

    proptest! {
        #[test]
        fn filling_never_takes_away_and_never_overflows(
            claims in proptest::collection::vec((1..10_u32, 0..1_000_u64, 0..5_000_u64), 1..20), spare in 0..20_000_u64,
        ) {
            let claims: Vec<Claim> = claims
                .into_iter()
                .map(|(weight, has, more)| Claim { weight, has: Share(has), could_use: Share(has + more) })
                .collect();
            let capacity = Share(claims.iter().map(|c| c.has.0).sum::<u64>() + spare);
            let levels = water_fill(capacity, &claims);
            prop_assert!(levels.iter().map(|l| l.0).sum::<u64>() <= capacity.0);
            for (claim, level) in claims.iter().zip(&levels) {
                prop_assert!(*level >= claim.has && *level <= claim.could_use);
            }
            // What is left over is less than one step for everyone, unless all are satisfied.
            let left = capacity.0 - levels.iter().map(|l| l.0).sum::<u64>();
            let satisfied = claims.iter().zip(&levels).all(|(c, l)| c.could_use == *l);
            prop_assert!(satisfied || left <= claims.iter().map(|c| u64::from(c.weight)).sum::<u64>() + 1);
        }
    }
}
