//! A cluster in which everyone has seen everything: what little still happens must cost little.

use super::*;

/// What a cluster costs in which every framework has seen every agent, and wants more than any has.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    /// From the first framework that wants something until every framework has looked at every agent.
    pub everyone_looks: Duration,
    /// A step in which nothing has changed, median.
    pub unchanged: Duration,
    /// From a task's end to the offer of what it has freed, median.
    pub freed_agent: Duration,
}

impl Grid {
    /// Frameworks that want whole agents, of which none is free until a task ends.
    pub fn settled(size: Size) -> Settled {
        let (mut grid, starts, _) = Grid::filled(size);
        let whole = Resources {
            cpu_milli: CPU_MILLI,
            memory_bytes: MEMORY_BYTES,
            ..Resources::NONE
        };
        let begun = Clock::now();
        grid.want(starts, &whole);
        let everyone_looks = begun.elapsed();
        assert!(grid.turns.is_empty(), "nothing fits");
        Settled {
            everyone_looks,
            unchanged: median((0..1_000).map(|_| grid.tick()).collect()),
            freed_agent: median((0..20).map(|n| grid.free_one(n)).collect()),
        }
    }

    pub(super) fn tick(&mut self) -> Duration {
        self.now = self.now.after_ms(1);
        let begun = Clock::now();
        self.step(Event::Tick);
        let took = begun.elapsed();
        assert!(self.turns.is_empty(), "nothing has changed");
        took
    }

    /// One of the filler's tasks ends; how long until its agent is offered to somebody.
    pub(super) fn free_one(&mut self, n: usize) -> Duration {
        let run = self.filled[n * self.filled.len() / 32];
        let agent = self
            .cluster
            .state()
            .task(run)
            .expect("it runs")
            .record
            .agent;
        let offers = self.offers;
        let begun = Clock::now();
        self.report(agent, run, 2, TaskState::Finished);
        let took = begun.elapsed();
        assert!(self.offers > offers, "it is offered in the same step");
        self.decline_all();
        took
    }
}
