//! What the end of a job means for whoever waited for it: a message, and an exit code.

use super::failures;
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
    explanation: String,
    explained: String,
}

impl Outcome {
    /// Nothing has happened yet.
    pub fn new(client: Client, framework: String) -> Outcome {
        Outcome {
            client,
            framework,
            launched: false,
            interrupted: false,
            explanation: String::new(),
            explained: String::new(),
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

    /// Why it waits, as far as is known; `said` if it was shown.
    pub fn explained(&mut self, explanation: &str, said: bool) {
        if explanation.is_empty() {
            return;
        }
        self.explanation = explanation.to_string();
        if said {
            self.explained = explanation.to_string();
        }
    }

    /// Says on standard error what there is to say.
    pub async fn said(&self, job: &Value) -> anyhow::Result<ExitCode> {
        let fail = |code, message: String| {
            note(&format!("error: {message}"));
            Ok(ExitCode::from(code))
        };
        let id = job["id"].as_str().unwrap_or_default();
        match job["state"].as_str() {
            Some("finished") => Ok(ExitCode::SUCCESS),
            Some("cancelled") if self.interrupted => Ok(ExitCode::from(exit::INTERRUPTED)),
            Some("cancelled") => fail(exit::ERROR, format!("job {id} was cancelled")),
            Some("timed-out") if !self.launched => fail(exit::NOT_PLACED, self.not_placed(id)),
            Some("timed-out") => Ok(timed_out(&format!(
                "job {id} did not end in time and was stopped"
            ))),
            _ => {
                let why = failures::said(&self.client, &self.framework, job).await;
                if let Some(why) = &why {
                    note(&format!("error: {why}"));
                }
                match job["exit_code"].as_i64() {
                    Some(code) => {
                        let code = u8::try_from(code.rem_euclid(256)).unwrap_or(1);
                        Ok(ExitCode::from(code.max(1)))
                    }
                    None if why.is_some() => Ok(ExitCode::from(exit::ERROR)),
                    None => fail(exit::ERROR, format!("job {id} failed without an exit code")),
                }
            }
        }
    }

    /// When it has ended its demand is gone, and `mezzo explain` knows nothing of it any more.
    fn not_placed(&self, id: &str) -> String {
        if self.explanation.is_empty() {
            format!("job {id} was not placed in time")
        } else if self.explanation == self.explained {
            format!("job {id} was not placed in time; what it waited for is said above")
        } else {
            format!("job {id} was not placed in time\n{}", self.explanation)
        }
    }
}

/// It took too long.
pub fn timed_out(message: &str) -> ExitCode {
    note(&format!("error: {message}"));
    ExitCode::from(exit::TIMED_OUT)
}
