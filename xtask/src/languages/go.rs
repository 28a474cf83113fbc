//! The Go SDK and its samples: formatting, `go vet`, `go test`.

use super::{pass, quiet};
use crate::workspace;
use anyhow::{Result, ensure};
use std::process::Command;

/// All of the module, natively; what runs in the sandbox is part of the workspace's tests.
pub fn test() -> Result<()> {
    let unformatted = quiet(in_sdk("gofmt").args(["-l", "."]))?;
    ensure!(
        unformatted.is_empty(),
        "not formatted:\n{unformatted}Run: gofmt -w guest-sdk/go"
    );
    pass(in_sdk("go").args(["vet", "./..."]))?;
    pass(in_sdk("go").args(["test", "./..."]))
}

fn in_sdk(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root().join("guest-sdk/go"));
    command
}
