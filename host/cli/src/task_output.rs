//! What one task writes to one stream, followed to its end: cut by a restart of the master, it goes on
//! where it was.

use crate::client::{Client, Stream};
use crate::patience::Patience;
use hyper::Method;
use hyper::body::Bytes;

/// So often in a row may an answer that has begun be cut before it gave anything: then it is not the
/// master that is away, but the agent that keeps the output.
const VAIN_MAX: u32 = 2;

/// See the module.
pub struct TaskOutput {
    client: Client,
    path: String,
    offset: u64,
    stream: Option<Stream>,
    vain: u32,
    patience: Patience,
}

impl TaskOutput {
    /// `path` with its query, to which the offset is added, in bytes.
    pub fn new(client: Client, path: String, offset: u64) -> TaskOutput {
        TaskOutput {
            client,
            path,
            offset,
            stream: None,
            vain: 0,
            patience: Patience::default(),
        }
    }

    /// The next bytes; none at the end. `quiet`: somebody else says that the master is away.
    pub async fn next(&mut self, quiet: bool) -> anyhow::Result<Option<Bytes>> {
        loop {
            let error = match self.try_next().await {
                Ok(data) => {
                    self.vain = 0;
                    self.patience.renew();
                    return Ok(data);
                }
                Err(error) => error,
            };
            if self.stream.take().is_some() {
                self.vain += 1;
                if self.vain >= VAIN_MAX {
                    return Err(error);
                }
            }
            self.patience.wait(error, quiet).await?;
        }
    }

    async fn try_next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let path = format!("{}&offset={}", self.path, self.offset);
                let stream = self.client.stream(Method::GET, &path, Bytes::new()).await?;
                self.stream.insert(stream)
            }
        };
        let data = stream.next().await?;
        self.offset += data.as_ref().map_or(0, |data| data.len() as u64);
        Ok(data)
    }
}
