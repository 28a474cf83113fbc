//! The workload of short plays: a few small frameworks that want all of what a cluster can do, with
//! little of each, and whose tasks are all there from the start.

use super::{Ends, Framework, Machines, Role, Shape, Workload};
use crate::draw::Draw;
use mezzo_core::record::Quota;
use mezzo_types::Resources;

const MIB: u64 = 1 << 20;

/// One processor or a few, with memory and disk for as many tasks.
fn cpus(n: u64) -> Resources {
    Resources {
        cpu_milli: n * 1_000,
        memory_bytes: n * 1_024 * MIB,
        disk_bytes: n * 256 * MIB,
        ..Resources::NONE
    }
}

impl Workload {
    /// So many machines of four processors, and frameworks of four kinds: one that is urgent, one whose
    /// gangs may be preempted, one with gangs that need a quarter of the cluster, and one whose tasks may
    /// be preempted. The first two, and the last two, share a role; all keep parts of offers now and then.
    #[must_use]
    pub fn short(machines: usize, frameworks: usize, tasks: u64) -> Workload {
        let quarter = machines as u64;
        // A limit may leave a role no more than that.
        let together = [1, quarter.min(2), quarter, 1];
        let framework = |n: usize| Framework {
            name: format!("f{n}"),
            role: format!("r{}", n / 2),
            tasks: tasks.next_multiple_of(together[n % 4]),
            every_us: None,
            from_ms: 0,
            to_ms: 0,
            shapes: vec![Shape {
                weight: 1,
                each: Resources {
                    memory_bytes: 256 * MIB,
                    disk_bytes: 64 * MIB,
                    ..cpus(1)
                },
                times: Draw::Fixed(1),
                takes_ms: Draw::Uniform(1, 20_000),
            }],
            fails_per_mille: 100,
            together: together[n % 4],
            priority: [1, 0, 0, -1][n % 4],
            preemptible: n % 2 == 1,
            keeps_per_mille: 150,
            submit: None,
            options: "{}".into(),
            offers_per_turn_max: None,
        };
        let promised = Role {
            name: "r0".into(),
            weight: 1,
            quota: Some(Quota {
                guarantee: Resources {
                    cpu_milli: quarter * 1_000,
                    ..Resources::NONE
                },
                ..Quota::default()
            }),
        };
        Workload {
            machines: vec![Machines {
                count: machines,
                total: cpus(4),
                zone: None,
            }],
            roles: vec![promised],
            frameworks: (0..frameworks).map(framework).collect(),
            acts: Vec::new(),
            duration_ms: 0,
            ends: Ends::WhenAllIsDone,
        }
    }
}
