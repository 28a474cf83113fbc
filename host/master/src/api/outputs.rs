//! What tasks write, read from their agents.

use super::error::{ApiError, Result};
use super::json::{Path, Query};
use super::tasks;
use crate::lead::Lead;
use crate::master::Shared;
use crate::sessions::NoOutput;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use mezzo_core::turn::Task;
use mezzo_proto::v1::{Output, ReadOutput};
use serde::Deserialize;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use utoipa::IntoParams;

/// What an agent gives at most in one piece.
const PIECE_BYTES_MAX: u32 = 1 << 20;
/// How long one read of a follower waits at the agent.
const FOLLOW_WAIT_MS: u32 = 5_000;
/// How long to wait before an agent that is away, or a task that has not started, is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// `stdout` (if left out) or `stderr`.
    stream: Option<String>,
    /// From this byte on; a negative one counts lines from the end.
    offset: Option<i64>,
    /// At most so many bytes, up to 1 MiB.
    length: Option<u32>,
    /// How long to wait when there is nothing yet.
    wait_ms: Option<u32>,
    /// Goes on until the task has ended.
    follow: Option<bool>,
}

impl Which {
    fn read(&self, request_timeout_ms: u64) -> Result<ReadOutput> {
        let stderr = match self.stream.as_deref() {
            None | Some("stdout") => false,
            Some("stderr") => true,
            Some(other) => {
                let problem = format_args!("expected stdout or stderr, not {other:?}");
                return Err(ApiError::invalid("stream", problem));
            }
        };
        let length = self.length.unwrap_or(PIECE_BYTES_MAX);
        if !(1..=PIECE_BYTES_MAX).contains(&length) {
            let problem = format_args!("from 1 to {PIECE_BYTES_MAX}, not {length}");
            return Err(ApiError::invalid("length", problem));
        }
        let wait_ms = self.wait_ms.unwrap_or(0);
        if u64::from(wait_ms) > request_timeout_ms {
            let problem = format_args!("request_timeout_ms is {request_timeout_ms}, not {wait_ms}");
            return Err(ApiError::invalid("wait_ms", problem));
        }
        Ok(ReadOutput {
            request: 0,
            run: 0,
            stderr,
            offset: self.offset.unwrap_or(0),
            length_max: length,
            wait_ms,
        })
    }
}

