//! A state read from its records.

use super::*;

impl Grid {
    /// A state of that many agents with as many tasks each, read from its records and led.
    pub fn restore(agents: u64, per_agent: u64) -> Duration {
        let size = Size {
            agents,
            frameworks: 0,
            roles: 1,
        };
        let mut grid = Grid::new(size);
        grid.records = Some(Vec::new());
        for n in 1..=agents {
            grid.connect(n, facts(n));
        }
        grid.fill(per_agent);
        let records = grid.records.take().expect("they were kept");
        drop(grid);
        let records = newest(records);
        let begun = Clock::now();
        let mut cluster =
            Cluster::restore(records.into_iter(), ClusterLimits::default()).expect("sound records");
        let mut out = Vec::new();
        cluster.step(
            Instant(2_000_000),
            Event::Led {
                name: String::new(),
                last_batch: BatchId(1),
            },
            &mut out,
        );
        begun.elapsed()
    }
}

/// As a store keeps them: of statuses, demands and the cluster's record only the newest.
fn newest(records: Vec<Record>) -> Vec<Record> {
    let mut kept: std::collections::BTreeMap<(u8, u64, u64), Record> = Default::default();
    for (i, record) in records.into_iter().enumerate() {
        let key = match &record {
            Record::Cluster(_) => (0, 0, 0),
            Record::Agent(agent) => (1, agent.info.id.0, 0),
            Record::Framework(framework) => (2, framework.id.0, 0),
            Record::Demands(framework, _) => (3, framework.0, 0),
            Record::Task(task) => (4, task.run.0, 0),
            Record::Status(run, _) => (5, run.0, 0),
            _ => (9, 0, i as u64),
        };
        kept.insert(key, record);
    }
    kept.into_values().collect()
}
