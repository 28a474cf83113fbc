//! What operators do, as a workload file says it.

use super::fields::{Amount, Bytes, Milli, Millis};
use super::file::{FileRole, amounts, check_role, role};
use super::{Act, Keep, What};
use mezzo_types::AMOUNT_MAX;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileAct {
    at: Millis,
    drain: Option<usize>,
    after: Option<Millis>,
    deactivate: Option<usize>,
    activate: Option<usize>,
    gone: Option<usize>,
    role: Option<FileRole>,
    reserve: Option<FileKeep>,
    volume: Option<FileVolume>,
    give_back: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKeep {
    machine: usize,
    role: String,
    cpu: Option<Milli>,
    memory: Option<Bytes>,
    disk: Option<Bytes>,
    #[serde(rename = "for")]
    for_so_long: Option<Millis>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileVolume {
    machine: usize,
    size: Bytes,
}

impl What {
    /// The machine that it is about, if it is about one.
    #[must_use]
    pub fn machine(&self) -> Option<usize> {
        match self {
            What::Drain(n, _)
            | What::Deactivate(n)
            | What::Activate(n)
            | What::Gone(n)
            | What::Volume(n, _)
            | What::GiveBack(n) => Some(*n),
            What::Reserve(keep) => Some(keep.machine),
            What::Role(_) => None,
        }
    }
}

pub fn act(file: FileAct) -> Result<Act, String> {
    let role = file.role.map(role).transpose()?;
    let keep = file.reserve.map(keep).transpose()?;
    let volume = file.volume.map(volume).transpose()?;
    let after_ms = file.after.map(Amount::get);
    let given = [
        file.drain.map(|n| What::Drain(n, after_ms.unwrap_or(0))),
        file.deactivate.map(What::Deactivate),
        file.activate.map(What::Activate),
        file.gone.map(What::Gone),
        role.map(What::Role),
        keep.map(What::Reserve),
        volume,
        file.give_back.map(What::GiveBack),
    ];
    let mut given: Vec<What> = given.into_iter().flatten().collect();
    match (given.pop(), given.len()) {
        (Some(what), 0) => {
            if after_ms.is_some() && !matches!(what, What::Drain(..)) {
                return Err("after: only a drain has it".into());
            }
            Ok(Act {
                at_ms: file.at.0,
                what,
            })
        }
        _ => {
            Err("one of drain, deactivate, activate, gone, role, reserve, volume, give_back".into())
        }
    }
}

fn keep(file: FileKeep) -> Result<Keep, String> {
    check_role(&file.role)?;
    let amount = amounts(file.cpu, file.memory, file.disk)?;
    if amount.is_none() {
        return Err("reserve: some cpu, memory or disk".into());
    }
    Ok(Keep {
        machine: file.machine,
        role: file.role,
        amount,
        for_ms: file.for_so_long.map(Amount::get),
    })
}

fn volume(file: FileVolume) -> Result<What, String> {
    match file.size.get() {
        0 => Err("volume: its size is at least 1B".into()),
        size if size > AMOUNT_MAX => Err(format!("volume: at most {AMOUNT_MAX} bytes")),
        size => Ok(What::Volume(file.machine, size)),
    }
}
