//! `cargo xtask test`: the steps, cheapest first, so that what is quickly seen is quickly said. It stops at the first
//! that fails.
//!
//! Lints need only the metadata of dependencies, tests need their code, and cargo keeps the two apart; build scripts,
//! macros and the guests that build scripts build are shared. Both steps name the whole workspace, so that features
//! are the same in both, and the same as in every other full build: no dependency is compiled twice for its features.

use crate::workspace::cargo;
use crate::{languages, structure, toolchain};
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::{Duration, Instant};

struct Step {
    name: &'static str,
    run: fn() -> Result<()>,
}

const STEPS: &[Step] = &[
    Step {
        name: "toolchain",
        run: toolchain::prepare,
    },
    Step {
        name: "languages",
        run: languages::prepare,
    },
    Step {
        name: "formatting",
        run: || pass(cargo().args(["fmt", "--all", "--check"])),
    },
    Step {
        name: "structure",
        run: structure::check,
    },
    Step {
        name: "Go SDK",
        run: languages::test_go,
    },
    Step {
        name: "Python SDK",
        run: languages::test_python,
    },
    Step {
        name: "cores without std",
        run: cores_without_std,
    },
    Step {
        name: "lints",
        run: || {
            pass(
                cargo()
                    .args(["clippy", "--workspace", "--all-targets", "--locked"])
                    .args(["--", "-D", "warnings"]),
            )
        },
    },
    Step {
        name: "tests, build",
        run: || pass(cargo().args(["test", "--workspace", "--locked", "--no-run"])),
    },
    Step {
        name: "tests, run",
        run: || pass(cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"])),
    },
];

/// Runs them all, or up to the first that fails.
pub fn run() -> Result<()> {
    let began = Instant::now();
    let mut took = Vec::new();
    for (index, step) in STEPS.iter().enumerate() {
        println!("== {}/{} {}", index + 1, STEPS.len(), step.name);
        let step_began = Instant::now();
        let done = (step.run)();
        let duration = shown(step_began.elapsed());
        if let Err(error) = done {
            println!("== FAILED: {} after {duration}", step.name);
            return Err(error.context(format!("step {:?} failed", step.name)));
        }
        println!("== {} ok in {duration}", step.name);
        took.push(format!("{} {duration}", step.name));
    }
    println!("== {}", took.join(", "));
    println!(
        "== all {} steps passed in {}",
        STEPS.len(),
        shown(began.elapsed())
    );
    Ok(())
}

/// They decide, so they must not be able to do: no clock, no files, no threads.
fn cores_without_std() -> Result<()> {
    let mut command = cargo();
    command.args(["build", "--locked", "--target", toolchain::BARE_TARGET]);
    for package in structure::CORES {
        command.args(["--package", package]);
    }
    pass(&mut command)
}

fn pass(command: &mut Command) -> Result<()> {
    let status = command.status().context("starting cargo")?;
    if !status.success() {
        let args = command.get_args().map(|arg| arg.to_string_lossy());
        let args: Vec<_> = args.collect();
        bail!("`cargo {}` ended with {status}", args.join(" "));
    }
    Ok(())
}

fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 60 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_legible() {
        assert_eq!(shown(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(shown(Duration::from_secs(125)), "2 min 05 s");
    }
}
