//! Listens: HTTP for people and programs, gRPC for agents.

use crate::agents::Service;
use crate::api;
use crate::master::Shared;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a silent agent's connection is tried, and how long its answer may take.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Serves HTTP until it is stopped.
pub async fn http(shared: Arc<Shared>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let limits = shared.config.limits.clone();
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let router = api::router(Arc::clone(&shared));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many files: others must end first.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let mut stopped = stopped.clone();
        let counted = api::State::connected(&shared);
        tokio::spawn(async move {
            let _held = (permit, counted);
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
pub async fn agents(
    shared: Arc<Shared>,
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
) {
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(Service::server(shared));
    let stop = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    // Small messages one by one: without this each may wait 40 ms for the agent's acknowledgement.
    let incoming = TcpListenerStream::new(listener).map(|accepted| {
        let stream = accepted?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    });
    if let Err(error) = server.serve_with_incoming_shutdown(incoming, stop).await {
        tracing::error!(%error, "agents are no longer served");
    }
}
