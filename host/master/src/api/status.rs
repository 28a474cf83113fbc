//! The cluster at a glance, and what machines ask to know whether the master is well.

use super::auth::Principal;
use super::dto::{Agents, Frameworks, RegistryHealth, Status, UsedOf};
use super::error::Result;
use crate::driver::now;
use crate::master::Shared;
use crate::view::Inner;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use mezzo_types::{Resources, TaskState};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The cluster at a glance.
#[utoipa::path(get, path = "/api/v1/status", tag = "cluster", responses((status = 200, body = Status)))]
pub async fn status(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
) -> Result<Json<Status>> {
    let lead = shared.lead()?;
    let problem = lead.health.problem();
    let inner = lead.view.read();
    let state = &inner.state;
    let states = agents_by_state(&inner);
    let frameworks = state.frameworks.values();
    let mut used = Resources::NONE;
    for agent in state.agents.values() {
        used.add(&agent.used);
    }
    Ok(Json(Status {
        cluster: state.cluster.name.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        term: state.cluster.term.0,
        batch: inner.batch.0,
        started_ms: shared.started.0,
        now_ms: now().0,
        principal: principal.to_string(),
        registry: RegistryHealth {
            state: if problem.is_some() { "full" } else { "ok" },
            message: problem.unwrap_or_default(),
        },
        agents: Agents {
            total: state.agents.len(),
            connected: states["connected"],
            silent: states["silent"],
        },
        frameworks: Frameworks {
            total: state.frameworks.len(),
            live: inner.live.len(),
            quarantined: frameworks.filter(|f| f.record.quarantined).count(),
        },
        tasks: tasks_by_state(&inner),
        resources: UsedOf {
            total: (&state.total).into(),
            used: (&used).into(),
        },
    }))
}

/// How many agents are in each state.
pub fn agents_by_state(inner: &Inner) -> BTreeMap<&'static str, usize> {
    let mut states = BTreeMap::from([("connected", 0), ("disconnected", 0), ("silent", 0)]);
    for agent in inner.state.agents.keys() {
        *states.entry(inner.agent_state(*agent)).or_default() += 1;
    }
    states
}

/// How many tasks are in each state; those that ended count since this master leads.
pub fn tasks_by_state(inner: &Inner) -> BTreeMap<&'static str, u64> {
    let mut states: BTreeMap<&'static str, u64> =
        TaskState::ALL.iter().map(|s| (s.as_str(), 0)).collect();
    for framework in inner.state.frameworks.values() {
        for task in framework.tasks.values() {
            *states.entry(task.status.state.as_str()).or_default() += 1;
        }
    }
    for (state, count) in &inner.ended_counts {
        *states.entry(state).or_default() += count;
    }
    states
}

/// The process serves.
#[utoipa::path(get, path = "/healthz", tag = "machines", security(()), responses((status = 200, body = str)))]
pub async fn healthz() -> &'static str {
    "ok"
}

/// It leads, and its registry takes commits.
#[utoipa::path(get, path = "/readyz", tag = "machines", security(()), responses((status = 200, body = str), (status = 503, body = str)))]
pub async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let problem = match shared.lead() {
        Ok(lead) => lead.health.problem(),
        Err(error) => Some(error.to_string()),
    };
    match problem {
        None => "ok".into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem).into_response(),
    }
}
