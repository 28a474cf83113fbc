//! Python: `componentize-py` joins CPython, the SDK and the project. It is installed into the project's `.venv`, in the
//! version that the SDK is tested with.

use crate::error::{Result, Tried};
use crate::project::Project;
use crate::tools;
use std::path::PathBuf;

/// The one version that is known to fit the SDK.
pub const COMPONENTIZE_PY: &str = "0.25.1";

/// What the project's tests run in; they need no component.
const PYTEST: &str = "pytest>=8,<9";

/// The project's module: `app.py`.
const APP: &str = "app";

pub fn build(project: &Project) -> Result<Vec<u8>> {
    let program = componentize(project)?;
    let own = project.own();
    let output = own.join("component.wasm");
    let mut command = tools::command(&program, &project.folder);
    command.arg("-d").arg(own.join("wit"));
    command.args(["-w", project.world.as_str(), "componentize", APP]);
    for folder in paths(project) {
        command.arg("-p").arg(folder);
    }
    tools::run(command.arg("-o").arg(&output))?;
    std::fs::read(&output).at(&output)
}

/// Where modules are looked for: the project, what `pip install --target deps` has put there, and the SDK.
fn paths(project: &Project) -> Vec<PathBuf> {
    let deps = project.folder.join("deps");
    let mut paths = vec![project.folder.clone(), project.own().join("sdk/python/src")];
    if deps.is_dir() {
        paths.push(deps);
    }
    paths
}

/// The project's own `componentize-py`; installed if it is not there in this version.
fn componentize(project: &Project) -> Result<PathBuf> {
    let venv = project.folder.join(".venv");
    let program = venv.join("bin/componentize-py");
    let marker = venv.join(format!("mezzo-componentize-py-{COMPONENTIZE_PY}"));
    if program.is_file() && marker.is_file() {
        return Ok(program);
    }
    let python = tools::need(
        &["python3"],
        "a framework in Python",
        "Python 3.11 or newer, with its module venv (Debian: apt-get install python3-venv)",
    )?;
    if !venv.join("bin/python").is_file() {
        let mut command = tools::command(&python, &project.folder);
        tools::run(command.args(["-m", "venv", ".venv"]))?;
    }
    let mut command = tools::command(&venv.join("bin/python"), &project.folder);
    let wanted = format!("componentize-py=={COMPONENTIZE_PY}");
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    tools::run(command.args([wanted.as_str(), PYTEST]))?;
    std::fs::write(&marker, "").at(&marker)?;
    Ok(program)
}
