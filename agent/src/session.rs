//! The connection to the master: dialled, greeted, kept, and dialled again.
//!
//! Owns one session at a time. What the master says goes to the driver, what the driver says goes to
//! the master; nothing is decided here but whom to try next, and when.

use crate::driver::{self, Handle};
use crate::identity::{Folder, Joined};
use crate::{Config, Error, output};
use mezzo_agent_core::{Event, Kill, Launch, Volume, sequence};
use mezzo_proto::v1::agents_client::AgentsClient;
use mezzo_proto::v1::from_agent::Message as Up;
use mezzo_proto::v1::from_master::Message as Down;
use mezzo_proto::{MESSAGE_BYTES_MAX, Malformed, PROTOCOL, decode_spec, encode_facts, v1};
use mezzo_types::{AgentFacts, Instant, Reason, ReservationId, Run, Status, TaskState, Term};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

/// Messages that wait to be sent. When so many do, the link is stuck, and statuses are said again
/// later.
const UPWARD_MAX: usize = 16_384;
/// First delay before a master is tried again; it doubles.
const RECONNECT_MS: u64 = 50;
/// How long a master may take to accept a connection, and again to greet.
const GREETING_MAX: Duration = Duration::from_secs(10);
/// An idle connection is asked for a sign of life so often.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// A connection without a sign of life for so long is closed.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(15);

/// The master's service, with the agents' token in every call.
pub type Client = AgentsClient<InterceptedService<Channel, Token>>;

