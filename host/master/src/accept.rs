//! Accepts connections: as many as there are places for, and not in a hurry when that fails.

use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long to wait after a connection could not be accepted. Mostly the process has too many files
/// open, and trying again at once would only burn a processor until others have ended.
const AGAIN: Duration = Duration::from_millis(50);

/// The place that a connection takes; somebody else's when it is dropped.
pub type Place = OwnedSemaphorePermit;

/// A listening socket and the places behind it.
pub struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Door {
    /// With so many places.
    #[must_use]
    pub fn new(listener: TcpListener, places: usize) -> Door {
        Door {
            listener,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// The next connection. While there is no place, further ones wait in the operating system.
    /// Nothing is lost when this is dropped half-way.
    pub async fn next(&self) -> (TcpStream, Place) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                // Nobody closes it.
                return std::future::pending().await;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // Small messages one by one: without this each may wait 40 ms for the other
                    // side's acknowledgement. A connection that is gone already shows itself later.
                    let _ = stream.set_nodelay(true);
                    return (stream, place);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}
