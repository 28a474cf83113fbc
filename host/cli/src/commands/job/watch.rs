//! The watch of one job, from its submission or later to its end, over restarts of its framework and of the
//! master.

use crate::client::{Client, Events};
use crate::patience::Patience;
use crate::query::encode;
use anyhow::anyhow;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::Value;

/// What happened to the job.
pub enum Event {
    /// One of its tasks has come to another state.
    Task(Value),
    /// It is over.
    End(Value),
}

/// See the module.
pub struct Watch {
    client: Client,
    jobs: String,
    id: String,
    events: Option<Events>,
    patience: Patience,
}

impl Watch {
    /// Submits it. `jobs` is the path of all jobs.
    pub async fn submit(client: Client, jobs: String, spec: &Value) -> anyhow::Result<Watch> {
        let path = format!("{jobs}?watch=true");
        let events = client
            .events(Method::POST, &path, spec.to_string().into())
            .await?;
        Ok(Watch {
            client,
            jobs,
            id: String::new(),
            events: Some(events),
            patience: Patience::default(),
        })
    }

    /// Of a job that was submitted before; it begins with what each of its tasks has come to.
    pub fn of(client: Client, jobs: String, id: String) -> Watch {
        Watch {
            client,
            jobs,
            id,
            events: None,
            patience: Patience::default(),
        }
    }

    /// The job's id; empty until the first event has come.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The job's path.
    pub fn path(&self) -> String {
        format!("{}/{}", self.jobs, encode(&self.id))
    }

    /// The next event. May be dropped while it waits without losing one. After a restart, what is told
    /// anew of each task may have been told before.
    pub async fn next(&mut self) -> anyhow::Result<Event> {
        loop {
            let next = match &mut self.events {
                Some(events) => events.next().await,
                None => {
                    let path = format!("{}/watch", self.path());
                    match self.client.events(Method::GET, &path, Bytes::new()).await {
                        Ok(events) => {
                            self.events = Some(events);
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
            };
            let cut = match next {
                Ok(Some(event)) => {
                    self.patience.renew();
                    let value: Value = serde_json::from_str(&event.data)?;
                    if let Some(id) = value["id"].as_str() {
                        self.id = id.to_string();
                    }
                    match event.name.as_str() {
                        "task" => return Ok(Event::Task(value)),
                        "end" => return Ok(Event::End(value)),
                        _ => continue,
                    }
                }
                Ok(None) => anyhow!("the watch of job {} has ended before the job", self.id),
                Err(error) => error,
            };
            self.events = None;
            if self.id.is_empty() {
                let unknown =
                    "whether the job was taken is not known; `mezzo job ls` shows it if it was";
                return Err(cut.context(unknown));
            }
            self.patience.wait(cut, false).await?;
        }
    }
}
