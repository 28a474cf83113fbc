//! Mesos' allocator benchmark on our core, over its whole grid. See `host/sim/src/grid.rs` for what is
//! the same as there and what is not.

use crate::Size as Runs;
use crate::report::{Report, median};
use mezzo_sim::grid::{Grid, Round, Size};

/// Agents of the grid.
const AGENTS: [u64; 6] = [1_000, 5_000, 10_000, 20_000, 30_000, 50_000];
/// Frameworks of the grid.
const FRAMEWORKS: [u64; 8] = [1, 50, 100, 200, 500, 1_000, 3_000, 6_000];
/// Frameworks of one role.
const FRAMEWORKS_PER_ROLE: u64 = 100;
/// Pairs of a framework and an agent up to which everyone is offered everything.
const PAIRS_MAX: u64 = 1_000_000;

/// See the module. `--count N` leaves out what has more agents.
pub fn run(runs: Runs, report: &mut Report) {
    let most = runs.count.map_or(u64::MAX, |count| count as u64);
    for agents in AGENTS.into_iter().filter(|agents| *agents <= most) {
        for frameworks in FRAMEWORKS {
            let size = Size {
                agents,
                frameworks,
                roles: frameworks.div_ceil(FRAMEWORKS_PER_ROLE),
            };
            one(size, runs.runs, report);
        }
        let times = (0..runs.runs).map(|_| Grid::restore(agents, 10));
        let (times, tasks): (Vec<f64>, Vec<u64>) = times
            .map(|(time, tasks)| (time.as_secs_f64(), tasks))
            .unzip();
        let tasks = tasks.first().copied().unwrap_or_default();
        let figures = [
            ("agents", agents as f64),
            ("tasks", tasks as f64),
            ("seconds", median(times)),
        ];
        report.row("restore", &figures);
    }
}

fn one(size: Size, runs: usize, report: &mut Report) {
    let pairs = size.agents * size.frameworks;
    let mut row = |case: &str, seconds: f64, more: &[(&str, f64)]| {
        let mut figures = vec![
            ("agents", size.agents as f64),
            ("frameworks", size.frameworks as f64),
            ("roles", size.roles as f64),
            ("seconds", seconds),
        ];
        figures.extend_from_slice(more);
        report.row(case, &figures);
    };
    let declines = pairs <= PAIRS_MAX;
    let rounds: Vec<_> = (0..runs).map(|_| Grid::round(size, declines)).collect();
    let of = |part: fn(&Round) -> f64| median(rounds.iter().map(part).collect());
    row("add-all", of(|round| round.add_all.as_secs_f64()), &[]);
    row(
        "full-round",
        of(|round| round.full_round.as_secs_f64()),
        &[],
    );
    if declines {
        let seconds = of(|round| round.everyone_declines.map_or(0.0, |all| all.as_secs_f64()));
        let pair_ns = seconds * 1e9 / pairs as f64;
        row("everyone-declines", seconds, &[("pair_ns", pair_ns)]);
    }
    let settled = Grid::settled(size);
    let seconds = settled.everyone_looks.as_secs_f64();
    let pair_ns = seconds * 1e9 / pairs as f64;
    row("everyone-looks", seconds, &[("pair_ns", pair_ns)]);
    row("unchanged", settled.unchanged.as_secs_f64(), &[]);
    row("freed-agent", settled.freed_agent.as_secs_f64(), &[]);
}
