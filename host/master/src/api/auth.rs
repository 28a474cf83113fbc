//! Who asks. Everything but what machines need to look after the master takes a token.

use super::error::{ApiError, Result};
use crate::master::Shared;
use crate::tokens;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The paths that anybody may ask for; all others are closed, known or not.
const OPEN: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"];

/// Who asks, as an extension of the request.
#[derive(Clone, Debug)]
pub struct Principal(pub Arc<str>);

/// Lets a request through if its token is somebody's, and notes whose.
pub async fn check(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    match principal(&shared, request.headers()) {
        Ok(principal) => {
            request.extensions_mut().insert(Principal(principal));
            next.run(request).await
        }
        Err(error) => {
            let denied = error.status == StatusCode::UNAUTHORIZED;
            let mut response = error.into_response();
            if denied {
                let headers = response.headers_mut();
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

fn principal(shared: &Shared, headers: &HeaderMap) -> Result<Arc<str>> {
    let denied =
        |message: &str| ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", message);
    let missing = "a token is needed: send `Authorization: Bearer TOKEN`; the first one stands in admin.token in the master's data folder";
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| denied(missing))?;
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let token = token
        .filter(|token| !token.is_empty())
        .ok_or_else(|| denied(missing))?;
    // The hash is compared, so that the time it takes tells nothing of the token.
    let held = shared
        .lead()?
        .view
        .principal(&tokens::sha256_hex(token.as_bytes()));
    held.ok_or_else(|| {
        denied("nobody has this token: it was replaced or taken away, or is for another cluster")
    })
}
