//! Principals and their tokens.

use super::ask;
use super::auth::Principal;
use super::dto::{self, NewToken, Principals};
use super::error::{ApiError, Result};
use super::json::{self, Path, Query};
use crate::master::Shared;
use crate::tokens;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use mezzo_core::Request;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

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

/// How it is taken away.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Even if it is who asks.
    force: Option<bool>,
}

/// Takes a principal away; its token is worth nothing from then on. Never the last one.
#[utoipa::path(delete, path = "/api/v1/principals/{name}", tag = "cluster", params(("name" = String, Path), Remove), responses((status = 204), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(name): Path<String>,
    Query(how): Query<Remove>,
) -> Result<StatusCode> {
    json::name("name", &name)?;
    // One after the other: of two at the same time, neither would see that the other's is the last.
    let _one_at_a_time = shared.api.principals.lock().await;
    {
        let lead = shared.lead()?;
        let inner = lead.view.read();
        let principals = &inner.state.principals;
        let there = principals.contains_key(name.as_str());
        if there && principals.len() == 1 {
            return Err(ApiError::conflict(format!(
                "{name} is the last principal, and nobody could use this master any more: make another one first (`mezzo principal create NAME`)"
            )));
        }
        if there && *name == *principal && how.force != Some(true) {
            return Err(ApiError::conflict(format!(
                "{name} is who asks, and its token would be worth nothing from then on: ask as another principal, or with `?force=true`"
            )));
        }
    }
    let request = Request::SetPrincipal {
        name,
        token_sha256: None,
        principal,
    };
    ask(&shared, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
