//! The runner of module tasks: compiles a `wasi:cli/command` component, and runs one.
//!
//! A process for each task, started by the shim like any other program, so that signals, output and
//! the exit are those of a process. What the shim cannot see — why a component was stopped — the
//! runner writes into the file `--outcome`: a reason's code, a newline, and words for people.
//!
//! | to find | open |
//! |---|---|
//! | the command line | `arguments.rs` |
//! | settings that compiling and running share | `engine.rs` |
//! | compiling, with its limits | `compile.rs` |
//! | what a component may do, and running it | `run.rs` |
//!
//! It does not fetch, does not keep, and does not decide what is run: the agent does.

mod arguments;
mod compile;
mod engine;
mod run;

use arguments::Arguments;
use std::ffi::OsString;
use std::process::ExitCode;

/// Exit code when the command line is not understood, or a component cannot be compiled.
const FAILURE: u8 = 1;
/// Exit code when a component was stopped; the file `--outcome` says why.
const STOPPED: u8 = 134;

/// The body of the hidden command. `args` are what follows the command's name:
///
/// - `engine` prints what compiled code depends on, as one word;
/// - `compile IN OUT` makes machine code from a component;
/// - `run --code FILE --dir FOLDER [--outcome FILE] [--memory-bytes N] -- ARGV…` runs it.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match Arguments::parse(args) {
        Ok(Arguments::Engine) => said(engine::word().map(|word| println!("{word}"))),
        Ok(Arguments::Compile { from, to }) => said(compile::compile(&from, &to)),
        Ok(Arguments::Run(run)) => run::run(&run),
        Err(problem) => said(Err(problem)),
    }
}

fn said(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(FAILURE)
        }
    }
}
