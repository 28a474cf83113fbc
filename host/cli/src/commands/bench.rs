//! `mezzo bench`: handed over to `host/bench` as it was written.

use std::ffi::OsString;
use std::process::ExitCode;

const USAGE: &str = "\
Measures Mezzo on this machine and prints a table.

Usage: mezzo bench NAME [--json] [--count N] [--runs N] [--svg FOLDER]

  NAME          allocator, tasks, modules, placements, turn, neighbours or idle
  --json        one object a line instead of a table
  --count N     tasks, placements or turns, instead of the bench's own number; allocator: at most so
                many agents
  --runs N      how often each case is measured; the median counts [default: 5]
  --svg FOLDER  draw what `allocator` has measured into files there
  -h            print this";

/// Its flags are read by `host/bench`; here they only stand in the help.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    override_usage = "mezzo bench NAME [--json] [--count N] [--runs N] [--svg FOLDER]"
)]
pub struct Bench {
    /// NAME is allocator, tasks, modules, placements, turn, neighbours or idle; `mezzo bench --help` says more
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Bench {
    pub fn run(self) -> ExitCode {
        main(self.args)
    }
}

/// Before the command line is read: figures of a bench hold what starts it to a minimum.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = args
        .into_iter()
        .map(|arg| arg.to_string_lossy().into_owned());
    let args: Vec<String> = args.collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        return match crate::output::line(USAGE) {
            Ok(()) => ExitCode::SUCCESS,
            error => crate::exit::report(error.map(|()| ExitCode::SUCCESS)),
        };
    }
    mezzo_bench::main(args)
}