/// Puts the token into a call.
#[derive(Clone, Debug)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl tonic::service::Interceptor for Token {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// The service at the other end of a connection.
pub fn client(channel: Channel, token: &str) -> Client {
    // A token that is no header can only be refused by the master, which says so.
    let token = Token(format!("Bearer {token}").parse().ok());
    AgentsClient::with_interceptor(channel, token)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Why a session is over.
enum Over {
    /// Another try may succeed. Whether the session stood before.
    Lost { stood: bool, why: String },
    /// No further try could.
    Final(Error),
}

fn lost(why: impl std::fmt::Display) -> Over {
    Over::Lost {
        stood: false,
        why: why.to_string(),
    }
}

impl From<tonic::Status> for Over {
    fn from(status: tonic::Status) -> Over {
        match status.code() {
            Code::PermissionDenied | Code::FailedPrecondition | Code::Unauthenticated => {
                Over::Final(Error::Refused(status.message().to_string()))
            }
            _ => lost(format!("{}: {}", status.code(), status.message())),
        }
    }
}

/// Keeps a session with one of the masters, for ever. Returns only if this agent is refused.
pub async fn run(
    config: Config,
    folder: Folder,
    facts: AgentFacts,
    handle: Handle,
) -> Result<(), Error> {
    let session = Session {
        readers: Arc::new(Semaphore::new(config.limits.readers_max)),
        config,
        folder,
        facts,
        handle,
    };
    let mut delay_ms = RECONNECT_MS;
    let mut said = String::new();
    for master in session.config.masters.iter().cycle() {
        let over = session.once(master).await;
        session.handle.components.set_master(None);
        match over {
            Over::Final(error) => return Err(error),
            Over::Lost { stood, why } => {
                if stood {
                    delay_ms = RECONNECT_MS;
                }
                // The same words every few seconds help nobody.
                if stood || why != said {
                    tracing::warn!(%master, "no session: {why}; trying again");
                    said = why;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(scattered(delay_ms))).await;
        delay_ms = (delay_ms * 2).min(session.config.limits.reconnect_ms_max.max(1));
    }
    Ok(())
}

/// From half of it to all of it, so that the agents of a cluster do not come back in one instant.
fn scattered(delay_ms: u64) -> u64 {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    delay_ms / 2 + delay_ms * u64::from(byte[0]) / 510
}

struct Session {
    config: Config,
    folder: Folder,
    facts: AgentFacts,
    handle: Handle,
    readers: Arc<Semaphore>,
}

impl Session {
    /// One session, from the dialling to the end.
    async fn once(&self, master: &str) -> Over {
        let (upward, mut downward, channel, joined) = match self.greet(master).await {
            Ok(stands) => stands,
            Err(over) => return over,
        };
        tracing::info!(%master, cluster = joined.cluster, term = %joined.term, "in session");
        self.handle.components.set_master(Some(channel));
        self.handle.opened(joined.term, upward.clone());
        let why = loop {
            match downward.message().await {
                Ok(Some(v1::FromMaster {
                    message: Some(message),
                })) => self.down(message, &upward),
                // From a newer master: what we do not know we need not do.
                Ok(Some(v1::FromMaster { message: None })) => {}
                Ok(None) => break "the master ended the session".into(),
                Err(status) => match Over::from(status) {
                    Over::Final(error) => {
                        self.handle.event(Event::SessionClosed);
                        return Over::Final(error);
                    }
                    Over::Lost { why, .. } => break why,
                },
            }
        };
        self.handle.event(Event::SessionClosed);
        Over::Lost { stood: true, why }
    }

    async fn greet(
        &self,
        master: &str,
    ) -> Result<
        (
            mpsc::Sender<v1::FromAgent>,
            tonic::Streaming<v1::FromMaster>,
            Channel,
            Joined,
        ),
        Over,
    > {
        let endpoint = Endpoint::from_shared(format!("http://{master}"))
            .map_err(|error| {
                Over::Final(Error::Config {
                    field: "masters",
                    problem: format!("{master:?}: {error}"),
                })
            })?
            .connect_timeout(GREETING_MAX)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_MAX)
            .keep_alive_while_idle(true);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| lost(chain(&error)))?;
        let before = self.folder.joined().map_err(Over::Final)?;
        let Some(runs) = self.handle.greeting().await else {
            return Err(lost("the driver has ended"));
        };
        let hello = v1::Hello {
            protocol: PROTOCOL,
            facts: encode_facts(&self.facts),
            cluster: before.cluster.clone(),
            term: before.term.0,
            runs,
        };
        let (upward, queue) = mpsc::channel(UPWARD_MAX);
        let _ = upward.try_send(v1::FromAgent {
            message: Some(Up::Hello(hello)),
        });
        let mut client = client(channel.clone(), &self.config.token);
        let greeting = async {
            let mut downward = client
                .session(ReceiverStream::new(queue))
                .await?
                .into_inner();
            match downward.message().await? {
                Some(v1::FromMaster {
                    message: Some(Down::Welcome(welcome)),
                }) => Ok((welcome, downward)),
                Some(_) => Err(lost(
                    "the master's first message is no welcome; is it of this version?",
                )),
                None => Err(lost("the master ended the session before it greeted")),
            }
        };
        let (welcome, downward) = tokio::time::timeout(GREETING_MAX, greeting)
            .await
            .map_err(|_| lost(format!("no welcome within {} s", GREETING_MAX.as_secs())))??;
        let joined = self.welcome(&before, welcome)?;
        Ok((upward, downward, channel, joined))
    }

    /// Checks a welcome, and remembers what it says before anything is done for this master.
    fn welcome(&self, before: &Joined, welcome: v1::Welcome) -> Result<Joined, Over> {
        let refuse = |why: String| Err(Over::Final(Error::Refused(why)));
        if welcome.protocol > PROTOCOL {
            let theirs = welcome.protocol;
            return refuse(format!(
                "it speaks protocol {theirs}, this agent {PROTOCOL}; upgrade the agent"
            ));
        }
        if !before.cluster.is_empty() && before.cluster != welcome.cluster {
            let (ours, theirs) = (&before.cluster, &welcome.cluster);
            return refuse(format!(
                "it is of cluster {theirs:?}, this agent's folder of {ours:?}; use another folder, or the right master"
            ));
        }
        if Term(welcome.term) < before.term {
            let (theirs, ours) = (welcome.term, before.term);
            return Err(lost(format!(
                "its term {theirs} is older than {ours}, which was seen: it no longer leads"
            )));
        }
        let joined = Joined {
            cluster: welcome.cluster,
            term: Term(welcome.term),
        };
        if joined != *before {
            self.folder.join(&joined).map_err(Over::Final)?;
        }
        Ok(joined)
    }

    fn down(&self, message: Down, upward: &mpsc::Sender<v1::FromAgent>) {
        match message {
            Down::Welcome(_) => tracing::warn!("a second welcome; it is ignored"),
            Down::Launch(launch) => {
                let mut launches = Vec::with_capacity(launch.tasks.len());
                for task in launch.tasks {
                    let run = Run(task.run);
                    match launch_of(task) {
                        Ok(launch) => launches.push(launch),
                        Err(problem) => self.refuse(run, &problem, upward),
                    }
                }
                self.handle
                    .event(Event::Launch(Term(launch.term), launches));
            }
            Down::Kill(kill) => {
                // A reason of a newer master is still a kill.
                let reason = Reason::try_from(kill.reason).unwrap_or(Reason::KillRequested);
                let event = Event::Kill(
                    Term(kill.term),
                    Run(kill.run),
                    Kill {
                        grace_ms: kill.grace_ms,
                        reason,
                    },
                );
                self.handle.event(event);
            }
            Down::Acknowledge(ack) => self
                .handle
                .event(Event::Acknowledged(Run(ack.run), ack.sequence)),
            Down::CreateVolume(create) => {
                let volume = volume(create.reservation, create.name);
                let event = Event::CreateVolume(Term(create.term), volume);
                self.handle.event(event);
            }
            Down::DestroyVolume(destroy) => {
                let volume = volume(destroy.reservation, destroy.name);
                let event = Event::DestroyVolume(Term(destroy.term), volume);
                self.handle.event(event);
            }
            Down::ReadOutput(request) => self.read_output(request, upward.clone()),
        }
    }

    /// A task of a newer master that this agent cannot read fails alone; what else was sent goes on.
    fn refuse(&self, run: Run, problem: &Malformed, upward: &mpsc::Sender<v1::FromAgent>) {
        tracing::warn!(%run, "not started: {problem}");
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let since = Instant(since.map_or(0, |since| since.as_millis() as u64));
        let status = Status::new(TaskState::Failed, since).because(
            Reason::Unsupported,
            format!("this agent cannot read the task ({problem}); upgrade the agent"),
        );
        // Not sent, it is launched again at the next session, and refused again.
        let _ = upward.try_send(v1::FromAgent {
            message: Some(driver::update(run, sequence(status.state), &status)),
        });
    }

    fn read_output(&self, request: v1::ReadOutput, upward: mpsc::Sender<v1::FromAgent>) {
        let runs = self.handle.runs.clone();
        let permit = self.readers.clone().try_acquire_owned();
        tokio::spawn(async move {
            let answer = match permit {
                Ok(_held) => output::read(runs, request).await,
                Err(_) => output::refuse(
                    &request,
                    "too many readers of this agent at once (`readers_max`); try again".into(),
                ),
            };
            let _ = upward
                .send(v1::FromAgent {
                    message: Some(Up::Output(answer)),
                })
                .await;
        });
    }
}

fn volume(reservation: u64, name: String) -> Volume {
    let reservation = ReservationId(reservation);
    Volume { reservation, name }
}

fn launch_of(task: v1::LaunchTask) -> Result<Launch, Malformed> {
    let ports = task
        .ports
        .iter()
        .map(|port| u16::try_from(*port))
        .collect::<Result<Vec<_>, _>>();
    let spec = decode_spec(&task.spec)?;
    match ports {
        Ok(ports) if ports.len() == spec.ports.len() => Ok(Launch {
            run: Run(task.run),
            framework: task.framework,
            spec: Arc::new(spec),
            ports,
            reservation: (task.reservation != 0).then_some(ReservationId(task.reservation)),
        }),
        _ => {
            let problem = format!(
                "run {}: {:?} for {} ports",
                task.run,
                task.ports,
                spec.ports.len()
            );
            Err(Malformed {
                what: "launch",
                problem,
            })
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
