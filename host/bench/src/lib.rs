//! The benchmarks, run as `mezzo bench NAME`. Each prints what it measured as a table, or with
//! `--json` as one object a line, always with `bench` and `case`; a figure's unit comes last in its
//! name.
//!
//! Owns measuring only: what is measured is the real thing, started as its users start it.

mod allocator;
mod client;
mod cluster;
mod idle;
mod modules;
mod neighbours;
mod placements;
mod plot;
mod report;
mod tasks;
mod turn;

use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;

/// What can be asked for.
const NAMES: [&str; 7] = [
    "allocator",
    "tasks",
    "modules",
    "placements",
    "turn",
    "neighbours",
    "idle",
];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Tasks, placements or turns; none: the bench's own number.
    pub count: Option<usize>,
    /// How often each case is measured; the median counts.
    pub runs: usize,
}

/// Runs `NAME [--json] [--count N] [--runs N] [--svg FOLDER]`.
pub fn main(args: impl IntoIterator<Item = String>) -> ExitCode {
    match parse(args.into_iter()).and_then(|(name, size, svg, mut report)| {
        match name.as_str() {
            "tasks" => tasks::run(size, &mut report)?,
            "allocator" => allocator::run(size, &mut report),
            "placements" => placements::run(size, &mut report)?,
            "modules" => modules::run(size, &mut report)?,
            "turn" => turn::run(size, &mut report)?,
            "neighbours" => neighbours::run(size, &mut report)?,
            _ => idle::run(&mut report)?,
        }
        report.finish();
        if let Some(folder) = svg {
            allocator::draw(&report, &folder)?;
        }
        Ok(())
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is measured, how much of it, and the folder for drawings.
type Asked = (String, Size, Option<PathBuf>, Report);

fn parse(mut args: impl Iterator<Item = String>) -> anyhow::Result<Asked> {
    let usage = || {
        format!(
            "usage: mezzo bench {} [--json] [--count N] [--runs N] [--svg FOLDER]",
            NAMES.join("|")
        )
    };
    let mut name = None;
    let mut svg = None;
    let (mut json, mut size) = (
        false,
        Size {
            count: None,
            runs: 5,
        },
    );
    while let Some(arg) = args.next() {
        let mut number = || -> anyhow::Result<usize> {
            let text = args.next().unwrap_or_default();
            let n = text
                .parse()
                .map_err(|_| anyhow::anyhow!("{arg}: expected a number, not {text:?}"))?;
            anyhow::ensure!(n > 0, "{arg}: expected at least 1");
            Ok(n)
        };
        match arg.as_str() {
            "--json" => json = true,
            "--svg" => {
                let folder = args.next().filter(|folder| !folder.is_empty());
                svg = Some(
                    folder
                        .ok_or_else(|| anyhow::anyhow!("--svg: expected a folder"))?
                        .into(),
                );
            }
            "--count" => size.count = Some(number()?),
            "--runs" => size.runs = number()?,
            known if NAMES.contains(&known) && name.is_none() => name = Some(arg),
            other => anyhow::bail!("{other:?} is not expected; {}", usage()),
        }
    }
    let name = name.ok_or_else(|| anyhow::anyhow!(usage()))?;
    anyhow::ensure!(
        svg.is_none() || name == "allocator",
        "--svg: only `allocator` draws, not `{name}`"
    );
    let report = Report::new(&name, json);
    Ok((name, size, svg, report))
}
