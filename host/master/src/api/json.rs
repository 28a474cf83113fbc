//! What comes in: bodies, queries and names, read strictly. What is not known is refused by name.

use super::body;
use super::error::{ApiError, Result};
use crate::master::Shared;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::marker::PhantomData;
use std::sync::Arc;

/// A JSON body, which is an object. An empty one counts as `{}`.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Json<T>> {
        let max = shared.config.limits.json_bytes_max;
        let body = body::read(shared, request.into_body(), max, "json_bytes_max").await?;
        let text: &[u8] = match &*body.bytes {
            [] => b"{}",
            text => text,
        };
        Ok(Json(object(text, "")?))
    }
}

/// A query.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Query(query)),
            Err(rejection) => Err(query_error(&rejection.body_text())),
        }
    }
}

/// Refuses a query where none is read: a mistyped path must not do more than it says. Frameworks get
/// theirs as it is.
pub async fn no_query_where_none_is_read(
    request: Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    const READ: [&str; 8] = [
        "/api/v1/events",
        "/api/v1/agents",
        "/api/v1/frameworks",
        "/api/v1/frameworks/{name}/component",
        "/api/v1/frameworks/{name}/explain",
        "/api/v1/frameworks/{name}/logs",
        "/api/v1/tasks",
        "/api/v1/tasks/{framework}/{task}/logs",
    ];
    const BY_METHOD: [(&str, &str); 4] = [
        ("DELETE", "/api/v1/tasks/{framework}/{task}"),
        ("DELETE", "/api/v1/principals/{name}"),
        ("PUT", "/api/v1/roles/{role}"),
        ("GET", "/api/v1/reservations"),
    ];
    let method = request.method().clone();
    let route = request.extensions().get::<axum::extract::MatchedPath>();
    let route = route.map(axum::extract::MatchedPath::as_str);
    let checked = route.is_some_and(|route| {
        let asks = BY_METHOD.contains(&(method.as_str(), route));
        route.starts_with("/api/") && !READ.contains(&route) && !asks
    });
    let first = request
        .uri()
        .query()
        .and_then(|query| query.split(['&', '=']).next());
    if let Some(name) = first.filter(|name| checked && !name.is_empty()) {
        let error = ApiError::invalid(name, "unknown field, this call takes no query");
        return axum::response::IntoResponse::into_response(error);
    }
    next.run(request).await
}

/// What stands in the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(path)) => Ok(Path(path)),
            Err(rejection) => Err(ApiError::malformed(format!(
                "the path cannot be read: {}",
                rejection.body_text()
            ))),
        }
    }
}

/// What is written as a JSON object. A structure by itself could be written as an array of its fields
/// as well, in an order that nobody promises.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// A JSON object; see [`parse`].
pub fn object<T: DeserializeOwned>(text: &[u8], prefix: &str) -> Result<T> {
    parse(text, prefix).map(|Object(value)| value)
}

/// JSON with the place of what is wrong; fields are named below `prefix`.
pub fn parse<T: DeserializeOwned>(text: &[u8], prefix: &str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        json_error(error.into_inner(), &path, prefix)
    })?;
    reader
        .end()
        .map_err(|error| json_error(error, "", prefix))?;
    Ok(value)
}

fn json_error(error: serde_json::Error, path: &str, prefix: &str) -> ApiError {
    // serde_json writes the place at the end; it has fields of its own here.
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or(&words);
    let mut result = if error.is_data() {
        let path = if path == "." { "" } else { path };
        let mut field = [prefix, path]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(".");
        let (name, words) = unknown(words);
        if let Some(name) = name
            && field.rsplit('.').next() != Some(name)
        {
            field = if field.is_empty() {
                name.to_string()
            } else {
                format!("{field}.{name}")
            };
        }
        if field.is_empty() {
            ApiError::new(axum::http::StatusCode::BAD_REQUEST, "invalid", words)
        } else {
            ApiError::invalid(field, words)
        }
    } else {
        let of = if prefix.is_empty() {
            "the body"
        } else {
            prefix
        };
        ApiError::malformed(format!("{of} is no JSON: {words}"))
    };
    if error.line() > 0 {
        (result.problem.line, result.problem.column) = (Some(error.line()), Some(error.column()));
    }
    result
}

/// An unknown or missing field's name, and the message without it.
fn unknown(words: &str) -> (Option<&str>, String) {
    for kind in ["unknown field", "missing field"] {
        let rest = words
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix(" `"));
        if let Some((name, rest)) = rest.and_then(|rest| rest.split_once('`')) {
            return (Some(name), format!("{kind}{rest}"));
        }
    }
    (None, words.to_string())
}

fn query_error(words: &str) -> ApiError {
    let prefix = "Failed to deserialize query string: ";
    let words = words.strip_prefix(prefix).unwrap_or(words);
    let (path, rest) = match words.split_once(": ") {
        Some((path, rest)) if !path.contains(' ') => (path, rest),
        _ => ("", words),
    };
    match unknown(rest) {
        (Some(name), words) => ApiError::invalid(name, words),
        (None, words) if path.is_empty() || path == "?" => {
            ApiError::malformed(format!("the query cannot be read: {words}"))
        }
        (None, words) => ApiError::invalid(path, words),
    }
}

/// A name of a framework, a task, a role or a principal, which stands in `field`.
pub fn name(field: &str, name: &str) -> Result<()> {
    mezzo_types::check_name(name).map_err(|problem| ApiError::invalid(field, problem))
}

/// How many entries a list may have, and how many it has if nobody says.
const LIMIT_MAX: usize = 10_000;
const LIMIT_DEFAULT: usize = 1_000;

/// The checked `limit` of a list.
pub fn limit(asked: Option<usize>) -> Result<usize> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        Some(limit) => Err(ApiError::invalid(
            "limit",
            format_args!("from 1 to {LIMIT_MAX}, not {limit}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read by serde")]
    struct Outer {
        inner: Object<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read by serde")]
    struct Inner {
        count: u64,
    }

    #[track_caller]
    fn check(text: &str, code: &str, field: Option<&str>, line: usize) {
        let problem = object::<Outer>(text.as_bytes(), "")
            .expect_err(text)
            .problem;
        let seen = (problem.code, problem.field.as_deref(), problem.line);
        assert_eq!(seen, (code, field, Some(line)), "{}", problem.message);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        check("{\n \"inner\": {", "malformed", None, 2);
        check("{\"inner\":{\"count\":1}} x", "malformed", None, 1);
        check(
            "{\"inner\":{\"cuont\":1}}",
            "invalid",
            Some("inner.cuont"),
            1,
        );
        check("{\"inner\":{}}", "invalid", Some("inner.count"), 1);
        check(
            "{\n\"inner\":{\"count\":-1}}",
            "invalid",
            Some("inner.count"),
            2,
        );
        check("{\"other\":1}", "invalid", Some("other"), 1);
        check("[]", "invalid", None, 1);
        check("[{\"count\":1}]", "invalid", None, 1);
        check("{\n\"inner\":[1]}", "invalid", Some("inner"), 2);
    }
}
