//! Quota for every role: Mesos' `BENCHMARK_HierarchicalAllocator_WithQuotaParam.LargeAndSmallQuota`.
//!
//! Agents of 2 cpus, 2 GiB of memory and 2 GiB of disk; five roles of six have a quota of half an
//! agent, one has two agents; what is guaranteed is also the limit. Each role has one framework, which
//! wants half agents, more than its quota allows.

use super::*;
use mezzo_core::event::RoleChange;
use mezzo_core::record::Quota;

/// Quota of a small role: half an agent.
const SMALL: u64 = 1;
/// Quota of a large role: two agents.
const LARGE: u64 = 4;
/// One role of so many is large.
const LARGE_EVERY: u64 = 6;

/// How long the parts took.
#[derive(Clone, Copy, Debug)]
pub struct WithQuota {
    /// Adding all agents and frameworks, and setting all quotas.
    pub add_all: Duration,
    /// From the first framework that wants something until each has been offered all that its quota
    /// allows, and has launched on it.
    pub full_round: Duration,
    /// Offers of that round.
    pub offers: u64,
    /// A step in which nothing has changed, while all want more than their quota, median.
    pub unchanged: Duration,
    /// From a task's end to the offer of what it has freed, median.
    pub freed_agent: Duration,
}

impl Grid {
    /// As many roles as frameworks, each with a quota.
    pub fn with_quota(size: Size) -> WithQuota {
        let (mut grid, starts, add_all) = Grid::with_roles(size);
        let begun = Clock::now();
        grid.want(starts, &piece(1));
        grid.launch_on_all();
        let full_round = begun.elapsed();
        let allowed: u64 = (0..size.roles).map(quota_of).sum();
        grid.filled = grid.cluster.state().runs.keys().copied().collect();
        assert_eq!(grid.filled.len() as u64, allowed, "all quota is used");
        WithQuota {
            add_all,
            full_round,
            offers: grid.offers,
            unchanged: median((0..1_000).map(|_| grid.tick()).collect()),
            freed_agent: median((0..20).map(|n| grid.free_one(n)).collect()),
        }
    }

    /// All agents, frameworks and quotas, and the first turns of the frameworks.
    fn with_roles(size: Size) -> (Grid, Vec<Turn>, Duration) {
        let mut grid = Grid::new(size);
        let begun = Clock::now();
        for n in 1..=size.agents {
            let facts = AgentFacts {
                total: piece(2),
                port_set: PortSet::default(),
                ..facts(n)
            };
            grid.connect(n, facts);
        }
        grid.install_all();
        for n in 0..size.roles {
            grid.set_quota(&format!("r{n}"), quota_of(n));
        }
        let add_all = begun.elapsed();
        let starts = std::mem::take(&mut grid.turns);
        (grid, starts, add_all)
    }

    fn set_quota(&mut self, role: &str, pieces: u64) {
        let guarantee = piece(pieces);
        let quota = Quota {
            limit_cpu_milli: Some(guarantee.cpu_milli),
            limit_memory_bytes: Some(guarantee.memory_bytes),
            limit_disk_bytes: Some(guarantee.disk_bytes),
            guarantee,
            ..Quota::default()
        };
        self.ask(Request::SetRole {
            role: role.into(),
            change: RoleChange {
                quota: Some(quota),
                ..RoleChange::default()
            },
            principal: Arc::from("bench"),
        });
    }

    /// Answers every turn, and those that come of it, with as many launches as its offers hold.
    fn launch_on_all(&mut self) {
        let mut sequence = 0;
        while let Some(turn) = self.turns.pop() {
            let offers = turn.offers.clone();
            self.answer(turn, |ledger| {
                for offer in offers {
                    let placements = (0..offer.free.pieces(&piece(1))).map(|_| {
                        sequence += 1;
                        Placement {
                            offer: offer.id,
                            demand: Some("d".into()),
                            task: spec(sequence, &piece(1)),
                        }
                    });
                    ledger.launch(placements.collect()).expect("it fits");
                }
            });
        }
    }
}

fn quota_of(role: u64) -> u64 {
    if role.is_multiple_of(LARGE_EVERY) {
        LARGE
    } else {
        SMALL
    }
}

/// So many halves of an agent.
fn piece(halves: u64) -> Resources {
    Resources {
        cpu_milli: 1_000 * halves,
        memory_bytes: halves << 30,
        disk_bytes: halves << 30,
        ..Resources::NONE
    }
}
