//! `mezzo framework check`.

use super::{As, size};
use crate::cli::Shown;
use crate::commands::sim::on_a_deep_stack;
use crate::output::{self, line, note};
use crate::table::Table;
use anyhow::Context;
use mezzo_author::{Given, Line, Project, Report};
use mezzo_wasm::CompileCommand;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub struct Check {
    /// A `.wasm` file, or the folder of a framework that is built
    #[arg(default_value = ".")]
    component: PathBuf,
    #[command(flatten)]
    settings: As,
    #[command(flatten)]
    shown: Shown,
}

impl Check {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let (path, name) = which(&self.component)?;
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let given = Given {
            compile: CompileCommand {
                program: std::env::current_exe()?,
                args: vec!["compile-child".into()],
            },
            name,
            options: self.settings.options.clone(),
            limits: self.settings.limits()?,
        };
        let report = on_a_deep_stack(|| Ok(mezzo_author::check(&bytes, &given)?))?;
        match self.shown.json() {
            true => output::json(&as_json(&report))?,
            false => show(&report)?,
        }
        Ok(ExitCode::from(u8::from(!report.is_good())))
    }
}

/// The component's file, and the framework's name.
fn which(given: &Path) -> anyhow::Result<(PathBuf, String)> {
    if !given.is_dir() {
        let stem = given.file_stem().and_then(|stem| stem.to_str());
        let name = stem.unwrap_or("framework").to_owned();
        return Ok((given.to_path_buf(), name));
    }
    let project = Project::open(given)?;
    let path = project.component();
    if !path.is_file() {
        anyhow::bail!(
            "{} is not there yet; make it with `mezzo framework build`",
            path.display()
        );
    }
    Ok((path, project.name))
}

fn show(report: &Report) -> anyhow::Result<()> {
    for (title, names) in [
        ("exports", &report.shape.exports),
        ("imports", &report.shape.imports),
    ] {
        line(&format!("{title}: {}", names.join(", ")))?;
    }
    let mut table = Table::new(&["what", "figure", "limit", "name of the limit"]);
    for found in &report.lines {
        let (limit, name) = match found.limit {
            Some((name, limit)) => (figure(limit, found.unit), name.to_owned()),
            None => Default::default(),
        };
        let what = found.what.to_owned();
        table.row([what, figure(found.figure, found.unit), limit, name]);
    }
    table.print()?;
    for said in &report.log {
        line(&format!("log: {said}"))?;
    }
    for problem in &report.problems {
        note(&format!("problem: {problem}"));
    }
    Ok(())
}

fn figure(figure: u64, unit: &str) -> String {
    match unit {
        "bytes" => size(figure),
        "us" if figure < 1_000 => format!("{figure} us"),
        "us" if figure < 100_000 => {
            format!("{}.{} ms", figure / 1_000, figure % 1_000 / 100)
        }
        "us" => format!("{} ms", figure / 1_000),
        _ => figure.to_string(),
    }
}

fn as_json(report: &Report) -> Value {
    let lines = report.lines.iter().map(|found| {
        let Line {
            what, figure, unit, ..
        } = found;
        json!({
            "what": what, "figure": figure, "unit": unit,
            "limit": found.limit.map(|(_, value)| value),
            "limit_name": found.limit.map(|(name, _)| name),
        })
    });
    json!({
        "imports": report.shape.imports,
        "exports": report.shape.exports,
        "figures": lines.collect::<Vec<_>>(),
        "log": report.log,
        "problems": report.problems,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_legible() {
        for (given, unit, expected) in [
            (999, "us", "999 us"),
            (1_240, "us", "1.2 ms"),
            (250_000, "us", "250 ms"),
            (4_096, "bytes", "4096 B"),
            (77 << 10, "bytes", "77 KiB"),
            (64 << 20, "bytes", "64 MiB"),
            (3, "", "3"),
        ] {
            assert_eq!(figure(given, unit), expected);
        }
    }

    #[test]
    fn a_folder_that_is_not_built_says_what_builds_it() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("a");
        mezzo_author::new(&folder, "a", mezzo_author::Language::Rust).expect("it is made");
        let error = which(&folder).expect_err("it is not built").to_string();
        assert!(error.contains("mezzo framework build"), "{error}");
    }
}
