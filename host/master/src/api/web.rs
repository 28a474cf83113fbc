//! The proxy to the frameworks' own APIs. What goes in has no credentials, what comes out is never a
//! page of the operator's origin.

use super::auth::Principal;
use super::error::{ApiError, Result};
use super::repeats::{Key, Seen};
use super::{body, framework_named, in_time, json};
use crate::lead::{Lead, Waiting};
use crate::master::Shared;
use crate::pending::{Outcome, Pieces};
use crate::tokens;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use mezzo_core::Answer;
use mezzo_core::turn::{WebRequest, WebResponse};
use mezzo_types::RequestId;
use std::convert::Infallible;
use std::sync::Arc;

/// The longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// Headers that speak of one connection only.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What a framework is not told: it acts for a principal, never with its token.
const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];
/// What a framework may not say in the name of the operator's origin; and the length, which the body
/// has anyway.
const NOT_OUT: [&str; 8] = [
    "set-cookie",
    "set-cookie2",
    "clear-site-data",
    "strict-transport-security",
    "alt-svc",
    "service-worker-allowed",
    "content-security-policy",
    "content-length",
];

/// Hands a request to the framework that its path names.
pub async fn handle(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    request: Request,
) -> Result<Response> {
    let (parts, sent) = request.into_parts();
    let (name, path) = split(&parts.uri)?;
    let lead = shared.lead()?;
    let record = Arc::clone(&framework_named(&lead.view.read(), &name)?.record);
    let max = usize::try_from(record.limits.request_bytes_max).unwrap_or(usize::MAX);
    let sent = body::read(&shared, sent, max, "request_bytes_max").await?;
    // Its bytes count for as long as the framework may have them.
    let body::Held { bytes, room } = sent;
    let request = WebRequest {
        id: RequestId::default(),
        method: parts.method.to_string(),
        path,
        headers: inward(&parts.headers),
        body: bytes,
        principal: principal.to_string(),
    };
    let key = parts.headers.get("idempotency-key");
    let Some(key) = key.filter(|_| parts.method == Method::POST) else {
        let asked = lead.ask_framework(&name, request);
        let (outcome, waiting) = in_time(&shared, asked).await??;
        drop(room);
        return respond(outcome, waiting);
    };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let problem = format_args!("from 1 to {KEY_BYTES_MAX} bytes, not {}", key.len());
        return Err(ApiError::invalid("Idempotency-Key", problem));
    }
    let key = Key {
        principal,
        framework: record.id,
        method: request.method.clone(),
        path: request.path.clone(),
        key: key.as_bytes().to_vec(),
    };
    once(&shared, lead, name, (request, room), key).await
}

/// Asks unless it was asked before. The asking goes on when the client leaves or is told that it
/// takes too long: its answer is what the client will come back for.
async fn once(
    shared: &Arc<Shared>,
    lead: Arc<Lead>,
    name: String,
    (request, room): (WebRequest, body::Room),
    key: Key,
) -> Result<Response> {
    let body_sha256 = tokens::sha256_hex(&request.body);
    let first = match shared.api.repeats.look(key, body_sha256)? {
        Seen::Before(answer) => return Ok(whole(WebResponse::clone(&answer))),
        Seen::New(first) => first,
    };
    let asking = tokio::spawn(async move {
        let (outcome, waiting) = lead.ask_framework(&name, request).await?;
        drop(room);
        if let Outcome::Answer(Answer::Web(response)) = &outcome {
            first.answered(response.clone());
        }
        respond(outcome, waiting)
    });
    in_time(shared, asking)
        .await?
        .map_err(|error| ApiError::internal(error.to_string()))?
}

/// The framework's name, and what is its own of the path.
fn split(uri: &Uri) -> Result<(String, String)> {
    let rest = uri.path().strip_prefix("/fw/").unwrap_or_default();
    let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
    json::name("name", name)?;
    let query = uri
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    Ok((name.to_string(), format!("/{path}{query}")))
}

