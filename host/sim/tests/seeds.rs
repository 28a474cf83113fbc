//! Short clusters with faults: they heal, the same seed plays the same, and deliberate bugs are found.

use mezzo_sim::world::{Bug, Play, World};

/// Seeds that are played each time; `mezzo sim` plays more.
const SEEDS: u64 = 100;
/// A deliberate bug must be found within so many.
const SEEDS_UNTIL_FOUND: u64 = 1_000;

#[test]
fn after_faults_everything_heals() {
    for seed in 1..=SEEDS {
        World::play(Play::short(seed)).unwrap_or_else(|problem| panic!("{problem}"));
    }
}

#[test]
fn the_same_seed_plays_the_same() {
    for seed in 1..=5 {
        let first = World::play(Play::short(seed)).expect("it heals");
        assert_eq!(World::play(Play::short(seed)), Ok(first));
        let other = World::play(Play::short(seed + 1_000_000)).expect("it heals");
        assert_ne!(other.trace, first.trace);
    }
}

#[test]
fn all_of_it_comes() {
    let mut missing: Vec<&str> = vec![
        "is cut",
        "a partition",
        "is killed",
        "reboots",
        "loses its power for good",
        "is replaced",
        "dies in its next step",
        "written all the same: false",
        "written all the same: true",
        "1 batches are, 0 are not",
        "0 batches are, 1 are not",
        "is torn after",
        "Traps turn",
        "Slow turn",
        "TooSlow turn",
        "Confused turn",
        "what: Drain",
        "what: Deactivate",
        "what: Activate",
        "what: Gone",
        "limit_cpu_milli: Some",
        "it is done: false",
        // What frameworks and operators do with reservations, volumes, gangs and priorities.
        "what: Reserve",
        "what: Volume",
        "what: GiveBack",
        "CreateVolume {",
        "DestroyVolume {",
        ": make volume v",
        ": make volume data",
        "data of reservation",
        "is no more",
        "killed, preempted",
        "gang-0",
        "kept-0",
    ];
    for seed in 1..=SEEDS {
        let play = Play {
            watch: true,
            ..Play::short(seed)
        };
        let mut world = World::native(play);
        while world.advance().expect("it heals").is_none() {
            let mut lines = world.lines().join("\n");
            if world.step_number().is_multiple_of(100) {
                lines += &world.describe();
            }
            missing.retain(|kind| !lines.contains(kind));
        }
        if missing.is_empty() {
            return;
        }
    }
    panic!("these never come: {missing:?}");
}

fn is_found(bug: Bug) {
    let found = (1..=SEEDS_UNTIL_FOUND).find_map(|seed| {
        let play = Play {
            bug: Some(bug),
            ..Play::short(seed)
        };
        World::play(play).err().map(|problem| (seed, problem))
    });
    let (seed, problem) = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
    let without = World::play(Play::short(seed));
    without.unwrap_or_else(|problem| panic!("it is not the bug that was found: {problem}"));
    println!("{bug:?} is found with seed {seed}: {problem}");
}

#[test]
fn speaking_before_it_is_durable_is_found() {
    is_found(Bug::SpeaksTooEarly);
}

#[test]
fn acknowledging_before_it_is_durable_is_found() {
    is_found(Bug::AcknowledgesTooEarly);
}

#[test]
fn forgetting_a_batch_is_found() {
    is_found(Bug::ForgetsABatch);
}

#[test]
fn executing_twice_is_found() {
    is_found(Bug::ExecutesTwice);
}

#[test]
fn committing_a_fault_is_found() {
    is_found(Bug::CommitsFaults);
}

#[test]
fn trusting_half_a_batch_is_found() {
    is_found(Bug::TrustsWhatIsTorn);
}

#[test]
fn losing_volumes_is_found() {
    is_found(Bug::LosesVolumes);
}
