//! JavaScript: `componentize-js` joins SpiderMonkey and the project's module. It is installed into the project's
//! `node_modules`, in the version that the SDK is tested with.

use crate::error::{Result, Tried};
use crate::project::Project;
use crate::tools;
use crate::unpack::write;
use std::path::PathBuf;

/// The one version that is known to fit the SDK.
pub const COMPONENTIZE_JS: &str = "0.23.0";

/// HTTP is served by exporting `web`, and asked for by nobody: a framework has no network.
const SCRIPT: &str = r#"import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";
const [sourcePath, witPath, worldName, output] = process.argv.slice(2);
const disableFeatures = ["http", "fetch-event"];
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures });
await writeFile(output, component);
"#;

pub fn build(project: &Project) -> Result<Vec<u8>> {
    let install = "Node.js 20 or newer with npm, from https://nodejs.org";
    let node = tools::need(&["node"], "a framework in JavaScript", install)?;
    let npm = tools::need(&["npm"], "a framework in JavaScript", install)?;
    install_componentize(project, &npm)?;
    let own = project.own();
    let (script, output) = (own.join("componentize.mjs"), own.join("component.wasm"));
    write(&script, SCRIPT.as_bytes())?;
    let mut command = tools::command(&node, &project.folder);
    command
        .arg(&script)
        .arg(project.folder.join("src/main.js"))
        .arg(own.join("wit"))
        .arg(project.world.as_str())
        .arg(&output);
    tools::run(&mut command)?;
    std::fs::read(&output).at(&output)
}

fn install_componentize(project: &Project, npm: &std::path::Path) -> Result<()> {
    let package: PathBuf = project
        .folder
        .join("node_modules/@bytecodealliance/componentize-js/package.json");
    let there = std::fs::read_to_string(package).unwrap_or_default();
    if there.contains(&format!("\"version\": \"{COMPONENTIZE_JS}\"")) {
        return Ok(());
    }
    let mut command = tools::command(npm, &project.folder);
    command.args([
        "install",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]);
    let wanted = format!("@bytecodealliance/componentize-js@{COMPONENTIZE_JS}");
    tools::run(command.arg(wanted)).map(drop)
}
