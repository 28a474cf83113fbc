//! `batch`: jobs of `count` tasks that run to completion. The guide is `docs/guide/batch.md`.
//!
//! This file is the framework itself: it takes events in, lets [`job`] decide, and keeps state, demands, timers and
//! watchers in step at the end of each turn. [`api`] is its HTTP face, [`launch`] places tasks, [`store`] knows the
//! keys. What tasks do, and when agents come and go, is the master's.

mod api;
mod base64;
mod job;
mod launch;
mod limits;
mod progress;
mod request;
mod spec;
mod store;
#[cfg(test)]
mod tests;
mod view;
mod watch;

use crate::job::{Heard, Job, Stop, parse_task_id};
use crate::launch::{Launcher, Outcome};
use crate::limits::{JOBS_ENDED_MAX, TASKS_ENDED_MAX};
use crate::view::TaskView;
use crate::watch::Watchers;
use mezzo_sdk::prelude::*;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The timer for when the next job's time is up.
const TIMER: &str = "timeout";

/// The timer for asking again for what was offered and left.
const MORE_TIMER: &str = "more";

/// The master takes a `revive` once in this time, in milliseconds.
const REVIVE_MS: u64 = 1_000;

/// `batch` has no options yet, and refuses those that it does not know.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {}

/// The framework.
pub struct Batch {
    name: String,
    /// The number of the newest job.
    next: Value<u64>,
    jobs: BTreeMap<u64, Job>,
    launcher: Launcher,
    watchers: Watchers,
    /// The turn's offers, until its end.
    offers: Vec<Offer>,
    /// Jobs that the turn has changed.
    touched: BTreeSet<u64>,
    /// When the timer is set for.
    timer_at: Option<InstantMs>,
}

impl Framework for Batch {
    fn start(cx: &mut Cx<'_>, setup: Setup) -> Result<Self, String> {
        let _: Options = setup.options_as()?;
        let jobs = store::load(cx)?;
        let live = jobs.values().filter(|job| !job.has_ended()).count();
        cx.info(&format!(
            "{} has started with {live} jobs to do",
            setup.name
        ));
        Ok(Batch {
            name: setup.name,
            next: Value::load(cx, "next")?,
            jobs,
            launcher: Launcher::default(),
            watchers: Watchers::default(),
            offers: Vec::new(),
            touched: BTreeSet::new(),
            timer_at: None,
        })
    }

    fn agents(&mut self, _cx: &mut Cx<'_>, agents: Vec<Agent>) {
        self.launcher.agents(agents);
    }

    fn agents_gone(&mut self, _cx: &mut Cx<'_>, agents: Vec<AgentId>) {
        self.launcher.agents_gone(&agents);
    }

    fn statuses(&mut self, _cx: &mut Cx<'_>, statuses: Vec<TaskStatus>) {
        for status in statuses {
            self.hear(&status);
        }
    }

    fn timer(&mut self, cx: &mut Cx<'_>, name: String) {
        if name == MORE_TIMER {
            return cx.revive();
        }
        self.timer_at = None;
        let now = cx.now();
        let late = self
            .jobs
            .iter()
            .filter(|(_, job)| job.deadline().is_some_and(|deadline| deadline <= now));
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        for number in late {
            self.stop(cx, number, Stop::TimedOut);
        }
    }

    fn options(&mut self, cx: &mut Cx<'_>, options: String) {
        if let Err(error) = mezzo_sdk::options::parse::<Options>(&options) {
            cx.error(&error);
        }
    }

    fn streams_closed(&mut self, _cx: &mut Cx<'_>, streams: Vec<u64>) {
        self.watchers.gone(&streams);
    }

    fn offers(&mut self, _cx: &mut Cx<'_>, offers: Vec<Offer>) {
        self.offers = offers;
    }

