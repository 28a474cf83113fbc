//! A full round: all that is free is offered out once, and declined. And beyond Mesos' benchmark: every
//! framework is offered every agent and declines it, with as many turns at a time as a master has.

use super::*;

/// How long the parts of a round took.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Adding all agents and all frameworks.
    pub add_all: Duration,
    /// From the first framework that wants something until all that is free was offered out once, and
    /// declined.
    pub full_round: Duration,
}

/// What it costs that every framework is offered every agent.
#[derive(Clone, Copy, Debug)]
pub struct Declined {
    /// From the first framework's start until every framework has declined every agent.
    pub took: Duration,
    /// One for each pair of a framework and an agent.
    pub offers: u64,
    /// The turns in which they were made.
    pub turns: u64,
}

impl Grid {
    /// Frameworks that want what is free, and decline it.
    pub fn round(size: Size) -> Round {
        let (mut grid, starts, add_all) = Grid::filled(size);
        let begun = Clock::now();
        grid.want(starts, &free());
        // The offers that frameworks hold do not always reach all agents at once.
        while grid.offers < size.agents
            && let Some(turn) = grid.turns.pop()
        {
            grid.end(turn, Effects::default());
        }
        for turn in std::mem::take(&mut grid.turns) {
            grid.end(turn, Effects::default());
        }
        let full_round = begun.elapsed();
        Round {
            add_all,
            full_round,
        }
    }

    /// The same, until every framework has declined every agent.
    pub fn declined(size: Size) -> Declined {
        let limits = ClusterLimits::default();
        let mut grid = Grid::with_turns(size, limits.turns_max, limits.turns_heavy_max);
        for n in 1..=size.agents {
            grid.connect(n, facts(n));
        }
        grid.fill(1);
        (grid.offers, grid.turns_begun) = (0, 0);
        let begun = Clock::now();
        grid.install_all();
        while !grid.turns.is_empty() {
            for turn in std::mem::take(&mut grid.turns) {
                if matches!(turn.calls[..], [Call::Start(_)]) {
                    grid.want(vec![turn], &free());
                } else {
                    grid.end(turn, Effects::default());
                }
            }
        }
        let took = begun.elapsed();
        let pairs = size.agents * size.frameworks;
        assert_eq!(grid.offers, pairs, "each pair is offered once");
        Declined {
            took,
            offers: grid.offers,
            turns: grid.turns_begun,
        }
    }
}

/// What each agent has free.
fn free() -> Resources {
    Resources {
        cpu_milli: CPU_MILLI - CPU_MILLI_USED,
        memory_bytes: MEMORY_BYTES - MEMORY_BYTES_USED,
        ..Resources::NONE
    }
}
