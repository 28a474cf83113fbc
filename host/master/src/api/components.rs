//! Components: those that module tasks name, and which of all are in use.

use super::body::{self, Held};
use super::dto::{Component, ComponentStored, Components};
use super::error::{ApiError, Result};
use super::json::Path;
use crate::components::{in_use, needed};
use crate::lead::Lead;
use crate::master::Shared;
use crate::view::Inner;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use mezzo_types::Digest;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Stores a component for module tasks.
#[utoipa::path(post, path = "/api/v1/components", tag = "components", request_body(content = [u8], content_type = "application/wasm"), responses((status = 201, body = ComponentStored), (status = 408, body = super::error::ErrorBody), (status = 413, body = super::error::ErrorBody), (status = 422, body = super::error::ErrorBody), (status = 429, body = super::error::ErrorBody), (status = 503, body = super::error::ErrorBody)))]
pub async fn add(
    State(shared): State<Arc<Shared>>,
    body: Body,
) -> Result<(StatusCode, Json<ComponentStored>)> {
    let component = upload(&shared, body).await?;
    let size_bytes = component.bytes.len() as u64;
    let (components, lead) = (Arc::clone(&shared.components), shared.lead()?);
    let digest = blocking(move || components.take_module(&lead, &component.bytes)).await??;
    let stored = ComponentStored {
        digest: digest.to_string(),
        size_bytes,
    };
    Ok((StatusCode::CREATED, Json(stored)))
}

/// All stored components.
#[utoipa::path(get, path = "/api/v1/components", tag = "components", responses((status = 200, body = Components)))]
pub async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Components>> {
    let components = Arc::clone(&shared.components);
    let stored = blocking(move || components.list()).await??;
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let components = stored.into_iter().map(|(digest, size_bytes)| Component {
        digest: digest.to_string(),
        size_bytes,
        frameworks: users(&inner, digest),
    });
    Ok(Json(Components {
        components: components.collect(),
    }))
}

/// Takes a component away.
#[utoipa::path(delete, path = "/api/v1/components/{digest}", tag = "components", params(("digest" = String, Path)), responses((status = 204), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(digest): Path<String>,
) -> Result<StatusCode> {
    let digest: Digest = digest
        .parse()
        .map_err(|problem| ApiError::invalid("digest", problem))?;
    let lead = shared.lead()?;
    let (users, used) = {
        let inner = lead.view.read();
        (users(&inner, digest), in_use(&inner))
    };
    if !users.is_empty() {
        return Err(ApiError::conflict(format!(
            "the component {digest} is used by {}, or what they can be rolled back to; remove them first",
            users.join(", ")
        )));
    }
    if used.contains(&digest) {
        return Err(ApiError::conflict(format!(
            "the component {digest} is run by a task that has not ended"
        )));
    }
    let components = Arc::clone(&shared.components);
    let there = blocking(move || components.remove(&lead, digest)).await??;
    if there {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found(format!(
            "there is no component {digest}, or it is being installed at this moment"
        )))
    }
}

/// The bytes of a component, as many as one may have.
pub async fn upload(shared: &Shared, body: Body) -> Result<Held> {
    let max = shared.config.limits.component_bytes_max;
    let body = body::read(shared, body, max, "component_bytes_max").await?;
    if body.bytes.is_empty() {
        return Err(ApiError::malformed(
            "the body is empty; send the bytes of a component (a .wasm file)",
        ));
    }
    if !body.bytes.starts_with(b"\0asm") {
        return Err(ApiError::component(
            "this is no WebAssembly component: the bytes do not begin with `\\0asm`",
        ));
    }
    Ok(body)
}

/// Runs what would hold an async thread up.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::internal(format!("the master failed in this request: {error}")))
}

fn users(inner: &Inner, digest: Digest) -> Vec<String> {
    let all = inner.state.frameworks.values();
    let users = all.filter(|f| needed(&f.record).any(|needed| needed == digest));
    users.map(|f| f.record.name.to_string()).collect()
}

/// Takes away those of these components that nothing needs any more. What another install holds
/// stays.
pub async fn tidy(shared: &Arc<Shared>, lead: &Arc<Lead>, digests: BTreeSet<Digest>) {
    let (components, lead) = (Arc::clone(&shared.components), Arc::clone(lead));
    let removed = blocking(move || {
        digests
            .into_iter()
            .try_for_each(|digest| components.remove(&lead, digest).map(|_| ()))
    });
    if let Ok(Err(error)) = removed.await {
        tracing::warn!(%error, "a component that nothing uses could not be taken away");
    }
}
