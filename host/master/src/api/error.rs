//! What a client hears when something is refused: one form for every error.

use crate::components::NotTaken;
use crate::lead::Over;
use crate::master::NotLeading;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mezzo_core::action::{Refused, RefusedKind};
use mezzo_registry::BlobError;
use serde::Serialize;
use utoipa::ToSchema;

/// An answer that is an error. Nothing has changed, unless it says otherwise.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is said.
    pub problem: Problem,
}

/// The body of every error.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable; the guide lists them.
    pub code: &'static str,
    /// What failed, what was expected, what to do next.
    pub message: String,
    /// Where in the request, such as `limits.turn_cpu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// In the body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// In the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The number of the framework's fault, as in `last_fault` and in its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<u64>,
}

/// What every handler gives.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    /// An error with nothing but a message.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiError {
        let problem = Problem {
            code,
            message: message.into(),
            field: None,
            line: None,
            column: None,
            fault: None,
        };
        ApiError { status, problem }
    }

    /// The request cannot be read.
    pub fn malformed(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    /// A field breaks a rule.
    pub fn invalid(field: impl Into<String>, problem: impl std::fmt::Display) -> ApiError {
        let field = field.into();
        let message = format!("{field}: {problem}");
        let mut error = ApiError::new(StatusCode::BAD_REQUEST, "invalid", message);
        error.problem.field = Some(field);
        error
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    /// The thing is in the wrong state.
    pub fn conflict(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// A body is larger than a limit.
    pub fn too_large(limit: &str, max: usize) -> ApiError {
        let message = format!("the body is too large: {limit} is {max} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
    }

    /// Not now.
    pub fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// The master's own trouble.
    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// A component that fails in its first turn cannot be installed: the request is at fault, not
    /// a framework that serves.
    pub fn of_install(refused: Refused) -> ApiError {
        match refused.kind {
            RefusedKind::Fault => ApiError::component(refused.message),
            _ => refused.into(),
        }
    }

    /// The component cannot be installed.
    pub fn component(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "component", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: self.problem,
        };
        (self.status, axum::Json(body)).into_response()
    }
}

impl From<NotLeading> for ApiError {
    fn from(error: NotLeading) -> ApiError {
        ApiError::unavailable(error.to_string())
    }
}

impl From<Over> for ApiError {
    fn from(error: Over) -> ApiError {
        ApiError::unavailable(error.to_string())
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> ApiError {
        let (status, code) = match refused.kind {
            RefusedKind::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            RefusedKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            RefusedKind::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
            RefusedKind::Limit => (StatusCode::TOO_MANY_REQUESTS, "limit"),
            RefusedKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            RefusedKind::Fault => (StatusCode::INTERNAL_SERVER_ERROR, "fault"),
        };
        let mut error = ApiError::new(status, code, refused.message);
        match refused.kind {
            RefusedKind::Fault => error.problem.fault = fault_number(&error.problem.message),
            RefusedKind::Invalid => error.problem.field = first_word(&error.problem.message),
            _ => {}
        }
        error
    }
}

impl From<NotTaken> for ApiError {
    fn from(error: NotTaken) -> ApiError {
        match error {
            NotTaken::Refused(mezzo_wasm::Refused::TooLarge { max, .. }) => {
                ApiError::too_large("component_bytes_max", max)
            }
            NotTaken::Refused(
                refused @ (mezzo_wasm::Refused::Host { .. } | mezzo_wasm::Refused::Busy { .. }),
            ) => ApiError::unavailable(refused.to_string()),
            NotTaken::Refused(refused) => ApiError::component(refused.to_string()),
            no_room @ NotTaken::NoRoom { .. } => {
                ApiError::new(StatusCode::TOO_MANY_REQUESTS, "limit", no_room.to_string())
            }
            NotTaken::Store(error) => error.into(),
        }
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> ApiError {
        match error {
            BlobError::TooLarge(max) => {
                ApiError::too_large("component_bytes_max", usize::try_from(max).unwrap_or(0))
            }
            error => ApiError::unavailable(format!(
                "the component cannot be kept: {error}; see to the master's disk, then try again"
            )),
        }
    }
}

/// The core's message says `fault N (KIND)`.
fn fault_number(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once(": fault ")?;
    rest.split(' ').next()?.parse().ok()
}

/// The core's messages about a field begin with its name and a colon.
fn first_word(message: &str) -> Option<String> {
    let (word, _) = message.split_once(':')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    word.chars().all(is_name).then(|| word.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faults_number_is_found_in_the_cores_words() {
        let message = "framework a failed while it handled the request: fault 71 (trap)";
        assert_eq!(fault_number(message), Some(71));
        assert_eq!(fault_number("nothing of the kind"), None);
    }
}
