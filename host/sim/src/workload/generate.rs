//! A workload from a few numbers: a cluster of like machines, frameworks of four kinds over a small
//! tree of roles, and tasks that arrive independently, a few of them large or long.

use super::{Ends, Framework, Machines, Role, Shape, Workload};
use crate::draw::Draw;
use mezzo_types::Resources;

/// Tasks arrive one by one: to look at every machine for each of them would be dear.
const OFFERS_PER_TURN_MAX: u64 = 20;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generate {
    /// Machines, of 16 processors and 64 GiB each.
    pub machines: usize,
    /// Frameworks, spread over the roles `prod/web`, `prod/data`, `research` and `ci`.
    pub frameworks: usize,
    /// Tasks that arrive in a second, at all frameworks together, in thousandths.
    pub rate_milli: u64,
    /// For so long.
    pub duration_ms: u64,
}

impl Generate {
    /// The workload.
    #[must_use]
    pub fn workload(&self) -> Workload {
        let role = |name: &str, weight| Role {
            name: name.into(),
            weight,
            quota: None,
        };
        let every_us =
            (self.frameworks.max(1) as u64).saturating_mul(1_000_000_000) / self.rate_milli.max(1);
        Workload {
            machines: vec![Machines {
                count: self.machines,
                total: amounts(16_000, 64 << 30),
                zone: None,
            }],
            roles: vec![
                role("prod", 4),
                role("prod/web", 1),
                role("prod/data", 1),
                role("research", 2),
                role("ci", 1),
            ],
            frameworks: (0..self.frameworks)
                .map(|n| self.framework(n, every_us))
                .collect(),
            acts: Vec::new(),
            duration_ms: self.duration_ms,
            ends: Ends::WithTheTime,
        }
    }

    fn framework(&self, n: usize, every_us: u64) -> Framework {
        let kinds: [(&str, &str, [Shape; 2]); 4] = [
            ("web", "prod/web", [small(), large()]),
            ("data", "prod/data", [large(), small()]),
            ("model", "research", [large(), small()]),
            ("build", "ci", [small(), large()]),
        ];
        let (kind, role, [mut most, few]) = kinds[n % 4].clone();
        most.weight = 9;
        Framework {
            name: format!("{kind}-{}", n / 4 + 1),
            role: role.into(),
            tasks: 0,
            every_us: Some(every_us),
            from_ms: 0,
            to_ms: self.duration_ms,
            shapes: vec![most, few],
            fails_per_mille: 10,
            together: 1,
            priority: 0,
            preemptible: false,
            keeps_per_mille: 0,
            submit: None,
            options: "{}".into(),
            offers_per_turn_max: Some(OFFERS_PER_TURN_MAX),
        }
    }
}

fn amounts(cpu_milli: u64, memory_bytes: u64) -> Resources {
    Resources {
        cpu_milli,
        memory_bytes,
        ..Resources::NONE
    }
}

/// Half a processor or a few, mostly for a minute or two.
fn small() -> Shape {
    Shape {
        weight: 1,
        each: amounts(500, 1 << 30),
        times: Draw::Pareto {
            min: 1,
            max: 8,
            alpha_milli: 1_500,
        },
        takes_ms: Draw::Lognormal {
            median: 120_000,
            sigma_milli: 1_500,
            max: 6 * 3_600_000,
        },
    }
}

/// Two processors or a few times that, from minutes to hours.
fn large() -> Shape {
    Shape {
        weight: 1,
        each: amounts(2_000, 4 << 30),
        times: Draw::Pareto {
            min: 1,
            max: 4,
            alpha_milli: 1_500,
        },
        takes_ms: Draw::Pareto {
            min: 60_000,
            max: 12 * 3_600_000,
            alpha_milli: 1_100,
        },
    }
}
