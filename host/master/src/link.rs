//! A connection on the agents' port: it has a place, and it is cut if nobody on it has shown in time
//! that it is an agent. Keep-alive does not do that: a stranger can answer pings for ever.

use crate::accept::Place;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

/// Whether an agent is known to be at the other end. Requests carry it as an extension.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<AtomicBool>);

impl Known {
    /// It is an agent: its Hello was accepted, or it has the token and fetches a component.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
pub struct Link {
    stream: TcpStream,
    known: Known,
    until: Pin<Box<Sleep>>,
    _place: Place,
}

impl Link {
    /// Around this connection, which has so long to show who it is.
    #[must_use]
    pub fn new(stream: TcpStream, place: Place, patience: Duration) -> Link {
        Link {
            stream,
            known: Known::default(),
            until: Box::pin(sleep(patience)),
            _place: place,
        }
    }

    /// An error once it is too late. The connection is always being read, so that somebody asks.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.known.get() || self.until.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        let words = "no agent has said Hello on this connection within hello_timeout_ms";
        tracing::debug!(peer = ?self.stream.peer_addr().ok(), "{words}");
        Err(io::Error::new(io::ErrorKind::TimedOut, words))
    }
}

impl Connected for Link {
    type ConnectInfo = Known;

    fn connect_info(&self) -> Known {
        self.known.clone()
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
