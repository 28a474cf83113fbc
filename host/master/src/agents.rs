//! The agents' side of the master: gRPC sessions, and components for module tasks.
//!
//! Owns what arrives from agents: it is checked, made an event, and passed on. What is told to them
//! goes through `sessions.rs`.

use crate::lead::Lead;
use crate::link::Known;
use crate::master::Shared;
use crate::tokens::sha256_hex;
use mezzo_core::Event;
use mezzo_proto::v1::agents_server::{Agents, AgentsServer};
use mezzo_proto::v1::{
    Chunk, FetchRequest, FromAgent, FromMaster, Hello, Update, from_agent::Message,
};
use mezzo_proto::{CHUNK_BYTES, MESSAGE_BYTES_MAX, PROTOCOL, decode_facts, decode_status};
use mezzo_types::{Digest, ReservationId, Run, SessionId};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// The service.
pub struct Service(Arc<Shared>);

impl Service {
    /// Ready to be served.
    pub fn server(shared: Arc<Shared>) -> AgentsServer<Service> {
        AgentsServer::new(Service(shared))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn authenticate<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let token = request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        match token {
            Some(token) if sha256_hex(token.as_bytes()) == self.0.agent_token_sha256 => Ok(()),
            Some(_) => Err(Status::permission_denied(
                "the agents' token is wrong: it stands in `agent.token` in the master's data folder",
            )),
            None => Err(Status::unauthenticated(
                "agents join with `authorization: Bearer` and the token in `agent.token` in the master's data folder",
            )),
        }
    }
}

type Out<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Agents for Service {
    type SessionStream = Out<FromMaster>;
    type FetchStream = Out<Chunk>;

    async fn session(
        &self,
        request: Request<Streaming<FromAgent>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        self.authenticate(&request)?;
        let lead = self
            .0
            .lead()
            .map_err(|why| Status::unavailable(why.to_string()))?;
        let known = known(&request);
        let mut from_agent = request.into_inner();
        let (to, messages) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&waiting);
        let out = UnboundedReceiverStream::new(messages).map(move |message| {
            counted.fetch_sub(1, Ordering::Relaxed);
            message
        });
        // The answer's head leaves before the agent's first message is read: the agent may wait for it.
        tokio::spawn(async move {
            let refused = match from_agent.message().await {
                Ok(Some(FromAgent {
                    message: Some(Message::Hello(hello)),
                })) => match open(&lead, hello, &to, waiting, &known).await {
                    Ok(session) => serve(&lead, session, &mut from_agent).await,
                    Err(refused) => Err(refused),
                },
                Ok(Some(_)) => Err(Status::invalid_argument(
                    "an agent's first message is Hello",
                )),
                Ok(None) => Ok(()),
                Err(status) => Err(status),
            };
            if let Err(status) = refused {
                let _ = to.send(Err(status));
            }
        });
        Ok(Response::new(Box::pin(out)))
    }

    async fn fetch(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        self.authenticate(&request)?;
        known(&request).set();
        let digest: Digest = request
            .into_inner()
            .digest
            .parse()
            .map_err(|e| Status::invalid_argument(format!("{e}")))?;
        let components = Arc::clone(&self.0.components);
        let bytes = tokio::task::spawn_blocking(move || components.get(digest))
            .await
            .map_err(|e| Status::internal(e.to_string()))?
            .map_err(|e| Status::internal(e.to_string()))?
            .ok_or_else(|| {
                Status::not_found(format!(
                    "there is no component {digest}; `mezzo run --module` uploads one"
                ))
            })?;
        let (to, chunks) = mpsc::channel(4);
        tokio::spawn(async move {
            for data in bytes.chunks(CHUNK_BYTES) {
                let chunk = Chunk {
                    data: data.to_vec(),
                };
                if to.send(Ok(chunk)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(chunks))))
    }
}

