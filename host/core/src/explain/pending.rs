//! Why a task that was launched is not running yet: its agent has not confirmed it, or is silent.

use super::words::duration;
use crate::cluster::Cluster;
use crate::state::FrameworkState;
use crate::turn::Task;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use mezzo_types::{AgentId, Instant, TaskState};

/// Tasks that one answer lists; the rest are counted.
pub const PENDING_SHOWN_MAX: usize = 100;

/// A task that was launched and of which nothing is heard.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PendingTask {
    /// The framework's name for it.
    pub task: String,
    /// Where it is to run, or ran when last heard of.
    pub agent: AgentId,
    /// `pending` or `unreachable`.
    pub state: TaskState,
    /// Since when.
    pub since: Instant,
    /// What it waits for.
    pub reason: String,
    /// What would change it.
    pub remedy: String,
}

impl Cluster {
    /// The first of a framework's tasks that wait for their agent, and how many more there are.
    pub(super) fn explain_pending(&self, framework: &FrameworkState) -> (Vec<PendingTask>, u64) {
        let tasks = framework.tasks.values();
        let mut waiting = tasks.filter(|task| {
            matches!(
                task.status.state,
                TaskState::Pending | TaskState::Unreachable
            )
        });
        let shown: Vec<PendingTask> = waiting
            .by_ref()
            .take(PENDING_SHOWN_MAX)
            .map(|task| self.explain_task(task))
            .collect();
        (shown, waiting.count() as u64)
    }

    fn explain_task(&self, task: &Task) -> PendingTask {
        let (reason, remedy) = self.why_pending(task);
        PendingTask {
            task: task.record.id().to_string(),
            agent: task.record.agent,
            state: task.status.state,
            since: task.status.since,
            reason,
            remedy,
        }
    }

    fn why_pending(&self, task: &Task) -> (String, String) {
        let agent = task.record.agent;
        let ago = |since: Instant| duration(self.now.since_ms(since));
        let silent_since = self
            .state
            .agents
            .get(&agent)
            .and_then(|known| known.record.silent_since);
        if let Some(since) = silent_since {
            return (
                format!("agent {agent} was declared silent {} ago", ago(since)),
                format!(
                    "goes on when the agent connects again; if the machine is lost, `mezzo agent gone {agent} --yes` ends the task"
                ),
            );
        }
        if self.session_of(agent).is_none() {
            let silent = duration(self.limits.agent_silent_ms);
            return (
                format!("agent {agent} is not connected"),
                format!(
                    "goes on when the agent connects; after {silent} without a session it counts as silent (`agent_silent_ms`)"
                ),
            );
        }
        let launched = ago(task.record.launched);
        match &task.kill {
            Some(kill) => (
                format!("its end was asked for {} ago", ago(kill.at)),
                format!("agent {agent} confirms that it never started, or ends it"),
            ),
            None => (
                format!("agent {agent} has not confirmed it; launched {launched} ago"),
                format!(
                    "passes when the agent answers; if it does not, see its log and `mezzo agent inspect {agent}`"
                ),
            ),
        }
    }
}
