//! Agents, as people see them.

use super::dto::{Agent, AgentPage};
use super::error::{ApiError, Result};
use super::json::{Path, Query, limit};
use crate::master::Shared;
use axum::Json;
use axum::extract::State;
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

/// One agent.
#[utoipa::path(get, path = "/api/v1/agents/{id}", tag = "agents", params(("id" = u64, Path)), responses((status = 200, body = Agent), (status = 404, body = super::error::ErrorBody)))]
pub async fn one(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<Agent>> {
    let number = id.parse().map_err(|_| {
        ApiError::invalid("id", format_args!("{id:?} is no agent's number, such as 1"))
    })?;
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let agent = inner.state.agents.get(&AgentId(number)).ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no agent {number}; `mezzo agent ls` lists those there are"
        ))
    })?;
    Ok(Json(Agent::of(&inner, agent)))
}
