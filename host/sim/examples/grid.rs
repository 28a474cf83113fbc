//! `cargo run --release -p mezzo-sim --example grid round|declines|settled|restore N N [N]`: one case of the
//! allocator's benchmark, without the rest of Mezzo to build.

use mezzo_sim::grid::{Grid, Size};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n = |i: usize| args[i].parse::<u64>().expect("a number");
    let size = || Size {
        agents: n(2),
        frameworks: n(3),
        roles: n(4),
    };
    match args[1].as_str() {
        "restore" => println!("{:?}", Grid::restore(n(2), n(3))),
        "settled" => println!("{:?}", Grid::settled(size())),
        what => println!("{:?}", Grid::round(size(), what == "declines")),
    }
}
