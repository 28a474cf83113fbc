//! As much of HTTP/1.1 as the demo needs: one connection that stays open, requests one after the other, answers with a
//! length or in chunks. It speaks to the master beside it and to nobody else.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_MAX: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: usize = 64 << 20;

/// One connection to the master.
#[derive(Debug)]
pub struct Client {
    authority: String,
    token: String,
    connection: Option<BufReader<TcpStream>>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    status: u16,
    keep_alive: bool,
    body: Vec<u8>,
}

impl Client {
    /// For a URL such as `http://127.0.0.1:7070`; connects with the first request.
    pub fn new(url: &str, token: &str) -> Result<Client> {
        let authority = url.trim_end_matches('/').strip_prefix("http://");
        Ok(Client {
            authority: authority
                .with_context(|| format!("{url} is not http://"))?
                .to_owned(),
            token: token.to_owned(),
            connection: None,
        })
    }

    /// The bytes at a path.
    pub fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        self.request("GET", path, b"")
    }

    /// The JSON at a path.
    pub fn get_json(&mut self, path: &str) -> Result<Value> {
        let body = self.get(path)?;
        serde_json::from_slice(&body).with_context(|| format!("the answer to GET {path}"))
    }

    /// Sends JSON, and returns the JSON of the answer.
    pub fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let body = self.request("POST", path, body.to_string().as_bytes())?;
        serde_json::from_slice(&body).with_context(|| format!("the answer to POST {path}"))
    }

    /// The body of a good answer. A kept connection may have been closed meanwhile: reading is then tried once more.
    fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let kept = self.connection.is_some();
        let reply = match self.exchange(method, path, body) {
            Err(_) if kept && method == "GET" => self.exchange(method, path, body),
            other => other,
        };
        let reply = reply.with_context(|| format!("{method} {path}"))?;
        if !(200..300).contains(&reply.status) {
            let text = String::from_utf8_lossy(&reply.body);
            bail!(
                "{method} {path} was answered {}: {}",
                reply.status,
                text.trim()
            );
        }
        Ok(reply.body)
    }

    fn exchange(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Reply> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.authority)?,
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.authority,
            self.token,
            body.len()
        );
        connection
            .get_mut()
            .write_all(&[head.as_bytes(), body].concat())?;
        let reply = read_reply(&mut connection)?;
        if reply.keep_alive {
            self.connection = Some(connection);
        }
        Ok(reply)
    }
}

fn connect(authority: &str) -> Result<BufReader<TcpStream>> {
    let stream =
        TcpStream::connect(authority).with_context(|| format!("connecting to {authority}"))?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

fn read_reply(from: &mut impl BufRead) -> Result<Reply> {
    let line = line(from)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status: u16 = status.with_context(|| format!("no HTTP status: {line:?}"))?;
    let (mut length, mut chunked, mut keep_alive) = (None, false, true);
    loop {
        let header = self::line(from)?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse::<usize>()?),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => keep_alive = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    match length {
        _ if chunked => read_chunks(from, &mut body)?,
        Some(length) => read_bytes(from, length, &mut body)?,
        None if status == 204 || status == 304 => {}
        None => {
            keep_alive = false;
            from.read_to_end(&mut body)?;
        }
    }
    Ok(Reply {
        status,
        keep_alive,
        body,
    })
}

fn read_chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let size = line(from)?;
        let size = size.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("the length of a chunk")?;
        read_bytes(from, size, body)?;
        // The line's end behind a chunk; behind the last one, trailers up to an empty line.
        while !line(from)?.is_empty() {}
        if size == 0 {
            return Ok(());
        }
    }
}

fn read_bytes(from: &mut impl BufRead, length: usize, body: &mut Vec<u8>) -> Result<()> {
    ensure!(
        body.len().saturating_add(length) <= BODY_BYTES_MAX,
        "the answer is too large"
    );
    let read = from.take(length as u64).read_to_end(body)?;
    ensure!(read == length, "the answer was cut off");
    Ok(())
}

/// A line without its end.
fn line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    let read = from.take(64 << 10).read_line(&mut line)?;
    ensure!(read > 0, "the connection was closed");
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str, keep_alive: bool) {
        let reply = read_reply(&mut text.as_bytes()).expect("it is well-formed");
        assert_eq!(String::from_utf8_lossy(&reply.body), expected);
        assert_eq!(reply.keep_alive, keep_alive);
    }

    #[test]
    fn answers_end_where_they_say() {
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP",
            "abc",
            true,
        );
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\nrest",
            "abcde",
            true,
        );
        check("HTTP/1.1 200 OK\r\n\r\nto the end", "to the end", false);
        check(
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
            "",
            false,
        );
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "nonsense\r\n\r\n",
        ] {
            assert!(read_reply(&mut text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
