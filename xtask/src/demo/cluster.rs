//! `mezzo dev` as a child process: started, found ready, spoken to and stopped. Whatever happens, it does not outlive
//! the demo.

use super::http::Client;
use super::signals;
use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const READY_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);
const WAIT_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Where the master listens.
    pub url: String,
    token: String,
    /// Its data folder, if it says.
    pub data: Option<PathBuf>,
    mezzo: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Cluster {
    /// Starts it and waits until it says that it is ready. If it is `found`, every `mezzo` of this user speaks to it from
    /// now on; else it keeps to itself.
    pub fn start(mezzo: &Path, agents: usize, found: bool) -> Result<Cluster> {
        let log = mezzo.with_file_name("demo.log");
        let errors = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(mezzo);
        command
            .args(["dev", "--json", "--agents", &agents.to_string()])
            .current_dir(workspace::root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            // Ctrl-C reaches the demo alone, which then stops the cluster in order.
            .process_group(0);
        if !found {
            command.env("MEZZO_CONTEXT", mezzo.with_file_name("demo-context.json"));
        }
        let mut child = command
            .spawn()
            .with_context(|| mezzo.display().to_string())?;
        let lines = lines_of(&mut child)?;
        let mut cluster = Cluster {
            url: String::new(),
            token: String::new(),
            data: None,
            mezzo: mezzo.to_path_buf(),
            log,
            child: Some(child),
        };
        let ready = cluster.ready_line(&lines)?;
        let text = |name: &str| ready[name].as_str().map(str::to_owned);
        cluster.url = text("url").context("the ready line has no url")?;
        cluster.token = text("token").context("the ready line has no token")?;
        cluster.data = text("data").map(PathBuf::from);
        cluster.wait_until("all agents are connected", |client| {
            let status = client.get_json("/api/v1/status")?;
            Ok(status["agents"]["connected"].as_u64() == Some(agents as u64))
        })?;
        Ok(cluster)
    }

    fn ready_line(&self, lines: &mpsc::Receiver<String>) -> Result<Value> {
        let until = Instant::now() + READY_MAX;
        while Instant::now() < until && !signals::interrupted() {
            match lines.recv_timeout(POLL) {
                Ok(line) => {
                    let value = serde_json::from_str::<Value>(&line).ok();
                    if let Some(ready) = value.filter(|value| value["url"].is_string()) {
                        return Ok(ready);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    bail!("`mezzo dev` ended before it was ready{}", self.last_words());
                }
            }
        }
        bail!("`mezzo dev` was not ready in time{}", self.last_words())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.len().saturating_sub(20);
        format!(
            "; the end of {}:\n{}",
            self.log.display(),
            lines[last..].join("\n")
        )
    }

    /// A connection of its own.
    pub fn client(&self) -> Result<Client> {
        Client::new(&self.url, &self.token)
    }

    /// Runs `mezzo` against this cluster and returns what it prints.
    pub fn mezzo(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.mezzo);
        command
            .args(args)
            .current_dir(workspace::root())
            .env("MEZZO_URL", &self.url)
            .env("MEZZO_TOKEN", &self.token)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        let output = command.output().context("starting mezzo")?;
        ensure!(
            output.status.success(),
            "`mezzo {}` ended with {}:\n{}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Asks again and again, within a bound.
    pub fn wait_until(
        &self,
        what: &str,
        mut is_so: impl FnMut(&mut Client) -> Result<bool>,
    ) -> Result<()> {
        let mut client = self.client()?;
        let mut until = Instant::now() + WAIT_MAX;
        let mut last = None;
        loop {
            ensure!(!signals::interrupted(), "interrupted");
            match is_so(&mut client) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // It may be too early to answer; keep what it said for the case that it stays so.
                Err(error) => {
                    last = Some(error);
                    until = until.min(Instant::now() + WAIT_MAX);
                }
            }
            if Instant::now() >= until {
                let why = last.map_or_else(String::new, |error| format!(": {error:#}"));
                bail!("it took too long until {what}{why}{}", self.last_words());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Until Ctrl-C; an error if the cluster ends by itself.
    pub fn wait_for_interrupt(&mut self) -> Result<()> {
        while !signals::interrupted() {
            let ended = match self.child.as_mut() {
                Some(child) => child.try_wait().context("waiting for mezzo dev")?,
                None => None,
            };
            if let Some(status) = ended {
                self.child = None;
                bail!(
                    "`mezzo dev` ended by itself with {status}{}",
                    self.last_words()
                );
            }
            std::thread::sleep(POLL * 5);
        }
        println!();
        Ok(())
    }

    /// Stops it in order.
    pub fn stop(mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let status = end(&mut child)?;
        ensure!(
            status.success(),
            "`mezzo dev` ended with {status}{}",
            self.last_words()
        );
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = end(&mut child);
        }
    }
}

/// In order if it listens, else by force.
fn end(child: &mut Child) -> Result<std::process::ExitStatus> {
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    signals::interrupt(child);
    let until = Instant::now() + STOP_MAX;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(POLL);
    }
    child.kill()?;
    child.wait()?;
    bail!(
        "`mezzo dev` did not stop within {} s and was killed",
        STOP_MAX.as_secs()
    )
}

/// What it prints, read on a thread for as long as it runs, so that its pipe is never full.
fn lines_of(child: &mut Child) -> Result<mpsc::Receiver<String>> {
    let stdout = child.stdout.take().context("mezzo dev has no output")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    Ok(receiver)
}
