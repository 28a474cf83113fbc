//! The toolchain that `rust-toolchain.toml` names: asks rustup what is there and has it add what is not. It cannot
//! install the compiler itself, because this program was built by it.

use crate::workspace;
use anyhow::{Context, Result, bail};
use std::process::{Command, Output};

/// Targets that only tests need: the cores are built for one that offers them nothing.
pub const BARE_TARGET: &str = "wasm32-unknown-unknown";

/// What the checkout needs of rustup.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    channel: String,
    components: Vec<String>,
    targets: Vec<String>,
}

/// Adds what is missing, or names it and what to do.
pub fn prepare() -> Result<()> {
    let path = workspace::root().join("rust-toolchain.toml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut wanted = parse(&text)?;
    wanted.targets.push(BARE_TARGET.to_owned());
    wanted.add("target", &wanted.targets)?;
    wanted.add("component", &wanted.components)
}

/// Only what a build of Mezzo needs.
pub fn prepare_target(target: &str) -> Result<()> {
    let path = workspace::root().join("rust-toolchain.toml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    parse(&text)?.add("target", &[target.to_owned()])
}

impl Wanted {
    fn add(&self, kind: &str, names: &[String]) -> Result<()> {
        let list = self.rustup(&[kind, "list", "--installed"]);
        let there = match list {
            Ok(output) if output.status.success() => text(&output.stdout),
            Ok(output) => bail!(
                "rustup does not know the toolchain {channel}:\n{}\nRun: rustup toolchain install {channel}",
                text(&output.stderr).trim(),
                channel = self.channel
            ),
            Err(error) => {
                return without_rustup(kind, names)
                    .with_context(|| format!("rustup could not be started: {error}"));
            }
        };
        let missing: Vec<&String> = names.iter().filter(|name| !has(&there, name)).collect();
        for name in missing {
            println!("  rustup adds the {kind} {name}");
            let output = self
                .rustup(&[kind, "add", name])
                .context("starting rustup")?;
            if !output.status.success() {
                bail!(
                    "rustup could not add the {kind} {name}:\n{}\nIs the machine online? Then run: rustup {kind} add --toolchain {} {name}",
                    text(&output.stderr).trim(),
                    self.channel
                );
            }
        }
        Ok(())
    }

    fn rustup(&self, args: &[&str]) -> std::io::Result<Output> {
        let mut command = Command::new("rustup");
        command
            .args(args)
            .args(["--toolchain", &self.channel])
            .current_dir(workspace::root());
        command.output()
    }
}

/// A machine may have its Rust from elsewhere: then what is wanted must be there already.
fn without_rustup(kind: &str, names: &[String]) -> Result<()> {
    let missing: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !is_there(kind, name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "this Rust lacks the {kind} {}; install rustup (https://rustup.rs), or add it as this Rust was installed",
        missing.join(", ")
    )
}

fn is_there(kind: &str, name: &str) -> bool {
    if kind == "component" {
        let program = if name == "clippy" {
            "cargo-clippy"
        } else {
            name
        };
        let version = Command::new(program).arg("--version").output();
        return version.is_ok_and(|output| output.status.success());
    }
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", name])
        .output();
    libraries.is_ok_and(|output| std::path::Path::new(text(&output.stdout).trim()).is_dir())
}

/// Components are listed with the host behind them: `clippy-x86_64-unknown-linux-gnu`.
fn has(list: &str, name: &str) -> bool {
    list.lines().any(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The few lines of TOML that the file may have: a string or a list of strings, each on one line.
fn parse(text: &str) -> Result<Wanted> {
    let values = |key: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == key).then_some(value)
        });
        let parts = line.unwrap_or_default().split('"').skip(1).step_by(2);
        parts.map(str::to_owned).collect()
    };
    let channel = values("channel").pop();
    Ok(Wanted {
        channel: channel.context("rust-toolchain.toml names no channel")?,
        components: values("components"),
        targets: values("targets"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read() {
        let text = "[toolchain]\nchannel = \"1.95.0\"\ncomponents = [\"rustfmt\", \"clippy\"]\n";
        let expected = Wanted {
            channel: "1.95.0".to_owned(),
            components: vec!["rustfmt".to_owned(), "clippy".to_owned()],
            targets: vec![],
        };
        assert_eq!(parse(text).expect("it is well-formed"), expected);
        assert!(parse("[toolchain]\n").is_err());
    }

    #[test]
    fn the_checkouts_own_file_names_what_frameworks_are_built_for() {
        let path = workspace::root().join("rust-toolchain.toml");
        let wanted =
            parse(&std::fs::read_to_string(path).expect("it is there")).expect("it is read");
        assert!(wanted.targets.contains(&"wasm32-wasip2".to_owned()));
        assert!(wanted.components.contains(&"clippy".to_owned()));
    }

    #[test]
    fn an_installed_component_is_found_by_its_short_name() {
        let list = "clippy-x86_64-unknown-linux-gnu\nwasm32-wasip2\nrust-docs-x86_64\n";
        assert!(has(list, "clippy") && has(list, "wasm32-wasip2"));
        assert!(!has(list, "wasm32-wasip") && !has(list, "rustfmt"));
    }
}
