//! `mezzo sim`: the cores under faults, in virtual time.

use crate::output::{line, note};
use crate::units::whole;
use mezzo_sim::world::{Play, World};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Sim {
    /// The first seed
    #[arg(long, default_value = "1", value_parser = whole::<u64>)]
    seed: u64,
    /// How many, from there on
    #[arg(long, default_value = "1", value_parser = whole::<u64>)]
    seeds: u64,
    /// Machines
    #[arg(long, default_value = "4", value_parser = whole::<usize>)]
    machines: usize,
    /// Frameworks
    #[arg(long, default_value = "4", value_parser = whole::<usize>)]
    frameworks: usize,
    /// Tasks of each framework
    #[arg(long, default_value = "25", value_parser = whole::<u64>)]
    tasks: u64,
    /// Print everything that happens, with its time in milliseconds
    #[arg(long)]
    print: bool,
}

impl Sim {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        if self.machines == 0 {
            anyhow::bail!("--machines: at least 1");
        }
        let (mut events, mut failed, mut healed) = (0, 0_u64, Vec::new());
        for seed in self.seed..self.seed.saturating_add(self.seeds) {
            let play = Play {
                machines: self.machines,
                frameworks: self.frameworks,
                tasks: self.tasks,
                print: self.print,
                ..Play::short(seed)
            };
            match World::play(play) {
                Ok(outcome) => {
                    events += outcome.events;
                    healed.push(outcome.healed_ms);
                }
                Err(problem) => {
                    failed += 1;
                    note(&problem);
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
}
