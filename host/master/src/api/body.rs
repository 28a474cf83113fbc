//! How bodies come in: within a limit of their own, in time, and as far as there is room for all of
//! them together. Bytes are counted as they arrive, so that who announces much takes nothing yet.

use super::error::{ApiError, Result};
use crate::master::Shared;
use axum::body::Body;
use axum::http::StatusCode;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// So many bytes of each body are not counted: `connections_max` bounds them. What an operator sends
/// by hand gets in beside any number of uploads.
const FREE_BYTES: usize = 64 << 10;
/// So many bytes count as progress. One byte a minute does not.
const STEP_BYTES: usize = 64 << 10;

/// Room for the bodies that are in memory.
pub struct Bodies {
    free: Arc<Semaphore>,
    bytes_max: usize,
}

/// What a body takes of the room; given back when it is dropped.
pub type Room = Option<OwnedSemaphorePermit>;

/// A body that is in memory.
#[derive(Default)]
pub struct Held {
    /// All of it.
    pub bytes: Vec<u8>,
    /// To be kept for as long as the bytes are.
    pub room: Room,
}

impl Bodies {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Bodies {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Bodies {
            free: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
        }
    }

    /// Makes the room of a body that had `had` bytes fit for `has`, waiting for it if need be.
    async fn grow(
        &self,
        room: &mut Room,
        (had, has): (usize, usize),
        until: Instant,
    ) -> Result<()> {
        let counted = |bytes: usize| bytes.saturating_sub(FREE_BYTES);
        let more = counted(has) - counted(had);
        if counted(has) > self.bytes_max {
            return Err(ApiError::too_large("bodies_bytes_max", self.bytes_max));
        }
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let free = Arc::clone(&self.free).acquire_many_owned(more);
        let Ok(Ok(taken)) = timeout_at(until, free).await else {
            return Err(ApiError::unavailable(format!(
                "there is no room for the body: bodies_bytes_max is {} bytes, and other requests have them; try again in a while",
                self.bytes_max
            )));
        };
        match room {
            Some(room) => room.merge(taken),
            None => *room = Some(taken),
        }
        Ok(())
    }
}

/// All bytes of a body, never more than `max` of them; `limit` is that limit's name.
pub async fn read(shared: &Shared, mut body: Body, max: usize, limit: &str) -> Result<Held> {
    let patience_ms = shared.config.limits.body_timeout_ms;
    let deadline = || Instant::now() + Duration::from_millis(patience_ms);
    let mut held = Held::default();
    let (mut until, mut next_step) = (deadline(), STEP_BYTES);
    loop {
        let frame = match timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(held),
            Ok(Some(Err(error))) => {
                return Err(ApiError::malformed(format!("the body broke off: {error}")));
            }
            Err(_) => {
                let message = format!(
                    "the body stopped after {} bytes: its next {STEP_BYTES}, or its end, did not come within body_timeout_ms ({patience_ms} ms); nothing was done, send it again",
                    held.bytes.len()
                );
                return Err(ApiError::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "timed-out",
                    message,
                ));
            }
        };
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let (had, has) = (held.bytes.len(), held.bytes.len() + data.len());
        if has > max {
            return Err(ApiError::too_large(limit, max));
        }
        let waited = Instant::now();
        shared
            .api
            .bodies
            .grow(&mut held.room, (had, has), deadline())
            .await?;
        // The client does not answer for how long it was kept waiting.
        until += waited.elapsed();
        held.bytes.extend_from_slice(&data);
        if has >= next_step {
            (until, next_step) = (deadline(), has + STEP_BYTES);
        }
    }
}
