//! What happens, as server-sent events. A reader asks for more when it has sent what it had: one that
//! is slow misses events, and is told so, but nobody waits for it.

use super::dto;
use super::error::{ApiError, Result};
use super::json::Query;
use crate::events::{Happening, Position, ReservationNews, TaskNews, What};
use crate::master::Shared;
use crate::view::View;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use mezzo_core::record::KillRecord;
use mezzo_types::{BatchId, Status};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use utoipa::IntoParams;

/// How often a comment keeps an idle connection open.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events that are taken out of the ring at once.
const PAGE: usize = 500;

/// From where on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// Behind this `BATCH.N`; from now on if left out.
    after: Option<String>,
}

/// Everything that happens from now on, or from behind a known event.
#[utoipa::path(get, path = "/api/v1/events", tag = "cluster", params(From), responses((status = 200, content_type = "text/event-stream", body = str), (status = 400, body = super::error::ErrorBody)))]
pub async fn follow(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Query(from): Query<From>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    // What a browser sends by itself when it comes back is newer than its address.
    let (field, after) = match headers.get("last-event-id") {
        Some(id) => (
            "Last-Event-ID",
            Some(String::from_utf8_lossy(id.as_bytes()).into_owned()),
        ),
        None => ("after", from.after),
    };
    let after: Option<Position> = after
        .map(|after| after.parse())
        .transpose()
        .map_err(|problem: String| ApiError::invalid(field, problem))?;
    let lead = shared.lead()?;
    let mut newest = lead.view.events.newest();
    let now = Position(*newest.borrow_and_update(), u32::MAX);
    let reader = Reader {
        view: Arc::downgrade(&lead.view),
        newest,
        position: after.unwrap_or(now),
        waiting: VecDeque::new(),
    };
    let events = futures_util::stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Reader {
    /// Ends with the leadership, whoever reads.
    view: Weak<View>,
    newest: watch::Receiver<BatchId>,
    position: Position,
    waiting: VecDeque<Event>,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let (events, lost) = self.view.upgrade()?.events.after(self.position, PAGE);
            if let Some(lost) = lost {
                self.waiting.push_back(gap(self.position));
                self.position = lost;
            }
            if let Some(last) = events.last() {
                self.position = last.position;
            }
            self.waiting.extend(events.iter().map(event));
            if self.waiting.is_empty() {
                self.newest.changed().await.ok()?;
            }
        }
    }
}

fn gap(after: Position) -> Event {
    let words = "events behind this one are no longer kept; read what you need anew";
    let data = json!({"kind": "gap", "after": after.to_string(), "message": words});
    Event::default().event("gap").data(data.to_string())
}

fn event(happening: &Happening) -> Event {
    let (kind, mut data) = describe(&happening.what);
    if let Value::Object(data) = &mut data {
        data.insert("kind".into(), kind.into());
        data.insert("at_ms".into(), happening.at.0.into());
        data.insert("principal".into(), (&*happening.principal).into());
        data.insert("cause".into(), (&*happening.cause).into());
    }
    Event::default()
        .id(happening.position.to_string())
        .event(kind)
        .data(data.to_string())
}

fn describe(what: &What) -> (&'static str, Value) {
    match what {
        What::Task(news, status) => ("task", task_fields(news, status)),
        What::Kill(news, kill) => ("kill", kill_fields(news, kill)),
        What::Agent(agent, identity, state) => (
            "agent",
            json!({"agent": agent.0, "identity": identity, "state": state}),
        ),
        What::Framework(name, state) => {
            ("framework", json!({"framework": &**name, "state": state}))
        }
        What::Fault(name, fault) => (
            "fault",
            json!({"framework": &**name, "fault": dto::Fault::from(&**fault)}),
        ),
        What::Demands(name, count) => ("demands", json!({"framework": &**name, "demands": count})),
        What::Reservation(news, state) => ("reservation", reservation_fields(news, state)),
        What::Volume(news, volume, state) => {
            let mut data = reservation_fields(news, state);
            data["volume"] = (&**volume).into();
            ("volume", data)
        }
        What::Role(role, weight) => ("role", json!({"role": &**role, "weight": weight})),
        What::Principal(name) => ("principal", json!({"name": &**name})),
        What::Leader(term) => ("leader", json!({"term": term.0})),
    }
}

fn reservation_fields(news: &ReservationNews, state: &str) -> Value {
    json!({
        "reservation": news.id.0,
        "agent": news.agent.0,
        "role": &*news.role,
        "state": state,
    })
}

fn task_fields(news: &TaskNews, status: &Status) -> Value {
    json!({
        "framework": &*news.framework,
        "task": news.task.as_str(),
        "run": news.run.0,
        "agent": news.agent.0,
        "state": status.state.as_str(),
        "reason": status.reason.as_str(),
        "message": status.message,
        "exit_code": status.exit_code,
    })
}

fn kill_fields(news: &TaskNews, kill: &KillRecord) -> Value {
    json!({
        "framework": &*news.framework,
        "task": news.task.as_str(),
        "run": news.run.0,
        "reason": kill.reason.as_str(),
        "grace_ms": kill.grace_ms,
    })
}
