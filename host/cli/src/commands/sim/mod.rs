//! `mezzo sim`: whole clusters in virtual time, from a seed: short ones with faults, workloads with a
//! report, and one step by step.

mod replay;
mod wasm;

pub use wasm::on_a_deep_stack;

use crate::output::{bytes, line, note};
use crate::units::{millis, whole};
use anyhow::{Context, bail};
use mezzo_sim::report::Report;
use mezzo_sim::workload::{Generate, Workload};
use mezzo_sim::world::{Bug, Faults, Outcome, Play, Problem, World, is_playing};
use std::path::PathBuf;
use std::process::ExitCode;

/// Time between two faults in a workload, on average, unless it is said, in milliseconds.
const FAULT_EVERY_MS: u64 = 60_000;

#[derive(Debug, clap::Args)]
pub struct Sim {
    /// The first seed
    #[arg(long, default_value = "1", value_parser = whole::<u64>)]
    seed: u64,
    /// How many, from there on
    #[arg(long, default_value = "1", value_parser = whole::<u64>)]
    seeds: u64,
    /// Machines [default: 4, or 100 with --rate]
    #[arg(long, alias = "agents", value_parser = whole::<usize>)]
    machines: Option<usize>,
    /// Frameworks [default: 4, or 20 with --rate]
    #[arg(long, value_parser = whole::<usize>)]
    frameworks: Option<usize>,
    /// Tasks of each framework, all there from the start [default: 25]
    #[arg(long, value_parser = whole::<u64>, conflicts_with_all = ["rate", "workload"])]
    tasks: Option<u64>,
    /// Play a workload from a file and report how it went
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rate", "machines", "frameworks", "duration"])]
    workload: Option<PathBuf>,
    /// Play a workload of so many tasks a second and report how it went
    #[arg(long, value_name = "TASKS", value_parser = milli)]
    rate: Option<u64>,
    /// How long tasks arrive, with --rate [default: 1h]
    #[arg(long, value_parser = millis, requires = "rate")]
    duration: Option<u64>,
    /// Run this component as every framework of the workload, in the real sandbox
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// The options of those frameworks, a JSON object
    #[arg(long, value_name = "JSON", requires = "wasm", value_parser = object)]
    framework_options: Option<String>,
    /// How long faults come [default: 2m, and none in a workload]
    #[arg(long, value_name = "DURATION", value_parser = millis)]
    faults: Option<u64>,
    /// Time between two faults, on average [default: 3s, or 1m in a workload]
    #[arg(long, value_name = "DURATION", value_parser = millis)]
    fault_every: Option<u64>,
    /// The report as JSON
    #[arg(long)]
    json: bool,
    /// Draw the report into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print everything that happens, with its time in milliseconds, and what guests log
    #[arg(long)]
    print: bool,
    /// Go through this seed step by step, from this step on if it is given
    #[arg(long, value_name = "SEED[:STEP]", value_parser = replay::place, conflicts_with_all = ["seed", "seeds", "json", "svg", "print"])]
    replay: Option<replay::Place>,
    /// Break something on purpose, to see that it is found
    #[arg(long, value_name = "NAME", value_parser = bug)]
    bug: Option<Bug>,
}

