//! A `mezzo dev` of the bench's own: this very program, on free ports, in a temporary folder.

use crate::client::Client;
use anyhow::Context;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// Asks its master.
    pub client: Client,
    /// Its master's URL.
    pub url: String,
    /// Which process is the master.
    pub master_pid: u32,
    /// How long it took from the start of the process to being ready.
    pub ready: Duration,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts it with so many agents, and waits until it is ready.
    pub fn start(agents: usize) -> anyhow::Result<Cluster> {
        let folder = tempfile::tempdir()?;
        let started = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .args(["dev", "--json", "--listen", "127.0.0.1:0", "--agents"])
            .arg(agents.to_string())
            .arg("--data")
            .arg(folder.path().join("data"))
            .env("MEZZO_CONTEXT", folder.path().join("context.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let out = child.stdout.take().context("no output of `mezzo dev`")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let ready = started.elapsed();
        let told: Value =
            serde_json::from_str(&line).context("`mezzo dev --json` was not ready")?;
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_string();
        let url = text("url");
        let address = url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_string();
        Ok(Cluster {
            client: Client {
                address,
                token: text("token"),
            },
            url,
            master_pid: child.id(),
            ready,
            child,
            _folder: folder,
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SAFETY: signals a process of our own that has not been waited for.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        let _ = self.child.wait();
    }
}
