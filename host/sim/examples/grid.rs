//! `cargo run --release -p mezzo-sim --example grid AGENTS FRAMEWORKS ROLES [looks]`
use mezzo_sim::grid::{Grid, Size};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n = |i: usize| args[i].parse::<u64>().expect("a number");
    if args[1] == "restore" {
        println!("{:?}", Grid::restore(n(2), n(3)));
        return;
    }
    let size = Size {
        agents: n(1),
        frameworks: n(2),
        roles: n(3),
    };
    println!("{:?}", Grid::run(size, args.len() > 4));
}
