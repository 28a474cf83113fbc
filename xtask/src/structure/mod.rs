//! What the checkout promises about itself and no compiler checks. Each check is a function from the workspace to a
//! list of problems; the same functions run under `cargo test` and in `cargo xtask check`.

mod layers;
mod links;
mod texts;

use crate::workspace;
use anyhow::{Result, bail};
use std::path::PathBuf;

pub use layers::CORES;

type Check = fn(&[PathBuf]) -> Result<Vec<String>>;

const CHECKS: &[(&str, Check)] = &[
    ("links and named paths lead to files", links::check),
    ("modules begin with what they own", texts::modules),
    ("no path of somebody's machine", texts::paths),
    ("dependencies point downward", layers::check),
];

/// Every check; the error lists all problems.
pub fn check() -> Result<()> {
    let files = workspace::files()?;
    let mut problems = Vec::new();
    for (name, check) in CHECKS {
        let found = check(&files)?;
        problems.extend(
            found
                .into_iter()
                .map(|problem| format!("{name}: {problem}")),
        );
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{} problems:\n  {}", problems.len(), problems.join("\n  "))
}

/// `cargo xtask check`.
pub fn run() -> Result<()> {
    check()?;
    println!("{} checks passed", CHECKS.len());
    Ok(())
}

/// A check's input that tests write themselves.
#[cfg(test)]
fn text_problems(check: fn(&str, &str) -> Vec<String>, text: &str) -> Vec<String> {
    check("a.file", text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checkout_keeps_its_promises() {
        if let Err(error) = super::check() {
            panic!("{error:#}");
        }
    }
}
