//! One leadership: from reading the registry until a batch is lost or the master stops. Its threads,
//! and what the rest of the master may ask of it.

use crate::Error;
use crate::committer::{Committer, Health};
use crate::config::Config;
use crate::driver::{Clock, Driver};
use crate::error::io;
use crate::keys;
use crate::mailbox::{Ending, Mailbox};
use crate::pending::{Outcome, Pending};
use crate::sessions::Sessions;
use crate::view::View;
use mezzo_core::outbox::Outbox;
use mezzo_core::record::{FORMAT, Header};
use mezzo_core::turn::WebRequest;
use mezzo_core::{Cluster, ClusterLimits, Event, Record, Request};
use mezzo_registry::Registry;
use mezzo_types::{BatchId, RequestId, Term};
use mezzo_wasm::{Sandbox, Workers};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the rest of the master sees of a leadership. It may end at any time: then requests fail with
/// [`Over`], and sessions and streams end.
pub struct Lead {
    /// The durable state.
    pub view: Arc<View>,
    /// To the core.
    pub mailbox: Arc<Mailbox>,
    /// Agents.
    pub sessions: Arc<Sessions>,
    /// Whether the registry takes commits.
    pub health: Arc<Health>,
    /// Runs frameworks.
    pub sandbox: Arc<Sandbox>,
    /// The newest batch before this leadership.
    pub found: BatchId,
    pending: Arc<Pending>,
}

/// The leadership ended before there was an answer; whether the request was carried out is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this master stopped leading before it could answer; look whether it was carried out, then try again"
)]
pub struct Over;

/// A request whose client may leave. Dropping it tells the framework so.
pub struct Waiting {
    id: RequestId,
    pending: Arc<Pending>,
    mailbox: Arc<Mailbox>,
    ended: bool,
}

impl Waiting {
    /// It has had its whole answer: nobody needs to be told.
    pub fn ended(mut self) {
        self.ended = true;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.ended {
            self.pending.forget(self.id);
            self.mailbox.post(Event::RequestGone(self.id));
        }
    }
}

impl Lead {
    /// Ends the leadership.
    pub fn stop(&self) {
        self.mailbox.end(Ending::Stopped);
    }

    /// Asks the core.
    pub async fn ask(&self, request: Request) -> Result<mezzo_core::Answer, Over> {
        let (id, answer) = self.pending.open();
        self.mailbox.post_when_room(Event::Asked(id, request)).await;
        match answer.await {
            Ok(Outcome::Answer(answer)) => Ok(answer),
            Ok(Outcome::Stream(..)) | Err(_) => Err(Over),
        }
    }

    /// Asks a framework. Keep `Waiting` for as long as the client is there. `request.id` is filled in.
    pub async fn ask_framework(
        &self,
        framework: &str,
        request: WebRequest,
    ) -> Result<(Outcome, Waiting), Over> {
        let (id, answer) = self.pending.open();
        let waiting = Waiting {
            id,
            pending: Arc::clone(&self.pending),
            mailbox: Arc::clone(&self.mailbox),
            ended: false,
        };
        let request = Request::Web {
            framework: framework.to_string(),
            request: WebRequest { id, ..request },
        };
        self.mailbox.post_when_room(Event::Asked(id, request)).await;
        let outcome = answer.await.map_err(|_| Over)?;
        Ok((outcome, waiting))
    }
}

/// The threads of a leadership.
pub struct Threads {
    driver: JoinHandle<Ending>,
    committer: JoinHandle<Box<dyn Registry>>,
}

impl Threads {
    /// Waits for the end. Gives the registry back.
    #[must_use]
    pub fn join(self) -> (Ending, Option<Box<dyn Registry>>) {
        let ending = self
            .driver
            .join()
            .unwrap_or_else(|_| Ending::Lost("the driver's thread panicked".into()));
        // The driver has hung up, so that the committer ends.
        (ending, self.committer.join().ok())
    }
}

