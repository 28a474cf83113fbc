//! An agent that says what a test has it say.

use crate::support::PATIENCE;
use mezzo_proto::v1::agents_client::AgentsClient;
use mezzo_proto::v1::from_agent::Message as Up;
use mezzo_proto::v1::from_master::Message as Down;
use mezzo_proto::{PROTOCOL, encode_facts, v1};
use mezzo_types::{AgentFacts, PortSet, Resources, Runtime};
use std::net::SocketAddr;
use std::path::Path;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

pub struct Agent {
    up: mpsc::Sender<v1::FromAgent>,
    down: tonic::Streaming<v1::FromMaster>,
}

impl Agent {
    /// Dials and opens a session; it has not said Hello.
    pub async fn dial(address: SocketAddr, data: &Path) -> Agent {
        let token = std::fs::read_to_string(data.join("agent.token")).expect("a token");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await.expect("connect");
        let (up, queue) = mpsc::channel(16);
        let mut request = tonic::Request::new(ReceiverStream::new(queue));
        let bearer = format!("Bearer {}", token.trim());
        let bearer = bearer.parse().expect("a header");
        request.metadata_mut().insert("authorization", bearer);
        let mut client = AgentsClient::new(channel);
        let down = client.session(request).await.expect("a session");
        Agent {
            up,
            down: down.into_inner(),
        }
    }

    /// A session that stands, of an agent with something to give.
    pub async fn join(address: SocketAddr, data: &Path) -> Agent {
        let mut agent = Agent::dial(address, data).await;
        let facts = AgentFacts {
            identity: "a".into(),
            hostname: "a".into(),
            address: "127.0.0.1".into(),
            region: None,
            zone: None,
            attributes: Vec::new(),
            total: Resources {
                cpu_milli: 4_000,
                memory_bytes: 4 << 30,
                disk_bytes: 4 << 30,
                ..Resources::NONE
            },
            port_set: PortSet::default(),
            runtimes: vec![Runtime::Process],
            version: String::new(),
            reserved: Vec::new(),
        };
        let hello = v1::Hello {
            protocol: PROTOCOL,
            facts: encode_facts(&facts),
            cluster: String::new(),
            term: 0,
            runs: Vec::new(),
        };
        agent.say(Up::Hello(hello)).await;
        match agent.hear().await {
            Ok(Some(Down::Welcome(_))) => agent,
            other => panic!("expected a welcome, not {other:?}"),
        }
    }

    pub async fn say(&self, message: Up) {
        let message = v1::FromAgent {
            message: Some(message),
        };
        self.up.send(message).await.expect("a session");
    }

    /// The master's next message, or the session's end.
    pub async fn hear(&mut self) -> Result<Option<Down>, tonic::Status> {
        let message = tokio::time::timeout(PATIENCE, self.down.message());
        let message = message.await.expect("a message or an end")?;
        Ok(message.and_then(|message| message.message))
    }
}
