//! `mezzo sim --replay SEED[:STEP]`: one play step by step, on a terminal or from a pipe.

use crate::output::{bytes, line, note};
use mezzo_sim::world::World;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

const HELP: &str = "enter: the next step; a number: so many; s: the state; q: quit";

/// Where in which play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub seed: u64,
    pub step: u64,
}

/// `SEED` or `SEED:STEP`.
pub fn place(text: &str) -> Result<Place, String> {
    let (seed, step) = text.split_once(':').unwrap_or((text, "1"));
    let expected = |_| format!("{text:?} is not SEED or SEED:STEP, such as 7:1234");
    Ok(Place {
        seed: seed.parse().map_err(expected)?,
        step: step.parse().map_err(expected)?,
    })
}

/// What is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typed {
    Steps(u64),
    State,
    Quit,
    Unknown,
}

fn typed(words: &str) -> Typed {
    match words.trim() {
        "" => Typed::Steps(1),
        "s" => Typed::State,
        "q" => Typed::Quit,
        number => number.parse().map_or(Typed::Unknown, Typed::Steps),
    }
}

/// Plays up to a step, shows it, and goes on as is typed.
pub fn run(world: &mut World, step: u64) -> anyhow::Result<ExitCode> {
    while world.step_number() + 1 < step {
        if let Some(code) = advance(world, false)? {
            return Ok(code);
        }
    }
    if let Some(code) = advance(world, true)? {
        return Ok(code);
    }
    bytes(world.describe().as_bytes())?;
    let stdin = std::io::stdin();
    let on_terminal = stdin.is_terminal();
    note(HELP);
    loop {
        if on_terminal {
            crate::output::error_bytes(b"> ")?;
        }
        let mut words = String::new();
        if stdin.lock().read_line(&mut words)? == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        match typed(&words) {
            Typed::Quit => return Ok(ExitCode::SUCCESS),
            Typed::State => bytes(world.describe().as_bytes())?,
            Typed::Unknown => note(HELP),
            Typed::Steps(count) => {
                for _ in 0..count {
                    if let Some(code) = advance(world, true)? {
                        return Ok(code);
                    }
                }
            }
        }
    }
}

/// One step; the exit code, if it was the last one.
fn advance(world: &mut World, shown: bool) -> anyhow::Result<Option<ExitCode>> {
    let advanced = world.advance();
    if shown || advanced.is_err() {
        line(&format!("step {}", world.step_number()))?;
        for said in world.lines() {
            line(said)?;
        }
    }
    match advanced {
        Ok(None) => Ok(None),
        Ok(Some(outcome)) => {
            line(&format!(
                "it is over after {} ms, as it should be",
                outcome.healed_ms
            ))?;
            Ok(Some(ExitCode::SUCCESS))
        }
        Err(problem) => {
            bytes(world.describe().as_bytes())?;
            line(&problem.to_string())?;
            Ok(Some(ExitCode::FAILURE))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_seed_and_perhaps_a_step() {
        assert_eq!(place("7"), Ok(Place { seed: 7, step: 1 }));
        assert_eq!(place("7:1234").map(|it| it.step), Ok(1234));
        for absurd in ["", "x", "7:", ":3", "7:3:1", "-1"] {
            assert!(place(absurd).is_err(), "{absurd}");
        }
    }

    #[test]
    fn what_is_typed_is_understood() {
        assert_eq!(typed("\n"), Typed::Steps(1));
        assert_eq!(typed(" 25\n"), Typed::Steps(25));
        assert_eq!((typed("s\n"), typed("q\n")), (Typed::State, Typed::Quit));
        assert_eq!(typed("help"), Typed::Unknown);
    }
}
