//! `cargo run --release -p mezzo-sim --example workload FILE [SVG]`: one workload and its report, as `mezzo sim --workload`
//! plays it, without the rest of Mezzo to build.

use mezzo_sim::workload::Workload;
use mezzo_sim::world::{Play, World};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&args[1]).expect("a file");
    let workload = Workload::read(&args[1], &text).unwrap_or_else(|problem| panic!("{problem}"));
    let mut world = World::native(Play::of(1, workload));
    while world
        .advance()
        .unwrap_or_else(|problem| panic!("{problem}"))
        .is_none()
    {}
    print!("{}", world.report());
    if let Some(path) = args.get(2) {
        std::fs::write(path, world.report().svg()).expect("a folder");
    }
}
