//! One job and what happens to it: launches, statuses, stopping, the end. Pure: the caller does what it says.

use crate::limits::LOST_MAX;
use crate::progress::{PAGE, Progress, State};
use crate::spec::Spec;
use mezzo_sdk::types::{InstantMs, TaskState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The master's reason when an operator drains an agent.
const DRAINED: &str = "agent-draining";

/// The master's reason when it takes back what a preemptible task uses.
const PREEMPTED: &str = "preempted";

/// Why a job was stopped before its tasks had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// Somebody asked for it.
    Cancelled,
    /// Its time was up.
    TimedOut,
}

/// The durable part of a job that is small and stays when it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// For people.
    pub name: String,
    /// How many indexes.
    pub count: u32,
    /// When it was submitted.
    pub created_ms: InstantMs,
    /// When its last index ended.
    pub ended_ms: Option<InstantMs>,
    /// Whether it was stopped, and why.
    pub stop: Option<Stop>,
    /// Of the first index that failed for good, if it had one.
    pub exit_code: Option<i32>,
    /// The reasons that its indexes refer to.
    pub reasons: Vec<String>,
    /// Bytes of its description.
    pub spec_bytes: usize,
    /// Bytes of its `tasks`.
    pub args_bytes: usize,
}

/// How many indexes stand where. They add up to `count`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// To be launched.
    pub waiting: u32,
    /// `pending` or `starting`.
    pub starting: u32,
    /// `running`, `stopping` or `unreachable`.
    pub running: u32,
    /// Done.
    pub finished: u32,
    /// Failed for good.
    pub failed: u32,
    /// Not run, or killed, because the job was stopped.
    pub cancelled: u32,
}

impl Counts {
    fn slot(&mut self, state: State) -> &mut u32 {
        match state {
            State::Waiting => &mut self.waiting,
            State::Pending | State::Starting => &mut self.starting,
            State::Running | State::Stopping | State::Unreachable => &mut self.running,
            State::Finished => &mut self.finished,
            State::Failed => &mut self.failed,
            State::Cancelled => &mut self.cancelled,
        }
    }

    /// Launched and not ended.
    pub fn live(&self) -> u32 {
        self.starting + self.running
    }
}

/// What the agent or the master said of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Which index.
    pub index: u32,
    /// Which attempt of it.
    pub attempt: u32,
    /// Where the task stands.
    pub state: TaskState,
    /// If it ended by itself.
    pub exit_code: Option<i32>,
    /// A stable code.
    pub reason: &'a str,
}

/// One job in memory.
#[derive(Debug)]
pub struct Job {
    /// Its number; the id is `j` and the number.
    pub number: u64,
    /// What is durable and small.
    pub record: Record,
    /// What it runs; none once it has ended.
    pub spec: Option<Spec>,
    /// Every index.
    tasks: Vec<Progress>,
    counts: Counts,
    ever_launched: bool,
    /// Indexes that wait to be launched again.
    again: BTreeSet<u32>,
    /// No index below has never been launched, unless it is final.
    fresh: u32,
    /// Pages that changed since they were written.
    dirty_pages: BTreeSet<u32>,
    /// Whether the record changed since it was written.
    dirty_record: bool,
}

impl Job {
    /// A new job, all of it waiting.
    pub fn new(number: u64, record: Record, spec: Spec) -> Job {
        let tasks = vec![Progress::default(); record.count as usize];
        Job {
            dirty_record: true,
            ..Job::restored(number, record, Some(spec), tasks)
        }
    }

    /// A job as the durable state has it.
    pub fn restored(number: u64, record: Record, spec: Option<Spec>, tasks: Vec<Progress>) -> Job {
        let mut counts = Counts::default();
        let mut again = BTreeSet::new();
        for (index, task) in (0..).zip(&tasks) {
            *counts.slot(task.state) += 1;
            if task.state == State::Waiting && task.attempt > 0 {
                again.insert(index);
            }
        }
        Job {
            number,
            record,
            spec,
            ever_launched: tasks.iter().any(|task| task.attempt > 0),
            tasks,
            counts,
            again,
            fresh: 0,
            dirty_pages: BTreeSet::new(),
            dirty_record: false,
        }
    }

    /// Its id.
    pub fn id(&self) -> String {
        format!("j{}", self.number)
    }

    /// Every index.
    pub fn tasks(&self) -> &[Progress] {
        &self.tasks
    }

