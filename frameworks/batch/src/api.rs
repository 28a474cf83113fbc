//! The HTTP API: each handler checks everything before it changes anything.

use crate::Batch;
use crate::job::{Job, Record, Stop, parse_job_id};
use crate::limits::*;
use crate::request::JobRequest;
use crate::store;
use crate::view::{JobView, TaskView};
use mezzo_sdk::prelude::*;
use mezzo_sdk::web::Error;
use serde::Serialize;

#[derive(Serialize)]
struct Jobs<'a> {
    jobs: Vec<JobView<'a>>,
}

#[derive(Serialize)]
struct Tasks<'a> {
    tasks: Vec<TaskView<'a>>,
    next: Option<u32>,
}

impl Web for Batch {
    fn routes() -> Router<Self> {
        Router::new()
            .post("/jobs", Batch::submit)
            .get("/jobs", Batch::list)
            .get("/jobs/{id}", Batch::show)
            .delete("/jobs/{id}", Batch::cancel)
            .get("/jobs/{id}/tasks", Batch::tasks)
            .get("/jobs/{id}/watch", Batch::watch)
    }
}

impl Batch {
    fn submit(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Reply {
        let watch = match call.query("watch") {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                return Err(Error::invalid(
                    "watch",
                    format_args!("`{other}` is not true or false"),
                ));
            }
        };
        let accepted = call.json::<JobRequest>()?.check()?;
        let spec = store::encode_spec(&accepted.spec);
        let args = store::encode_args(&accepted.tasks);
        let args_bytes: usize = args.iter().map(Vec::len).sum();
        if spec.len().max(args.iter().map(Vec::len).max().unwrap_or(0)) > VALUE_BYTES_MAX {
            let rule = format_args!(
                "the description, or 64 entries of it, takes more than {VALUE_BYTES_MAX} bytes"
            );
            return Err(Error::invalid(
                if spec.len() > VALUE_BYTES_MAX {
                    "files"
                } else {
                    "tasks"
                },
                rule,
            ));
        }
        self.check_limits(accepted.count, spec.len(), args_bytes, watch)?;
        let number = *self.next.get() + 1;
        let id = format!("j{number}");
        if let Err(refusal) = self.launcher.try_want(cx, &id, &accepted.spec) {
            return Err(match refusal {
                Refusal::Invalid(text) => Error::invalid("conditions", text),
                other => Error::new(429, "limit", other.text()),
            });
        }
        self.next.set(number);
        store::save_spec(cx, number, &spec, &args);
        let record = Record {
            name: accepted.name.unwrap_or_else(|| id.clone()),
            count: accepted.count,
            created_ms: cx.now(),
            ended_ms: None,
            stop: None,
            exit_code: None,
            reasons: Vec::new(),
            spec_bytes: spec.len(),
            args_bytes,
        };
        let job = Job::new(number, record, accepted.spec);
        let response = if watch {
            self.watchers.join_new(number, call.request.id);
            event_stream(201)
        } else {
            Response::json(201, &JobView::from(&job))
        };
        self.jobs.insert(number, job);
        self.touched.insert(number);
        Ok(response.header("location", &format!("/fw/{}/jobs/{id}", self.name)))
    }

    fn check_limits(
        &self,
        count: u32,
        spec_bytes: usize,
        args_bytes: usize,
        watch: bool,
    ) -> Result<(), Error> {
        let mut sums = [
            (
                "JOBS_LIVE_MAX",
                JOBS_LIVE_MAX,
                "jobs that have not ended",
                1,
            ),
            (
                "TASKS_LIVE_MAX",
                TASKS_LIVE_MAX,
                "indexes of such jobs",
                count as usize,
            ),
            (
                "SPEC_BYTES_MAX",
                SPEC_BYTES_MAX,
                "bytes of descriptions",
                spec_bytes,
            ),
            (
                "ARGS_BYTES_MAX",
                ARGS_BYTES_MAX,
                "bytes of `tasks`",
                args_bytes,
            ),
        ];
        for job in self.jobs.values().filter(|job| !job.has_ended()) {
            let own = [
                1,
                job.record.count as usize,
                job.record.spec_bytes,
                job.record.args_bytes,
            ];
            for ((_, _, _, sum), own) in sums.iter_mut().zip(own) {
                *sum += own;
            }
        }
        if let Some((name, max, what, sum)) = sums.iter().find(|(_, max, _, sum)| sum > max) {
            return Err(Error::limit(format!(
                "{name}: at most {max} {what}, this would make {sum}"
            )));
        }
        if watch { self.check_watchers() } else { Ok(()) }
    }

    fn check_watchers(&self) -> Result<(), Error> {
        if self.watchers.len() < WATCHERS_MAX {
            return Ok(());
        }
        Err(Error::limit(format!(
            "WATCHERS_MAX: at most {WATCHERS_MAX} streams"
        )))
    }

    fn list(&mut self, _cx: &mut Cx<'_>, _call: &Call<'_>) -> Reply {
        Ok(Response::json(
            200,
            &Jobs {
                jobs: self.jobs.values().map(JobView::from).collect(),
            },
        ))
    }

    fn show(&mut self, _cx: &mut Cx<'_>, call: &Call<'_>) -> Reply {
        Ok(Response::json(200, &JobView::from(self.job(call)?)))
    }

    fn tasks(&mut self, _cx: &mut Cx<'_>, call: &Call<'_>) -> Reply {
        let job = self.job(call)?;
        let limit = call.query_number("limit", 1..=1_000)?.unwrap_or(100) as usize;
        let from = call
            .query_number("after", 0..=u32::MAX.into())?
            .map_or(0, |after| after as usize + 1);
        let all = (0..).zip(job.tasks()).skip(from);
        let tasks: Vec<TaskView<'_>> = all
            .take(limit)
            .map(|(index, task)| TaskView::of_index(job, index, task))
            .collect();
        let read = from + tasks.len();
        let next = (read < job.tasks().len() && read > 0).then(|| read as u32 - 1);
        Ok(Response::json(200, &Tasks { tasks, next }))
    }

    fn watch(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Reply {
        let number = self.job(call)?.number;
        self.check_watchers()?;
        if let Some(job) = self.jobs.get(&number) {
            self.watchers.join(cx, job, call.request.id);
        }
        Ok(event_stream(200))
    }

    fn cancel(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Reply {
        let number = self.job(call)?.number;
        self.stop(cx, number, Stop::Cancelled);
        // It may have ended by that: show it as it will be when the turn commits.
        self.end_jobs(cx);
        Ok(Response::json(200, &JobView::from(self.job(call)?)))
    }

    fn job(&self, call: &Call<'_>) -> Result<&Job, Error> {
        let id = call.param("id");
        let job = parse_job_id(id).and_then(|number| self.jobs.get(&number));
        job.ok_or_else(|| Error::not_found(format_args!("job `{}`", id.escape_default())))
    }
}

fn event_stream(status: u16) -> Response {
    Response::stream(status, "text/event-stream").header("cache-control", "no-store")
}