impl Sim {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // It is told as a problem, with its seed and step.
            if !is_playing() {
                print(panic);
            }
        }));
        match &self.wasm {
            Some(_) => wasm::on_a_deep_stack(|| self.play_all()),
            None => self.play_all(),
        }
    }

    fn play_all(&self) -> anyhow::Result<ExitCode> {
        if self.machines == Some(0) || self.frameworks == Some(0) {
            bail!("--machines, --frameworks: at least 1");
        }
        let workload = self.workload()?;
        if let Some(place) = self.replay {
            let mut world = self.world(place.seed, workload.as_ref())?;
            return replay::run(&mut world, place.step);
        }
        match workload {
            Some(workload) => self.report(&workload),
            None if self.wasm.is_some() => bail!("--wasm: with --workload or --rate"),
            None => self.short(),
        }
    }

    fn world(&self, seed: u64, workload: Option<&Workload>) -> anyhow::Result<World> {
        let play = self.play(seed, workload);
        Ok(match &self.wasm {
            Some(path) => World::new(play, Box::new(wasm::Wasm::open(path, self.print)?)),
            None => World::native(play),
        })
    }

    /// The workload that is played; none for short clusters with faults.
    fn workload(&self) -> anyhow::Result<Option<Workload>> {
        let mut workload = self.given_workload()?;
        if self.wasm.is_some() {
            for framework in workload.iter_mut().flat_map(|it| &mut it.frameworks) {
                framework.submit.get_or_insert_with(wasm::submit);
                if let Some(options) = &self.framework_options {
                    framework.options.clone_from(options);
                }
            }
        }
        Ok(workload)
    }

    fn given_workload(&self) -> anyhow::Result<Option<Workload>> {
        if let Some(path) = &self.workload {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(|| format!("read {name}"))?;
            let workload = Workload::read(&name, &text).map_err(anyhow::Error::msg)?;
            return Ok(Some(workload));
        }
        Ok(self.rate.map(|rate_milli| {
            let generate = Generate {
                machines: self.machines.unwrap_or(100),
                frameworks: self.frameworks.unwrap_or(20),
                rate_milli,
                duration_ms: self.duration.unwrap_or(3_600_000),
            };
            generate.workload()
        }))
    }

    fn play(&self, seed: u64, workload: Option<&Workload>) -> Play {
        let short = Play::short(seed);
        let (play, faults) = match workload {
            Some(workload) => {
                let faults = Faults {
                    until_ms: 0,
                    every_ms: FAULT_EVERY_MS,
                    // The workload says what operators do.
                    operators: false,
                };
                (Play::of(seed, workload.clone()), faults)
            }
            None => {
                let machines = self.machines.unwrap_or(4);
                let frameworks = self.frameworks.unwrap_or(4);
                let workload = Workload::short(machines, frameworks, self.tasks.unwrap_or(25));
                (Play::of(seed, workload), short.faults)
            }
        };
        Play {
            faults: Faults {
                until_ms: self.faults.unwrap_or(faults.until_ms),
                every_ms: self.fault_every.unwrap_or(faults.every_ms).max(1),
                ..faults
            },
            bug: self.bug,
            watch: self.print || self.replay.is_some(),
            again: self.again(),
            ..play
        }
    }

    /// The flags, besides the seed, that play the same again.
    fn again(&self) -> String {
        let workload = self
            .workload
            .as_ref()
            .map(|path| path.display().to_string());
        let flags = [
            ("machines", self.machines.map(|n| n.to_string())),
            ("frameworks", self.frameworks.map(|n| n.to_string())),
            ("tasks", self.tasks.map(|n| n.to_string())),
            ("workload", workload),
            ("rate", self.rate.map(crate::units::show_milli)),
            ("duration", self.duration.map(|ms| format!("{ms}ms"))),
            (
                "wasm",
                self.wasm.as_ref().map(|path| path.display().to_string()),
            ),
            (
                "framework-options",
                self.framework_options.as_ref().map(|it| format!("'{it}'")),
            ),
            ("faults", self.faults.map(|ms| format!("{ms}ms"))),
            ("fault-every", self.fault_every.map(|ms| format!("{ms}ms"))),
            ("bug", self.bug.map(|bug| bug.as_str().into())),
        ];
        let given = flags
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        given
            .map(|(name, value)| format!(" --{name} {value}"))
            .collect()
    }

    fn short(&self) -> anyhow::Result<ExitCode> {
        if self.svg.is_some() || self.json {
            bail!("--svg, --json: short clusters have no report; give --workload or --rate");
        }
        let (mut events, mut failed, mut healed) = (0, 0_u64, Vec::new());
        for seed in self.seed..self.seed.saturating_add(self.seeds) {
            let mut world = self.world(seed, None)?;
            match self.to_the_end(&mut world)? {
                Ok(outcome) => {
                    events += outcome.events;
                    healed.push(outcome.healed_ms);
                }
                Err(problem) => {
                    failed += 1;
                    note(&problem.to_string());
                }
            }
        }
        healed.sort_unstable();
        let median = healed.get(healed.len() / 2).copied().unwrap_or_default();
        line(&format!(
            "{} seeds, {failed} failed, {events} events; all tasks finished after {median} ms of virtual time, median",
            self.seeds
        ))?;
        Ok(ExitCode::from(u8::from(failed > 0)))
    }

    fn report(&self, workload: &Workload) -> anyhow::Result<ExitCode> {
        if self.seeds > 1 {
            bail!("--seeds: a workload is played once, with --seed");
        }
        let mut world = self.world(self.seed, Some(workload))?;
        if let Err(problem) = self.to_the_end(&mut world)? {
            note(&problem.to_string());
            return Ok(ExitCode::FAILURE);
        }
        self.tell(&world.report())?;
        Ok(ExitCode::SUCCESS)
    }

    fn tell(&self, report: &Report) -> anyhow::Result<()> {
        if let Some(path) = &self.svg {
            let name = || format!("write {}", path.display());
            std::fs::write(path, report.svg()).with_context(name)?;
        }
        if self.json {
            line(&serde_json::to_string_pretty(report)?)
        } else {
            bytes(report.to_string().as_bytes())
        }
    }

    fn to_the_end(&self, world: &mut World) -> anyhow::Result<Result<Outcome, Problem>> {
        loop {
            let advanced = world.advance();
            for said in world.lines() {
                line(said)?;
            }
            match advanced {
                Ok(None) => {}
                Ok(Some(outcome)) => return Ok(Ok(outcome)),
                Err(problem) => return Ok(Err(problem)),
            }
        }
    }
}

/// Tasks a second, in thousandths.
fn milli(text: &str) -> Result<u64, String> {
    let expected = || format!("{text:?} is not a number of tasks a second, such as 10 or 0.5");
    let milli = crate::units::cpus(text).map_err(|_| expected())?;
    match milli {
        1..=1_000_000_000 => Ok(milli),
        _ => Err("from 0.001 to 1000000 tasks a second".into()),
    }
}

/// A JSON object, as it is written.
fn object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) if value.is_object() => Ok(text.to_string()),
        Ok(_) => Err("expected a JSON object, such as {\"a\":1}".into()),
        Err(error) => Err(format!("expected a JSON object: {error}")),
    }
}

fn bug(text: &str) -> Result<Bug, String> {
    let found = Bug::ALL.into_iter().find(|bug| bug.as_str() == text);
    found.ok_or_else(|| {
        let names = Bug::ALL.map(Bug::as_str);
        format!("one of {}", names.join(", "))
    })
}
