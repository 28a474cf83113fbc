//! Frameworks: install, look, change, resume, remove.

use super::auth::Principal;
use super::components::{blocking, tidy, upload};
use super::dto::{
    Change, Explanation, Framework, FrameworkPage, LimitsChange, LogLine, LogLines, Resume,
};
use super::error::{ApiError, Result};
use super::json::{self, Path, Query, limit};
use super::{ask, body, framework_named};
use crate::components::Held;
use crate::lead::Lead;
use crate::master::Shared;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use mezzo_core::event::{Install, Upgrade};
use mezzo_core::{Answer, FrameworkLimits, Request};
use mezzo_types::{Digest, FrameworkId};
use serde::Deserialize;
use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::{Arc, Weak};
use std::time::Duration;
use utoipa::IntoParams;

/// What is to be installed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ToInstall {
    /// Unique among the installed.
    name: String,
    /// Who is charged; the name if left out.
    role: Option<String>,
    /// A JSON object for the framework.
    options: Option<String>,
    /// A JSON object of limits.
    limits: Option<String>,
}

/// What changes with a new component.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WithComponent {
    /// A JSON object for the framework.
    options: Option<String>,
    /// A JSON object of limits.
    limits: Option<String>,
}

/// Which frameworks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// `next` of the page before.
    after: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

/// Installs a framework: compiles it and has its first turn. What is refused leaves nothing behind.
#[utoipa::path(post, path = "/api/v1/frameworks", tag = "frameworks", params(ToInstall), request_body(content = [u8], content_type = "application/wasm"), responses((status = 201, body = Framework), (status = 400, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody), (status = 422, body = super::error::ErrorBody), (status = 408, body = super::error::ErrorBody), (status = 413, body = super::error::ErrorBody), (status = 429, body = super::error::ErrorBody), (status = 503, body = super::error::ErrorBody)))]
pub async fn install(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Query(query): Query<ToInstall>,
    body: Body,
) -> Result<(StatusCode, Json<Framework>)> {
    let role = query.role.unwrap_or_else(|| query.name.clone());
    json::name("name", &query.name)?;
    for level in role.split('/') {
        json::name("role", level)?;
    }
    let options = options(query.options.as_deref())?.unwrap_or_else(|| "{}".into());
    let limits = limits(query.limits.as_deref(), FrameworkLimits::default())?;
    if shared
        .lead()?
        .view
        .read()
        .state
        .framework_named(&query.name)
        .is_some()
    {
        // Said before the component is sent and compiled; the core decides.
        return Err(ApiError::conflict(format!(
            "a framework named {:?} is installed already; choose another name, or use `mezzo framework upgrade`",
            query.name
        )));
    }
    let component = upload(&shared, body).await?;
    let name = query.name;
    let request = |held: &Held| {
        Request::Install(Install {
            name,
            role,
            component: held.digest,
            web: held.prepared.web,
            options,
            limits: limits.unwrap_or_default(),
            principal,
        })
    };
    let framework = take(&shared, component, BTreeSet::new(), request).await?;
    Ok((StatusCode::CREATED, Json(framework)))
}

/// Replaces a framework's component: the new one has a trial start and a trial turn, or all stays.
#[utoipa::path(put, path = "/api/v1/frameworks/{name}/component", tag = "frameworks", params(("name" = String, Path), WithComponent), request_body(content = [u8], content_type = "application/wasm"), responses((status = 200, body = Framework), (status = 404, body = super::error::ErrorBody), (status = 422, body = super::error::ErrorBody), (status = 408, body = super::error::ErrorBody), (status = 413, body = super::error::ErrorBody), (status = 429, body = super::error::ErrorBody), (status = 503, body = super::error::ErrorBody)))]
pub async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(name): Path<String>,
    Query(query): Query<WithComponent>,
    body: Body,
) -> Result<Json<Framework>> {
    let old = record(&*shared.lead()?, &name)?;
    let options = options(query.options.as_deref())?;
    let limits = limits(query.limits.as_deref(), (*old.limits).clone())?;
    let component = upload(&shared, body).await?;
    // What it could be rolled back to until now; with the new one, that is the present one.
    let unneeded = old.upgraded_from.into_iter().collect();
    let request = |held: &Held| {
        Request::Upgrade(Upgrade {
            framework: name,
            component: Some((held.digest, held.prepared.web)),
            options,
            limits,
            principal,
        })
    };
    Ok(Json(take(&shared, component, unneeded, request).await?))
}

