//! A full round: all that is free is offered out once, and declined; and everyone is offered everything.

use super::*;

/// How long the parts of a round took.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Adding all agents and all frameworks.
    pub add_all: Duration,
    /// From the first framework that wants something until all that is free was offered out once, and
    /// declined.
    pub full_round: Duration,
    /// From the first framework that wants something until every framework was offered every agent and
    /// has declined it; none if that was not asked for.
    pub everyone_declines: Option<Duration>,
    /// Offers until then; a pair of a framework and an agent each.
    pub offers: u64,
}

impl Grid {
    /// Frameworks that want what is free, and decline it. `declines`: whether to go on until
    /// every framework has declined every agent.
    pub fn round(size: Size, declines: bool) -> Round {
        let (mut grid, starts, add_all) = Grid::filled(size);
        let free = Resources {
            cpu_milli: CPU_MILLI - CPU_MILLI_USED,
            memory_bytes: MEMORY_BYTES - MEMORY_BYTES_USED,
            ..Resources::NONE
        };
        let begun = Clock::now();
        grid.want(starts, &free);
        // The offers that frameworks hold do not always reach all agents at once.
        while grid.offers < size.agents
            && let Some(turn) = grid.turns.pop()
        {
            grid.end(turn.id, Effects::default());
        }
        for turn in std::mem::take(&mut grid.turns) {
            grid.end(turn.id, Effects::default());
        }
        let full_round = begun.elapsed();
        let everyone_declines = declines.then(|| {
            grid.decline_all();
            begun.elapsed()
        });
        Round {
            add_all,
            full_round,
            everyone_declines,
            offers: grid.offers,
        }
    }
}
