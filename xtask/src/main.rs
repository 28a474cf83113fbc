//! `cargo xtask`: everything that is done with a checkout. Owns the order of the steps and what they print; what a
//! step checks or builds is in its module.

mod demo;
mod languages;
mod structure;
mod test;
mod toolchain;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  demo [--once]  build Mezzo, start a cluster, run a job of real work on it; --once stops by itself
  test           every test there is, formatting and lints included
  languages      only the SDKs' own tests, each in its language, natively
  check          only what needs no build: links, layers, module texts
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["demo"] => demo::run(false),
        ["demo", "--once"] => demo::run(true),
        ["test"] => test::run(),
        ["languages"] => languages::test(),
        ["check"] => structure::run(),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
