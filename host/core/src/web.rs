//! Requests to the frameworks' own APIs, and the response streams that outlive a turn.

use crate::action::RefusedKind;
use crate::cluster::Cluster;
use crate::turn::WebRequest;
use alloc::format;
use alloc::sync::Arc;
use mezzo_types::{FrameworkId, RequestId};

impl Cluster {
    pub(crate) fn on_web_request(&mut self, id: RequestId, name: &str, request: WebRequest) {
        let Some(framework) = self.named(id, name) else {
            return;
        };
        let Some(record) = self
            .state
            .frameworks
            .get(&framework)
            .map(|f| Arc::clone(&f.record))
        else {
            return;
        };
        if !record.web {
            let message =
                format!("framework {name} has no HTTP API: its component does not export `web`");
            return self.refuse(id, RefusedKind::NotFound, message);
        }
        let unavailable = if record.removing {
            Some("is being removed")
        } else if record.quarantined {
            Some(
                "is quarantined; `mezzo framework inspect` says why, `mezzo framework resume` ends it",
            )
        } else if record.web_closed {
            Some(
                "has had its web API closed after too many faults; `mezzo framework resume` opens it again",
            )
        } else {
            None
        };
        if let Some(why) = unavailable {
            return self.refuse(
                id,
                RefusedKind::Unavailable,
                format!("framework {name} {why}"),
            );
        }
        let max = record.limits.request_bytes_max;
        if request.body.len() as u64 > max {
            let message = format!(
                "request-bytes-max: at most {max} bytes of body, not {}",
                request.body.len()
            );
            return self.refuse(id, RefusedKind::Limit, message);
        }
        let Some(host) = self.hosts.get_mut(&framework) else {
            return;
        };
        if host.requests.len() as u64 >= record.limits.requests_queued_max {
            let message = format!(
                "requests-queued-max: {} requests to {name} wait already; try again",
                host.requests.len()
            );
            return self.refuse(id, RefusedKind::Unavailable, message);
        }
        host.requests.push_back(WebRequest { id, ..request });
        self.touch(framework);
    }

    /// The client has gone: its request need not be answered, its stream not be written.
    pub(crate) fn on_request_gone(&mut self, id: RequestId) {
        let found = self.hosts.iter().find_map(|(framework, host)| {
            let waits = host.requests.iter().any(|request| request.id == id);
            (waits || host.streams.contains(&id)).then_some(*framework)
        });
        let Some(framework) = found else { return };
        if let Some(host) = self.hosts.get_mut(&framework) {
            host.requests.retain(|request| request.id != id);
            if host.streams.contains(&id) {
                Arc::make_mut(&mut host.streams).retain(|stream| *stream != id);
                host.streams_gone.push(id);
            }
        }
        self.touch(framework);
    }

    /// Nobody will answer the requests that wait.
    pub(crate) fn abandon_requests(&mut self, framework: FrameworkId) {
        let Some(host) = self.hosts.get_mut(&framework) else {
            return;
        };
        let requests = core::mem::take(&mut host.requests);
        for request in requests {
            let message = "the framework stopped taking requests while this one waited";
            self.refuse(request.id, RefusedKind::Unavailable, message);
        }
    }
}
