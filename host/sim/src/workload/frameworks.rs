//! Frameworks and their tasks, as a workload file says it.

use super::fields::{Amount, Bytes, Count, FileDraw, Milli, Millis};
use super::file::{FRAMEWORKS_MAX, amounts, check_role, each, one};
use super::{Framework, Shape, Submit};
use crate::draw::Draw;
use mezzo_types::check_name;
use serde::Deserialize;
use std::ops::Range;
use toml::Spanned;

/// Sizes that the tasks of one framework may have: each is a demand of its own.
const SIZES_MAX: usize = 100;
/// Tasks of one gang.
const TOGETHER_MAX: u64 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFramework {
    name: String,
    role: String,
    #[serde(default = "one")]
    count: usize,
    #[serde(default)]
    tasks: u64,
    rate: Option<Milli>,
    from: Option<Millis>,
    to: Option<Millis>,
    fails: Option<Milli>,
    together: Option<u64>,
    #[serde(default)]
    priority: i32,
    #[serde(default)]
    preemptible: bool,
    keeps: Option<Milli>,
    submit: Option<FileSubmit>,
    options: Option<String>,
    offers_per_turn_max: Option<u64>,
    shapes: Vec<Spanned<FileShape>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSubmit {
    path: String,
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileShape {
    weight: Option<u64>,
    cpu: Milli,
    memory: Bytes,
    disk: Option<Bytes>,
    times: Option<FileDraw<Count>>,
    takes: FileDraw<Millis>,
}

/// The frameworks of one entry.
pub fn expand(
    file: FileFramework,
    duration_ms: u64,
) -> Result<Vec<Framework>, (Option<Range<usize>>, String)> {
    let wrong = |problem: String| (None, problem);
    check_name(&file.name).map_err(|error| wrong(format!("name {:?}: {error}", file.name)))?;
    check_role(&file.role).map_err(wrong)?;
    if !(1..=FRAMEWORKS_MAX).contains(&file.count) {
        return Err(wrong(format!(
            "count: from 1 to {FRAMEWORKS_MAX}, not {}",
            file.count
        )));
    }
    let rate_milli = file.rate.map(Amount::get);
    if rate_milli.is_some_and(|rate| !(1..=1_000_000_000).contains(&rate)) {
        return Err(wrong("rate: from 0.001 to 1000000 tasks a second".into()));
    }
    let fails_per_mille = file.fails.map_or(0, Amount::get);
    if fails_per_mille > 900 {
        return Err(wrong("fails: a part of all runs, at most 0.9".into()));
    }
    let keeps_per_mille = file.keeps.map_or(0, Amount::get);
    if keeps_per_mille > 1_000 {
        return Err(wrong("keeps: a part of all turns, at most 1".into()));
    }
    let together = file.together.unwrap_or(1);
    if !(1..=TOGETHER_MAX).contains(&together) {
        return Err(wrong(format!(
            "together: from 1 to {TOGETHER_MAX}, not {together}"
        )));
    }
    if !file.tasks.is_multiple_of(together) {
        return Err(wrong(format!(
            "tasks: gangs of {together}, so a multiple of that, not {}",
            file.tasks
        )));
    }
    if file.preemptible && file.priority > 0 {
        return Err(wrong(format!(
            "preemptible: only with a priority of 0 or less, not {}",
            file.priority
        )));
    }
    let own = together > 1 || file.priority != 0 || file.preemptible || keeps_per_mille > 0;
    if own && file.submit.is_some() {
        return Err(wrong("submit: a framework that has it decides by itself; together, priority, preemptible and keeps are of the simulator's own".into()));
    }
    let shapes = each(file.shapes, shape).map_err(|(at, problem)| (Some(at), problem))?;
    let one = Framework {
        name: file.name,
        role: file.role,
        tasks: file.tasks,
        every_us: rate_milli.map(|rate| together * 1_000_000_000 / rate),
        from_ms: file.from.map_or(0, Amount::get),
        to_ms: file.to.map_or(duration_ms, Amount::get),
        shapes,
        fails_per_mille,
        together,
        priority: file.priority,
        preemptible: file.preemptible,
        keeps_per_mille,
        submit: file.submit.map(|submit| Submit {
            path: submit.path,
            body: submit.body,
        }),
        options: file.options.unwrap_or_else(|| "{}".into()),
        offers_per_turn_max: file.offers_per_turn_max,
    };
    let sizes = one.sizes().len();
    if !(1..=SIZES_MAX).contains(&sizes) {
        return Err(wrong(format!(
            "shapes: from 1 to {SIZES_MAX} sizes in all, not {sizes}"
        )));
    }
    if file.count == 1 {
        return Ok(vec![one]);
    }
    let numbered = (1..=file.count).map(|n| Framework {
        name: format!("{}-{n}", one.name),
        ..one.clone()
    });
    Ok(numbered.collect())
}

fn shape(file: FileShape) -> Result<Shape, String> {
    let each = amounts(Some(file.cpu), Some(file.memory), file.disk)?;
    if each.runs_nothing() {
        return Err("cpu, memory: a task needs one of them".into());
    }
    let weight = file.weight.unwrap_or(1);
    if !(1..=1_000_000).contains(&weight) {
        return Err(format!("weight: from 1 to 1000000, not {weight}"));
    }
    Ok(Shape {
        weight,
        each,
        times: file.times.map_or(Draw::Fixed(1), |times| times.0),
        takes_ms: file.takes.0,
    })
}
