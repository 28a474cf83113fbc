//! Relative links in Markdown, and paths that it names as code, lead to files of the checkout. Owns how they are found
//! in a text; anchors and other sites are not looked at.

use crate::workspace;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Where the checkout's own files are.
const FOLDERS: [&str; 7] = [
    "host/",
    "agent/",
    "guest-sdk/",
    "frameworks/",
    "wit/",
    "docs/",
    "xtask/",
];

/// The links and paths that lead nowhere.
pub fn check(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| has_extension(file, "md")) {
        let path = workspace::root().join(file);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let folder = path.parent().unwrap_or(workspace::root());
        for link in relative_links(&text) {
            if !folder.join(&link).exists() {
                problems.push(format!("{}: {link} does not exist", file.display()));
            }
        }
        for named in named_paths(&text) {
            if !workspace::root().join(&named).exists() {
                problems.push(format!("{}: `{named}` does not exist", file.display()));
            }
        }
    }
    Ok(problems)
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

/// The targets of `[text](target)` that are paths, without their anchors.
fn relative_links(text: &str) -> Vec<String> {
    let targets = prose(text).flat_map(|line| {
        let rests = line.split("](").skip(1);
        rests.filter_map(|rest| rest.split_once(')'))
    });
    targets.filter_map(|(target, _)| path_of(target)).collect()
}

/// Lines outside blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    })
}

/// What stands between backticks and looks like a file or folder of this checkout: it begins with one of its folders,
/// and ends with a slash or an extension.
fn named_paths(text: &str) -> Vec<String> {
    let codes = prose(text).flat_map(|line| line.split('`').skip(1).step_by(2));
    let paths = codes.filter(|code| {
        let known = FOLDERS.iter().any(|folder| code.starts_with(folder));
        let last = code.rsplit('/').next().unwrap_or_default();
        let plain = !code.contains([' ', '*', '<', '…', '{']);
        known && plain && (last.is_empty() || last.contains('.'))
    });
    paths.map(str::to_owned).collect()
}

fn path_of(target: &str) -> Option<String> {
    let path = target.split(['#', ' ']).next().unwrap_or_default();
    let elsewhere = path.contains("://") || path.starts_with("mailto:");
    (!path.is_empty() && !elsewhere).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_outside_code_are_links() {
        let text = "[a](x/y.md#part) and [b](https://example.org) [c](#here)\n```\n[d](no.md)\n```\n![e](e.png \"E\")\n";
        assert_eq!(relative_links(text), ["x/y.md", "e.png"]);
    }

    #[test]
    fn only_paths_of_the_checkout_are_looked_for() {
        let text = "see `host/core/src/x.rs`, `agent/`, `host/core`, `/fw/words/`, `target/a.b`, `wit/*.wit`\n";
        assert_eq!(named_paths(text), ["host/core/src/x.rs", "agent/"]);
    }
}
