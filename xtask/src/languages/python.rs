//! The Python SDK and its samples: `ruff`, `mypy --strict`, `pytest`, in an environment of their own with the versions
//! that `guest-sdk/python/requirements-dev.txt` pins.

use super::{kept, pass, quiet};
use crate::workspace;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// All of the package, natively.
pub fn test() -> Result<()> {
    let bin = environment()?;
    let tool = |program: &str| {
        let mut command = Command::new(bin.join(program));
        command.current_dir(sdk());
        command
    };
    quiet(tool("ruff").args(["check", "."]))?;
    quiet(tool("ruff").args(["format", "--check", "."]))?;
    pass(&mut tool("mypy"))?;
    pass(tool("python").args(["-m", "pytest", "--quiet"]))
}

fn sdk() -> PathBuf {
    workspace::root().join("guest-sdk/python")
}

/// Its programs; made anew when other versions are wanted.
fn environment() -> Result<PathBuf> {
    let requirements = sdk().join("requirements-dev.txt");
    let wanted = std::fs::read_to_string(&requirements).context("reading requirements-dev.txt")?;
    let folder = kept("python")?.join("venv");
    let (bin, installed) = (folder.join("bin"), folder.join("installed.txt"));
    if std::fs::read_to_string(&installed).is_ok_and(|there| there == wanted) {
        return Ok(bin);
    }
    pass(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    let mut pip = Command::new(bin.join("python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ]);
    pass(pip.arg(&requirements))?;
    std::fs::write(&installed, wanted).context("noting what is installed")?;
    Ok(bin)
}
