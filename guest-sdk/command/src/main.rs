//! A program for module tasks, `wasi:cli/command`, that does what its arguments say, one after the other:
//!
//! | arguments | what it does |
//! |---|---|
//! | (none) | prints its arguments and environment, one a line |
//! | `print TEXT`, `error TEXT` | writes a line to standard output, standard error |
//! | `args`, `env` | prints what it was given |
//! | `write PATH TEXT`, `append PATH TEXT`, `read PATH`, `list PATH` | works on files |
//! | `alloc MIB` | allocates and touches that much memory, and keeps it |
//! | `spin MS`, `sleep MS` | burns, or lets pass, that much time |
//! | `loop` | never returns |
//! | `panic` | panics: a trap |
//! | `exit CODE` | ends with that code |
//!
//! What fails is said on standard error, and the program ends with 1; arguments that it does not know end it with 2.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    if args.peek().is_none() {
        print_args();
        print_env();
        return ExitCode::SUCCESS;
    }
    let mut kept = Vec::new();
    while let Some(command) = args.next() {
        if let Err(Stop(code, why)) = run(&command, &mut args, &mut kept) {
            if !why.is_empty() {
                eprintln!("{command}: {why}");
            }
            return ExitCode::from(code);
        }
    }
    ExitCode::SUCCESS
}

/// An exit code, and why if it is not asked for.
struct Stop(u8, String);

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop(1, error.to_string())
    }
}

fn run(
    command: &str,
    args: &mut impl Iterator<Item = String>,
    kept: &mut Vec<Vec<u8>>,
) -> Result<(), Stop> {
    let mut next = || {
        args.next()
            .ok_or_else(|| Stop(2, "an argument is missing".to_owned()))
    };
    match command {
        "print" => println!("{}", next()?),
        "error" => eprintln!("{}", next()?),
        "args" => print_args(),
        "env" => print_env(),
        "write" => std::fs::write(next()?, next()?)?,
        "append" => {
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(next()?)?;
            file.write_all(next()?.as_bytes())?;
        }
        "read" => std::io::stdout().write_all(&std::fs::read(next()?)?)?,
        "list" => list(&next()?)?,
        "alloc" => {
            for _ in 0..number(next()?)? {
                kept.push(std::hint::black_box(vec![1; 1 << 20]));
            }
            println!("holding {} MiB", kept.len());
        }
        "spin" => spin(Duration::from_millis(number(next()?)?)),
        "sleep" => std::thread::sleep(Duration::from_millis(number(next()?)?)),
        "loop" => loop {
            std::hint::black_box(());
        },
        "panic" => panic!("as it was told to"),
        "exit" => {
            let code = number(next()?)?;
            return Err(Stop(u8::try_from(code).unwrap_or(u8::MAX), String::new()));
        }
        _ => return Err(Stop(2, "no such command".to_owned())),
    }
    Ok(())
}

fn number(text: String) -> Result<u64, Stop> {
    text.parse()
        .map_err(|_| Stop(2, format!("`{text}` is no number")))
}

fn print_args() {
    std::env::args().for_each(|arg| println!("{arg}"));
}

fn print_env() {
    std::env::vars().for_each(|(name, value)| println!("{name}={value}"));
}

fn list(path: &str) -> Result<(), Stop> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    names.iter().for_each(|name| println!("{name}"));
    Ok(())
}

fn spin(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::black_box(());
    }
}
