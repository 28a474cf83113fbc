//! `mezzo bench`: handed over to `host/bench` as it was written.

use std::ffi::OsString;
use std::process::ExitCode;

/// Its flags are read by `host/bench`; here they only stand in the help.
#[derive(Debug, clap::Args)]
pub struct Bench {
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
    mezzo_bench::main(args)
}
