//! Requests to the framework's HTTP API, and what its streams have sent.

use super::Cluster;
use super::world::{FakeStream, FakeTask, Told};
use crate::framework::{Framework, Web};
use crate::types::*;
use crate::web::{Body, Header, Request};

/// What a request was answered with.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status; 500 when the turn had a fault.
    pub status: u16,
    /// As the framework set them.
    pub headers: Vec<(String, String)>,
    /// The body, if it was not a stream.
    pub body: Vec<u8>,
    /// Names the stream, if it was one.
    pub stream: Option<u64>,
}

impl Answer {
    /// The body as JSON; panics when it is none.
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {}", String::from_utf8_lossy(&self.body)),
        }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What a client of a stream has got so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamView {
    /// All of it.
    pub text: String,
    /// Whether more may come.
    pub open: bool,
}

impl<F: Framework> Cluster<F> {
    /// What a stream has sent; panics when there is no such stream.
    pub fn stream(&self, id: u64) -> StreamView {
        match self.world.streams.get(&id) {
            Some(FakeStream { body, open, .. }) => StreamView {
                text: String::from_utf8_lossy(body).into_owned(),
                open: *open,
            },
            None => panic!("there is no stream {id}"),
        }
    }

    /// The client of a stream goes away.
    pub fn leave_stream(&mut self, id: u64) {
        if let Some(stream) = self.world.streams.get_mut(&id).filter(|stream| stream.open) {
            (stream.open, stream.client_gone) = (false, true);
            self.world.streams_gone.push(id);
        }
    }
}

impl<F: Web> Cluster<F> {
    /// Sends a request; one turn answers it. Starts the framework if need be.
    pub fn request(&mut self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Answer {
        if let Err(refusal) = self.start() {
            panic!("the framework refuses to start: {refusal}");
        }
        self.world.agents_act();
        let router = self.router.take().unwrap_or_else(F::routes);
        let id = self.world.fresh_id();
        let request = Request {
            id,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: body.as_ref().to_vec(),
            principal: "tester".to_owned(),
        };
        // Open while the turn lasts, as in the master: whether it stays so is for the answer to say.
        self.world.streams.insert(
            id,
            FakeStream {
                open: true,
                ..FakeStream::default()
            },
        );
        let outcome = self.one_turn(Told::default(), |instance, calls, now| {
            instance.request(calls, &router, now, request)
        });
        self.router = Some(router);
        let Ok(response) = outcome else {
            self.world.streams.remove(&id);
            return Answer {
                status: 500,
                headers: Vec::new(),
                body: b"{}".to_vec(),
                stream: None,
            };
        };
        let text = |header: Header| {
            (
                header.name,
                String::from_utf8_lossy(&header.value).into_owned(),
            )
        };
        let headers = response.headers.into_iter().map(text).collect();
        match response.body {
            Body::Full(body) => {
                self.world.streams.remove(&id);
                Answer {
                    status: response.status,
                    headers,
                    body,
                    stream: None,
                }
            }
            Body::Stream => Answer {
                status: response.status,
                headers,
                body: Vec::new(),
                stream: Some(id),
            },
        }
    }

    /// `GET`.
    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, "")
    }

    /// `POST` with a JSON body.
    pub fn post(&mut self, path: &str, body: &serde_json::Value) -> Answer {
        self.request("POST", path, body.to_string())
    }

    /// `DELETE`.
    pub fn delete(&mut self, path: &str) -> Answer {
        self.request("DELETE", path, "")
    }
}

impl FakeTask {
    /// A variable of its environment.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.task
            .env
            .iter()
            .find(|var| var.name == name)
            .map(|var| var.value.as_str())
    }

    /// Where it stands.
    pub fn state(&self) -> TaskState {
        self.status.state
    }
}
