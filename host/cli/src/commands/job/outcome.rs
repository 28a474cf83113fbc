//! What the end of a job means for whoever waited for it: a message, and an exit code.

use crate::client::Client;
use crate::exit;
use crate::output::note;
use serde_json::Value;
use std::process::ExitCode;

/// What is known of a job before its end.
pub struct Outcome {
    client: Client,
    framework: String,
    launched: bool,
    interrupted: bool,
}

impl Outcome {
    /// Nothing has happened yet.
    pub fn new(client: Client, framework: String) -> Outcome {
        Outcome {
            client,
            framework,
            launched: false,
            interrupted: false,
        }
    }

    /// One of its tasks was launched.
    pub fn launched(&mut self) {
        self.launched = true;
    }

    /// Whether one was.
    pub fn was_launched(&self) -> bool {
        self.launched
    }

    /// We asked for its end ourselves.
    pub fn interrupted(&mut self) {
        self.interrupted = true;
    }

    /// Says on standard error what there is to say.
    pub async fn said(&self, job: &Value) -> anyhow::Result<ExitCode> {
        let fail = |code, message: String| {
            note(&format!("error: {message}"));
            Ok(ExitCode::from(code))
        };
        let _ = (&self.client, &self.framework);
        let id = job["id"].as_str().unwrap_or_default();
        match job["state"].as_str() {
            Some("finished") => Ok(ExitCode::SUCCESS),
            Some("cancelled") if self.interrupted => Ok(ExitCode::from(exit::INTERRUPTED)),
            Some("cancelled") => fail(exit::ERROR, format!("job {id} was cancelled")),
            Some("timed-out") if !self.launched => fail(
                exit::NOT_PLACED,
                format!(
                    "job {id} was not placed in time; `mezzo explain` says what a demand waits for"
                ),
            ),
            Some("timed-out") => Ok(timed_out(&format!(
                "job {id} did not end in time and was stopped"
            ))),
            _ => match job["exit_code"].as_i64() {
                Some(code) => {
                    let code = u8::try_from(code.rem_euclid(256)).unwrap_or(1);
                    Ok(ExitCode::from(code.max(1)))
                }
                None => fail(
                    exit::ERROR,
                    format!("job {id} failed without an exit code; `mezzo task ls -a` shows why"),
                ),
            },
        }
    }
}

/// It took too long.
pub fn timed_out(message: &str) -> ExitCode {
    note(&format!("error: {message}"));
    ExitCode::from(exit::TIMED_OUT)
}
