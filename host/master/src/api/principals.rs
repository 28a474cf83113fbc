//! Principals and their tokens.

use super::ask;
use super::auth::Principal;
use super::dto::{self, NewToken, Principals};
use super::error::{ApiError, Result};
use super::json::{self, Path};
use crate::master::Shared;
use crate::tokens;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use mezzo_core::Request;
use std::sync::Arc;

/// Who may use the API.
#[utoipa::path(get, path = "/api/v1/principals", tag = "cluster", responses((status = 200, body = Principals)))]
pub async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Principals>> {
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let principals = inner.state.principals.iter();
    let principals = principals.map(|(name, record)| dto::Principal {
        name: name.to_string(),
        created_ms: record.created.0,
    });
    Ok(Json(Principals {
        principals: principals.collect(),
    }))
}

/// Makes or replaces a principal's token.
#[utoipa::path(put, path = "/api/v1/principals/{name}", tag = "cluster", params(("name" = String, Path)), responses((status = 200, body = NewToken), (status = 400, body = super::error::ErrorBody)))]
pub async fn set(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(name): Path<String>,
) -> Result<Json<NewToken>> {
    json::name("name", &name)?;
    let token = tokens::generate().map_err(|error| ApiError::internal(error.to_string()))?;
    let request = Request::SetPrincipal {
        name: name.clone(),
        token_sha256: Some(tokens::sha256_hex(token.as_bytes())),
        principal,
    };
    ask(&shared, request).await?;
    Ok(Json(NewToken { name, token }))
}

/// Takes a principal away; its token is worth nothing from then on.
#[utoipa::path(delete, path = "/api/v1/principals/{name}", tag = "cluster", params(("name" = String, Path)), responses((status = 204), (status = 404, body = super::error::ErrorBody)))]
pub async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    json::name("name", &name)?;
    let request = Request::SetPrincipal {
        name,
        token_sha256: None,
        principal,
    };
    ask(&shared, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
