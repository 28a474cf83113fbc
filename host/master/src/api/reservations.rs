//! Reservations: made and given back by operators, with the volumes on them.

use super::auth::Principal;
use super::dto::{NewReservation, NewVolume, Reservation, ReservationPage};
use super::error::{ApiError, Result};
use super::json::{self, Path, Query, limit};
use super::{ask, in_time};
use crate::master::Shared;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use mezzo_core::action::RefusedKind;
use mezzo_core::{Answer, Request};
use mezzo_types::{AgentId, ReservationId};
use serde::Deserialize;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};
use utoipa::IntoParams;

/// What is being offered to a framework is free again, or taken, when that turn has ended: it is
/// asked for so long before the client hears of it.
const OFFERED_MAX: Duration = Duration::from_secs(2);
/// How often.
const AGAIN: Duration = Duration::from_millis(20);

/// Which reservations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// On this agent.
    agent: Option<u64>,
    /// For this role, or one below it.
    role: Option<String>,
    /// `next` of the page before.
    after: Option<u64>,
    /// At most so many.
    limit: Option<usize>,
}

/// Reservations, by number.
#[utoipa::path(get, path = "/api/v1/reservations", tag = "reservations", params(Which), responses((status = 200, body = ReservationPage), (status = 400, body = super::error::ErrorBody)))]
pub async fn list(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
) -> Result<Json<ReservationPage>> {
    let limit = limit(which.limit)?;
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let after = which
        .after
        .map_or(Bound::Unbounded, |id| Bound::Excluded(ReservationId(id)));
    let is_wanted = |role: &str| {
        which.role.as_deref().is_none_or(|wanted| {
            let below = role.strip_prefix(wanted);
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        })
    };
    let all = inner.state.reservations.range((after, Bound::Unbounded));
    let mut found = all
        .filter(|(_, role)| is_wanted(role))
        .filter_map(|(id, _)| inner.state.reservation(*id))
        .filter(|known| {
            which
                .agent
                .is_none_or(|agent| known.record.agent == AgentId(agent))
        });
    let reservations: Vec<Reservation> = found
        .by_ref()
        .take(limit)
        .map(|known| Reservation::of(&inner, known))
        .collect();
    let more = found.next().is_some();
    let last = reservations.last().map(|known| known.id.to_string());
    Ok(Json(ReservationPage {
        next: last.filter(|_| more),
        reservations,
    }))
}

/// One reservation.
#[utoipa::path(get, path = "/api/v1/reservations/{id}", tag = "reservations", params(("id" = u64, Path)), responses((status = 200, body = Reservation), (status = 404, body = super::error::ErrorBody)))]
pub async fn one(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Reservation>> {
    shown(&shared, number(&id)?).map(Json)
}

fn shown(shared: &Shared, id: ReservationId) -> Result<Reservation> {
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let known = inner.state.reservation(id).ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no reservation {id}; `mezzo reservation ls` lists those there are"
        ))
    })?;
    Ok(Reservation::of(&inner, known))
}

/// Keeps a part of an agent for a role.
#[utoipa::path(post, path = "/api/v1/reservations", tag = "reservations", request_body = NewReservation, responses((status = 201, body = Reservation), (status = 400, body = super::error::ErrorBody), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody), (status = 503, body = super::error::ErrorBody)))]
pub async fn make(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    json::Json(body): json::Json<NewReservation>,
) -> Result<(StatusCode, Json<Reservation>)> {
    let request = Request::Reserve(body.asked(principal));
    match ask_when_free(&shared, request).await? {
        Answer::Reserved(id) => Ok((StatusCode::CREATED, Json(shown(&shared, id)?))),
        other => Err(ApiError::internal(format!(
            "the core answered a reservation with {other:?}"
        ))),
    }
}

/// Gives a reservation back.
#[utoipa::path(delete, path = "/api/v1/reservations/{id}", tag = "reservations", params(("id" = u64, Path)), responses((status = 204), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    let request = Request::Unreserve {
        reservation: number(&id)?,
        principal,
    };
    ask(&shared, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a volume of so much of a reservation's disk; it can be mounted at once.
#[utoipa::path(post, path = "/api/v1/reservations/{id}/volumes", tag = "reservations", params(("id" = u64, Path)), request_body = NewVolume, responses((status = 201, body = Reservation), (status = 400, body = super::error::ErrorBody), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody), (status = 503, body = super::error::ErrorBody)))]
pub async fn create_volume(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(id): Path<String>,
    json::Json(body): json::Json<NewVolume>,
) -> Result<(StatusCode, Json<Reservation>)> {
    let reservation = number(&id)?;
    let request = Request::CreateVolume {
        reservation,
        name: body.name,
        size_bytes: body.size_bytes,
        principal,
    };
    ask_when_free(&shared, request).await?;
    Ok((StatusCode::CREATED, Json(shown(&shared, reservation)?)))
}

/// Destroys a volume and its data; its space is free once its agent has done it.
#[utoipa::path(delete, path = "/api/v1/reservations/{id}/volumes/{name}", tag = "reservations", params(("id" = u64, Path), ("name" = String, Path)), responses((status = 202), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn destroy_volume(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path((id, name)): Path<(String, String)>,
) -> Result<StatusCode> {
    let request = Request::DestroyVolume {
        reservation: number(&id)?,
        name,
        principal,
    };
    ask(&shared, request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Asks the core, and again while what is asked for is being offered to a framework.
async fn ask_when_free(shared: &Shared, request: Request) -> Result<Answer> {
    let lead = shared.lead()?;
    let begun = Instant::now();
    loop {
        match in_time(shared, lead.ask(request.clone())).await?? {
            Answer::Refused(refused)
                if refused.kind == RefusedKind::Unavailable && begun.elapsed() < OFFERED_MAX =>
            {
                tokio::time::sleep(AGAIN).await;
            }
            Answer::Refused(refused) => return Err(refused.into()),
            answer => return Ok(answer),
        }
    }
}

fn number(id: &str) -> Result<ReservationId> {
    let number = id.parse().map_err(|_| {
        ApiError::invalid(
            "id",
            format_args!("{id:?} is no reservation's number, such as 17"),
        )
    })?;
    Ok(ReservationId(number))
}
