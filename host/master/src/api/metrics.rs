//! Metrics in Prometheus' text form. All but the counts of requests is read from the view when
//! somebody asks.

use super::error::{ApiError, Result};
use super::status::{agents_by_state, tasks_by_state};
use crate::lead::Lead;
use crate::master::Shared;
use crate::view::{Inner, Work};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests by method, route and status.
pub type Requests = Family<Asked, Counter>;

/// A kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Asked {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    framework: String,
}

/// Counts each request under its route; paths are the clients' and would be without limit.
pub async fn count(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_string();
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "other",
    };
    let method = method.to_string();
    let response = next.run(request).await;
    let asked = Asked {
        method,
        route,
        status: response.status().as_u16(),
    };
    shared.api.requests.get_or_create(&asked).inc();
    response
}

/// How the master and its frameworks are doing.
#[utoipa::path(get, path = "/metrics", tag = "machines", security(()), responses((status = 200, content_type = "application/openmetrics-text", body = str)))]
pub async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response> {
    let mut registry = Registry::with_prefix("mezzo");
    registry.register(
        "http_requests",
        "Requests that were answered",
        shared.api.requests.clone(),
    );
    let connections = shared.api.connections.load(Ordering::Relaxed);
    gauge(
        &mut registry,
        "http_connections",
        "Open connections",
        connections,
    );
    let lead = shared.lead().ok();
    gauge(
        &mut registry,
        "leading",
        "Whether this master leads",
        usize::from(lead.is_some()),
    );
    if let Some(lead) = lead {
        cluster(&mut registry, &lead);
        frameworks(&mut registry, &lead.view.read());
    }
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|_| ApiError::internal("the metrics could not be written"))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: usize) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn by_state<N: TryInto<i64>>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    counts: impl IntoIterator<Item = (&'static str, N)>,
) {
    let family = Family::<InState, Gauge>::default();
    for (state, count) in counts {
        let count = count.try_into().unwrap_or(i64::MAX);
        family.get_or_create(&InState { state }).set(count);
    }
    registry.register(name, help, family);
}

fn cluster(registry: &mut Registry, lead: &Lead) {
    let full = usize::from(lead.health.problem().is_some());
    gauge(
        registry,
        "registry_full",
        "Whether the registry has no space",
        full,
    );
    let inner = lead.view.read();
    let batch = usize::try_from(inner.batch.0).unwrap_or(usize::MAX);
    gauge(
        registry,
        "registry_batch",
        "The newest durable batch",
        batch,
    );
    let words = "Tasks by state; those that ended count since this master leads";
    by_state(registry, "tasks", words, tasks_by_state(&inner));
    by_state(
        registry,
        "agents",
        "Agents by state",
        agents_by_state(&inner),
    );
}

fn frameworks(registry: &mut Registry, inner: &Inner) {
    let live = Family::<Of, Gauge>::default();
    for framework in inner.state.frameworks.values() {
        let is_live = inner.live.contains(&framework.record.id);
        live.get_or_create(&of(framework)).set(i64::from(is_live));
    }
    registry.register("framework_live", "Whether it has a live instance", live);
    type Reads = fn(&Work) -> u64;
    let counters: [(&str, &str, Reads); 4] = [
        ("framework_turns", "Turns that committed", |w| w.turns),
        ("framework_faults", "Turns that were undone", |w| w.faults),
        ("framework_offers", "Offers that it was made", |w| w.offers),
        ("framework_launches", "Tasks that it launched", |w| {
            w.launches
        }),
    ];
    for (name, help, read) in counters {
        let family = Family::<Of, Counter>::default();
        for (of, work) in works(inner) {
            family.get_or_create(&of).inc_by(read(&work));
        }
        registry.register(name, help, family);
    }
    let seconds = Family::<Of, Counter<f64, AtomicU64>>::default();
    for (of, work) in works(inner) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "Prometheus counts seconds in floats"
        )]
        seconds.get_or_create(&of).inc_by(work.cpu_us as f64 / 1e6);
    }
    registry.register("framework_cpu_seconds", "CPU time in turns", seconds);
}

fn works(inner: &Inner) -> impl Iterator<Item = (Of, Work)> {
    inner.state.frameworks.values().map(|framework| {
        let work = inner.work.get(&framework.record.id);
        (of(framework), work.copied().unwrap_or_default())
    })
}

fn of(framework: &mezzo_core::state::FrameworkState) -> Of {
    Of {
        framework: framework.record.name.to_string(),
    }
}
