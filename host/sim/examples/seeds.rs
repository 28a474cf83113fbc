//! `cargo run --release -p mezzo-sim --example seeds FROM COUNT`: short clusters with faults, as `mezzo sim --seeds` plays
//! them, without the rest of Mezzo to build.

use mezzo_sim::world::{Play, World, is_playing};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<u64> = std::env::args()
        .skip(1)
        .map(|n| n.parse().expect("a number"))
        .collect();
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // It is told as a problem, with its seed and step.
        if !is_playing() {
            print(panic);
        }
    }));
    let (from, count) = (args[0], args[1]);
    let mut failed = 0;
    for seed in from..from + count {
        if let Err(problem) = World::play(Play::short(seed)) {
            println!("{problem}");
            failed += 1;
        }
    }
    println!("{count} seeds from {from}, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
