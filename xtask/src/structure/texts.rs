//! What every file says or must not say: a module begins with what it owns, and nothing names a folder of the machine
//! that it was written on.

use crate::workspace;
use anyhow::Result;
use std::path::PathBuf;

/// Folders of people's machines. Written in parts, so that this file passes.
const FOREIGN: [&str; 3] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Use", "rs/"),
];

/// Rust files that do not begin with `//!`.
pub fn modules(files: &[PathBuf]) -> Result<Vec<String>> {
    let rust = files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    Ok(problems(rust, module_text))
}

/// Lines with a path that exists only on somebody's machine.
pub fn paths(files: &[PathBuf]) -> Result<Vec<String>> {
    Ok(problems(files.iter(), foreign_paths))
}

/// What is not UTF-8 is not prose and has no say here.
fn problems<'a>(
    files: impl Iterator<Item = &'a PathBuf>,
    check: fn(&str, &str) -> Vec<String>,
) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files {
        if let Ok(text) = std::fs::read_to_string(workspace::root().join(file)) {
            problems.extend(check(&file.display().to_string(), &text));
        }
    }
    problems
}

fn module_text(name: &str, text: &str) -> Vec<String> {
    let first = text.lines().find(|line| !line.trim().is_empty());
    match first {
        Some(line) if line.starts_with("//!") => vec![],
        _ => vec![format!("{name} does not begin with //!")],
    }
}

fn foreign_paths(name: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let foreign = lines.filter(|(_, line)| FOREIGN.iter().any(|path| line.contains(path)));
    foreign
        .map(|(index, _)| format!("{name}:{}", index + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure::text_problems;

    #[test]
    fn a_module_without_its_text_is_named() {
        assert!(text_problems(module_text, "//! Owns.\nfn f() {}\n").is_empty());
        assert_eq!(text_problems(module_text, "// Owns.\n").len(), 1);
        assert_eq!(text_problems(module_text, "").len(), 1);
    }

    #[test]
    fn a_foreign_path_is_named_with_its_line() {
        let text = format!("fine\nsee {}someone/x\n", FOREIGN[1]);
        assert_eq!(text_problems(foreign_paths, &text), ["a.file:2"]);
    }
}