fn inward(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let named = headers.get_all(header::CONNECTION);
    let named: Vec<String> = named
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let passes = |name: &str| {
        !HOP_BY_HOP.contains(&name)
            && !CREDENTIALS.contains(&name)
            && !named.iter().any(|named| named == name)
    };
    let pairs = headers.iter().filter(|(name, _)| passes(name.as_str()));
    pairs
        .map(|(name, value)| (name.as_str().to_string(), value.as_bytes().to_vec()))
        .collect()
}

fn respond(outcome: Outcome, waiting: Waiting) -> Result<Response> {
    match outcome {
        Outcome::Stream(response, pieces) => Ok(outward(
            response.status,
            &response.headers,
            stream(pieces, waiting),
        )),
        Outcome::Answer(answer) => {
            waiting.ended();
            match answer {
                Answer::Web(response) => Ok(whole(response)),
                Answer::Refused(refused) => Err(refused.into()),
                answer => Err(ApiError::internal(format!(
                    "the core gave an answer of another kind: {answer:?}"
                ))),
            }
        }
    }
}

fn whole(response: WebResponse) -> Response {
    let body = Body::from(response.body.unwrap_or_default());
    outward(response.status, &response.headers, body)
}

/// The pieces as they come. A body that is dropped before its end tells the framework so.
fn stream(pieces: Pieces, waiting: Waiting) -> Body {
    let state = Some((pieces, waiting));
    Body::from_stream(futures_util::stream::unfold(state, |state| async move {
        let (mut pieces, waiting) = state?;
        match pieces.next().await {
            Some(piece) => Some((Ok::<_, Infallible>(piece), Some((pieces, waiting)))),
            None => {
                waiting.ended();
                None
            }
        }
    }))
}

/// The guest's status and headers are not trusted: what is no header, or not its to say, stays here.
fn outward(status: u16, headers: &[(String, Vec<u8>)], body: Body) -> Response {
    let mut response = body.into_response();
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let out = response.headers_mut();
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value),
        ) else {
            continue;
        };
        if !HOP_BY_HOP.contains(&name.as_str()) && !NOT_OUT.contains(&name.as_str()) {
            out.append(name, value);
        }
    }
    out.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox"),
    );
    out.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framework_gets_its_own_part_of_the_path_as_it_is() {
        let check = |uri: &'static str, expected: (&str, &str)| {
            let (name, path) = split(&Uri::from_static(uri)).expect(uri);
            assert_eq!((&*name, &*path), expected, "{uri}");
        };
        check("/fw/a", ("a", "/"));
        check("/fw/a/", ("a", "/"));
        check("/fw/a?x=1", ("a", "/?x=1"));
        check("/fw/a/b%2Fc/../d?x=%20", ("a", "/b%2Fc/../d?x=%20"));
        assert!(split(&Uri::from_static("/fw/..%2Fx/y")).is_err());
    }

    #[test]
    fn credentials_and_what_is_hop_by_hop_stay_outside() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("x-public", "2"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let inward: Vec<String> = inward(&headers).into_iter().map(|(name, _)| name).collect();
        assert_eq!(inward, ["x-public"]);
    }

    #[test]
    fn a_page_of_a_framework_is_sandboxed() {
        let said = [
            ("set-cookie", "a=b"),
            ("content-security-policy", "x"),
            ("x", "y"),
            ("b\r\nad", "z"),
        ];
        let said = said.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        let response = outward(200, &said, Body::empty());
        let headers = response.headers();
        assert_eq!(
            headers
                .get("content-security-policy")
                .map(HeaderValue::as_bytes),
            Some(&b"sandbox"[..])
        );
        assert_eq!(headers.get_all("content-security-policy").iter().count(), 1);
        assert!(headers.get("set-cookie").is_none() && headers.get("x").is_some());
    }
}