/// Reads the registry and takes the lead.
pub fn take(
    config: &Config,
    mut registry: Box<dyn Registry>,
    sandbox: &Arc<Sandbox>,
    new_name: String,
) -> Result<(Lead, Threads), Error> {
    let (records, version) = read(&mut *registry)?;
    let limits = &config.limits;
    // A processor stays for those that use little: or ten that spin would hurt more than one.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let heavy_max = (config.workers / 2).min(processors - 1).max(1);
    let cluster_limits = ClusterLimits {
        turns_max: config.workers,
        turns_heavy_max: heavy_max,
        agent_silent_ms: limits.agent_silent_ms,
        agents_silent_per_minute_max: limits.agents_silent_per_minute_max,
        claim_ms: limits.claim_ms,
        preempt_after_ms: limits.preempt_after_ms,
        preempt_grace_ms_max: limits.preempt_grace_ms_max,
        fairness_excluded: config.fairness_excluded.clone(),
        ..ClusterLimits::default()
    };
    let cluster = Cluster::restore(records.iter().cloned(), cluster_limits)?;
    let term = Term(cluster.state().cluster.term.0 + 1);
    let batch = BatchId(version);
    let view = Arc::new(View::restore(
        records,
        batch,
        limits.ended_kept_max,
        limits.events_kept_max,
    )?);
    let mailbox = Arc::new(Mailbox::new(
        limits.events_waiting_max,
        limits.commits_waiting_bytes_max,
    ));
    let sessions = Arc::new(Sessions::default());
    let health = Arc::new(Health::default());
    let pending = Arc::new(Pending::new(term, limits.stream_bytes_max));
    let (to_committer, batches) = mpsc::channel();
    let done_mailbox = Arc::clone(&mailbox);
    let workers = Workers::start(
        Arc::clone(sandbox),
        config.workers,
        move |turn, result, cpu_us| {
            done_mailbox.post(Event::TurnEnded {
                turn,
                result,
                cpu_us,
            })
        },
    )
    .map_err(io("start the sandbox's threads"))?;
    let committer = Committer {
        version,
        view: Arc::clone(&view),
        mailbox: Arc::clone(&mailbox),
        health: Arc::clone(&health),
        full_retry: Duration::from_millis(limits.full_retry_ms),
    };
    let panicked = Panicked(Arc::clone(&mailbox), "the committer's thread panicked");
    let committer = std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || {
            let _panicked = panicked;
            committer.run(registry, &batches)
        })
        .map_err(io("start the committer's thread"))?;
    let driver = Driver {
        cluster,
        outbox: Outbox::default(),
        mailbox: Arc::clone(&mailbox),
        batches: to_committer,
        workers,
        pending: Arc::clone(&pending),
        sessions: Arc::clone(&sessions),
        view: Arc::clone(&view),
        turns: std::collections::HashMap::new(),
        clock: Clock::start(),
    };
    let over = CloseAll(
        Arc::clone(&mailbox),
        Arc::clone(&pending),
        Arc::clone(&sessions),
    );
    mailbox.post(Event::Led {
        name: new_name,
        last_batch: batch,
    });
    let driver = std::thread::Builder::new()
        .name("driver".into())
        .spawn(move || {
            // Whatever ends it: nobody may go on to wait for it, or to talk to it.
            let _over = over;
            driver.run()
        })
        .map_err(io("start the driver's thread"))?;
    let lead = Lead {
        view,
        mailbox,
        sessions,
        health,
        sandbox: Arc::clone(sandbox),
        found: batch,
        pending,
    };
    Ok((lead, Threads { driver, committer }))
}

/// Ends the leadership if the thread that holds it panics.
struct Panicked(Arc<Mailbox>, &'static str);

impl Drop for Panicked {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(Ending::Lost(self.1.into()));
        }
    }
}

/// Ends everything that only a driver can go on with, at the end of the thread that holds it.
struct CloseAll(Arc<Mailbox>, Arc<Pending>, Arc<Sessions>);

impl Drop for CloseAll {
    fn drop(&mut self) {
        self.0
            .end(Ending::Lost("the driver's thread panicked".into()));
        self.1.close();
        self.2.close_all();
    }
}

fn read(registry: &mut dyn Registry) -> Result<(Vec<Record>, u64), Error> {
    let mut records = Vec::new();
    let mut unreadable = None;
    let version = registry.load(&mut |key, value| match keys::decode(key, value) {
        Ok(record) => records.push(record),
        Err(error) => drop(unreadable.get_or_insert(error)),
    })?;
    // The newest batch says in which format it was written; that explains unreadable values, too.
    for (_, header) in registry.log(version.saturating_sub(1), 1)? {
        let header: Header =
            rmp_serde::from_slice(&header).map_err(|error| crate::keys::Unreadable {
                key: format!("log/{version}"),
                problem: error.to_string(),
            })?;
        if header.format > FORMAT {
            return Err(Error::Newer {
                found: header.format,
                known: FORMAT,
            });
        }
    }
    match unreadable {
        Some(unreadable) => Err(unreadable.into()),
        None => Ok((records, version)),
    }
}
