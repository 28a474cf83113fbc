//! The runs of an agent and the rules of their lives.

use crate::{
    Action, DESTROY_AGAIN_MS, Ending, Event, Exit, Found, Kill, Launch, RETRY_MS, RETRY_MS_MAX,
    TOMBSTONES_MAX, Trace, Volume,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use mezzo_types::{Instant, Reason, Run, Runtime, Status, TaskLimits, TaskState, Term};

/// The state machine. See the crate's page.
#[derive(Debug)]
pub struct Agent {
    runtimes: Vec<Runtime>,
    term: Term,
    session: bool,
    pub(crate) runs: BTreeMap<Run, Life>,
    ports: BTreeMap<u16, Run>,
    tombstones: BTreeSet<Run>,
    deadlines: BTreeSet<(Instant, Run, Timer)>,
    /// To be destroyed as soon as no run has them mounted.
    pub(crate) doomed: BTreeSet<Volume>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The grace is over.
    Destroy,
    /// It has run for long enough.
    RuntimeMax,
    /// The newest status was not acknowledged.
    Retry,
}

#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) launch: Launch,
    pub(crate) status: Status,
    kill: Option<Kill>,
    /// When each timer goes off, if it is set: in the order of [`Timer`].
    timers: [Option<Instant>; 3],
    acknowledged: u64,
    retry_ms: u64,
}

/// The number of a status: it grows along a run's life, and follows from the state alone.
#[must_use]
pub fn sequence(state: TaskState) -> u64 {
    match state {
        TaskState::Pending | TaskState::Unreachable => 0,
        TaskState::Starting => 1,
        TaskState::Running => 2,
        TaskState::Stopping => 3,
        TaskState::Finished | TaskState::Failed | TaskState::Killed | TaskState::Lost => 4,
    }
}

impl Agent {
    /// An agent that knows these runs from before.
    #[must_use]
    pub fn restore(
        now: Instant,
        term: Term,
        runtimes: Vec<Runtime>,
        found: Vec<Found>,
        out: &mut Vec<Action>,
    ) -> Agent {
        let mut agent = Agent {
            runtimes,
            term,
            session: false,
            runs: BTreeMap::new(),
            ports: BTreeMap::new(),
            tombstones: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            doomed: BTreeSet::new(),
        };
        for found in found {
            let run = found.launch.run;
            agent.insert(now, found.launch);
            if let Some(life) = agent.runs.get_mut(&run) {
                life.kill = found.kill.clone();
            }
            match found.trace {
                Trace::NotStarted => out.push(Action::Start(run)),
                Trace::Running(since) => {
                    agent.started(Instant(since), run, out);
                    if let Some(kill) = found.kill {
                        // How much of the grace is over is not known: it begins anew.
                        agent.stop(now, run, kill.grace_ms, out);
                    }
                }
                Trace::Ended(ending) => agent.ended(now, run, ending, out),
            }
        }
        agent
    }