/// A piece of what a task wrote, or all of it as it comes.
#[utoipa::path(get, path = "/api/v1/tasks/{framework}/{task}/logs", tag = "tasks", params(("framework" = String, Path), ("task" = String, Path), Which), responses((status = 200, content_type = "application/octet-stream", body = [u8]), (status = 404, body = super::error::ErrorBody), (status = 503, body = super::error::ErrorBody)))]
pub async fn read(
    State(shared): State<Arc<Shared>>,
    Path((framework, task)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> Result<Response> {
    let limits = &shared.config.limits;
    let read = which.read(limits.request_timeout_ms)?;
    let timeout = Duration::from_millis(limits.output_timeout_ms);
    let lead = shared.lead()?;
    let task = tasks::find(&lead.view.read(), &framework, &task)?;
    if which.follow == Some(true) {
        if which.length.is_some() || which.wait_ms.is_some() {
            let problem = "`length` and `wait_ms` have no meaning beside it";
            return Err(ApiError::invalid("follow", problem));
        }
        let follower = Follower {
            shared: Arc::downgrade(&shared),
            names: (framework, task.record.id().as_str().to_string()),
            task,
            read,
            timeout,
            patience: Duration::from_millis(limits.agent_silent_ms),
            done: false,
        };
        return Ok(follower.response());
    }
    let output = ask(&lead, &task, &read, timeout)
        .await
        .map_err(|error| no_output(&task, error))?;
    if is_busy(&output) {
        return Err(ApiError::unavailable(output.error));
    }
    if !output.error.is_empty() {
        return Err(ApiError::not_found(output.error));
    }
    let mut response = Body::from(output.data).into_response();
    let headers = response.headers_mut();
    describe(headers);
    headers.insert(
        HeaderName::from_static("mezzo-offset"),
        HeaderValue::from(output.offset),
    );
    if output.end {
        headers.insert(
            HeaderName::from_static("mezzo-end"),
            HeaderValue::from_static("true"),
        );
    }
    Ok(response)
}

/// What a task wrote is never a page of the operator's origin.
fn describe(headers: &mut axum::http::HeaderMap) {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
}

async fn ask(
    lead: &Lead,
    task: &Task,
    read: &ReadOutput,
    timeout: Duration,
) -> Result<Output, NoOutput> {
    let (agent, run) = (task.record.agent, task.record.run);
    lead.sessions.read_output(agent, run, *read, timeout).await
}

/// Whether the agent refuses for the moment only. Its words name the limit that was reached, as all
/// words of a limit do; every other refusal is about what it keeps.
fn is_busy(output: &Output) -> bool {
    output.error.contains("`readers_max`")
}

fn no_output(task: &Task, error: NoOutput) -> ApiError {
    let agent = task.record.agent;
    ApiError::unavailable(match error {
        NoOutput::Away => format!(
            "agent {agent}, which keeps the output of task {}, is not connected; try again when it is (`mezzo agent ls` shows it)",
            task.record.id()
        ),
        NoOutput::Late => format!(
            "agent {agent} did not answer within output_timeout_ms; its machine may be overloaded: try again"
        ),
    })
}

/// Reads on and on. It holds neither view nor leadership between two reads: a follower that lasts for
/// days keeps nothing alive, and survives that the master leads again.
struct Follower {
    shared: Weak<Shared>,
    names: (String, String),
    task: Arc<Task>,
    read: ReadOutput,
    timeout: Duration,
    patience: Duration,
    done: bool,
}

impl Follower {
    fn response(mut self) -> Response {
        self.read.wait_ms = FOLLOW_WAIT_MS;
        let pieces = futures_util::stream::unfold(self, |mut follower| async move {
            let piece = follower.next().await?;
            Some((piece, follower))
        });
        let mut response = Body::from_stream(pieces).into_response();
        describe(response.headers_mut());
        response
    }

    /// The next piece; an error cuts the connection, so that the client sees that it is not the end.
    async fn next(&mut self) -> Option<std::io::Result<Vec<u8>>> {
        let mut since = Instant::now();
        while !self.done {
            let Some(shared) = self.shared.upgrade() else {
                self.done = true;
                return Some(Err(std::io::Error::other("the master stops")));
            };
            let lead = shared.lead();
            drop(shared);
            let output = match lead {
                Ok(lead) => {
                    self.look(&lead);
                    ask(&lead, &self.task, &self.read, self.timeout).await
                }
                Err(_) => Err(NoOutput::Away),
            };
            match output {
                Ok(output) if output.error.is_empty() => {
                    since = Instant::now();
                    self.done = output.end;
                    self.read.offset =
                        i64::try_from(output.offset + output.data.len() as u64).unwrap_or(i64::MAX);
                    if !output.data.is_empty() {
                        return Some(Ok(output.data));
                    }
                    continue;
                }
                Ok(output) if self.task.status.state.is_final() && !is_busy(&output) => {
                    self.done = true;
                    return Some(Err(std::io::Error::other(output.error)));
                }
                // Not started yet, or the agent has no time for one more.
                Ok(_) => since = Instant::now(),
                Err(_) if since.elapsed() < self.patience => {}
                Err(_) => {
                    self.done = true;
                    return Some(Err(std::io::Error::other("the agent is gone")));
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        None
    }

    /// The task as it is now.
    fn look(&mut self, lead: &Lead) {
        let found = lead.view.read().find_task(&self.names.0, &self.names.1);
        if let Some(task) = found.filter(|task| task.record.run == self.task.record.run) {
            self.task = task;
        }
    }
}
