//! What is kept of each run: a folder with the launch, what the shim writes, and the sandbox.
//!
//! `runs/<run>/` until its end is acknowledged, then `ended/<run>/` for its output, for a while.
//! Nothing here is synced: files survive a `kill -9` of the agent, and after a crash of the machine
//! every run of the old boot has ended anyway.

use crate::sandbox::SANDBOX;
use crate::spawner::{shim_lives, trace};
use crate::{Error, io, leftovers, run_file};
use mezzo_agent_core::{Ending, Exit, Found, Kill, Launch, Trace};
use mezzo_shim::{Outcome, SHIM};
use mezzo_types::{Reason, Run, Runtime};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The launch, MessagePack; it is moved into place, so it is whole or absent.
const LAUNCH: &str = "launch";
/// A launch is not longer, in bytes: a task's description with its files, and what is put around it.
const LAUNCH_BYTES_MAX: u64 = 64 << 20;
/// Why its end was asked for, JSON; likewise.
const KILL: &str = "kill";
/// Why it is over, JSON, where the shim did not write that down: so that a later agent says the same.
const OVER: &str = "over";
/// What the runner says of a component that it could not run to its end: a reason's code, then words.
pub const OUTCOME: &str = "outcome";

/// All run folders of an agent.
#[derive(Clone, Debug)]
pub struct Runs {
    live: PathBuf,
    ended: PathBuf,
    boot: String,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    boot: String,
    launch: Launch,
}

impl Runs {
    /// Uses the agent's folder.
    pub fn open(folder: &Path, boot: &str) -> Result<Runs, Error> {
        let runs = Runs {
            live: folder.join("runs"),
            ended: folder.join("ended"),
            boot: boot.to_string(),
        };
        for path in [&runs.live, &runs.ended] {
            std::fs::create_dir_all(path).map_err(io(format!("make {}", path.display())))?;
        }
        Ok(runs)
    }

    /// Where the folders of ended runs are.
    pub fn ended(&self) -> &Path {
        &self.ended
    }

    /// A live run's folder.
    pub fn folder(&self, run: Run) -> PathBuf {
        self.live.join(run.to_string())
    }

    /// A run's folder, live or ended.
    pub fn find(&self, run: Run) -> Option<PathBuf> {
        [self.folder(run), self.ended.join(run.to_string())]
            .into_iter()
            .find(|path| path.is_dir())
    }

    /// Keeps a launch before anything of it is done.
    pub fn keep(&self, launch: &Launch) -> std::io::Result<()> {
        let folder = self.folder(launch.run);
        if self.find(launch.run).is_some() {
            // A run starts at most once, whoever asks again.
            return Err(std::io::Error::new(
                std::io::ErrorKind::AlreadyExists,
                "the run has been here before",
            ));
        }
        std::fs::create_dir(&folder)?;
        let kept = Kept {
            boot: self.boot.clone(),
            launch: launch.clone(),
        };
        let bytes = rmp_serde::to_vec_named(&kept).map_err(std::io::Error::other)?;
        write_whole(&folder, LAUNCH, &bytes)
    }

    /// Keeps that its end was asked for.
    pub fn keep_kill(&self, run: Run, kill: &Kill) -> std::io::Result<()> {
        write_whole(&self.folder(run), KILL, &serde_json::to_vec(kill)?)
    }

    /// Keeps why a run is over, unless its shim did. Without it a later agent would start a run that
    /// this one has reported as failed.
    pub fn keep_over(&self, run: Run, reason: Reason, message: &str) -> std::io::Result<()> {
        let folder = self.folder(run);
        match trace(&folder).and_then(|trace| trace.outcome) {
            None | Some(Outcome::Sealed) => {}
            Some(_) => return Ok(()),
        }
        write_whole(&folder, OVER, &serde_json::to_vec(&(reason, message))?)
    }

