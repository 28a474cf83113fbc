//! The languages that frameworks are written in besides Rust. It owns what each needs on the machine: whether it is
//! there, and what to install; each language's own tests are in a file of theirs.
//!
//! On a machine that runs tests for a living (`CI` is set) what Debian has is installed; on a person's it is named.

mod go;
mod python;

pub use go::test as test_go;
pub use python::test as test_python;

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What is needed, then each language's own tests.
pub fn test() -> Result<()> {
    prepare()?;
    test_go()?;
    test_python()
}

struct Tool {
    what: &'static str,
    /// A command that succeeds where the tool is there and works.
    probe: &'static [&'static str],
    needed_for: &'static str,
    install: &'static str,
    /// Debian's packages of it, where they are new enough.
    debian: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool {
        what: "Go 1.25 or newer",
        probe: &["go", "version"],
        needed_for: "frameworks in Go",
        install: "it from https://go.dev/dl",
        debian: &[],
    },
    Tool {
        what: "Python 3.11 or newer with venv",
        probe: &[
            "python3",
            "-c",
            "import ensurepip, sys, venv; assert sys.version_info >= (3, 11)",
        ],
        needed_for: "frameworks in Python",
        install: "python3 and python3-venv",
        debian: &["python3", "python3-venv"],
    },
];

/// Installs what is missing where it may, and names the rest in one error.
pub fn prepare() -> Result<()> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !is_there(tool)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if std::env::var_os("CI").is_some() {
        install(&missing)?;
    }
    let missing: Vec<String> = missing
        .into_iter()
        .filter(|tool| !is_there(tool))
        .map(said)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("the tests need more than is here:\n{}", missing.join("\n"))
}

fn is_there(tool: &Tool) -> bool {
    let Some((program, args)) = tool.probe.split_first() else {
        return false;
    };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command.output().is_ok_and(|output| output.status.success())
}

/// What Debian's packages cannot mend is left to be named; what they could and did not is an error.
fn install(missing: &[&Tool]) -> Result<()> {
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|tool| tool.debian)
        .copied()
        .collect();
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null());
        command
    };
    if packages.is_empty() || apt().arg("--version").output().is_err() {
        return Ok(());
    }
    println!("  apt-get installs {}", packages.join(" "));
    pass(apt().args(["update", "--quiet"]))?;
    pass(
        apt()
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(&packages),
    )
}

fn said(tool: &Tool) -> String {
    let Tool {
        what,
        needed_for,
        install,
        ..
    } = tool;
    format!("  {what}, for {needed_for}; install {install}")
}

/// Where a language's tools are kept that its own tests need: environments, caches, builds.
fn kept(language: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("languages").join(language);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Its output is shown as it comes.
fn pass(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command
        .status()
        .with_context(|| format!("starting `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Its output is shown only if it fails; it is the answer.
fn quiet(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command
        .output()
        .with_context(|| format!("starting `{shown}`"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!(
            "`{shown}` ended with {}:\n{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
    }
    Ok(text(&output.stdout))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_from_what_is_there() {
        let tool = |probe| Tool {
            what: "a compiler of Nothing",
            probe,
            needed_for: "frameworks in Nothing",
            install: "it",
            debian: &[],
        };
        assert!(!is_there(&tool(&["no-such-compiler", "--version"])));
        assert!(!is_there(&tool(&["false"])));
        assert!(is_there(&tool(&["true"])));
        assert_eq!(
            said(&tool(&["false"])),
            "  a compiler of Nothing, for frameworks in Nothing; install it"
        );
    }

    #[test]
    fn a_command_that_fails_says_what_it_was_and_what_it_said() {
        let error = quiet(Command::new("sh").args(["-c", "echo why; exit 3"])).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("`sh -c echo why; exit 3` ended with exit status: 3:\nwhy"),
            "{error}"
        );
    }
}
