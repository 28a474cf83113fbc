//! The least HTTP client that a bench needs: one request a connection, whole bodies.

use anyhow::{Context, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Whom to ask, and as whom.
#[derive(Clone, Debug)]
pub struct Client {
    /// `127.0.0.1:7070`
    pub address: String,
    /// A bearer token.
    pub token: String,
}

impl Client {
    /// Asks and reads the answer; an error for any status but 2xx.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut stream = self.send(method, path, body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .context("the answer has no end of its head")?;
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let body = answer[end + 4..].to_vec();
        let body = if head.contains("transfer-encoding: chunked") {
            unchunk(&body)?
        } else {
            body
        };
        if head.split(' ').nth(1).is_none_or(|s| !s.starts_with('2')) {
            bail!(
                "{method} {path}: {} {}",
                head.lines().next().unwrap_or_default(),
                String::from_utf8_lossy(&body)
            );
        }
        Ok(body)
    }

    /// Posts, and hands on the data of each event of the answer as it comes, until its end.
    pub fn watch(
        &self,
        path: &str,
        body: &[u8],
        each: &mut dyn FnMut(Value),
    ) -> anyhow::Result<()> {
        let stream = self.send("POST", path, body)?;
        for line in BufReader::new(stream).lines() {
            // Heads and the lengths of chunks stand on lines of their own.
            if let Some(data) = line?.strip_prefix("data:") {
                each(serde_json::from_str(data)?);
            }
        }
        Ok(())
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).context(self.address.clone())?;
        stream.set_nodelay(true)?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            self.token,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        Ok(stream)
    }
}

fn unchunk(mut body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = body
            .windows(2)
            .position(|w| w == b"\r\n")
            .context("a chunk has no length")?;
        let length = usize::from_str_radix(std::str::from_utf8(&body[..line])?.trim(), 16)?;
        let rest = &body[line + 2..];
        if length == 0 {
            return Ok(whole);
        }
        whole.extend_from_slice(rest.get(..length).context("a chunk is cut off")?);
        body = rest.get(length + 2..).context("a chunk is cut off")?;
    }
}
