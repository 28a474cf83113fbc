//! Agents, as people see them.

use super::ask;
use super::auth::Principal;
use super::dto::{Agent, AgentPage};
use super::error::{ApiError, Result};
use super::json::{self, Path, Query, limit};
use crate::master::Shared;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use mezzo_core::Request;
use mezzo_core::event::AgentChange;
use mezzo_types::AgentId;
use serde::Deserialize;
use std::ops::Bound;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which agents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// `next` of the page before.
    after: Option<u64>,
    /// At most so many.
    limit: Option<usize>,
}

/// All agents.
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents", params(Which), responses((status = 200, body = AgentPage)))]
pub async fn list(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
) -> Result<Json<AgentPage>> {
    let limit = limit(which.limit)?;
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let after = which
        .after
        .map_or(Bound::Unbounded, |id| Bound::Excluded(AgentId(id)));
    let mut rest = inner.state.agents.range((after, Bound::Unbounded));
    let agents: Vec<Agent> = rest
        .by_ref()
        .take(limit)
        .map(|(_, agent)| Agent::of(&inner, agent))
        .collect();
    let more = rest.next().is_some();
    let last = agents.last().map(|agent| agent.id.to_string());
    Ok(Json(AgentPage {
        next: last.filter(|_| more),
        agents,
    }))
}

/// How an agent is drained.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// How long from now until its tasks are asked to end; frameworks are told at once. None: now.
    after_ms: Option<u64>,
    /// From the first signal to the last; none: each task's own.
    grace_ms: Option<u64>,
}

/// Takes an agent out: nothing new is placed there, and its tasks are asked to end.
#[utoipa::path(post, path = "/api/v1/agents/{id}/drain", tag = "agents", params(("id" = u64, Path)), request_body = Drain, responses((status = 204), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn drain(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(id): Path<String>,
    json::Json(drain): json::Json<Drain>,
) -> Result<StatusCode> {
    let change = AgentChange::Drain {
        after_ms: drain.after_ms.unwrap_or(0),
        grace_ms: drain.grace_ms,
    };
    apply(&shared, &id, change, principal).await
}

/// Takes an agent out: nothing new is placed there, and its tasks go on.
#[utoipa::path(post, path = "/api/v1/agents/{id}/deactivate", tag = "agents", params(("id" = u64, Path)), responses((status = 204), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn deactivate(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    apply(&shared, &id, AgentChange::Deactivate, principal).await
}

/// Takes an agent back in.
#[utoipa::path(post, path = "/api/v1/agents/{id}/activate", tag = "agents", params(("id" = u64, Path)), responses((status = 204), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn activate(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    apply(&shared, &id, AgentChange::Activate, principal).await
}

/// Says that an agent never comes back: its tasks are lost, and it is refused should it come.
#[utoipa::path(post, path = "/api/v1/agents/{id}/gone", tag = "agents", params(("id" = u64, Path)), responses((status = 204), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn gone(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    apply(&shared, &id, AgentChange::Gone, principal).await
}

async fn apply(
    shared: &Shared,
    id: &str,
    change: AgentChange,
    principal: Arc<str>,
) -> Result<StatusCode> {
    let request = Request::ChangeAgent {
        agent: number(id)?,
        change,
        principal,
    };
    ask(shared, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn number(id: &str) -> Result<AgentId> {
    let number = id.parse().map_err(|_| {
        ApiError::invalid("id", format_args!("{id:?} is no agent's number, such as 1"))
    })?;
    Ok(AgentId(number))
}

/// One agent.
#[utoipa::path(get, path = "/api/v1/agents/{id}", tag = "agents", params(("id" = u64, Path)), responses((status = 200, body = Agent), (status = 404, body = super::error::ErrorBody)))]
pub async fn one(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<Agent>> {
    let number = number(&id)?;
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let agent = inner.state.agents.get(&number).ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no agent {number}; `mezzo agent ls` lists those there are"
        ))
    })?;
    Ok(Json(Agent::of(&inner, agent)))
}
