//! The answer to the turn's request, and response streams.

use super::{Ledger, Refusal};
use crate::turn::{StreamWrite, WebResponse};
use alloc::format;
use alloc::vec::Vec;
use mezzo_types::RequestId;

impl Ledger {
    /// The answer of `web.handle` to a request of this turn; without a body it opens a stream.
    pub fn respond(&mut self, request: RequestId, response: WebResponse) -> Result<(), Refusal> {
        if !(200..600).contains(&response.status) {
            return Err(Refusal::Invalid(format!(
                "a response has a status from 200 to 599, not {}",
                response.status
            )));
        }
        if response.body.is_none() {
            let max = self.turn.limits.streams_max;
            if self.turn.view.streams.len() as u64 >= max {
                return Err(Refusal::Limit(format!(
                    "streams-max: at most {max} streams"
                )));
            }
            self.effects.opened = Some(request);
        }
        self.effects.response = Some(response);
        Ok(())
    }

    /// `streams.write`. The turn's own request counts as open: its answer decides whether it becomes
    /// a stream, and what was written to it is dropped if it does not.
    pub fn stream_write(&mut self, request: RequestId, chunk: Vec<u8>) -> bool {
        let open = self.stream_is_open(request);
        if open {
            self.effects.streams.push(StreamWrite {
                request,
                chunk: Some(chunk),
            });
        }
        open
    }

    /// `streams.close`
    pub fn stream_close(&mut self, request: RequestId) {
        if self.stream_is_open(request) {
            self.closed.insert(request);
            self.effects.streams.push(StreamWrite {
                request,
                chunk: None,
            });
        }
    }

    fn stream_is_open(&self, request: RequestId) -> bool {
        let own = || {
            self.turn
                .calls
                .iter()
                .any(|c| matches!(c, crate::Call::Web(r) if r.id == request))
        };
        !self.closed.contains(&request) && (self.turn.view.streams.contains(&request) || own())
    }
}
