//! Rust: cargo makes the component itself.

use crate::error::{Error, Result, Tried};
use crate::project::Project;
use crate::tools;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What cargo builds for.
const TARGET: &str = "wasm32-wasip2";

const NEEDED_FOR: &str = "a framework in Rust";

const INSTALL: &str = "Rust, from https://rustup.rs, then: rustup target add wasm32-wasip2";

pub fn build(project: &Project) -> Result<Vec<u8>> {
    let cargo = tools::need(&["cargo"], NEEDED_FOR, INSTALL)?;
    target_is_there(project)?;
    let mut command = tools::command(&cargo, &project.folder);
    command.args(["build", "--release", "--target", TARGET]);
    // Its words for people go to standard error all the same.
    command.args(["--message-format", "json-render-diagnostics"]);
    let messages = tools::run(&mut command)?;
    let path = component(&String::from_utf8_lossy(&messages)).ok_or_else(|| Error::Component {
        component: project.component(),
        why: "cargo built no component: does Cargo.toml have [lib] crate-type = [\"cdylib\", \"rlib\"]?"
            .to_owned(),
    })?;
    std::fs::read(&path).at(&path)
}

fn target_is_there(project: &Project) -> Result<()> {
    let rustc = tools::need(&["rustc"], NEEDED_FOR, INSTALL)?;
    let mut command: Command = tools::command(&rustc, &project.folder);
    let folder = tools::run(command.args(["--print", "target-libdir", "--target", TARGET]))?;
    let folder = String::from_utf8_lossy(&folder);
    match Path::new(folder.trim()).is_dir() {
        true => Ok(()),
        false => Err(Error::NoTool {
            what: format!("this Rust has no target {TARGET}"),
            needed_for: NEEDED_FOR,
            install: format!("rustup target add {TARGET}"),
        }),
    }
}

/// The last file that is a component, among what cargo says that it has built: the project's own comes last.
fn component(messages: &str) -> Option<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        (message["reason"] == "compiler-artifact").then_some(message)
    });
    let mut files = artifacts.flat_map(|artifact| {
        let names = artifact["filenames"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        names
            .into_iter()
            .filter_map(|name| Some(PathBuf::from(name.as_str()?)))
    });
    files.rfind(|file| {
        file.extension()
            .is_some_and(|extension| extension == "wasm")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","filenames":["/t/libx.rlib"]}
{"reason":"build-script-executed"}
{"reason":"compiler-artifact","filenames":["/t/a.wasm","/t/a.rlib"]}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(component(messages), Some(PathBuf::from("/t/a.wasm")));
        assert_eq!(component(""), None);
    }
}
