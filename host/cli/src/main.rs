//! `mezzo`: the one binary. Each command has a file of its own in `commands/`; what they share lies
//! beside this file.

mod cli;
mod client;
mod commands;
mod context;
mod exit;
mod output;
mod patience;
mod query;
mod signals;
mod sse;
mod table;
mod task_output;
mod units;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Programs that Mezzo starts itself, often and in haste: before anything else is set up.
    let mut args = std::env::args_os().skip(1);
    match args.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("compile-child") => return mezzo_wasm::compile_child_main(args),
        Some("runner") => return mezzo_runner::main(args),
        Some("bench") => return commands::bench::main(args),
        _ => {}
    }
    match cli::Cli::understood() {
        Ok(cli) => exit::report(commands::run(cli)),
        Err(wrong) => exit::usage(&wrong),
    }
}
