//! Go: the stock toolchain makes a module for WASI preview 1, which becomes the component here.

use crate::component::component;
use crate::error::{Result, Tried};
use crate::project::Project;
use crate::tools;

/// `sbrk`, which the SDK's arena is made of, is the Go runtime's own and is not linked to without this flag.
const LINKER_FLAGS: &str = "-checklinkname=0 -s -w";

pub fn build(project: &Project) -> Result<Vec<u8>> {
    let go = tools::need(
        &["go"],
        "a framework in Go",
        "Go 1.25 or newer, from https://go.dev/dl",
    )?;
    let module = project.own().join("module.wasm");
    let mut command = tools::command(&go, &project.folder);
    command
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .args(["build", "-buildmode=c-shared"])
        .arg(format!("-ldflags={LINKER_FLAGS}"))
        .arg("-o")
        .arg(&module)
        .arg(".");
    tools::run(&mut command)?;
    let bytes = std::fs::read(&module).at(&module)?;
    component(&bytes, project.world)
}
