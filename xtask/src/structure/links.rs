//! Relative links in Markdown lead to files of the checkout. Owns how a link is found in a text; anchors and other
//! sites are not looked at.

use crate::workspace;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The links that lead nowhere.
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
    }
    Ok(problems)
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

/// The targets of `[text](target)` that are paths, without their anchors. Blocks of code are not prose.
fn relative_links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            let targets = line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split_once(')'));
            links.extend(targets.filter_map(|(target, _)| path_of(target)));
        }
    }
    links
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
}
