//! The master's HTTP API as this binary uses it: JSON, raw bytes and streams over plain HTTP/1.1.
//!
//! A connection that has given its whole answer is used again; a stream has one of its own. Nothing
//! is tried twice here: only the caller knows whether that is right.

use crate::context::Target;
use crate::exit::Denied;
use crate::sse;
use anyhow::{Context, anyhow, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::net::TcpStream;

type Sender = SendRequest<Full<Bytes>>;

/// Entries that are asked for at a time.
const PAGE: usize = 1_000;

/// The master refused; what it said.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The stable word.
    pub code: String,
    /// Of the request, if the master says which.
    pub field: Option<String>,
    /// For people.
    pub message: String,
}

/// Cheap to clone; all clones share the idle connections.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    authority: String,
    idle: RefCell<Vec<Sender>>,
}

impl Client {
    /// Nothing is sent yet.
    pub fn new(target: Target) -> anyhow::Result<Client> {
        let authority = authority(&target.url)?;
        Ok(Client {
            shared: Rc::new(Shared {
                target,
                authority,
                idle: RefCell::default(),
            }),
        })
    }

    /// The master's URL.
    pub fn url(&self) -> &str {
        &self.shared.target.url
    }

    /// An answer's JSON; null if it has none.
    pub async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let answer = self.bytes(method, path, body).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).with_context(|| format!("{path} did not answer with JSON"))
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.json(Method::GET, path, None).await
    }

    /// All pages of a list, as one: `{field: [..], "next": null}`.
    pub async fn list(&self, path: &str, field: &str) -> anyhow::Result<Value> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let mut page = self
                .get(&format!("{path}{joint}limit={PAGE}{after}"))
                .await?;
            if let Some(Value::Array(entries)) = page.get_mut(field).map(Value::take) {
                all.extend(entries);
            }
            after = match &page["next"] {
                Value::Null => break,
                Value::String(next) => format!("&after={}", crate::query::encode(next)),
                next => format!("&after={next}"),
            };
        }
        Ok(serde_json::json!({field: all, "next": null}))
    }

    /// An answer's bytes.
    pub async fn bytes(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let (response, sender) = self.send(method, path, body).await?;
        let bytes = whole(response).await.with_context(|| self.cut())?;
        self.keep(sender);
        Ok(bytes)
    }

    /// An answer that goes on.
    pub async fn stream(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Stream> {
        let (response, sender) = self.send(method, path, body).await?;
        let offset = response.headers().get("mezzo-offset");
        let offset = offset.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Stream {
            body: response.into_body(),
            offset,
            sender: Some(sender),
            client: self.clone(),
        })
    }

    /// Server-sent events.
    pub async fn events(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Events> {
        Ok(Events {
            stream: self.stream(method, path, body).await?,
            parser: sse::Parser::default(),
            ready: VecDeque::new(),
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(Response<Incoming>, Sender)> {
        let mut sender = match self.idle().await {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.shared.authority)
            .header(
                "authorization",
                format!("Bearer {}", self.shared.target.token),
            )
            .header("content-length", body.len())
            .body(Full::new(body))
            .context("the token or the path cannot be sent in a request")?;
        let response = sender
            .send_request(request)
            .await
            .with_context(|| self.cut())?;
        if response.status().is_success() {
            return Ok((response, sender));
        }
        let status = response.status();
        let body = whole(response).await.unwrap_or_default();
        self.keep(sender);
        Err(self.refused(status, &body))
    }

    async fn idle(&self) -> Option<Sender> {
        loop {
            let mut sender = self.shared.idle.borrow_mut().pop()?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, sender: Sender) {
        if !sender.is_closed() {
            self.shared.idle.borrow_mut().push(sender);
        }
    }

    async fn connect(&self) -> anyhow::Result<Sender> {
        let stream = TcpStream::connect(&self.shared.authority)
            .await
            .map_err(|error| {
                anyhow!(
                    "no master answers at {} ({error}); start one with `mezzo dev`",
                    self.url()
                )
            })?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with its sender and body, or with an error that those see as well.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn cut(&self) -> String {
        format!("the connection to the master at {} was cut", self.url())
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> anyhow::Error {
        let error = serde_json::from_slice::<Value>(body).unwrap_or_default()["error"].take();
        let message = match error["message"].as_str() {
            Some(message) => message.to_string(),
            None => format!("the master at {} answered {status}", self.url()),
        };
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let hint = "check --token or MEZZO_TOKEN; the administrator's is in `admin.token` in the master's data folder";
            return Denied(format!("denied: {message}; {hint}")).into();
        }
        let place = match (error["line"].as_u64(), error["column"].as_u64()) {
            (Some(line), Some(column)) => format!(" (line {line}, column {column})"),
            _ => String::new(),
        };
        let fault = match &error["fault"] {
            Value::Null => String::new(),
            fault => format!(" (fault {fault}; see `mezzo framework ls`)"),
        };
        Refused {
            status: status.as_u16(),
            code: error["code"].as_str().unwrap_or_default().to_string(),
            field: error["field"].as_str().map(str::to_string),
            message: format!("{message}{place}{fault}"),
        }
        .into()
    }
}

/// The status with which the master refused, if that is what failed.
pub fn refused(error: &anyhow::Error) -> Option<u16> {
    error
        .downcast_ref::<Refused>()
        .map(|refused| refused.status)
}

/// A body that is read as it comes.
#[derive(Debug)]
pub struct Stream {
    body: Incoming,
    offset: Option<u64>,
    sender: Option<Sender>,
    client: Client,
}

impl Stream {
    /// Where the bytes begin, if the master said it.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// The next bytes; none at the end. An error if it was cut.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        loop {
            match self.body.frame().await {
                None => {
                    if let Some(sender) = self.sender.take() {
                        self.client.keep(sender);
                    }
                    return Ok(None);
                }
                Some(Err(error)) => return Err(error).with_context(|| self.client.cut()),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

/// Server-sent events as they come.
#[derive(Debug)]
pub struct Events {
    stream: Stream,
    parser: sse::Parser,
    ready: VecDeque<sse::Event>,
}

impl Events {
    /// The next one; none at the end. May be dropped while it waits without losing an event.
    pub async fn next(&mut self) -> anyhow::Result<Option<sse::Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            match self.stream.next().await? {
                None => return Ok(None),
                Some(bytes) => self.ready.extend(self.parser.feed(&bytes)),
            }
        }
    }
}

async fn whole(response: Response<Incoming>) -> hyper::Result<Bytes> {
    Ok(response.into_body().collect().await?.to_bytes())
}

/// `host:port` of a URL.
fn authority(url: &str) -> anyhow::Result<String> {
    let expected = "expected a URL such as http://127.0.0.1:7070";
    let Some(rest) = url.strip_prefix("http://") else {
        if url.starts_with("https://") {
            bail!("{url}: links are not encrypted yet; {expected}");
        }
        bail!("{url:?}: {expected}");
    };
    let authority = rest.trim_end_matches('/');
    if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
        bail!("{url:?}: {expected}");
    }
    let port = authority
        .rsplit_once(':')
        .map(|(_, port)| port.parse::<u16>());
    Ok(match port {
        Some(Ok(_)) => authority.to_string(),
        _ => format!("{authority}:80"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls_are_taken() {
        assert_eq!(
            authority("http://127.0.0.1:7070").unwrap(),
            "127.0.0.1:7070"
        );
        assert_eq!(authority("http://[::1]:7070/").unwrap(), "[::1]:7070");
        assert_eq!(authority("http://host").unwrap(), "host:80");
        for url in [
            "https://x",
            "x:1",
            "",
            "http://",
            "http://a/b",
            "http://a b",
        ] {
            assert!(authority(url).is_err(), "{url}");
        }
    }
}
