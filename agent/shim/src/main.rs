//! The spawner and the shim: two roles of one small program.
//!
//! The agent starts one spawner. For each run the spawner forks, which is cheap because its heap is
//! small; the child *is* the shim, without a second exec: the run's parent, which pumps its output,
//! writes down its end, and outlives spawner and agent. The spawner reaps its shims and says when
//! one has ended.

mod output;
mod shim;
mod spawner;
mod sys;
mod tree;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("spawner") => spawner::run(),
        _ => {
            eprintln!(
                "mezzo-shim is started by `mezzo agent`, which tells it what to do over a socket"
            );
            std::process::exit(1);
        }
    }
}
