//! Mesos' allocator benchmark on our core, over its whole grid, and the other points for which there
//! are published figures. See `host/sim/src/grid.rs` for what is the same as there and what is not.
//!
//! Rows of the cases `add-all`, `full-round`, `everyone-looks`, `unchanged`, `freed-agent` and `restore`
//! have `agents`, `frameworks`, `roles` and `seconds`; with quota they have `quota` 1 as well. Other
//! cases are ours: `everyone-declines` and `explain`.

use crate::Size as Runs;
use crate::plot::{Line, Plot};
use crate::report::{Report, median};
use anyhow::Context as _;
use mezzo_sim::grid::{Grid, Round, Size, WithQuota};
use std::path::Path;

/// Agents of the grid.
const AGENTS: [u64; 6] = [1_000, 5_000, 10_000, 20_000, 30_000, 50_000];
/// Frameworks of the grid.
const FRAMEWORKS: [u64; 8] = [1, 50, 100, 200, 500, 1_000, 3_000, 6_000];
/// Agents and frameworks that Mesos published a figure for, beside the grid.
const PUBLISHED: (u64, u64) = (20_000, 2_000);
/// Agents of which each role with quota, with one framework, has one.
const WITH_QUOTA: u64 = 3_000;
/// Agents, and tasks of each, that Mesos published a figure for.
const RESTORED: (u64, u64) = (40_000, 10);
/// Agents about which demands are explained.
const EXPLAINED: u64 = 50_000;
/// Frameworks of one role.
const FRAMEWORKS_PER_ROLE: u64 = 100;
/// Pairs of a framework and an agent up to which everyone is offered everything.
const PAIRS_MAX: u64 = 1_000_000;

/// See the module. `--count N` leaves out what has more agents.
pub fn run(runs: Runs, report: &mut Report) {
    let most = runs.count.map_or(u64::MAX, |count| count as u64);
    let asked_for = |agents: &u64| *agents <= most;
    for agents in AGENTS.into_iter().filter(asked_for) {
        for frameworks in FRAMEWORKS {
            one(spread(agents, frameworks), runs.runs, report);
            if (agents, frameworks) == (PUBLISHED.0, 1_000) {
                one(spread(PUBLISHED.0, PUBLISHED.1), runs.runs, report);
            }
        }
        restore(agents, RESTORED.1, runs.runs, report);
    }
    if asked_for(&WITH_QUOTA) {
        with_quota(WITH_QUOTA, runs.runs, report);
    }
    if asked_for(&RESTORED.0) {
        restore(RESTORED.0, RESTORED.1, runs.runs, report);
    }
    if asked_for(&EXPLAINED) {
        explain(EXPLAINED, runs.runs, report);
    }
}

fn spread(agents: u64, frameworks: u64) -> Size {
    Size {
        agents,
        frameworks,
        roles: frameworks.div_ceil(FRAMEWORKS_PER_ROLE),
    }
}

/// A row as all cases have it, and what else there is to say.
fn row(report: &mut Report, case: &str, size: Size, seconds: f64, more: &[(&str, f64)]) {
    let mut figures = vec![
        ("agents", size.agents as f64),
        ("frameworks", size.frameworks as f64),
        ("roles", size.roles as f64),
        ("seconds", seconds),
    ];
    figures.extend_from_slice(more);
    report.row(case, &figures);
}

