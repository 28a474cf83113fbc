//! Serving HTTP from a framework: requests, responses, errors, and (in files of their own) the router and streams.

mod router;
mod sse;

pub use crate::bindings::web::exports::mezzo::framework::web::{Body, Header, Request, Response};
pub use router::{Call, Handler, Router};
pub use sse::{Broadcast, event};

use crate::json::{self, JsonError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a handler returns. An `Err` is a response too, so that `?` ends a handler early; the turn commits all the
/// same, so refuse before changing anything.
pub type Reply = Result<Response, Error>;

/// A refusal for people and programs: a status and a JSON body `{"error": {...}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Error {
    /// The HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// A stable word, such as `invalid`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Which field of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Where in the body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Where in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

impl Error {
    /// Any status and code.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Error {
        Error {
            status,
            code: code.to_owned(),
            message: message.into(),
            field: None,
            line: None,
            column: None,
        }
    }

    /// 400 `invalid`: a field breaks a rule. The message begins with the field's name.
    pub fn invalid(field: &str, rule: impl std::fmt::Display) -> Error {
        Error {
            field: Some(field.to_owned()),
            ..Error::new(400, "invalid", format!("{field}: {rule}"))
        }
    }

    /// 404 `not-found`.
    pub fn not_found(what: impl std::fmt::Display) -> Error {
        Error::new(404, "not-found", format!("there is no {what}"))
    }

    /// 429 `limit`.
    pub fn limit(message: impl Into<String>) -> Error {
        Error::new(429, "limit", message)
    }
}

impl From<JsonError> for Error {
    fn from(error: JsonError) -> Error {
        let code = if error.malformed {
            "malformed"
        } else {
            "invalid"
        };
        Error {
            field: (!error.field.is_empty() && !error.malformed).then_some(error.field),
            line: Some(error.line),
            column: Some(error.column),
            ..Error::new(400, code, error.message)
        }
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Response {
        #[derive(Serialize)]
        struct Wrapped<'a> {
            error: &'a Error,
        }
        Response::json(error.status, &Wrapped { error: &error })
    }
}

impl Response {
    /// An answer with a JSON body.
    pub fn json(status: u16, body: &impl Serialize) -> Response {
        match serde_json::to_vec(body) {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                Response::bytes(status, "application/json", bytes)
            }
            Err(error) => panic!("a response is no JSON: {error}"),
        }
    }

    /// An answer with a text.
    pub fn text(status: u16, body: impl Into<String>) -> Response {
        Response::bytes(
            status,
            "text/plain; charset=utf-8",
            body.into().into_bytes(),
        )
    }

    /// An answer with any body.
    pub fn bytes(status: u16, content_type: &str, body: Vec<u8>) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Body::Full(body),
        }
        .header("content-type", content_type)
    }

    /// An answer without a body, such as 204.
    pub fn empty(status: u16) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Body::Full(Vec::new()),
        }
    }

    /// An answer whose body is sent with [`crate::Cx::stream_write`] under the request's id, in this turn and later
    /// ones, until [`crate::Cx::stream_close`]. [`Broadcast`] keeps a set of such streams.
    pub fn stream(status: u16, content_type: &str) -> Response {
        Response {
            status,
            headers: Vec::new(),
            body: Body::Stream,
        }
        .header("content-type", content_type)
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: &str) -> Response {
        self.headers.push(Header {
            name: name.to_owned(),
            value: value.as_bytes().to_vec(),
        });
        self
    }
}

impl Request {
    /// The first header of that name (lower case), if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.name == name)?;
        std::str::from_utf8(&header.value).ok()
    }

    /// The path without the query.
    pub fn path_only(&self) -> &str {
        self.path
            .split_once('?')
            .map_or(self.path.as_str(), |(path, _)| path)
    }

    /// The decoded pairs of the query, in order.
    pub fn query(&self) -> Vec<(String, String)> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name, true), decode(value, true))
            })
            .collect()
    }

    /// The body as JSON; an error names the field and the place.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(json::parse(&self.body)?)
    }
}

/// Percent-decodes; what is no valid escape stays as it is, and what is no UTF-8 is replaced.
fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |offset: usize| {
            bytes
                .get(at + offset)
                .and_then(|digit| char::from(*digit).to_digit(16))
        };
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', _, _) if plus_is_space => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let request = Request {
            id: 1,
            method: "GET".into(),
            path: "/a%2Fb?x=1+2%21&flag&=&bad=%zz%4".into(),
            headers: vec![],
            body: vec![],
            principal: String::new(),
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            request.query(),
            [
                pair("x", "1 2!"),
                pair("flag", ""),
                pair("", ""),
                pair("bad", "%zz%4")
            ]
        );
        assert_eq!(request.path_only(), "/a%2Fb");
        assert_eq!(decode("a%2Fb+%C3%A9", false), "a/b+é");
    }
}
