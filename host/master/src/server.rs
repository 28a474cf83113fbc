//! Listens: HTTP for people and programs, gRPC for agents.

use crate::accept::Door;
use crate::agents::Service;
use crate::api;
use crate::link::Link;
use crate::master::Shared;
use crate::steady::Steady;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a silent agent's connection is tried, and how long its answer may take.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Serves HTTP until it is stopped.
pub async fn http(shared: Arc<Shared>, door: Door, mut stopped: watch::Receiver<bool>) {
    let limits = shared.config.limits.clone();
    let write_timeout = Duration::from_millis(limits.write_timeout_ms);
    let router = api::router(Arc::clone(&shared));
    loop {
        let (stream, place) = tokio::select! {
            accepted = door.next() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        let stream = Steady::new(stream, write_timeout);
        let service = TowerToHyperService::new(router.clone());
        let mut stopped = stopped.clone();
        let counted = api::State::connected(&shared);
        tokio::spawn(async move {
            let _held = (place, counted);
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(limits.head_bytes_max)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), connection).await;
        });
    }
}

/// Serves agents until it is stopped.
pub async fn agents(shared: Arc<Shared>, door: Door, mut stopped: watch::Receiver<bool>) {
    let patience = Duration::from_millis(shared.config.limits.hello_timeout_ms);
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(Service::server(shared));
    let stop = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let incoming = futures_util::stream::unfold(door, move |door| async move {
        let (stream, place) = door.next().await;
        let link = Link::new(stream, place, patience);
        Some((Ok::<_, Infallible>(link), door))
    });
    if let Err(error) = server.serve_with_incoming_shutdown(incoming, stop).await {
        tracing::error!(%error, "agents are no longer served");
    }
}
