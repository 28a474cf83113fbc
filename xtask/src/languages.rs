//! The compilers of other languages that tests need: each is named with what to install. It installs none itself: how
//! that is done is the machine's business.

use anyhow::{Result, bail};
use std::process::Command;

struct Tool {
    program: &'static str,
    version: &'static str,
    needed_for: &'static str,
    install: &'static str,
}

const TOOLS: &[Tool] = &[Tool {
    program: "go",
    version: "version",
    needed_for: "frameworks in Go",
    install: "Go 1.25 or newer, from https://go.dev/dl",
}];

/// All that is missing, in one error.
pub fn check() -> Result<()> {
    let missing: Vec<String> = TOOLS
        .iter()
        .filter(|tool| !is_there(tool))
        .map(said)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("the tests need more than is here:\n{}", missing.join("\n"))
}

fn is_there(tool: &Tool) -> bool {
    let output = Command::new(tool.program).arg(tool.version).output();
    output.is_ok_and(|output| output.status.success())
}

fn said(tool: &Tool) -> String {
    let Tool {
        program,
        needed_for,
        install,
        ..
    } = tool;
    format!("  `{program}`, for {needed_for}; install {install}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_from_what_is_there() {
        let tool = |program| Tool {
            program,
            version: "version",
            needed_for: "frameworks in Nothing",
            install: "it",
        };
        assert!(!is_there(&tool("no-such-compiler")));
        assert_eq!(
            said(&tool("no-such-compiler")),
            "  `no-such-compiler`, for frameworks in Nothing; install it"
        );
    }
}
