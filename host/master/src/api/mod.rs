//! The HTTP API. `docs/guide/http-api.md` says what it promises.

use crate::config::Limits;
use crate::master::Shared;
use axum::Router;
use axum::routing::get;
use std::sync::Arc;

/// What the API keeps between requests.
pub struct State {}

impl State {
    /// Nothing yet.
    #[must_use]
    pub fn new(_limits: &Limits) -> State {
        State {}
    }
}

/// All routes.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .with_state(shared)
}
