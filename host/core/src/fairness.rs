//! What somebody has of the cluster: dominant shares.
//!
//! Source: A. Ghodsi and others, "Dominant Resource Fairness: Fair Allocation of Multiple Resource
//! Types", NSDI 2011. A consumer's dominant share is the largest of its shares of any one
//! resource; whoever has the smallest one for its weight goes first (`shares.rs`).

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
