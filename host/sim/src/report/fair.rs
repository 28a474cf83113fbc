//! What each role would ideally have: weighted max-min fairness of dominant shares, as if tasks could be
//! cut and moved at will.
//!
//! All shares rise together, each in proportion to its weight, until a role has what it wants or may
//! have, or something that it uses is used up (progressive filling, as in the paper that the core's
//! `fairness.rs` names). A guarantee is there from the beginning.

/// What is smaller is nothing.
const NOTHING: f64 = 1e-9;

/// What a role has and wants.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    pub weight: u32,
    pub used: [u64; 5],
    /// What it has included.
    pub wants: [u64; 5],
    pub guarantee: [u64; 5],
    pub limit: Option<[u64; 5]>,
}

/// A claim, in parts of the whole.
struct Filling {
    weight: f64,
    /// What it takes of each resource for a dominant share of 1.
    takes: [f64; 5],
    share: f64,
    most: f64,
    full: bool,
}

/// The ideal dominant share of each.
pub fn ideal(total: &[u64; 5], claims: &[Claim]) -> Vec<f64> {
    let mut fillings: Vec<Filling> = claims.iter().map(|claim| filling(total, claim)).collect();
    let mut free = [1.0; 5];
    for filling in &fillings {
        for (free, takes) in free.iter_mut().zip(filling.takes) {
            *free -= takes * filling.share;
        }
    }
    let mut level = 0.0;
    // Each round fills a role, empties a resource, or reaches a guarantee.
    for _ in 0..2 * claims.len() + 5 {
        let Some(rise) = rise(&fillings, &free, level) else {
            break;
        };
        for filling in fillings.iter_mut().filter(|it| it.grows(level)) {
            filling.share += filling.weight * rise;
            for (free, takes) in free.iter_mut().zip(filling.takes) {
                *free -= takes * filling.weight * rise;
            }
        }
        level += rise;
        for filling in &mut fillings {
            let mut used_up = filling.takes.iter().zip(&free);
            filling.full |= filling.share >= filling.most - NOTHING
                || used_up.any(|(takes, free)| *takes > NOTHING && *free <= NOTHING);
        }
    }
    fillings.into_iter().map(|filling| filling.share).collect()
}

impl Filling {
    /// Whether it rises with the level, or has more than that already.
    fn grows(&self, level: f64) -> bool {
        !self.full && self.share <= self.weight * level + NOTHING
    }
}

/// How far the level can rise until something changes; none if nobody rises any more.
fn rise(fillings: &[Filling], free: &[f64; 5], level: f64) -> Option<f64> {
    let mut rise = f64::INFINITY;
    for filling in fillings.iter().filter(|it| !it.full) {
        let until = if filling.grows(level) {
            filling.most - filling.share
        } else {
            filling.share - filling.weight * level
        };
        rise = rise.min(until.max(0.0) / filling.weight);
    }
    for (resource, free) in free.iter().enumerate() {
        let growing = fillings.iter().filter(|it| it.grows(level));
        let speed: f64 = growing.map(|it| it.takes[resource] * it.weight).sum();
        if speed > NOTHING {
            rise = rise.min(free.max(0.0) / speed);
        }
    }
    rise.is_finite().then_some(rise)
}

fn filling(total: &[u64; 5], claim: &Claim) -> Filling {
    let part = |n: u64, of: u64| if of == 0 { 0.0 } else { n as f64 / of as f64 };
    let mut parts = [0.0; 5];
    for (part_of, (n, of)) in parts.iter_mut().zip(claim.wants.iter().zip(total)) {
        *part_of = part(*n, *of);
    }
    let wants = parts.iter().copied().fold(0.0, f64::max);
    if wants <= NOTHING {
        return Filling {
            weight: 1.0,
            takes: [0.0; 5],
            share: 0.0,
            most: 0.0,
            full: true,
        };
    }
    let takes = parts.map(|part| part / wants);
    let mut most = wants;
    for (resource, limit) in claim.limit.iter().flatten().enumerate() {
        if *limit != u64::MAX && takes[resource] > NOTHING {
            most = most.min(part(*limit, total[resource]) / takes[resource]);
        }
    }
    // As far as all that is guaranteed reaches.
    let guaranteed = (0..5).filter(|i| claim.guarantee[*i] > 0 && takes[*i] > NOTHING);
    let promised = guaranteed
        .map(|i| part(claim.guarantee[i], total[i]) / takes[i])
        .fold(f64::INFINITY, f64::min);
    let share = if promised.is_finite() {
        promised.min(most)
    } else {
        0.0
    };
    Filling {
        weight: f64::from(claim.weight.max(1)),
        takes,
        share,
        most,
        full: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(weight: u32, cpu: u64, memory: u64) -> Claim {
        Claim {
            weight,
            wants: [cpu, memory, 0, 0, 0],
            ..Claim::default()
        }
    }

    fn check(claims: &[Claim], expected: &[f64]) {
        let found = ideal(&[900, 1_800, 0, 0, 0], claims);
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-6,
                "{found}, expected {expected}"
            );
        }
    }

    #[test]
    fn the_papers_example_comes_out() {
        // 9 cpus and 18 GB; tasks of 1 cpu and 4 GB, and of 3 cpus and 1 GB: two thirds each.
        check(
            &[claim(1, 9_000, 36_000), claim(1, 27_000, 9_000)],
            &[2.0 / 3.0; 2],
        );
    }

    #[test]
    fn who_wants_little_leaves_the_rest_to_the_others() {
        let shares = [0.1, 0.9 / 4.0, 3.0 * 0.9 / 4.0];
        check(
            &[claim(5, 90, 0), claim(1, 9_000, 0), claim(3, 9_000, 0)],
            &shares,
        );
        check(&[claim(1, 0, 0), claim(1, 9_000, 0)], &[0.0, 1.0]);
        check(&[], &[]);
    }

    #[test]
    fn quota_bounds_what_is_ideal() {
        let limited = Claim {
            limit: Some([90, u64::MAX, u64::MAX, u64::MAX, u64::MAX]),
            ..claim(1, 9_000, 0)
        };
        check(&[limited, claim(1, 9_000, 0)], &[0.1, 0.9]);
        let guaranteed = Claim {
            guarantee: [720, 0, 0, 0, 0],
            ..claim(1, 9_000, 0)
        };
        check(&[guaranteed, claim(1, 9_000, 0)], &[0.8, 0.2]);
    }
}
