//! `mezzo-runner`: the runner as a program of its own, small and quick to start.

fn main() -> std::process::ExitCode {
    mezzo_runner::main(std::env::args_os().skip(1))
}
