//! Roles: who is charged and who shares, what each is promised and held to.

use super::ask;
use super::auth::Principal;
use super::dto::{Role, RoleSettings, Roles};
use super::error::Result;
use super::json::{self, Path, Query};
use crate::master::Shared;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use mezzo_core::Request;
use mezzo_core::event::RoleChange;
use mezzo_core::record::Quota;
use mezzo_core::state as cluster;
use mezzo_types::Resources;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::IntoParams;

/// All roles.
#[utoipa::path(get, path = "/api/v1/roles", tag = "cluster", responses((status = 200, body = Roles)))]
pub async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Roles>> {
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let total = &inner.state.total;
    let reserved = reserved(&inner.state);
    let roles = inner.state.roles.iter();
    let roles = roles.map(|(name, role)| Role {
        role: name.to_string(),
        weight: role.weight,
        guarantee: role.quota.as_ref().map(|quota| (&quota.guarantee).into()),
        limit: role.quota.as_ref().map(super::dto::Limit::from),
        used: (&role.used).into(),
        reserved: reserved.get(&**name).unwrap_or(&Resources::NONE).into(),
        share_milli: share_milli(&role.used, total),
    });
    Ok(Json(Roles {
        roles: roles.collect(),
    }))
}

/// What is reserved for each role and those below it. A part of a larger reservation counts only where
/// that does not.
fn reserved(state: &cluster::State) -> BTreeMap<&str, Resources> {
    let mut all: BTreeMap<&str, Resources> = BTreeMap::new();
    for (id, role) in &state.reservations {
        let Some(known) = state.reservation(*id) else {
            continue;
        };
        let whole = known
            .record
            .within
            .and_then(|whole| state.reservations.get(&whole));
        let above = std::iter::successors(Some(&**role), |role| {
            role.rsplit_once('/').map(|(above, _)| above)
        });
        for role in above.take_while(|role| whole.is_none_or(|whole| **whole != **role)) {
            let sum = all.entry(role).or_insert(Resources::NONE);
            sum.add(&known.record.amount);
        }
    }
    all
}

/// The largest part of any resource, in thousandths.
fn share_milli(used: &Resources, total: &Resources) -> u64 {
    let parts = used.amounts().map(|(kind, amount)| {
        let of = u128::from(total.amount(&kind)).max(1);
        u64::try_from(u128::from(amount) * 1000 / of).unwrap_or(u64::MAX)
    });
    parts.max().unwrap_or(0)
}

/// How a role is set.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct How {
    /// Even if the role uses more than its limit, or the cluster has less than is guaranteed.
    force: Option<bool>,
    /// Only say whether it would be accepted.
    dry_run: Option<bool>,
}

/// Sets a role's weight or quota; what is left out stays as it is.
#[utoipa::path(put, path = "/api/v1/roles/{role}", tag = "cluster", params(("role" = String, Path), How), request_body = RoleSettings, responses((status = 204), (status = 400, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn set(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(role): Path<String>,
    Query(how): Query<How>,
    json::Json(body): json::Json<RoleSettings>,
) -> Result<StatusCode> {
    let quota = body.quota()?;
    let change = RoleChange {
        weight: body.weight,
        quota,
        force: how.force.unwrap_or(false),
        dry_run: how.dry_run.unwrap_or(false),
    };
    let request = Request::SetRole {
        role,
        change,
        principal,
    };
    ask(&shared, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes back what was said of a role; it is gone if nothing holds it.
#[utoipa::path(delete, path = "/api/v1/roles/{role}", tag = "cluster", params(("role" = String, Path)), responses((status = 204), (status = 404, body = super::error::ErrorBody), (status = 409, body = super::error::ErrorBody)))]
pub async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path(role): Path<String>,
) -> Result<StatusCode> {
    ask(&shared, Request::RemoveRole { role, principal }).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl RoleSettings {
    /// The quota that is meant; none if it is not spoken of.
    fn quota(&self) -> Result<Option<Quota>> {
        if self.guarantee.is_none() && self.limit.is_none() {
            return Ok(None);
        }
        let guarantee = self.guarantee.unwrap_or_default();
        let limit = self.limit.unwrap_or_default();
        Ok(Some(Quota {
            guarantee: Resources {
                cpu_milli: guarantee.cpu_milli.unwrap_or(0),
                memory_bytes: guarantee.memory_bytes.unwrap_or(0),
                disk_bytes: guarantee.disk_bytes.unwrap_or(0),
                gpus: guarantee.gpus.unwrap_or(0),
                ..Resources::NONE
            },
            limit_cpu_milli: limit.cpu_milli,
            limit_memory_bytes: limit.memory_bytes,
            limit_disk_bytes: limit.disk_bytes,
            limit_gpus: limit.gpus,
        }))
    }
}
