//! The streams of `watch`: what each watcher is told first, and what changed in a turn.

use crate::job::Job;
use crate::limits::{WATCH_BYTES_MAX, WATCH_TASKS_MAX};
use crate::view::{JobView, TaskView};
use mezzo_sdk::Cx;
use mezzo_sdk::web::{Broadcast, event};
use std::collections::BTreeMap;

/// Who watches which job, and what the turn has for them so far.
#[derive(Default)]
pub struct Watchers {
    streams: Broadcast<u64>,
    changes: BTreeMap<u64, Vec<u8>>,
}

impl Watchers {
    /// How many streams there are.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether anybody watches the job.
    pub fn watch(&self, job: u64) -> bool {
        self.streams.heard(&job)
    }

    /// Begins a stream with the submit itself: what the turn does to the job is the first that it hears.
    pub fn join_new(&mut self, job: u64, request: u64) {
        self.streams.join(job, request);
    }

    /// Begins a stream: the job as it stands and each of its tasks that was launched; all there is, if it has ended.
    pub fn join(&mut self, cx: &mut Cx<'_>, job: &Job, request: u64) {
        let mut chunk = event("job", &JobView::from(job));
        let launched = (0..).zip(job.tasks()).filter(|(_, task)| task.attempt > 0);
        for (index, task) in launched.take(WATCH_TASKS_MAX) {
            chunk.extend(event("task", &TaskView::of_index(job, index, task)));
        }
        if job.has_ended() {
            chunk.extend(event("end", &JobView::from(job)));
        }
        cx.stream_write(request, &chunk);
        if job.has_ended() {
            cx.stream_close(request);
        } else {
            self.streams.join(job.number, request);
        }
    }

    /// Forgets streams whose client has gone.
    pub fn gone(&mut self, streams: &[u64]) {
        self.streams.gone(streams);
    }

    /// A task of the job has changed.
    pub fn task(&mut self, job: u64, view: &TaskView<'_>) {
        if self.watch(job) {
            self.changes
                .entry(job)
                .or_default()
                .extend(event("task", view));
        }
    }

    /// The job has changed; its tasks may have too.
    pub fn job(&mut self, job: u64) {
        if self.watch(job) {
            self.changes.entry(job).or_default();
        }
    }

    /// Sends what the turn has, after it the job, and `end` to those whose job has ended. Streams that a turn's bytes
    /// do not suffice for are cut off: they ask again.
    pub fn flush(&mut self, cx: &mut Cx<'_>, jobs: &BTreeMap<u64, Job>) {
        let mut budget = WATCH_BYTES_MAX;
        for (number, mut chunk) in std::mem::take(&mut self.changes) {
            let Some(job) = jobs.get(&number) else {
                continue;
            };
            chunk.extend(event("job", &JobView::from(job)));
            if job.has_ended() {
                chunk.extend(event("end", &JobView::from(job)));
            }
            let cut = self.streams.send_within(cx, &number, &chunk, &mut budget);
            if cut > 0 {
                cx.warn(&format!("{cut} watchers of j{number} were cut off: more than {WATCH_BYTES_MAX} bytes in a turn"));
            }
            if job.has_ended() {
                self.streams.close(cx, &number);
            }
        }
    }
}
