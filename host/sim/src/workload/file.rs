//! A workload from a TOML file; `docs/guide/simulate.md` describes the fields.
//!
//! Owns what a file may say, and errors that name its line. What is missing has the default that stands
//! here.

use super::acts::{FileAct, act};
use super::fields::{Amount, Bytes, Milli, Millis};
use super::frameworks::{FileFramework, expand};
use super::{Ends, Machines, Role, Workload};
use mezzo_core::WEIGHT_MAX;
use mezzo_core::record::Quota;
use mezzo_types::{AMOUNT_MAX, Resources, check_name};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ops::Range;
use toml::Spanned;

/// Machines that a workload may have.
const MACHINES_MAX: usize = 100_000;
/// Frameworks that a workload may have.
pub(super) const FRAMEWORKS_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    duration: Millis,
    #[serde(default)]
    ends: FileEnds,
    machines: Vec<Spanned<FileMachines>>,
    #[serde(default)]
    roles: Vec<Spanned<FileRole>>,
    frameworks: Vec<Spanned<FileFramework>>,
    #[serde(default)]
    operators: Vec<Spanned<FileAct>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FileEnds {
    #[default]
    WithTheTime,
    WhenAllIsDone,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMachines {
    #[serde(default = "one")]
    count: usize,
    cpu: Milli,
    memory: Bytes,
    disk: Option<Bytes>,
    zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRole {
    name: String,
    weight: Option<u32>,
    guarantee: Option<Amounts>,
    limit: Option<Amounts>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Amounts {
    cpu: Option<Milli>,
    memory: Option<Bytes>,
}

pub(super) fn one() -> usize {
    1
}

/// What is wrong, and where in the text.
pub(super) type Wrong = (Range<usize>, String);

impl Workload {
    /// A workload from the text of a file; the error begins with the file's name and the line.
    pub fn read(name: &str, text: &str) -> Result<Workload, String> {
        let read = toml::from_str::<File>(text).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            (at, error.message().to_string())
        });
        read.and_then(workload).map_err(|(at, problem)| {
            let before = &text[..at.start.min(text.len())];
            let line = before.matches('\n').count() + 1;
            let words = text.lines().nth(line - 1).unwrap_or_default().trim();
            format!("{name}:{line}: {problem} (in `{words}`)")
        })
    }
}

fn workload(file: File) -> Result<Workload, Wrong> {
    let duration_ms = file.duration.0;
    let machines = each(file.machines, machines)?;
    let roles = each(file.roles, role)?;
    let mut frameworks = Vec::new();
    let mut names = BTreeSet::new();
    for framework in file.frameworks {
        let at = framework.span();
        for framework in expand(framework.into_inner(), duration_ms)
            .map_err(|(inner, problem)| (inner.unwrap_or(at.clone()), problem))?
        {
            if !names.insert(framework.name.clone()) {
                let problem = format!("name: {} is the name of another framework", framework.name);
                return Err((at, problem));
            }
            frameworks.push(framework);
        }
    }
    let mut workload = Workload {
        machines,
        roles,
        frameworks,
        acts: each(file.operators, act)?,
        duration_ms,
        ends: match file.ends {
            FileEnds::WithTheTime => Ends::WithTheTime,
            FileEnds::WhenAllIsDone => Ends::WhenAllIsDone,
        },
    };
    workload.acts.sort_by_key(|act| act.at_ms);
    check(&workload).map_err(|problem| (0..0, problem))?;
    Ok(workload)
}

/// What can be said only of the whole.
fn check(workload: &Workload) -> Result<(), String> {
    let machines = workload.machine_count();
    if !(1..=MACHINES_MAX).contains(&machines) {
        return Err(format!(
            "machines: from 1 to {MACHINES_MAX}, not {machines}"
        ));
    }
    let frameworks = workload.frameworks.len();
    if !(1..=FRAMEWORKS_MAX).contains(&frameworks) {
        return Err(format!(
            "frameworks: from 1 to {FRAMEWORKS_MAX}, not {frameworks}"
        ));
    }
    for act in &workload.acts {
        if let Some(n) = act.what.machine()
            && n >= machines
        {
            return Err(format!(
                "operators: there is no machine {n}; they are numbered from 0 to {}",
                machines - 1
            ));
        }
    }
    Ok(())
}

pub(super) fn each<F, T>(
    given: Vec<Spanned<F>>,
    take: impl Fn(F) -> Result<T, String>,
) -> Result<Vec<T>, Wrong> {
    let taken = given.into_iter().map(|one| {
        let at = one.span();
        take(one.into_inner()).map_err(|problem| (at, problem))
    });
    taken.collect()
}

pub(super) fn amounts(
    cpu: Option<Milli>,
    memory: Option<Bytes>,
    disk: Option<Bytes>,
) -> Result<Resources, String> {
    let resources = Resources {
        cpu_milli: cpu.map_or(0, Amount::get),
        memory_bytes: memory.map_or(0, Amount::get),
        disk_bytes: disk.map_or(0, Amount::get),
        ..Resources::NONE
    };
    match resources.invalid() {
        Some(kind) => Err(format!("{kind}: at most {AMOUNT_MAX}")),
        None => Ok(resources),
    }
}

fn machines(file: FileMachines) -> Result<Machines, String> {
    let total = amounts(Some(file.cpu), Some(file.memory), file.disk)?;
    Ok(Machines {
        count: file.count,
        total,
        zone: file.zone,
    })
}

pub(super) fn check_role(name: &str) -> Result<(), String> {
    let mut levels = name.split('/');
    levels
        .try_for_each(|level| check_name(level).map_err(|error| format!("role {name:?}: {error}")))
}

pub(super) fn role(file: FileRole) -> Result<Role, String> {
    check_role(&file.name)?;
    let weight = file.weight.unwrap_or(1);
    if !(1..=WEIGHT_MAX).contains(&weight) {
        return Err(format!("weight: from 1 to {WEIGHT_MAX}, not {weight}"));
    }
    let has_quota = file.guarantee.is_some() || file.limit.is_some();
    if has_quota && file.name.contains('/') {
        return Err("guarantee, limit: only top-level roles have them".into());
    }
    let guarantee = file.guarantee.unwrap_or_default();
    let limit = file.limit.unwrap_or_default();
    let quota = Quota {
        guarantee: amounts(guarantee.cpu, guarantee.memory, None)?,
        limit_cpu_milli: limit.cpu.map(Amount::get),
        limit_memory_bytes: limit.memory.map(Amount::get),
        ..Quota::default()
    };
    let mut bounds = quota.guarantee.plain().into_iter().zip(quota.limit());
    if bounds.any(|(guarantee, limit)| guarantee > limit) {
        return Err("limit: less than the guarantee".into());
    }
    Ok(Role {
        name: file.name,
        weight,
        quota: has_quota.then_some(quota),
    })
}

#[cfg(test)]
mod tests {
    use super::super::What;
    use super::*;

    const GOOD: &str = r#"
duration = "2h"

[[machines]]
count = 3
cpu = 16
memory = "64GiB"

[[roles]]
name = "prod"
weight = 3
limit = { cpu = 24.5 }

[[frameworks]]
name = "web"
role = "prod/web"
count = 2
rate = 0.5

[[frameworks.shapes]]
cpu = 0.5
memory = "256MiB"
times = { kind = "pareto", min = 1, max = 16, alpha = 1.5 }
takes = { kind = "lognormal", median = "30s", sigma = 1.5, max = "1h" }

[[frameworks]]
name = "train"
role = "dev"
tasks = 12
together = 4
priority = -3
preemptible = true
keeps = 0.25

[[frameworks.shapes]]
cpu = 1
memory = "1GiB"
disk = "2GiB"
takes = "1m"

[[operators]]
at = "1h"
drain = 2
after = "5m"

[[operators]]
at = "2h"
reserve = { machine = 1, role = "dev", cpu = 2, disk = "10GiB", for = "30m" }
"#;

    fn problem(change: (&str, &str)) -> String {
        assert!(GOOD.contains(change.0), "{}", change.0);
        let text = GOOD.replacen(change.0, change.1, 1);
        Workload::read("w.toml", &text).expect_err(change.1)
    }

    #[test]
    fn a_good_file_is_read() {
        let workload = Workload::read("w.toml", GOOD).expect("it is good");
        assert_eq!(
            (workload.machine_count(), workload.frameworks.len()),
            (3, 3)
        );
        assert_eq!(workload.frameworks[1].name, "web-2");
        assert_eq!(workload.frameworks[0].every_us, Some(2_000_000));
        assert_eq!(workload.frameworks[0].sizes().len(), 5, "1, 2, 4, 8, 16");
        let quota = workload.roles[0].quota.as_ref().expect("it has one");
        assert_eq!(quota.limit_cpu_milli, Some(24_500));
        assert_eq!(workload.acts[0].what, What::Drain(2, 300_000));
        let train = &workload.frameworks[2];
        assert_eq!(
            (train.together, train.priority, train.preemptible),
            (4, -3, true)
        );
        assert_eq!(train.keeps_per_mille, 250);
        assert_eq!(train.sizes()[0].disk_bytes, 2 << 30);
        let What::Reserve(keep) = &workload.acts[1].what else {
            panic!("{:?}", workload.acts[1]);
        };
        assert_eq!((keep.machine, keep.for_ms), (1, Some(1_800_000)));
        assert_eq!(keep.amount.disk_bytes, 10 << 30);
    }

    #[test]
    fn as_much_as_may_be_is_taken() {
        let text = GOOD
            .replacen("count = 3", "count = 100000", 1)
            .replacen("count = 2", "count = 9999", 1)
            .replacen("rate = 0.5", "fails = 0.9", 1);
        let workload = Workload::read("w.toml", &text).expect("it is good");
        assert_eq!(workload.machine_count(), MACHINES_MAX);
        assert_eq!(workload.frameworks.len(), FRAMEWORKS_MAX);
    }

    #[test]
    fn a_gang_is_of_one_size_and_arrives_at_once() {
        let text = GOOD.replacen("rate = 0.5", "rate = 0.5\ntogether = 1000", 1);
        let workload = Workload::read("w.toml", &text).expect("it is good");
        let web = &workload.frameworks[0];
        assert_eq!(web.every_us, Some(2_000_000_000));
        let mut sizes: Vec<usize> = (0..4_000).map(|number| web.size(1, number)).collect();
        assert_eq!(web.task(1, 1_999).size, sizes[1_999]);
        let takes = |number| web.task(1, number).takes_ms;
        assert_ne!(takes(0), takes(1), "each takes its own time");
        sizes.dedup();
        assert!((2..=4).contains(&sizes.len()), "{sizes:?}");
    }

    #[test]
    fn a_task_is_the_same_whenever_it_is_asked_for() {
        let workload = Workload::read("w.toml", GOOD).expect("it is good");
        let tasks = |n: usize, seed| -> Vec<_> {
            let framework = &workload.frameworks[n];
            (0..100)
                .map(|number| framework.task(seed, number))
                .collect()
        };
        assert_eq!(tasks(0, 1), tasks(0, 1));
        assert_ne!(tasks(0, 1), tasks(0, 2), "another seed");
        assert_ne!(tasks(0, 1), tasks(1, 1), "another framework");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (change, expected) in [
            (("cpu = 16", "cpus = 16"), "w.toml:6: unknown field `cpus`"),
            (
                ("\"64GiB\"", "\"64 gigs\""),
                "w.toml:7: \"64 gigs\" is not a size",
            ),
            (("weight = 3", "weight = 0"), "w.toml:9: weight: from 1"),
            (("\"prod/web\"", "\"prod//web\""), "w.toml:14: role"),
            (
                ("min = 1, max = 16", "min = 17, max = 16"),
                "w.toml:23: min, 17, is more",
            ),
            (
                (
                    "kind = \"lognormal\", median = \"30s\"",
                    "kind = \"lognormal\"",
                ),
                "w.toml:24: median is missing",
            ),
            (
                ("count = 3", "count = 100001"),
                "machines: from 1 to 100000, not 100001",
            ),
            (
                ("count = 2", "count = 10001"),
                "w.toml:14: count: from 1 to 10000, not 10001",
            ),
            (
                ("rate = 0.5", "rate = 0.5\nfails = 0.901"),
                "w.toml:14: fails: a part of all runs, at most 0.9",
            ),
            (("drain = 2", "drain = 3"), "there is no machine 3"),
            (("drain = 2", "drain = 2\ngone = 1"), "one of drain"),
            (("rate = 0.5", "rate = 0"), "w.toml:14: rate"),
            (
                ("together = 4", "together = 1001"),
                "w.toml:26: together: from 1 to 1000, not 1001",
            ),
            (
                ("together = 4", "together = 0"),
                "w.toml:26: together: from 1 to 1000, not 0",
            ),
            (
                ("tasks = 12", "tasks = 13"),
                "w.toml:26: tasks: gangs of 4, so a multiple of that, not 13",
            ),
            (
                ("priority = -3", "priority = 1"),
                "w.toml:26: preemptible: only with a priority of 0 or less, not 1",
            ),
            (("priority = -3", "priority = 3000000000"), "w.toml:31"),
            (
                ("keeps = 0.25", "keeps = 1.001"),
                "w.toml:26: keeps: a part of all turns, at most 1",
            ),
            (
                (
                    "keeps = 0.25",
                    "submit = { path = \"/jobs\", body = \"{}\" }",
                ),
                "w.toml:26: submit: a framework that has it decides by itself",
            ),
            (("machine = 1", "machine = 3"), "there is no machine 3"),
            (
                ("cpu = 2, disk = \"10GiB\", ", ""),
                "w.toml:46: reserve: some cpu, memory or disk",
            ),
            (
                ("drain = 2", "volume = { machine = 2, size = \"0B\" }"),
                "w.toml:41: volume: its size is at least 1B",
            ),
            (
                ("count = 2", "count = 2\nname = \"x\""),
                "w.toml:18: duplicate key",
            ),
            (
                ("limit = {", "guarantee = { cpu = 25 }\nlimit = {"),
                "w.toml:9: limit: less than the guarantee",
            ),
        ] {
            let found = problem(change);
            assert!(found.contains(expected), "{found:?}, expected {expected:?}");
        }
    }
}
