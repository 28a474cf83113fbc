//! The HTTP API. `docs/guide/http-api.md` says what it promises.
//!
//! | to find | open |
//! |---|---|
//! | every route | this file |
//! | who may ask | `auth.rs` |
//! | how errors look | `error.rs` |
//! | how input is read | `json.rs`, `body.rs` |
//! | the forms of things | `dto/` |
//! | the proxy to frameworks, repeated requests | `web.rs`, `repeats.rs` |
//! | what machines read | `status.rs`, `metrics.rs`, `openapi.rs` |
//!
//! Handlers look at the view and ask the core; they decide nothing about the cluster.

mod agents;
mod auth;
mod body;
mod components;
mod dto;
mod error;
mod events;
mod frameworks;
mod json;
mod metrics;
mod openapi;
mod outputs;
mod principals;
mod repeats;
mod reservations;
mod roles;
mod status;
mod tasks;
mod web;

use crate::config::Limits;
use crate::master::Shared;
use crate::view::Inner;
use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, delete, get, post, put};
use error::{ApiError, Result};
use mezzo_core::state::FrameworkState;
use mezzo_core::{Answer, Request};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the API keeps between requests.
pub struct State {
    /// Answers to requests that may come again.
    repeats: Arc<repeats::Repeats>,
    /// What was asked for and how it was answered.
    requests: metrics::Requests,
    /// Room for the bodies that are in memory.
    bodies: body::Bodies,
    /// Held while a principal is taken away.
    principals: tokio::sync::Mutex<()>,
    connections: AtomicUsize,
}

/// An open connection; it counts until this is dropped.
pub struct Connection(Arc<Shared>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.api.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl State {
    /// Nothing yet.
    #[must_use]
    pub fn new(limits: &Limits) -> State {
        State {
            repeats: Arc::new(repeats::Repeats::new(limits.idempotency_kept_max)),
            requests: metrics::Requests::default(),
            bodies: body::Bodies::new(limits.bodies_bytes_max),
            principals: tokio::sync::Mutex::default(),
            connections: AtomicUsize::new(0),
        }
    }

    /// Counts a connection.
    #[must_use]
    pub fn connected(shared: &Arc<Shared>) -> Connection {
        shared.api.connections.fetch_add(1, Ordering::Relaxed);
        Connection(Arc::clone(shared))
    }
}

/// All routes.
pub fn router(shared: Arc<Shared>) -> Router {
    go_on_with_removals(&shared);
    Router::new()
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/openapi.json", get(openapi::json))
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/events", get(events::follow))
        .route("/api/v1/roles", get(roles::list))
        .route(
            "/api/v1/roles/{role}",
            put(roles::set).delete(roles::remove),
        )
        .route(
            "/api/v1/reservations",
            get(reservations::list).post(reservations::make),
        )
        .route(
            "/api/v1/reservations/{id}",
            get(reservations::one).delete(reservations::remove),
        )
        .route(
            "/api/v1/reservations/{id}/volumes",
            post(reservations::create_volume),
        )
        .route(
            "/api/v1/reservations/{id}/volumes/{name}",
            delete(reservations::destroy_volume),
        )
        .route("/api/v1/principals", get(principals::list))
        .route(
            "/api/v1/principals/{name}",
            put(principals::set).delete(principals::remove),
        )
        .route("/api/v1/agents", get(agents::list))
        .route("/api/v1/agents/{id}", get(agents::one))
        .route("/api/v1/agents/{id}/drain", post(agents::drain))
        .route("/api/v1/agents/{id}/deactivate", post(agents::deactivate))
        .route("/api/v1/agents/{id}/activate", post(agents::activate))
        .route("/api/v1/agents/{id}/gone", post(agents::gone))
        .route(
            "/api/v1/frameworks",
            get(frameworks::list).post(frameworks::install),
        )
        .route(
            "/api/v1/frameworks/{name}",
            get(frameworks::one)
                .patch(frameworks::change)
                .delete(frameworks::remove),
        )
        .route(
            "/api/v1/frameworks/{name}/component",
            put(frameworks::upgrade),
        )
        .route(
            "/api/v1/frameworks/{name}/restart",
            post(frameworks::restart),
        )
        .route("/api/v1/frameworks/{name}/resume", post(frameworks::resume))
        .route(
            "/api/v1/frameworks/{name}/explain",
            get(frameworks::explain),
        )
        .route("/api/v1/frameworks/{name}/logs", get(frameworks::logs))
        .route("/api/v1/tasks", get(tasks::list))
        .route(
            "/api/v1/tasks/{framework}/{task}",
            get(tasks::one).delete(tasks::kill),
        )
        .route("/api/v1/tasks/{framework}/{task}/logs", get(outputs::read))
        .route(
            "/api/v1/components",
            get(components::list).post(components::add),
        )
        .route("/api/v1/components/{digest}", delete(components::remove))
        .route("/fw/{name}", any(web::handle))
        .route("/fw/{name}/", any(web::handle))
        .route("/fw/{name}/{*path}", any(web::handle))
        .fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn(json::no_query_where_none_is_read))
        .layer(from_fn_with_state(Arc::clone(&shared), auth::check))
        .layer(from_fn_with_state(Arc::clone(&shared), metrics::count))
        // Every body is read by `body::read` with a limit of its own.
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(shared)
}

/// Removals that were not at their end when the master stopped are watched again.
fn go_on_with_removals(shared: &Arc<Shared>) {
    let Ok(lead) = shared.lead() else { return };
    let inner = lead.view.read();
    let removing = inner.state.frameworks.values();
    for framework in removing.filter(|f| f.record.removing) {
        frameworks::watch_removal(shared, framework.record.id);
    }
}

async fn no_path(uri: Uri) -> ApiError {
    ApiError::not_found(format!(
        "there is no {}; GET /api/v1/openapi.json lists what there is",
        uri.path()
    ))
}

async fn no_method(method: Method, uri: Uri) -> ApiError {
    let message = format!(
        "{} cannot be asked for with {method}; GET /api/v1/openapi.json lists what can",
        uri.path()
    );
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}

/// Asks the core, for as long as a request may take. What it refuses is an error.
async fn ask(shared: &Shared, request: Request) -> Result<Answer> {
    let lead = shared.lead()?;
    match in_time(shared, lead.ask(request)).await?? {
        Answer::Refused(refused) => Err(refused.into()),
        answer => Ok(answer),
    }
}

async fn in_time<T>(shared: &Shared, answer: impl Future<Output = T>) -> Result<T> {
    let ms = shared.config.limits.request_timeout_ms;
    tokio::time::timeout(Duration::from_millis(ms), answer)
        .await
        .map_err(|_| {
            let message = format!(
                "there was no answer within request_timeout_ms ({ms} ms); look whether it was carried out, then try again"
            );
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timed-out", message)
        })
}

/// The framework of that name.
fn framework_named<'a>(inner: &'a Inner, name: &str) -> Result<&'a FrameworkState> {
    json::name("name", name)?;
    inner.state.framework_named(name).ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no framework {name:?}; `mezzo framework ls` lists those there are"
        ))
    })
}
