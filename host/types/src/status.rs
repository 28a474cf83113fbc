//! Where a task stands.

use crate::{Instant, Reason};
use alloc::string::String;

/// The states of a task; the contract (`wit/types.wit`) says what each means.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// Committed by the master, not yet confirmed by the agent.
    Pending,
    /// The agent prepares it.
    Starting,
    /// It runs.
    Running,
    /// Asked to stop, still there.
    Stopping,
    /// Its agent is silent.
    Unreachable,
    /// Ended by itself with exit code 0.
    Finished,
    /// Ended otherwise.
    Failed,
    /// Ended because it was killed.
    Killed,
    /// Never started, or its agent is gone for good.
    Lost,
}

impl TaskState {
    /// Every state, in the order of a task's life.
    pub const ALL: [TaskState; 9] = [
        TaskState::Pending,
        TaskState::Starting,
        TaskState::Running,
        TaskState::Stopping,
        TaskState::Unreachable,
        TaskState::Finished,
        TaskState::Failed,
        TaskState::Killed,
        TaskState::Lost,
    ];

    /// Whether no other state follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            TaskState::Finished | TaskState::Failed | TaskState::Killed | TaskState::Lost
        )
    }

    /// As it is written everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
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

/// What is known of one run of a task.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Status {
    /// Where it stands.
    pub state: TaskState,
    /// Why.
    #[serde(default)]
    pub reason: Reason,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Its own, or 128 and the signal's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// When it came to this state.
    pub since: Instant,
}

impl Status {
    /// A status with nothing more to say.
    #[must_use]
    pub fn new(state: TaskState, since: Instant) -> Status {
        Status {
            state,
            reason: Reason::None,
            message: String::new(),
            exit_code: None,
            since,
        }
    }

    /// The same with a reason and words for people.
    #[must_use]
    pub fn because(mut self, reason: Reason, message: impl Into<String>) -> Status {
        self.reason = reason;
        self.message = message.into();
        self
    }
}