    /// Takes one event in and says what is to be done.
    pub fn step(&mut self, now: Instant, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Tick => {}
            Event::SessionOpened(term) => self.session_opened(now, term, out),
            Event::SessionClosed => self.session = false,
            Event::Launch(term, launches) if term >= self.term => self.launch(now, launches, out),
            Event::Kill(term, run, kill) if term >= self.term => self.kill(now, run, kill, out),
            Event::CreateVolume(term, volume) if term >= self.term => {
                out.push(Action::CreateVolume(volume));
            }
            Event::DestroyVolume(term, volume) if term >= self.term => {
                self.destroy_volume(volume, out);
            }
            // From a master that no longer leads.
            Event::Launch(..)
            | Event::Kill(..)
            | Event::CreateVolume(..)
            | Event::DestroyVolume(..) => {}
            Event::Acknowledged(run, number) => self.acknowledged(run, number, out),
            Event::Started(run) => self.started(now, run, out),
            Event::Ended(run, ending) => self.ended(now, run, ending, out),
        }
        self.fire(now, out);
    }

    /// When to step with [`Event::Tick`] if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, ..)| *at)
    }

    /// The largest term seen.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// Every run and its latest status, for the greeting.
    pub fn runs(&self) -> impl Iterator<Item = (Run, u64, &Status)> {
        self.runs
            .iter()
            .map(|(run, life)| (*run, sequence(life.status.state), &life.status))
    }

    /// The latest status of a run.
    #[must_use]
    pub fn status_of(&self, run: Run) -> Option<&Status> {
        self.runs.get(&run).map(|life| &life.status)
    }

    /// What a run was asked to be.
    #[must_use]
    pub fn launch_of(&self, run: Run) -> Option<&Launch> {
        self.runs.get(&run).map(|life| &life.launch)
    }

    fn session_opened(&mut self, now: Instant, term: Term, out: &mut Vec<Action>) {
        self.term = self.term.max(term);
        self.session = true;
        let unsaid: Vec<Run> = self
            .runs
            .iter()
            .filter(|(_, life)| life.unsaid())
            .map(|(run, _)| *run)
            .collect();
        for run in unsaid {
            if let Some(life) = self.runs.get_mut(&run) {
                life.retry_ms = RETRY_MS;
            }
            self.say(now, run, out);
        }
    }

    fn insert(&mut self, now: Instant, launch: Launch) {
        for port in &launch.ports {
            // One that another run has stays that run's.
            self.ports.entry(*port).or_insert(launch.run);
        }
        let life = Life {
            status: Status::new(TaskState::Starting, now),
            kill: None,
            timers: [None; 3],
            acknowledged: 0,
            retry_ms: RETRY_MS,
            launch,
        };
        self.runs.insert(life.launch.run, life);
    }

    /// Accepts all of a message before the first of them is started.
    fn launch(&mut self, now: Instant, launches: Vec<Launch>, out: &mut Vec<Action>) {
        let mut accepted = Vec::new();
        for launch in launches {
            let run = launch.run;
            if self.runs.contains_key(&run) {
                // Sent again: the answer is what there is.
                self.say(now, run, out);
            } else if self.tombstones.contains(&run) {
                out.push(Action::SayUnknown(run));
            } else {
                let problem = self.problem(&launch);
                out.push(Action::Keep(launch.clone()));
                self.insert(now, launch);
                accepted.push((run, problem));
            }
        }
        for (run, problem) in accepted {
            match problem {
                Some((reason, message)) => {
                    self.ended(now, run, Ending::Failed(reason, message), out)
                }
                None => out.push(Action::Start(run)),
            }
        }
    }

    /// Why a launch cannot be started here; the master's word is not taken for it.
    fn problem(&self, launch: &Launch) -> Option<(Reason, alloc::string::String)> {
        if let Err(error) = launch.spec.check(&TaskLimits::default()) {
            return Some((
                Reason::StartFailed,
                format!("the task is not valid: {error}"),
            ));
        }
        let runtime = launch.spec.workload.runtime();
        if !self.runtimes.contains(&runtime) {
            return Some((
                Reason::Unsupported,
                format!(
                    "this agent does not run workloads of the kind `{}`",
                    runtime.as_str()
                ),
            ));
        }
        if !launch.spec.mounts.is_empty() && launch.reservation.is_none() {
            let message = "it mounts volumes, but runs on no reservation that could have any";
            return Some((Reason::VolumeFailed, message.into()));
        }
        let taken = launch
            .ports
            .iter()
            .find_map(|port| self.ports.get(port).map(|run| (port, run)));
        taken.map(|(port, run)| {
            (
                Reason::PortTaken,
                format!("port {port} is in use by run {run}"),
            )
        })
    }

    fn kill(&mut self, now: Instant, run: Run, kill: Kill, out: &mut Vec<Action>) {
        let Some(life) = self.runs.get_mut(&run) else {
            if self.tombstones.len() >= TOMBSTONES_MAX {
                self.tombstones.pop_first();
            }
            self.tombstones.insert(run);
            return out.push(Action::SayUnknown(run));
        };
        if life.status.state.is_final() {
            return self.say(now, run, out);
        }
        let shorter = life
            .kill
            .as_ref()
            .is_none_or(|old| kill.grace_ms < old.grace_ms);
        if shorter {
            let reason = life.kill.as_ref().map_or(kill.reason, |old| old.reason);
            let kill = Kill { reason, ..kill };
            life.kill = Some(kill.clone());
            out.push(Action::KeepKill(run, kill.clone()));
            self.stop(now, run, kill.grace_ms, out);
        }
    }

    /// Signals a run that has been started; one that has not is signalled as soon as it is.
    fn stop(&mut self, now: Instant, run: Run, grace_ms: u64, out: &mut Vec<Action>) {
        let Some(life) = self.runs.get_mut(&run) else {
            return;
        };
        if life.status.state == TaskState::Starting {
            return;
        }
        let before = life.timers[Timer::Destroy as usize];
        let at = now.after_ms(grace_ms);
        self.set_timer(
            run,
            Timer::Destroy,
            Some(before.map_or(at, |before| before.min(at))),
        );
        if before.is_none() {
            out.push(Action::Terminate(run));
            self.set(now, run, Status::new(TaskState::Stopping, now), out);
        }
    }

    fn started(&mut self, now: Instant, run: Run, out: &mut Vec<Action>) {
        let Some(life) = self
            .runs
            .get(&run)
            .filter(|life| life.status.state == TaskState::Starting)
        else {
            return;
        };
        let (kill, runtime_max_ms) = (life.kill.clone(), life.launch.spec.runtime_max_ms);
        self.set(now, run, Status::new(TaskState::Running, now), out);
        if let Some(max) = runtime_max_ms {
            self.set_timer(run, Timer::RuntimeMax, Some(now.after_ms(max)));
        }
        if let Some(kill) = kill {
            self.stop(now, run, kill.grace_ms, out);
        }
    }

    fn ended(&mut self, now: Instant, run: Run, ending: Ending, out: &mut Vec<Action>) {
        let Some(life) = self
            .runs
            .get_mut(&run)
            .filter(|life| !life.status.state.is_final())
        else {
            return;
        };
        for port in &life.launch.ports {
            if self.ports.get(port) == Some(&run) {
                self.ports.remove(port);
            }
        }
        let status = final_status(now, life, ending);
        self.set(now, run, status, out);
        self.destroy_doomed(run, out);
    }

    fn set(&mut self, now: Instant, run: Run, status: Status, out: &mut Vec<Action>) {
        let Some(life) = self.runs.get_mut(&run) else {
            return;
        };
        life.status = status;
        life.retry_ms = RETRY_MS;
        self.say(now, run, out);
    }

    /// Says the newest status if somebody listens, and again until it is acknowledged.
    fn say(&mut self, now: Instant, run: Run, out: &mut Vec<Action>) {
        let Some(life) = self.runs.get_mut(&run).filter(|_| self.session) else {
            return;
        };
        out.push(Action::Say(
            run,
            sequence(life.status.state),
            life.status.clone(),
        ));
        let at = now.after_ms(life.retry_ms);
        life.retry_ms = (life.retry_ms * 2).min(RETRY_MS_MAX);
        self.set_timer(run, Timer::Retry, Some(at));
    }

    fn set_timer(&mut self, run: Run, timer: Timer, at: Option<Instant>) {
        let Some(life) = self.runs.get_mut(&run) else {
            return;
        };
        let old = core::mem::replace(&mut life.timers[timer as usize], at);
        if let Some(old) = old {
            self.deadlines.remove(&(old, run, timer));
        }
        if let Some(at) = at {
            self.deadlines.insert((at, run, timer));
        }
    }

    fn acknowledged(&mut self, run: Run, number: u64, out: &mut Vec<Action>) {
        let Some(life) = self.runs.get_mut(&run) else {
            return;
        };
        // What was not said yet cannot have been heard.
        let said = number.min(sequence(life.status.state));
        life.acknowledged = life.acknowledged.max(said);
        if life.unsaid() {
            return;
        }
        let over = life.status.state.is_final();
        self.set_timer(run, Timer::Retry, None);
        if over {
            self.set_timer(run, Timer::Destroy, None);
            self.set_timer(run, Timer::RuntimeMax, None);
            self.runs.remove(&run);
            out.push(Action::Forget(run));
        }
    }

    fn fire(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some((at, run, timer)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.remove(&(at, run, timer));
            let Some(life) = self.runs.get_mut(&run) else {
                continue;
            };
            if timer == Timer::Retry {
                life.timers[timer as usize] = None;
            }
            let over = life.status.state.is_final();
            match timer {
                Timer::Retry if life.unsaid() => self.say(now, run, out),
                Timer::Destroy if !over => {
                    out.push(Action::Destroy(run));
                    // Until it has ended: one request may have failed.
                    life.timers[timer as usize] = None;
                    self.set_timer(run, timer, Some(now.after_ms(DESTROY_AGAIN_MS)));
                }
                Timer::RuntimeMax if !over => {
                    let kill = Kill {
                        grace_ms: life.launch.spec.kill_grace_ms,
                        reason: Reason::RuntimeMax,
                    };
                    self.kill(now, run, kill, out);
                }
                _ => {}
            }
        }
    }
}