    /// How many stand where.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.record.ended_ms.is_some()
    }

    /// As the API spells it.
    pub fn state(&self) -> &'static str {
        match (self.record.ended_ms, self.record.stop) {
            (Some(_), Some(Stop::Cancelled)) => "cancelled",
            (Some(_), Some(Stop::TimedOut)) => "timed-out",
            (Some(_), None) if self.counts.failed > 0 => "failed",
            (Some(_), None) => "finished",
            (None, _) if !self.ever_launched => "waiting",
            (None, _) => "running",
        }
    }

    /// What its indexes' `reason` stands for.
    pub fn reason(&self, task: &Progress) -> &str {
        match task.reason {
            0 => "",
            number => self
                .record
                .reasons
                .get(usize::from(number) - 1)
                .map_or("", String::as_str),
        }
    }

    /// How many it would launch now.
    pub fn launchable(&self) -> u32 {
        let Some(spec) = self.spec.as_ref().filter(|_| self.record.stop.is_none()) else {
            return 0;
        };
        self.counts
            .waiting
            .min(spec.parallel_max.saturating_sub(self.counts.live()))
    }

    /// About how many bytes the launch of one index hands over.
    pub fn launch_bytes(&self) -> usize {
        let own = self.record.args_bytes / (self.record.count as usize).max(1);
        own + self.spec.as_ref().map_or(0, Spec::launch_bytes)
    }

    /// The next `n` indexes to launch: those to be tried again first, then in order.
    pub fn next(&mut self, n: usize) -> Vec<u32> {
        let is_fresh = |task: &Progress| task.state == State::Waiting && task.attempt == 0;
        while self
            .tasks
            .get(self.fresh as usize)
            .is_some_and(|task| !is_fresh(task))
        {
            self.fresh += 1;
        }
        let fresh = (self.fresh..).zip(self.tasks.iter().skip(self.fresh as usize));
        let fresh = fresh
            .filter(|(_, task)| is_fresh(task))
            .map(|(index, _)| index);
        self.again.iter().copied().chain(fresh).take(n).collect()
    }

    /// The attempt that a launch of this index now would be.
    pub fn next_attempt(&self, index: u32) -> u32 {
        self.tasks
            .get(index as usize)
            .map_or(1, |task| task.attempt.saturating_add(1))
    }

    /// The index has been launched.
    pub fn launched(&mut self, index: u32) {
        let attempt = self.next_attempt(index);
        self.ever_launched = true;
        self.change(index, |task| {
            task.state = State::Pending;
            task.attempt = attempt;
        });
    }

    /// The master will never launch the index: it has failed.
    pub fn refused(&mut self, index: u32) {
        let attempt = self.next_attempt(index);
        let reason = self.reason_number("refused");
        self.ever_launched = true;
        self.change(index, |task| {
            task.attempt = attempt;
            task.reason = reason;
            task.state = State::Failed;
        });
    }

    /// Takes in a status. What is not about the attempt that lives is old news. Returns whether it was about it.
    pub fn hear(&mut self, heard: &Heard<'_>) -> bool {
        let Some(task) = self.tasks.get(heard.index as usize).copied() else {
            return false;
        };
        if task.attempt != heard.attempt || !task.state.is_live() {
            return false;
        }
        if !heard.state.is_final() {
            let state = match heard.state {
                TaskState::Pending => State::Pending,
                TaskState::Starting => State::Starting,
                TaskState::Stopping => State::Stopping,
                TaskState::Unreachable => State::Unreachable,
                _ => State::Running,
            };
            self.change(heard.index, |task| task.state = state);
            return true;
        }
        let retries = self.spec.as_ref().map_or(0, |spec| spec.retries);
        let stopping = self.record.stop.is_some();
        let failures = task
            .failures
            .saturating_add(u8::from(heard.state == TaskState::Failed));
        // Killed because its agent is drained, it is no more to blame than if the agent had failed.
        let is_lost = heard.state == TaskState::Lost
            || heard.state == TaskState::Killed && heard.reason == DRAINED;
        // That others needed its place more is nobody's fault: it is not even counted.
        let is_preempted = heard.state == TaskState::Killed && heard.reason == PREEMPTED;
        let lost = task.lost.saturating_add(u8::from(is_lost));
        let (state, reason) = match heard.state {
            TaskState::Finished => (State::Finished, heard.reason),
            _ if stopping => (State::Cancelled, heard.reason),
            TaskState::Failed if failures <= retries => (State::Waiting, heard.reason),
            _ if is_preempted => (State::Waiting, heard.reason),
            _ if is_lost && lost <= LOST_MAX => (State::Waiting, heard.reason),
            _ if is_lost => (State::Failed, "lost-too-often"),
            _ => (State::Failed, heard.reason),
        };
        let reason = self.reason_number(reason);
        self.change(heard.index, |task| {
            (task.failures, task.lost, task.reason) = (failures, lost, reason);
            task.exit_code = heard.exit_code;
            task.state = state;
        });
        if state == State::Waiting {
            self.again.insert(heard.index);
        }
        if state == State::Failed && self.record.exit_code.is_none() && heard.exit_code.is_some() {
            self.record.exit_code = heard.exit_code;
            self.dirty_record = true;
        }
        true
    }

    /// Stops it: what waits is cancelled; the ids of what lives come back, to be killed. A job that is being stopped
    /// or has ended is left as it is.
    pub fn stop(&mut self, why: Stop) -> Vec<String> {
        if self.has_ended() || self.record.stop.is_some() {
            return Vec::new();
        }
        self.record.stop = Some(why);
        self.dirty_record = true;
        let mut live = Vec::new();
        for index in 0..self.record.count {
            match self
                .tasks
                .get(index as usize)
                .map(|task| (task.state, task.attempt))
            {
                Some((State::Waiting, _)) => {
                    self.change(index, |task| task.state = State::Cancelled)
                }
                Some((state, attempt)) if state.is_live() => {
                    live.push(self.task_id(index, attempt))
                }
                _ => {}
            }
        }
        live
    }

    /// Ends it, if all its indexes have ended. Returns whether it has just ended.
    pub fn end_if_done(&mut self, now: InstantMs) -> bool {
        let done = self.counts.waiting == 0 && self.counts.live() == 0;
        if !done || self.has_ended() {
            return false;
        }
        self.record.ended_ms = Some(now);
        if self.counts.finished == self.record.count {
            self.record.exit_code = Some(0);
        }
        self.spec = None;
        self.again = BTreeSet::new();
        self.dirty_record = true;
        true
    }

    /// When its time is up.
    pub fn deadline(&self) -> Option<InstantMs> {
        let timeout = self
            .spec
            .as_ref()
            .filter(|_| self.record.stop.is_none())?
            .timeout_ms?;
        Some(self.record.created_ms.saturating_add(timeout))
    }

    /// The id of one attempt's task.
    pub fn task_id(&self, index: u32, attempt: u32) -> String {
        format!("j{}.{index}.{attempt}", self.number)
    }

    /// Whether the record has to be written; asked once.
    pub fn take_dirty_record(&mut self) -> bool {
        std::mem::take(&mut self.dirty_record)
    }

    /// Pages to be written, by number; asked once.
    pub fn take_dirty_pages(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.dirty_pages)
    }

    /// One page.
    pub fn page(&self, number: u32) -> &[Progress] {
        let from = (number as usize * PAGE).min(self.tasks.len());
        let to = (from + PAGE).min(self.tasks.len());
        self.tasks.get(from..to).unwrap_or(&[])
    }

    fn change(&mut self, index: u32, change: impl FnOnce(&mut Progress)) {
        let Some(task) = self.tasks.get_mut(index as usize) else {
            return;
        };
        *self.counts.slot(task.state) -= 1;
        change(task);
        *self.counts.slot(task.state) += 1;
        if task.state != State::Waiting {
            self.again.remove(&index);
        }
        self.dirty_pages.insert(index / PAGE as u32);
    }

    /// The number of a reason; beyond 255 different ones, the last stands for all.
    fn reason_number(&mut self, reason: &str) -> u8 {
        if reason.is_empty() {
            return 0;
        }
        let known = self.record.reasons.iter().position(|own| own == reason);
        let at = known.unwrap_or_else(|| {
            if self.record.reasons.len() < usize::from(u8::MAX) {
                self.record.reasons.push(reason.to_owned());
                self.dirty_record = true;
            }
            self.record.reasons.len() - 1
        });
        u8::try_from(at + 1).unwrap_or(u8::MAX)
    }
}

/// Job number, index and attempt of a task's id, if it is one of ours.
pub fn parse_task_id(id: &str) -> Option<(u64, u32, u32)> {
    let mut parts = id.strip_prefix('j')?.split('.');
    let parsed = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    parts.next().is_none().then_some(parsed)
}

/// The number in a job's id.
pub fn parse_job_id(id: &str) -> Option<u64> {
    let digits = id.strip_prefix('j')?;
    let plain = !digits.starts_with(['0', '+']) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}
