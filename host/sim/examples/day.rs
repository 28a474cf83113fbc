//! `cargo run --release -p mezzo-sim --example day [MACHINES TASKS-A-SECOND HOURS]`: how long a day of a large cluster takes
//! to play, and how it went, without the rest of Mezzo to build.

use mezzo_sim::workload::Generate;
use mezzo_sim::world::{Play, World};
use std::time::Instant;

fn main() {
    let args: Vec<u64> = std::env::args()
        .skip(1)
        .map(|n| n.parse().expect("a number"))
        .collect();
    let n = |i: usize, default: u64| args.get(i).copied().unwrap_or(default);
    let generate = Generate {
        machines: usize::try_from(n(0, 1_000)).expect("not so many"),
        frameworks: 20,
        rate_milli: n(1, 10) * 1_000,
        duration_ms: n(2, 24) * 3_600_000,
    };
    let begun = Instant::now();
    let mut world = World::native(Play::of(1, generate.workload()));
    let outcome = loop {
        match world.advance() {
            Ok(Some(outcome)) => break outcome,
            Ok(None) => {}
            Err(problem) => panic!("{problem}"),
        }
    };
    let took = begun.elapsed();
    print!("{}", world.report());
    println!("{took:.1?} of wall time, trace {:016x}", outcome.trace);
}