/// Stores a component, has the core take it, and tidies up after both outcomes. It goes on to its end
/// even if the client leaves: nothing may stay half done.
async fn take(
    shared: &Arc<Shared>,
    component: body::Held,
    mut unneeded: BTreeSet<Digest>,
    request: impl FnOnce(&Held) -> Request + Send + 'static,
) -> Result<Framework> {
    let lead = shared.lead()?;
    let (components, leading) = (Arc::clone(&shared.components), Arc::clone(&lead));
    let held = blocking(move || components.take_framework(&leading, &component.bytes));
    let shared = Arc::clone(shared);
    let whole = async move {
        let held = held.await??;
        if held.new {
            unneeded.insert(held.digest);
        }
        let answer = lead.ask(request(&held)).await?;
        drop(held);
        tidy(&shared, &lead, unneeded).await;
        match answer {
            Answer::Framework(id) => by_id(&lead, id),
            Answer::Refused(refused) => Err(ApiError::of_install(refused)),
            answer => Err(unexpected(&answer)),
        }
    };
    tokio::spawn(whole)
        .await
        .map_err(|error| ApiError::internal(error.to_string()))?
}

fn unexpected(answer: &Answer) -> ApiError {
    ApiError::internal(format!(
        "the core gave an answer of another kind: {answer:?}"
    ))
}

fn by_id(lead: &Lead, id: FrameworkId) -> Result<Framework> {
    let inner = lead.view.read();
    let framework = inner.state.frameworks.get(&id);
    framework
        .map(|framework| Framework::of(&inner, framework))
        .ok_or_else(|| ApiError::not_found("the framework has been removed meanwhile"))
}

fn record(lead: &Lead, name: &str) -> Result<Arc<mezzo_core::record::FrameworkRecord>> {
    let inner = lead.view.read();
    Ok(Arc::clone(&framework_named(&inner, name)?.record))
}

fn options(text: Option<&str>) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    let _: serde_json::Map<String, serde_json::Value> = json::parse(text.as_bytes(), "options")?;
    Ok(Some(text.to_string()))
}

fn limits(text: Option<&str>, base: FrameworkLimits) -> Result<Option<FrameworkLimits>> {
    let Some(text) = text else { return Ok(None) };
    let change: LimitsChange = json::object(text.as_bytes(), "limits")?;
    merge(&change, base).map(Some)
}

fn merge(change: &LimitsChange, base: FrameworkLimits) -> Result<FrameworkLimits> {
    change
        .onto(base)
        .map_err(|(name, problem)| ApiError::invalid(format!("limits.{name}"), problem))
}

/// All frameworks.
#[utoipa::path(get, path = "/api/v1/frameworks", tag = "frameworks", params(Which), responses((status = 200, body = FrameworkPage)))]
pub async fn list(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
) -> Result<Json<FrameworkPage>> {
    let limit = limit(which.limit)?;
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let after = match which.after.as_deref() {
        Some(name) => Bound::Excluded(name),
        None => Bound::Unbounded,
    };
    let mut rest = inner.state.names.range::<str, _>((after, Bound::Unbounded));
    let frameworks: Vec<Framework> = rest
        .by_ref()
        .take(limit)
        .filter_map(|(_, id)| inner.state.frameworks.get(id))
        .map(|framework| Framework::of(&inner, framework))
        .collect();
    let more = rest.next().is_some();
    let last = frameworks.last().map(|framework| framework.name.clone());
    Ok(Json(FrameworkPage {
        next: last.filter(|_| more),
        frameworks,
    }))
}

