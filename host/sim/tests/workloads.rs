//! Workloads are played to their end, with what operators do, and their reports say what happened.

use mezzo_sim::report::Report;
use mezzo_sim::workload::{Generate, Workload};
use mezzo_sim::world::{Faults, Play, World};

/// Two roles of which one may use half, and operators who take machines out and away.
const FILE: &str = r#"
duration = "20m"
ends = "when-all-is-done"

[[machines]]
count = 8
cpu = 8
memory = "32GiB"

[[roles]]
name = "prod"
weight = 3
guarantee = { cpu = 16 }

[[roles]]
name = "dev"
limit = { cpu = 32 }

[[frameworks]]
name = "web"
role = "prod/web"
count = 2
rate = 0.5
fails = 0.05

[[frameworks.shapes]]
cpu = 0.5
memory = "512MiB"
times = { kind = "pareto", min = 1, max = 8, alpha = 1.5 }
takes = { kind = "lognormal", median = "20s", sigma = 1, max = "5m" }

[[frameworks]]
name = "build"
role = "dev"
tasks = 200

[[frameworks.shapes]]
cpu = 2
memory = "1GiB"
takes = "1m"

[[operators]]
at = "2m"
drain = 1
after = "30s"

[[operators]]
at = "4m"
gone = 2

[[operators]]
at = "5m"
deactivate = 3

[[operators]]
at = "9m"
activate = 1

[[operators]]
at = "9m"
role = { name = "dev", weight = 2, limit = { cpu = 40 } }
"#;

fn to_the_end(play: Play) -> Report {
    let mut world = World::native(play);
    loop {
        match world.advance() {
            Ok(None) => {}
            Ok(Some(_)) => return world.report(),
            Err(problem) => panic!("{problem}"),
        }
    }
}

fn file() -> Workload {
    Workload::read("test.toml", FILE).expect("it is good")
}

fn words(report: &Report) -> String {
    format!("{report}{}", report.svg())
}

#[test]
fn a_workload_with_operators_is_played_to_its_end() {
    let report = to_the_end(Play::of(1, file()));
    assert!(report.arrived > 1_200, "{report}");
    assert_eq!(report.started, report.arrived);
    let ended = |state: &str| report.ended.get(state).copied().unwrap_or(0);
    assert_eq!(ended("finished"), report.arrived, "{report}");
    assert!(ended("failed") > 0 && ended("lost") > 0 && ended("killed") > 0);
    assert_eq!(
        report.reasons.get("agent-gone").copied(),
        Some(ended("lost"))
    );
    assert_eq!(report.launches, report.ended.values().sum::<u64>());
    assert_eq!(report.preempted, 0, "nothing may be preempted");
    let dev = &report.roles[0];
    assert_eq!((dev.name.as_str(), dev.weight), ("dev", 2));
    // It wants 400 processors, and has at most 32 of 64, and then 40.
    assert!(
        dev.cpu.largest > 0.49 && dev.cpu.largest <= 40.0 / 56.0,
        "{report}"
    );
    assert!(dev.waiting.max_ms > 120_000, "{report}");
}

/// Three frameworks of one role: what is urgent takes back from what may be preempted, gangs wait for
/// their turn, and all of it keeps parts of offers with volumes; operators keep a part of a machine too.
const PRIORITIES: &str = r#"
duration = "30m"
ends = "when-all-is-done"

[[machines]]
count = 4
cpu = 8
memory = "32GiB"
disk = "100GiB"

[[roles]]
name = "prod"
guarantee = { cpu = 16 }

[[frameworks]]
name = "spare"
role = "prod"
tasks = 100
priority = -1
preemptible = true
keeps = 0.02

[[frameworks.shapes]]
cpu = 1
memory = "1GiB"
disk = "1GiB"
takes = "5m"

[[frameworks]]
name = "urgent"
role = "prod"
priority = 10
from = "2m"
rate = 0.02

[[frameworks.shapes]]
cpu = 2
memory = "1GiB"
takes = "1m"

[[frameworks]]
name = "train"
role = "dev"
rate = 0.05
together = 12

[[frameworks.shapes]]
cpu = 1
memory = "1GiB"
takes = "1m"

