//! Between the shared nouns and their form on the wire. Decoding checks all that the types
//! promise; the caller checks what needs the cluster.

use mezzo_types::{AgentFacts, Status, TaskSpec};

/// A message that the other side should not have sent.
#[derive(Debug, thiserror::Error)]
#[error("malformed {what} from the other side: {problem}")]
pub struct Malformed {
    /// Which part of the message.
    pub what: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

fn malformed(what: &'static str) -> impl FnOnce(&dyn std::fmt::Display) -> Malformed {
    move |problem| Malformed {
        what,
        problem: problem.to_string(),
    }
}

/// The text of `Hello.facts`.
#[must_use]
pub fn encode_facts(facts: &AgentFacts) -> String {
    serde_json::to_string(facts).expect("facts are made of texts and numbers")
}

/// Reads `Hello.facts`.
pub fn decode_facts(text: &str) -> Result<AgentFacts, Malformed> {
    serde_json::from_str(text).map_err(|e| malformed("facts")(&e))
}

/// The text of `Update.status`.
#[must_use]
pub fn encode_status(status: &Status) -> String {
    serde_json::to_string(status).expect("a status is made of texts and numbers")
}

/// Reads `Update.status`.
pub fn decode_status(text: &str) -> Result<Status, Malformed> {
    serde_json::from_str(text).map_err(|e| malformed("status")(&e))
}

/// The bytes of `LaunchTask.spec`.
#[must_use]
pub fn encode_spec(spec: &TaskSpec) -> Vec<u8> {
    rmp_serde::to_vec_named(spec).expect("a task is made of texts, numbers and bytes")
}

/// Reads `LaunchTask.spec`.
pub fn decode_spec(bytes: &[u8]) -> Result<TaskSpec, Malformed> {
    rmp_serde::from_slice(bytes).map_err(|e| malformed("task")(&e))
}