impl Life {
    fn unsaid(&self) -> bool {
        self.acknowledged < sequence(self.status.state)
    }
}

/// What an ending means for a run, given that somebody may have asked for it.
fn final_status(now: Instant, life: &Life, ending: Ending) -> Status {
    let exit_code = match &ending {
        Ending::Exit(Exit::Code(code)) => Some(*code),
        Ending::Exit(Exit::Signal(signal)) => Some(128 + signal),
        Ending::Failed(..) => None,
    };
    let killed = |kill: &Kill| match kill.reason {
        Reason::RuntimeMax => Status::new(TaskState::Failed, now).because(
            Reason::RuntimeMax,
            format!(
                "it ran longer than {} ms",
                life.launch.spec.runtime_max_ms.unwrap_or_default()
            ),
        ),
        reason => Status::new(TaskState::Killed, now).because(reason, ""),
    };
    let mut status = match (&ending, &life.kill) {
        (Ending::Failed(Reason::KilledBeforeStart, message), _) => {
            Status::new(TaskState::Killed, now).because(Reason::KilledBeforeStart, message.clone())
        }
        (Ending::Failed(reason, message), _) => {
            Status::new(TaskState::Failed, now).because(*reason, message.clone())
        }
        // It was asked to end and did: how it chose to do so does not matter.
        (Ending::Exit(_), Some(kill)) => killed(kill),
        (Ending::Exit(Exit::Code(0)), None) => {
            Status::new(TaskState::Finished, now).because(Reason::Exited, "")
        }
        (Ending::Exit(Exit::Code(code)), None) => {
            Status::new(TaskState::Failed, now).because(Reason::Exited, format!("exit code {code}"))
        }
        (Ending::Exit(Exit::Signal(signal)), None) => Status::new(TaskState::Failed, now)
            .because(Reason::Signal, format!("ended by signal {signal}")),
    };
    status.exit_code = exit_code;
    status
}
