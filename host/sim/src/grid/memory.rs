//! Tasks in a core, and their descriptions made elsewhere: what whoever counts bytes wants to compare.

use super::*;

impl Grid {
    /// A cluster in which nothing runs yet.
    pub fn idle(agents: u64) -> Grid {
        let size = Size {
            agents,
            frameworks: 0,
            roles: 1,
        };
        let mut grid = Grid::new(size);
        for n in 1..=agents {
            grid.connect(n, facts(n));
        }
        grid
    }

    /// Launches `per_agent` tasks on each agent; all of them are running, and their framework knows it.
    pub fn run_on_all(&mut self, per_agent: u64) {
        self.fill(per_agent);
        self.filled = Vec::new();
        self.out = Vec::new();
        self.turns = Vec::new();
    }

    /// The descriptions of as many tasks, as the core keeps them.
    pub fn descriptions(agents: u64, per_agent: u64) -> Vec<Arc<TaskSpec>> {
        let each = in_use(per_agent);
        let all = 1..=agents * per_agent;
        all.map(|n| Arc::new(spec(n, &each))).collect()
    }
}