fn one(size: Size, runs: usize, report: &mut Report) {
    let pairs = size.agents * size.frameworks;
    let rounds: Vec<_> = (0..runs).map(|_| Grid::round(size)).collect();
    let of = |part: fn(&Round) -> f64| median(rounds.iter().map(part).collect());
    let add_all = of(|round| round.add_all.as_secs_f64());
    row(report, "add-all", size, add_all, &[]);
    let full_round = of(|round| round.full_round.as_secs_f64());
    row(report, "full-round", size, full_round, &[]);
    if pairs <= PAIRS_MAX {
        let declined = Grid::declined(size);
        let seconds = declined.took.as_secs_f64();
        let pair_ns = seconds * 1e9 / pairs as f64;
        let more = [("pair_ns", pair_ns), ("turns", declined.turns as f64)];
        row(report, "everyone-declines", size, seconds, &more);
    }
    let settled = Grid::settled(size);
    let seconds = settled.everyone_looks.as_secs_f64();
    let pair_ns = seconds * 1e9 / pairs as f64;
    let more = [("pair_ns", pair_ns)];
    row(report, "everyone-looks", size, seconds, &more);
    let unchanged = settled.unchanged.as_secs_f64();
    row(report, "unchanged", size, unchanged, &[]);
    let freed = settled.freed_agent.as_secs_f64();
    row(report, "freed-agent", size, freed, &[]);
}

/// As many agents, roles and frameworks.
fn with_quota(number: u64, runs: usize, report: &mut Report) {
    let size = Size {
        agents: number,
        frameworks: number,
        roles: number,
    };
    let all: Vec<_> = (0..runs).map(|_| Grid::with_quota(size)).collect();
    let mut part = |case: &str, of: fn(&WithQuota) -> f64, more: &[(&str, f64)]| {
        let seconds = median(all.iter().map(of).collect());
        row(
            report,
            case,
            size,
            seconds,
            &[&[("quota", 1.0)], more].concat(),
        );
    };
    part("add-all", |all| all.add_all.as_secs_f64(), &[]);
    let offers = median(all.iter().map(|all| all.offers as f64).collect());
    let more = [("offers", offers)];
    part("full-round", |all| all.full_round.as_secs_f64(), &more);
    part("unchanged", |all| all.unchanged.as_secs_f64(), &[]);
    part("freed-agent", |all| all.freed_agent.as_secs_f64(), &[]);
}

/// One framework, the one that has the tasks.
fn restore(agents: u64, per_agent: u64, runs: usize, report: &mut Report) {
    let times = (0..runs).map(|_| Grid::restore(agents, per_agent).as_secs_f64());
    let tasks = [("tasks", (agents * per_agent) as f64)];
    row(
        report,
        "restore",
        spread(agents, 1),
        median(times.collect()),
        &tasks,
    );
}

/// One framework, all of its demands.
fn explain(agents: u64, runs: usize, report: &mut Report) {
    let all: Vec<_> = (0..runs).map(|_| Grid::explain(agents)).collect();
    let seconds = median(all.iter().map(|one| one.took.as_secs_f64()).collect());
    let demands = all.first().map_or(0, |one| one.demands);
    let more = [("demands", demands as f64)];
    row(report, "explain", spread(agents, 1), seconds, &more);
}

/// Cost along both axes, of what was measured.
pub fn draw(report: &Report, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let (agents, frameworks) = (("agents", &AGENTS[..]), ("frameworks", &FRAMEWORKS[..]));
    let drawings = [
        ("full-round", "A full round", agents, frameworks),
        ("full-round", "A full round", frameworks, agents),
        (
            "add-all",
            "Adding all agents and frameworks",
            agents,
            frameworks,
        ),
        (
            "everyone-looks",
            "Everyone looks at every agent",
            agents,
            frameworks,
        ),
    ];
    for (case, title, (across, _), (by, all)) in drawings {
        let rows = report.figures(case, [across, by, "seconds"], "quota");
        let line = |n: &u64| Line {
            name: n.to_string(),
            points: rows
                .iter()
                .filter(|[_, of, _]| *of == *n as f64)
                .map(|[x, _, seconds]| (*x, *seconds))
                .collect(),
        };
        let plot = Plot {
            title: format!("{title}, by {across}"),
            across: across.into(),
            legend: by.into(),
            lines: all
                .iter()
                .map(line)
                .filter(|line| line.points.len() > 1)
                .collect(),
        };
        let path = folder.join(format!("{case}-by-{across}.svg"));
        if let Some(svg) = plot.svg() {
            std::fs::write(&path, svg).with_context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}
