//! Roles: who is charged and who shares.

use super::ask;
use super::auth::Principal;
use super::dto::{Role, Roles, Weight};
use super::error::Result;
use super::json::{self, Path};
use crate::master::Shared;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use mezzo_core::Request;
use mezzo_types::Resources;
use std::sync::Arc;

/// All roles.
#[utoipa::path(get, path = "/api/v1/roles", tag = "cluster", responses((status = 200, body = Roles)))]
pub async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Roles>> {
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let total = &inner.state.total;
    let roles = inner.state.roles.iter();
    let roles = roles.map(|(name, role)| Role {
        role: name.to_string(),
        weight: role.weight,
        used: (&role.used).into(),
        share_milli: share_milli(&role.used, total),
    });
    Ok(Json(Roles {
        roles: roles.collect(),
    }))
}

/// The largest part of any resource, in thousandths.
fn share_milli(used: &Resources, total: &Resources) -> u64 {
    let parts = used.amounts().map(|(kind, amount)| {
        let of = u128::from(total.amount(&kind)).max(1);
        u64::try_from(u128::from(amount) * 1000 / of).unwrap_or(u64::MAX)
    });
    parts.max().unwrap_or(0)
}

/// Sets a role's weight.
#[utoipa::path(put, path = "/api/v1/roles/{role}", tag = "cluster", params(("role" = String, Path)), request_body = Weight, responses((status = 204), (status = 400, body = super::error::ErrorBody)))]
pub async fn set(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(role): Path<String>,
    json::Json(body): json::Json<Weight>,
) -> Result<StatusCode> {
    json::name("role", &role)?;
    let request = Request::SetRole {
        role,
        weight: body.weight,
        principal,
    };
    ask(&shared, request).await?;
    Ok(StatusCode::NO_CONTENT)
}
