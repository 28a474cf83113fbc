//! The nouns of the contract as plain Rust types. They are generated from `wit/types.wit`, whose comments say what
//! each field means; what the SDK adds to them stands in `task.rs` and `resources.rs`.

pub use crate::bindings::base::exports::mezzo::framework::scheduler::{Event, Notice, Setup};
pub use crate::bindings::base::mezzo::framework::driver::{Launched, Placement, Refusal, Reserved};
pub use crate::bindings::base::mezzo::framework::log::Level;
pub use crate::bindings::base::mezzo::framework::types::*;

/// One mebibyte, in bytes.
pub const MIB: u64 = 1024 * 1024;

/// One gibibyte, in bytes.
pub const GIB: u64 = 1024 * MIB;

impl From<Refusal> for String {
    /// So that `?` works where an error is a text, such as in `start`.
    fn from(refusal: Refusal) -> String {
        refusal.text().to_owned()
    }
}

impl Refusal {
    /// What was said, without the kind.
    pub fn text(&self) -> &str {
        match self {
            Refusal::Unknown(text)
            | Refusal::Insufficient(text)
            | Refusal::Invalid(text)
            | Refusal::Forbidden(text)
            | Refusal::Limit(text)
            | Refusal::Other(text) => text,
        }
    }
}

impl TaskState {
    /// Whether a task never leaves this state again.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            TaskState::Finished | TaskState::Failed | TaskState::Killed | TaskState::Lost
        )
    }

    /// As the contract spells it, such as `unreachable`.
    pub fn name(self) -> &'static str {
        match self {
            TaskState::Pending => "pending",
            TaskState::Starting => "starting",
            TaskState::Running => "running",
            TaskState::Stopping => "stopping",
            TaskState::Unreachable => "unreachable",
            TaskState::Finished => "finished",
            TaskState::Failed => "failed",
            TaskState::Killed => "killed",
            TaskState::Lost => "lost",
        }
    }
}
