//! `mezzo task logs`.

use super::find::{find, path};
use crate::client::{Client, refused};
use crate::output::bytes;
use crate::task_output::TaskOutput;
use crate::units;
use hyper::Method;
use hyper::body::Bytes;

#[derive(Debug, clap::Args)]
pub struct Logs {
    /// Its id, or FRAMEWORK/ID
    task: String,
    /// Go on until it ends
    #[arg(long, short = 'f')]
    follow: bool,
    /// Its standard error instead of its standard output
    #[arg(long)]
    stderr: bool,
    /// Only so many lines from the end
    #[arg(long, value_parser = units::whole::<u32>)]
    tail: Option<u32>,
}

impl Logs {
    pub async fn run(self, client: Client) -> anyhow::Result<()> {
        let found = find(&client, &self.task).await?;
        let stream = if self.stderr { "stderr" } else { "stdout" };
        if self.follow {
            let offset = match self.tail {
                // Where the last lines end is known when they have been read.
                Some(_) => match copy(&client, &path(&found), stream, self.tail, bytes).await {
                    // Not started yet.
                    Err(error) if refused(&error) == Some(404) => 0,
                    end => end?,
                },
                None => 0,
            };
            let logs = format!("{}/logs?stream={stream}&follow=true", path(&found));
            let mut output = TaskOutput::new(client, logs, offset);
            while let Some(data) = output.next(false).await? {
                bytes(&data)?;
            }
        } else {
            copy(&client, &path(&found), stream, self.tail, bytes).await?;
        }
        Ok(())
    }
}

/// What there is now, piece by piece; where it ends.
pub async fn copy(
    client: &Client,
    task: &str,
    stream: &str,
    tail: Option<u32>,
    mut show: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut offset = tail.map_or("0".to_string(), |lines| format!("-{lines}"));
    loop {
        let path = format!("{task}/logs?stream={stream}&offset={offset}");
        let mut piece = client.stream(Method::GET, &path, Bytes::new()).await?;
        let mut at = piece.offset().unwrap_or(0);
        let begun = at;
        while let Some(data) = piece.next().await? {
            at += data.len() as u64;
            show(&data)?;
        }
        if at == begun {
            return Ok(at);
        }
        offset = at.to_string();
    }
}
