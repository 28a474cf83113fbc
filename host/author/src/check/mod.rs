//! `mezzo framework check`: what a component is and costs, against the limits of a role. It owns which figures there
//! are and which limit each is held to; how they are measured is in `measure.rs`.

mod measure;

use crate::error::{Error, Result};
use crate::shape::Shape;
use measure::Measured;
use mezzo_core::FrameworkLimits;
use mezzo_wasm::{CompileCommand, SandboxLimits};

/// What a check is given.
#[derive(Clone, Debug)]
pub struct Given {
    /// How the compiler's process is started.
    pub compile: CompileCommand,
    /// The name that the framework is told it has.
    pub name: String,
    /// The options that it is started with, JSON.
    pub options: String,
    /// What it may use.
    pub limits: FrameworkLimits,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is of.
    pub what: &'static str,
    /// How much, in `unit`.
    pub figure: u64,
    /// `bytes`, `us` (microseconds), or nothing for a count.
    pub unit: &'static str,
    /// The limit's name and value, in the same unit.
    pub limit: Option<(&'static str, u64)>,
}

impl Line {
    /// Whether it is over its limit.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|(_, limit)| self.figure > limit)
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What it imports and exports.
    pub shape: Shape,
    /// The figures, as far as it came.
    pub lines: Vec<Line>,
    /// The first lines of the framework's log.
    pub log: Vec<String>,
    /// Why it is not fit, in words.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether a master would take it, and every figure is within its limit.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Looks at a component and tries it. Only what has nothing to do with the component is an error; what is wrong with
/// it stands in the report. Call it on a thread with a stack of 4 MiB.
pub fn check(component: &[u8], given: &Given) -> Result<Report> {
    let mut report = Report::default();
    match Shape::of(component) {
        Ok(shape) => report.shape = shape,
        Err(error) => {
            report.problems.push(error.to_string());
            return Ok(report);
        }
    }
    let limits = SandboxLimits::default();
    report.lines.push(Line {
        what: "component",
        figure: component.len() as u64,
        unit: "bytes",
        limit: Some(("component_bytes_max", limits.component_bytes_max as u64)),
    });
    let folder = temporary()?;
    let measured = measure::measure(component, given, limits.clone(), folder.path());
    let measured = measured.map_err(|why| Error::Generator {
        what: "the sandbox".to_owned(),
        why,
    })?;
    report.lines.extend(lines(&measured, given, &limits));
    report.log = measured.log;
    report.problems.extend(measured.problem);
    let over = report.lines.iter().filter(|line| line.is_over());
    let over: Vec<String> = over.filter_map(over_in_words).collect();
    report.problems.extend(over);
    Ok(report)
}

fn temporary() -> Result<tempfile::TempDir> {
    use crate::error::Tried;
    tempfile::tempdir().tried("a temporary folder")
}

fn over_in_words(line: &Line) -> Option<String> {
    let (name, limit) = line.limit?;
    let Line {
        what, figure, unit, ..
    } = line;
    Some(format!("{what}: {figure} {unit}; {name} is {limit}"))
}

/// Times are CPU time of this machine, so they are compared with limits that the master applies in CPU time.
fn lines(measured: &Measured, given: &Given, sandbox: &SandboxLimits) -> Vec<Line> {
    let FrameworkLimits {
        turn_cpu_ms,
        start_ms,
        memory_bytes,
        ..
    } = given.limits;
    let mut lines = Vec::new();
    let mut add = |what, figure: Option<u64>, unit, limit| {
        lines.extend(figure.map(|figure| Line {
            what,
            figure,
            unit,
            limit,
        }));
    };
    let of_turn = Some(("turn_cpu_ms", turn_cpu_ms * 1_000));
    let of_compile = Some(("compile_wall_ms", sandbox.compile_wall_ms * 1_000));
    let of_memory = Some(("memory_bytes", memory_bytes));
    add("compile", measured.compile_us, "us", of_compile);
    add(
        "start",
        measured.start_us,
        "us",
        Some(("start_ms", start_ms * 1_000)),
    );
    add(
        "memory after start",
        measured.memory_start,
        "bytes",
        of_memory,
    );
    add("empty turn", measured.empty_us, "us", of_turn);
    add("turn of 1000 offers", measured.offers_us, "us", of_turn);
    add("launched of them", measured.launched, "", None);
    add(
        "memory after it",
        measured.memory_offers,
        "bytes",
        of_memory,
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_may_be_as_large_as_its_limit_and_no_larger() {
        let line = |figure| Line {
            what: "start",
            figure,
            unit: "us",
            limit: Some(("start_ms", 10)),
        };
        assert!(!line(10).is_over());
        assert!(line(11).is_over());
        let words = over_in_words(&line(11));
        assert_eq!(words.as_deref(), Some("start: 11 us; start_ms is 10"));
    }

    #[test]
    fn what_is_no_component_is_a_problem_and_no_error() {
        let given = Given {
            compile: CompileCommand {
                program: "no-compiler".into(),
                args: Vec::new(),
            },
            name: "a".into(),
            options: "{}".into(),
            limits: FrameworkLimits::default(),
        };
        let report = check(b"text", &given).expect("it is looked at");
        assert!(!report.is_good());
        assert!(report.lines.is_empty());
    }
}
