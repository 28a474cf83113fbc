//! `cargo run --release -p mezzo-sim --example grid CASE N…`: one case of the allocator's benchmark,
//! without the rest of Mezzo to build. CASE is `round`, `declines`, `settled` or `quota` with agents,
//! frameworks and roles; `restore` with agents and tasks of each; `explain`
//! with agents.

use mezzo_sim::grid::{Grid, Size};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let n = |i: usize| args[i].parse::<u64>().expect("a number");
    let size = |roles: usize| Size {
        agents: n(2),
        frameworks: n(3),
        roles: n(roles),
    };
    match args[1].as_str() {
        "restore" => println!("{:?}", Grid::restore(n(2), n(3))),
        "explain" => println!("{:?}", Grid::explain(n(2))),
        "quota" => println!("{:?}", Grid::with_quota(size(4))),
        "settled" => println!("{:?}", Grid::settled(size(4))),
        "declines" => println!("{:?}", Grid::declined(size(4))),
        _ => println!("{:?}", Grid::round(size(4))),
    }
}
