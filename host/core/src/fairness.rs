//! What somebody has of the cluster: dominant shares.
//!
//! Source: A. Ghodsi and others, "Dominant Resource Fairness: Fair Allocation of Multiple Resource
//! Types", NSDI 2011. A consumer's dominant share is the largest of its shares of any one
//! resource; whoever has the smallest one for its weight goes first (`shares.rs`). Resources that an
//! operator has excluded do not count in that; in how free an agent is (`allocate.rs`), all do.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use mezzo_types::{ResourceKind, Resources, check_name};

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

/// Resources that do not count in shares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excluded(BTreeSet<String>);

impl Excluded {
    /// By the names that people write.
    #[must_use]
    pub fn new(names: &[String]) -> Excluded {
        Excluded(names.iter().cloned().collect())
    }

    /// The part of the whole by which shares are reckoned: of what does not count there is none.
    #[must_use]
    pub fn counted(&self, total: &Resources) -> Resources {
        let mut counted = total.clone();
        for name in &self.0 {
            match name.as_str() {
                "cpu" => counted.cpu_milli = 0,
                "memory" => counted.memory_bytes = 0,
                "disk" => counted.disk_bytes = 0,
                "gpus" => counted.gpus = 0,
                "ports" => counted.ports = 0,
                custom => drop(counted.custom.remove(custom)),
            }
        }
        counted
    }
}

/// What is wrong with the names of resources that are to be left out of shares.
pub fn check_excluded(names: &[String]) -> Result<(), String> {
    for name in names {
        check_name(name).map_err(|error| format!("{name:?}: {error}"))?;
        // It would be taken for a resource of the cluster's own, and exclude nothing.
        let kinds = ResourceKind::PLAIN.map(|kind| format!("{kind}"));
        let singular = |name: &str| String::from(name.trim_end_matches('s'));
        if let Some(kind) = kinds
            .iter()
            .find(|kind| *kind != name && singular(kind) == singular(name))
        {
            return Err(format!("{name:?}: write {kind:?}"));
        }
    }
    if ["cpu", "memory"].map(|kind| names.iter().any(|name| name == kind)) == [true, true] {
        return Err("of `cpu` and `memory` one must count: every task has some of them".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

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

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| String::from(*name)).collect()
    }

    #[test]
    fn what_is_excluded_does_not_count() {
        let custom = [(String::from("license"), 2_000), (String::from("seat"), 1)];
        let mut total = amounts(9_000, 18);
        (total.gpus, total.custom) = (1, custom.into());
        let used = total.clone();
        let share = |excluded: &[&str]| {
            let counted = Excluded::new(&names(excluded)).counted(&total);
            dominant(&used, &counted)
        };
        assert_eq!(share(&[]), WHOLE);
        let all = ["memory", "gpus", "license", "seat", "disk", "ports"];
        assert_eq!(share(&all), WHOLE, "cpu still counts");
        let mut used = amounts(1_000, 1);
        used.gpus = 1;
        let counted = Excluded::new(&names(&["gpus"])).counted(&total);
        assert_eq!(dominant(&used, &total), WHOLE);
        assert_eq!(dominant(&used, &counted), Share((1 << 40) / 9));
    }

    #[test]
    fn names_that_would_exclude_nothing_or_all_are_refused() {
        let check = |excluded: &[&str]| check_excluded(&names(excluded));
        assert_eq!(check(&["gpus", "license", "cpu"]), Ok(()));
        for (wrong, said) in [
            (&["gpu"] as &[&str], "write \"gpus\""),
            (&["cpus"], "write \"cpu\""),
            (&[""], "\"\""),
            (&["a b"], "' '"),
            (&["memory", "cpu"], "one must count"),
        ] {
            let error = check(wrong).unwrap_err();
            assert!(error.contains(said), "{wrong:?}: {error}");
        }
    }
}