/// One framework.
#[utoipa::path(get, path = "/api/v1/frameworks/{name}", tag = "frameworks", params(("name" = String, Path)), responses((status = 200, body = Framework), (status = 404, body = super::error::ErrorBody)))]
pub async fn one(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Result<Json<Framework>> {
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let framework = framework_named(&inner, &name)?;
    Ok(Json(Framework::of(&inner, framework)))
}

/// Changes options and limits.
#[utoipa::path(patch, path = "/api/v1/frameworks/{name}", tag = "frameworks", params(("name" = String, Path)), request_body = Change, responses((status = 200, body = Framework), (status = 400, body = super::error::ErrorBody), (status = 404, body = super::error::ErrorBody)))]
pub async fn change(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(name): Path<String>,
    json::Json(change): json::Json<Change>,
) -> Result<Json<Framework>> {
    let lead = shared.lead()?;
    let old = record(&lead, &name)?;
    let limits = change
        .limits
        .map(|limits| merge(&limits.0, (*old.limits).clone()))
        .transpose()?;
    let options = change
        .options
        .map(|options| serde_json::Value::Object(options).to_string());
    if limits.is_none() && options.is_none() {
        return Err(ApiError::malformed(
            "nothing is to be changed: expected `options`, `limits` or both",
        ));
    }
    let request = Request::Upgrade(Upgrade {
        framework: name,
        component: None,
        options,
        limits,
        principal,
    });
    match ask(&shared, request).await? {
        Answer::Framework(id) => Ok(Json(by_id(&lead, id)?)),
        answer => Err(unexpected(&answer)),
    }
}

/// Drops the instance and starts another.
#[utoipa::path(post, path = "/api/v1/frameworks/{name}/restart", tag = "frameworks", params(("name" = String, Path)), responses((status = 204), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn restart(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    json::name("name", &name)?;
    let request = Request::Restart {
        framework: name,
        principal,
    };
    ask(&shared, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends quarantine and opens a closed web API.
#[utoipa::path(post, path = "/api/v1/frameworks/{name}/resume", tag = "frameworks", params(("name" = String, Path)), request_body = Resume, responses((status = 204), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn resume(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(name): Path<String>,
    json::Json(resume): json::Json<Resume>,
) -> Result<StatusCode> {
    json::name("name", &name)?;
    let request = Request::Resume {
        framework: name,
        skip: resume.skip,
        principal,
    };
    ask(&shared, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Kills a framework's tasks, and takes it away when they have ended.
#[utoipa::path(delete, path = "/api/v1/frameworks/{name}", tag = "frameworks", params(("name" = String, Path)), responses((status = 202), (status = 404, body = super::error::ErrorBody)))]
pub async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    let record = record(&*shared.lead()?, &name)?;
    watch_removal(&shared, record.id);
    let request = Request::Remove {
        framework: name,
        principal,
    };
    ask(&shared, request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// How often a removal is looked at while nobody leads.
const REMOVAL_AGAIN: Duration = Duration::from_millis(500);

/// Waits for the end of a removal, then takes away what only that framework needed: its components
/// and its log. A framework that turns out to stay ends the wait, too.
pub fn watch_removal(shared: &Arc<Shared>, id: FrameworkId) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        let mut needed = BTreeSet::new();
        while let Some(strong) = shared.upgrade() {
            let Ok(lead) = strong.lead() else {
                drop(strong);
                tokio::time::sleep(REMOVAL_AGAIN).await;
                continue;
            };
            let mut newest = lead.view.events.newest();
            let found = {
                let inner = lead.view.read();
                inner
                    .state
                    .frameworks
                    .get(&id)
                    .map(|f| Arc::clone(&f.record))
            };
            let Some(record) = found else {
                tidy(&strong, &lead, needed).await;
                strong.logs.forget(id);
                lead.sandbox.forget_framework(id);
                return;
            };
            needed.extend(
                [Some(record.component), record.upgraded_from]
                    .into_iter()
                    .flatten(),
            );
            drop((strong, lead));
            // The leadership may end; then the next one is asked.
            let _ = newest.changed().await;
        }
    });
}

/// Which demand.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WhichDemand {
    /// All if left out.
    demand: Option<String>,
}