    /// Makes sure that no shim starts a run any more, whatever a spawner was asked before. False if one
    /// has.
    pub fn seal(&self, run: Run) -> std::io::Result<bool> {
        let folder = self.folder(run);
        if !folder.is_dir() {
            return Ok(true);
        }
        let (new, shim) = (folder.join("sealed.new"), folder.join(SHIM));
        std::fs::write(&new, Outcome::Sealed.encode())?;
        let sealed = std::fs::hard_link(&new, shim);
        std::fs::remove_file(new)?;
        match sealed {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let outcome = trace(&folder).and_then(|trace| trace.outcome);
                Ok(outcome == Some(Outcome::Sealed))
            }
            sealed => sealed.map(|()| true),
        }
    }

    /// Whether nothing more will be written by a run.
    pub fn is_over(&self, run: Run) -> bool {
        let folder = self.folder(run);
        !folder.is_dir() || has_ended(&folder) || folder.join(OVER).exists()
    }

    /// Its end is acknowledged: only its output is kept.
    pub fn forget(&self, run: Run) -> std::io::Result<()> {
        let folder = self.ended.join(run.to_string());
        std::fs::rename(self.folder(run), &folder)?;
        // Nobody starts it again, and its files stand in the sandbox.
        std::fs::remove_file(folder.join(LAUNCH))?;
        // Its age is counted from now on.
        File::open(folder)?.set_modified(SystemTime::now())
    }

    /// What the shim left behind when it was gone, and for a component its runner.
    pub fn ending(&self, run: Run, runtime: Runtime) -> Ending {
        let folder = self.folder(run);
        if runtime == Runtime::Module
            && let Some(ending) = outcome(&folder)
        {
            return ending;
        }
        let trace = trace(&folder);
        let started = trace.is_some();
        match trace.and_then(|trace| trace.outcome) {
            Some(Outcome::Code(code)) => Ending::Exit(Exit::Code(code)),
            Some(Outcome::Signal(signal)) => Ending::Exit(Exit::Signal(signal)),
            Some(Outcome::NotExecuted(errno)) => {
                let error = std::io::Error::from_raw_os_error(errno);
                Ending::Failed(
                    Reason::StartFailed,
                    format!("the program could not be executed: {error}"),
                )
            }
            Some(Outcome::Broken(what, errno)) => {
                let error = std::io::Error::from_raw_os_error(errno);
                Ending::Failed(
                    Reason::SandboxFailed,
                    format!("the shim could not {what}: {error}"),
                )
            }
            Some(Outcome::Sealed) => {
                Ending::Failed(Reason::StartFailed, "it was not started".into())
            }
            None if started => {
                let message = "the program that watched over the task has died; what was left of the task was killed";
                Ending::Failed(Reason::ShimLost, message.into())
            }
            None => Ending::Failed(
                Reason::StartFailed,
                "no process could be made for the task".into(),
            ),
        }
    }

    /// Every run of before a restart. A folder without a launch was torn while it was made: nothing
    /// of it was started, and it goes. One that cannot be read is left as it is, and the agent does not
    /// start: its task may be running.
    pub fn recover(&self) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.live).map_err(io("list the runs"))? {
            let folder = entry.map_err(io("list the runs"))?.path();
            let launch = folder.join(LAUNCH);
            match run_file::read(&launch, LAUNCH_BYTES_MAX) {
                Ok(bytes) => {
                    let kept = rmp_serde::from_slice::<Kept>(&bytes).map_err(|error| {
                        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
                        io(format!("read {} (was it written by a newer agent? start that one, or move the folder away once its task has ended)", launch.display()))(error)
                    })?;
                    found.push(self.recover_one(&folder, kept)?);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    std::fs::remove_dir_all(&folder)
                        .map_err(io(format!("remove {}", folder.display())))?;
                }
                Err(error) => return Err(io(format!("read {}", launch.display()))(error)),
            }
        }
        found.sort_by_key(|found| found.launch.run);
        Ok(found)
    }

    fn recover_one(&self, folder: &Path, kept: Kept) -> Result<Found, Error> {
        let run = kept.launch.run;
        let runtime = kept.launch.spec.workload.runtime();
        let kill = run_file::read_note(&folder.join(KILL))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        let shim = folder.join(SHIM);
        // The spawner of before may still be about to start it.
        let sealed = kill.is_some()
            && self
                .seal(run)
                .map_err(io(format!("seal {}", folder.display())))?;
        let over = run_file::read_note(&folder.join(OVER))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        let trace = if let Some((reason, message)) = over {
            Trace::Ended(Ending::Failed(reason, message))
        } else if sealed {
            let message = "it was killed before it was started";
            Trace::Ended(Ending::Failed(Reason::KilledBeforeStart, message.into()))
        } else if has_ended(folder) {
            Trace::Ended(self.ending(run, runtime))
        } else if kept.boot != self.boot {
            let message = "the machine was started anew while the task was here";
            Trace::Ended(Ending::Failed(Reason::Rebooted, message.into()))
        } else if !shim.exists() {
            Trace::NotStarted
        } else if shim_lives(folder) {
            Trace::Running(millis(
                shim.metadata().and_then(|meta| meta.modified()).ok(),
            ))
        } else {
            // It may have ended between the two looks.
            let ending = self.ending(run, runtime);
            if let Ending::Failed(Reason::ShimLost, _) = &ending {
                leftovers::kill(&folder.join(SANDBOX));
            }
            Trace::Ended(ending)
        };
        Ok(Found {
            launch: kept.launch,
            kill,
            trace,
        })
    }
}

/// Whether its shim has written down how it ended.
fn has_ended(folder: &Path) -> bool {
    trace(folder).is_some_and(|trace| trace.outcome.is_some())
}

/// What the runner has said of a component, if it has.
fn outcome(folder: &Path) -> Option<Ending> {
    let text = run_file::read_note(&folder.join(OUTCOME)).ok()?;
    let (code, message) = text.split_once('\n')?;
    let reason = Reason::try_from(code.to_string()).ok()?;
    Some(Ending::Failed(reason, message.trim_end().to_string()))
}

fn millis(at: Option<SystemTime>) -> u64 {
    let since = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    std::fs::write(&new, bytes)?;
    std::fs::rename(new, folder.join(name))
}