    /// After all that happened is taken in: launch, end, want, remember, tell.
    fn turn_end(&mut self, cx: &mut Cx<'_>) {
        let offers = std::mem::take(&mut self.offers);
        let outcomes = if offers.is_empty() {
            Vec::new()
        } else {
            self.launcher.launch(cx, &mut self.jobs, offers)
        };
        for outcome in &outcomes {
            self.take_in(outcome);
        }
        self.end_jobs(cx);
        self.launcher.want(cx, &self.jobs);
        if self.launcher.take_more() {
            set_timer(cx, MORE_TIMER, REVIVE_MS);
        }
        self.set_timeout(cx);
        for number in std::mem::take(&mut self.touched) {
            self.watchers.job(number);
            if let Some(job) = self.jobs.get_mut(&number) {
                store::save(cx, job);
            }
        }
        self.watchers.flush(cx, &self.jobs);
        self.forget_old(cx);
    }
}

impl Batch {
    fn hear(&mut self, status: &TaskStatus) {
        let Some((number, index, attempt)) = parse_task_id(&status.task) else {
            return;
        };
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        let heard = Heard {
            index,
            attempt,
            state: status.state,
            exit_code: status.exit_code,
            reason: &status.reason,
        };
        if job.hear(&heard) {
            self.touched.insert(number);
            if self.watchers.watch(number) {
                self.watchers
                    .task(number, &TaskView::of_attempt(job, &heard));
            }
        }
    }

    fn take_in(&mut self, outcome: &Outcome) {
        let Some(job) = self.jobs.get_mut(&outcome.job) else {
            return;
        };
        if outcome.launched {
            job.launched(outcome.index);
        } else {
            job.refused(outcome.index);
        }
        self.touched.insert(outcome.job);
        if self.watchers.watch(outcome.job)
            && let Some(task) = job.tasks().get(outcome.index as usize)
        {
            self.watchers
                .task(outcome.job, &TaskView::of_index(job, outcome.index, task));
        }
    }

    fn stop(&mut self, cx: &mut Cx<'_>, number: u64, why: Stop) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        for task in job.stop(why) {
            if let Err(refusal) = cx.kill(&task) {
                // It has ended, and its status is on the way.
                cx.debug(&format!("{task} was not killed: {refusal}"));
            }
        }
        self.touched.insert(number);
    }

    fn end_jobs(&mut self, cx: &mut Cx<'_>) {
        for number in &self.touched {
            if let Some(job) = self.jobs.get_mut(number)
                && job.end_if_done(cx.now())
            {
                cx.info(&format!(
                    "{} `{}` has ended: {}",
                    job.id(),
                    job.record.name,
                    job.state()
                ));
            }
        }
    }

    fn set_timeout(&mut self, cx: &mut Cx<'_>) {
        let next = self.jobs.values().filter_map(Job::deadline).min();
        if next == self.timer_at {
            return;
        }
        match next {
            None => cx.cancel_timer(TIMER),
            Some(deadline) => set_timer(cx, TIMER, deadline.saturating_sub(cx.now())),
        }
        self.timer_at = next;
    }

    /// Keeps a bounded number of ended jobs and of their results: the oldest go first.
    fn forget_old(&mut self, cx: &mut Cx<'_>) {
        let ended = self.jobs.values().filter(|job| job.has_ended());
        let (mut jobs, mut tasks) = ended.fold((0, 0), |(jobs, tasks), job| {
            (jobs + 1, tasks + job.tasks().len())
        });
        while jobs > JOBS_ENDED_MAX || tasks > TASKS_ENDED_MAX {
            let Some(number) = self
                .jobs
                .values()
                .find(|job| job.has_ended())
                .map(|job| job.number)
            else {
                return;
            };
            if let Some(job) = self.jobs.remove(&number) {
                store::forget(cx, &job);
                (jobs, tasks) = (jobs - 1, tasks - job.tasks().len());
            }
        }
    }
}

fn set_timer(cx: &mut Cx<'_>, name: &str, after_ms: u64) {
    if let Err(reason) = cx.set_timer(name, after_ms) {
        panic!("the timer `{name}` is refused: {reason}");
    }
}

mezzo_sdk::export_web!(Batch);
