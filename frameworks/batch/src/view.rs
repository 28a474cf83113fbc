//! What the API shows of jobs and tasks.

use crate::job::{Counts, Heard, Job};
use crate::progress::{Progress, State};
use mezzo_sdk::types::{InstantMs, TaskState};
use serde::Serialize;

/// One job.
#[derive(Debug, Serialize)]
pub struct JobView<'a> {
    id: String,
    name: &'a str,
    state: &'static str,
    stopping: bool,
    count: u32,
    counts: Counts,
    exit_code: Option<i32>,
    created_ms: InstantMs,
    ended_ms: Option<InstantMs>,
}

impl<'a> From<&'a Job> for JobView<'a> {
    fn from(job: &'a Job) -> JobView<'a> {
        JobView {
            id: job.id(),
            name: &job.record.name,
            state: job.state(),
            stopping: job.record.stop.is_some() && !job.has_ended(),
            count: job.record.count,
            counts: job.counts(),
            exit_code: job.record.exit_code,
            created_ms: job.record.created_ms,
            ended_ms: job.record.ended_ms,
        }
    }
}

/// One index, or one attempt of it.
#[derive(Debug, Serialize)]
pub struct TaskView<'a> {
    index: u32,
    task: Option<String>,
    attempt: u32,
    state: &'static str,
    exit_code: Option<i32>,
    reason: &'a str,
}

impl<'a> TaskView<'a> {
    /// An index as it stands.
    pub fn of_index(job: &'a Job, index: u32, task: &Progress) -> TaskView<'a> {
        TaskView {
            index,
            task: (task.attempt > 0).then(|| job.task_id(index, task.attempt)),
            attempt: task.attempt,
            state: task.state.name(),
            exit_code: task.exit_code,
            reason: job.reason(task),
        }
    }

    /// An attempt as it was heard of: one that is tried again shows as what ended it.
    pub fn of_attempt(job: &Job, heard: &Heard<'a>) -> TaskView<'a> {
        let state = match heard.state {
            TaskState::Killed if job.record.stop.is_some() => State::Cancelled.name(),
            TaskState::Killed | TaskState::Lost => State::Failed.name(),
            state => state.name(),
        };
        TaskView {
            index: heard.index,
            task: Some(job.task_id(heard.index, heard.attempt)),
            attempt: heard.attempt,
            state,
            exit_code: heard.exit_code,
            reason: heard.reason,
        }
    }
}
