//! Writing to standard output and standard error, where a closed pipe is an answer and no panic.

use crate::exit::OutputClosed;
use serde_json::Value;
use std::io::{ErrorKind, Write};

/// Writes to standard output, now.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    told(out.write_all(bytes).and_then(|()| out.flush()))
}

/// One or more lines to standard output; the last newline is added.
pub fn line(text: &str) -> anyhow::Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// The API's JSON, indented.
pub fn json(value: &Value) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// A line to standard error, for people. That nobody reads it is no reason to stop.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes to standard error, now.
pub fn error_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    told(std::io::stderr().lock().write_all(bytes))
}

fn told(result: std::io::Result<()>) -> anyhow::Result<()> {
    result.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => OutputClosed.into(),
        _ => anyhow::Error::new(error).context("write the output"),
    })
}