[[operators]]
at = "1m"
reserve = { machine = 0, role = "dev", cpu = 2, disk = "10GiB", for = "10m" }

[[operators]]
at = "2m"
volume = { machine = 0, size = "5GiB" }

[[operators]]
at = "20m"
give_back = 0
"#;

#[test]
fn gangs_priorities_and_reservations_are_played_to_their_end() {
    let workload = Workload::read("test.toml", PRIORITIES).expect("it is good");
    let report = to_the_end(Play::of(1, workload));
    assert_eq!(report.started, report.arrived, "{report}");
    assert!(report.preempted > 10, "{report}");
    assert_eq!(
        report.reasons.get("preempted").copied(),
        Some(report.preempted)
    );
    assert_eq!(report.launches, report.arrived + report.preempted);
    // Gangs wait for as many tasks of others to end, and are counted task by task.
    let dev = &report.roles[0];
    assert_eq!((dev.name.as_str(), dev.started % 12), ("dev", 0));
    assert!(dev.started >= 48 && dev.waiting.max_ms > 1_000, "{report}");
    assert!(
        report
            .to_string()
            .contains(&format!("{} preempted", report.preempted))
    );
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let first = words(&to_the_end(Play::of(3, file())));
    assert_eq!(words(&to_the_end(Play::of(3, file()))), first);
    assert_ne!(words(&to_the_end(Play::of(4, file()))), first);
}

#[test]
fn a_workload_heals_from_faults() {
    for seed in 1..=5 {
        let faults = Faults {
            until_ms: 1_200_000,
            every_ms: 20_000,
            operators: true,
        };
        let report = to_the_end(Play {
            faults,
            ..Play::of(seed, file())
        });
        assert_eq!(report.started, report.arrived, "{report}");
    }
}

#[test]
fn a_cluster_that_has_too_much_to_do_is_full_and_fair() {
    let generate = Generate {
        machines: 20,
        frameworks: 8,
        rate_milli: 2_000,
        duration_ms: 3_600_000,
    };
    let report = to_the_end(Play::of(1, generate.workload()));
    assert!(report.started < report.arrived, "{report}");
    assert!(report.cpu.largest > 0.97, "{report}");
    for role in &report.roles {
        assert!(role.cpu.mean > 0.0 && role.waiting.p50_ms <= role.waiting.p99_ms);
    }
    // Nobody is far from what would be ideal, on average: large tasks do not fit everywhere, and tasks
    // that run are not taken away.
    assert!(
        report.roles.iter().all(|role| role.gap.mean < 0.2),
        "{report}"
    );
}

#[test]
fn the_picture_names_what_it_shows() {
    let svg = to_the_end(Play::of(1, file())).svg();
    for expected in [
        "<svg",
        "</svg>",
        "prod",
        "dev",
        "100 %",
        "virtual time",
        "10 s",
        "<polygon",
        "<polyline",
    ] {
        assert!(svg.contains(expected), "{expected} is missing");
    }
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
}

#[test]
fn a_play_can_be_watched_step_by_step() {
    let watched = |steps: usize| {
        let play = Play {
            watch: true,
            ..Play::short(1)
        };
        let mut world = World::native(play);
        let mut seen = Vec::new();
        for step in 1..=steps {
            assert_eq!(world.advance(), Ok(None));
            seen.extend_from_slice(world.lines());
            // Now and then no master leads that could be described.
            if step.is_multiple_of(50) {
                seen.push(world.describe());
            }
        }
        (seen, world.step_number())
    };
    let (seen, step) = watched(300);
    assert_eq!(step, 300);
    assert_eq!(watched(300).0, seen);
    let all = seen.join("\n");
    for expected in [
        "machine-0",
        "framework f0 (role r0)",
        "commit batch",
        "launch on session",
        "wants",
    ] {
        assert!(all.contains(expected), "{expected} is missing");
    }
}

/// The one that the guide shows.
#[test]
fn the_example_is_played() {
    let text = include_str!("../workloads/two-teams.toml");
    let workload = Workload::read("two-teams.toml", text).expect("it is good");
    let short = Workload {
        duration_ms: 1_800_000,
        ..workload
    };
    let report = to_the_end(Play::of(1, short));
    assert!(report.started > 1_000, "{report}");
}