/// Why a framework's demands wait, and its tasks of which nothing is heard.
#[utoipa::path(get, path = "/api/v1/frameworks/{name}/explain", tag = "frameworks", params(("name" = String, Path), WhichDemand), responses((status = 200, body = Explanation), (status = 404, body = super::error::ErrorBody)))]
pub async fn explain(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(which): Query<WhichDemand>,
) -> Result<Json<Explanation>> {
    json::name("name", &name)?;
    if let Some(demand) = &which.demand {
        json::name("demand", demand)?;
    }
    let request = Request::Explain {
        framework: name,
        demand: which.demand,
    };
    match ask(&shared, request).await? {
        Answer::Explained(explanation) => Ok(Json(explanation.into())),
        answer => Err(unexpected(&answer)),
    }
}

/// Which lines of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WhichLines {
    /// The last so many.
    tail: Option<usize>,
    /// Goes on with what is written.
    follow: Option<bool>,
}

/// A framework's log.
#[utoipa::path(get, path = "/api/v1/frameworks/{name}/logs", tag = "frameworks", params(("name" = String, Path), WhichLines), responses((status = 200, body = LogLines), (status = 404, body = super::error::ErrorBody)))]
pub async fn logs(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(which): Query<WhichLines>,
) -> Result<Response> {
    let tail = which.tail.unwrap_or(1_000);
    if tail > 1_000_000 {
        return Err(ApiError::invalid(
            "tail",
            format_args!("at most 1000000, not {tail}"),
        ));
    }
    let lead = shared.lead()?;
    let id = record(&lead, &name)?.id;
    let written = shared.logs.written();
    let lines = shared.logs.tail(id, tail);
    if which.follow != Some(true) {
        let lines = lines.into_iter().map(LogLine::from).collect();
        return Ok(Json(LogLines { lines }).into_response());
    }
    let last = lines.last().map_or(0, |line| line.number);
    let follower = LogFollower {
        shared: Arc::downgrade(&shared),
        view: Arc::downgrade(&lead.view),
        id,
        last,
        waiting: lines.into(),
        written,
    };
    let events = futures_util::stream::unfold(follower, |mut follower| async move {
        let line = follower.next().await?;
        let data = serde_json::to_string(&LogLine::from(line)).unwrap_or_default();
        let event = Event::default().event("log").data(data);
        Some((Ok::<_, Infallible>(event), follower))
    });
    let keep_alive = KeepAlive::new().interval(super::events::KEEP_ALIVE);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// Follows one framework's log for as long as there is that framework.
struct LogFollower {
    shared: Weak<Shared>,
    view: Weak<crate::view::View>,
    id: FrameworkId,
    last: u64,
    waiting: VecDeque<crate::logs::Line>,
    written: tokio::sync::watch::Receiver<u64>,
}

impl LogFollower {
    async fn next(&mut self) -> Option<crate::logs::Line> {
        loop {
            if let Some(line) = self.waiting.pop_front() {
                self.last = line.number;
                return Some(line);
            }
            let there = {
                let view = self.view.upgrade()?;
                let inner = view.read();
                inner.state.frameworks.contains_key(&self.id)
            };
            self.waiting = self.shared.upgrade()?.logs.after(self.id, self.last).into();
            if self.waiting.is_empty() {
                if !there {
                    return None;
                }
                // Another leadership or a removal is noticed by looking now and then.
                let _ = tokio::time::timeout(Duration::from_secs(1), self.written.changed()).await;
            }
        }
    }
}
