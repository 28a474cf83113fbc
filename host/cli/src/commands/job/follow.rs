//! What the tasks of a job write, as they write it: whole lines when there are several tasks, each
//! behind its index.

use crate::client::Client;
use crate::exit::OutputClosed;
use crate::output::{self, note};
use crate::query::encode;
use crate::task_output::TaskOutput;
use serde_json::Value;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

/// Streams that are read at a time; the others wait, and lose nothing: output is kept.
const STREAMS_MAX: usize = 128;
/// A line that is longer is shown in pieces, in bytes.
const LINE_MAX: usize = 64 << 10;

/// See the module.
pub struct Followers {
    client: Client,
    framework: String,
    several: bool,
    seen: HashSet<String>,
    running: JoinSet<()>,
    room: Arc<Semaphore>,
    closed: Rc<Notify>,
}

impl Followers {
    /// None yet.
    pub fn new(client: Client, framework: &str, several: bool) -> Followers {
        Followers {
            client,
            framework: framework.to_string(),
            several,
            seen: HashSet::new(),
            running: JoinSet::new(),
            room: Arc::new(Semaphore::new(STREAMS_MAX)),
            closed: Rc::default(),
        }
    }

    /// A task has come to another state. From when it has begun, what it writes is read.
    pub fn task(&mut self, task: &Value) {
        let state = task["state"].as_str().unwrap_or_default();
        let Some(id) = task["task"].as_str() else {
            return;
        };
        if matches!(state, "waiting" | "pending" | "starting" | "lost")
            || !self.seen.insert(id.to_string())
        {
            return;
        }
        for stream in ["stdout", "stderr"] {
            let path = format!(
                "/api/v1/tasks/{}/{}/logs?stream={stream}&follow=true",
                encode(&self.framework),
                encode(id)
            );
            let (client, room) = (self.client.clone(), Arc::clone(&self.room));
            let mut lines = Lines::new(self.several, task, stream);
            let (id, closed) = (id.to_string(), Rc::clone(&self.closed));
            self.running.spawn_local(async move {
                let _permit = room.acquire_owned().await;
                if let Err(why) = copy(&client, &path, &mut lines).await {
                    if why.is::<OutputClosed>() {
                        return closed.notify_one();
                    }
                    note(&format!(
                        "the {stream} of {id} could not be read to its end: {why:#}"
                    ));
                }
            });
        }
    }

    /// Ready when nobody reads our output any more.
    pub fn closed(&self) -> Rc<Notify> {
        Rc::clone(&self.closed)
    }

    /// Waits until all that was written has been shown.
    pub async fn finish(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

/// Over restarts of the master, which the watch of the job tells of.
async fn copy(client: &Client, path: &str, lines: &mut Lines) -> anyhow::Result<()> {
    let mut output = TaskOutput::new(client.clone(), path.to_string(), 0);
    while let Some(data) = output.next(true).await? {
        lines.add(&data)?;
    }
    lines.end()
}

/// What one stream of a task brings, on its way to ours.
pub struct Lines {
    prefix: Option<String>,
    error: bool,
    line: Vec<u8>,
}

impl Lines {
    /// Of a task as `batch` shows it; behind its index if there are several.
    pub fn new(several: bool, task: &Value, stream: &str) -> Lines {
        Lines {
            prefix: several.then(|| format!("[{}] ", task["index"].as_u64().unwrap_or(0))),
            error: stream == "stderr",
            line: Vec::new(),
        }
    }

    /// Shows what is whole.
    pub fn add(&mut self, data: &[u8]) -> anyhow::Result<()> {
        let Some(prefix) = &self.prefix else {
            return write(self.error, data);
        };
        let mut out = Vec::new();
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                out.extend_from_slice(prefix.as_bytes());
                out.append(&mut self.line);
            }
        }
        if self.line.len() > LINE_MAX {
            out.extend_from_slice(prefix.as_bytes());
            out.append(&mut self.line);
            out.push(b'\n');
        }
        write(self.error, &out)
    }

    /// The last line may lack its end.
    pub fn end(&mut self) -> anyhow::Result<()> {
        if let (Some(prefix), false) = (&self.prefix, self.line.is_empty()) {
            let mut out = prefix.as_bytes().to_vec();
            out.append(&mut self.line);
            out.push(b'\n');
            write(self.error, &out)?;
        }
        Ok(())
    }
}

fn write(error: bool, bytes: &[u8]) -> anyhow::Result<()> {
    match (error, bytes.is_empty()) {
        (_, true) => Ok(()),
        (true, false) => output::error_bytes(bytes),
        (false, false) => output::bytes(bytes),
    }
}