/// Where it is noted that an agent is at the other end of this request's connection.
fn known<T>(request: &Request<T>) -> Known {
    request.extensions().get().cloned().unwrap_or_default()
}

/// Opens a session if its Hello is acceptable.
async fn open(
    lead: &Lead,
    hello: Hello,
    to: &crate::sessions::ToAgent,
    waiting: Arc<AtomicUsize>,
    known: &Known,
) -> Result<SessionId, Status> {
    check_hello(lead, &hello)?;
    let malformed = |e: mezzo_proto::Malformed| Status::invalid_argument(e.to_string());
    let facts = decode_facts(&hello.facts).map_err(malformed)?;
    let runs = hello
        .runs
        .iter()
        .map(|update| {
            Ok((
                Run(update.run),
                update.sequence,
                decode_status(&update.status)?,
            ))
        })
        .collect::<Result<_, _>>()
        .map_err(malformed)?;
    let session = lead
        .sessions
        .open(to.clone(), waiting)
        .ok_or_else(|| Status::unavailable("this master's leadership is over; try again"))?;
    // Before the core has room for it, which may take a while.
    known.set();
    let connected = Event::AgentConnected {
        session,
        facts,
        runs,
    };
    lead.mailbox.post_when_room(connected).await;
    Ok(session)
}

/// Serves a session to its end.
async fn serve(
    lead: &Lead,
    session: SessionId,
    from_agent: &mut Streaming<FromAgent>,
) -> Result<(), Status> {
    let result = receive(lead, session, from_agent).await;
    lead.sessions.close(session);
    lead.mailbox.post(Event::AgentDisconnected(session));
    result
}

fn check_hello(lead: &Lead, hello: &Hello) -> Result<(), Status> {
    if hello.protocol > PROTOCOL {
        return Err(Status::failed_precondition(format!(
            "the agent speaks protocol {}, this master up to {PROTOCOL}: bring the master up to the agent's version",
            hello.protocol
        )));
    }
    let (cluster, term) = {
        let view = lead.view.read();
        (
            view.state.cluster.name.to_string(),
            view.state.cluster.term.0,
        )
    };
    if !hello.cluster.is_empty() && hello.cluster != cluster {
        return Err(Status::failed_precondition(format!(
            "the agent has joined the cluster {} before, this is {cluster}: give the agent an empty data folder to join another cluster",
            hello.cluster
        )));
    }
    if hello.term > term {
        return Err(Status::unavailable(format!(
            "the agent has seen the term {}, this master leads term {term}: another master leads",
            hello.term
        )));
    }
    Ok(())
}

async fn receive(
    lead: &Lead,
    session: SessionId,
    from_agent: &mut Streaming<FromAgent>,
) -> Result<(), Status> {
    loop {
        let message = match from_agent.message().await {
            Ok(Some(FromAgent {
                message: Some(message),
            })) => message,
            // A kind that a newer agent has.
            Ok(Some(FromAgent { message: None })) => continue,
            Ok(None) | Err(_) => return Ok(()),
        };
        match message {
            Message::Hello(_) => {
                return Err(Status::invalid_argument("Hello is said once a session"));
            }
            Message::Update(Update {
                run,
                sequence,
                status,
                ..
            }) => {
                let status =
                    decode_status(&status).map_err(|e| Status::invalid_argument(e.to_string()))?;
                let reported = Event::StatusReported {
                    session,
                    run: Run(run),
                    sequence,
                    status,
                };
                lead.mailbox.post_when_room(reported).await;
            }
            Message::VolumeReport(report) => {
                let reported = Event::VolumeReported {
                    session,
                    reservation: ReservationId(report.reservation),
                    volume: report.name,
                    exists: report.exists,
                };
                lead.mailbox.post_when_room(reported).await;
            }
            Message::Output(output) => lead.sessions.answered(output),
            Message::KillUnknown(kill) => {
                lead.mailbox
                    .post_when_room(Event::KillUnknown(session, Run(kill.run)))
                    .await;
            }
        }
    }
}
