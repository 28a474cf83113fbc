//! Tasks: statuses from agents, kills, and the fate that a group shares.

use crate::action::{Action, Answer, RefusedKind};
use crate::cluster::Cluster;
use crate::record::{KillRecord, Record};
use crate::turn::Task;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{FrameworkId, Reason, RequestId, Run, SessionId, Status, TaskState};

impl Cluster {
    pub(crate) fn on_status_reported(
        &mut self,
        session: SessionId,
        run: Run,
        sequence: u64,
        status: Status,
    ) {
        if self.sessions.contains_key(&session) {
            self.take_status(session, run, sequence, status, false);
        }
    }

    /// A status from an agent: it is committed on arrival, whatever the framework does, and then
    /// acknowledged. `returned` says that it came with the agent's greeting.
    pub(crate) fn take_status(
        &mut self,
        session: SessionId,
        run: Run,
        sequence: u64,
        mut status: Status,
        returned: bool,
    ) {
        let agent = self.sessions.get(&session).copied();
        let Some(task) = self.state.task(run).cloned() else {
            // Forgotten: its end was acknowledged, but the answer was lost on the way.
            return self.show(Action::Acknowledge {
                session,
                run,
                sequence,
            });
        };
        if agent != Some(task.record.agent) {
            return;
        }
        let back = returned && task.status.state == TaskState::Unreachable;
        let news = sequence > task.sequence || back;
        let allowed = !matches!(status.state, TaskState::Pending | TaskState::Unreachable);
        if news && allowed && !task.status.state.is_final() {
            // The agent's clock is not trusted to order anything.
            status.since = status.since.min(self.now).max(task.record.launched);
            if back && status.reason == Reason::None {
                status.reason = Reason::AgentReturned;
            }
            self.set_status(run, sequence.max(task.sequence), status);
        }
        self.show(Action::Acknowledge {
            session,
            run,
            sequence,
        });
    }

    /// What follows from a run's new status: its framework is told; if it has ended, its agent has
    /// more free and its group ends with it.
    pub(crate) fn status_changed(&mut self, run: Run) {
        let Some(task) = self.state.task(run).cloned() else {
            return;
        };
        let framework = task.record.framework;
        if task.status.state.is_final() {
            if let Some(group) = &task.record.group
                && task.status.state != TaskState::Finished
            {
                self.end_group(framework, group);
            }
            self.task_left(&task);
            if self.removing(framework) {
                self.record(Record::TaskForgotten(run));
                self.finish_removal(framework);
                return;
            }
        }
        self.touch(framework);
    }

    /// What a task used is free again: of its reservation, or of its agent.
    fn task_left(&mut self, task: &Task) {
        let Some(reservation) = task.record.reservation else {
            self.agent_improved(task.record.agent);
            return self.reservations_beside(task);
        };
        if !task.record.ports.is_empty() {
            self.agent_improved(task.record.agent);
        }
        self.reservation_improved(reservation);
        self.reservations_beside(task);
        self.finish_reservation(reservation);
    }

    /// Reservations of a task's agent may have waited for its ports, or for what the agent has not twice.
    fn reservations_beside(&mut self, task: &Task) {
        let Some(known) = self.state.agents.get(&task.record.agent) else {
            return;
        };
        let mut before = known.used.clone();
        before.add(&task.record.charged());
        let short = !known.record.info.facts.total.contains(&before);
        if !known.reservations.is_empty() && (short || !task.record.ports.is_empty()) {
            self.agent_reservations_improved(task.record.agent);
        }
    }

    fn end_group(&mut self, framework: FrameworkId, group: &str) {
        let Some(framework) = self.state.frameworks.get(&framework) else {
            return;
        };
        let members = framework.groups.get(group).cloned().unwrap_or_default();
        for run in members {
            let alive = self
                .state
                .task(run)
                .is_some_and(|t| !t.status.state.is_final() && t.kill.is_none());
            if alive {
                self.kill(run, None, Reason::Group);
            }
        }
    }

    /// Asks for a run's end. A later ask may only shorten the grace.
    pub(crate) fn kill(&mut self, run: Run, grace_ms: Option<u64>, reason: Reason) {
        let Some(task) = self
            .state
            .task(run)
            .filter(|t| !t.status.state.is_final())
            .cloned()
        else {
            return;
        };
        let grace_ms = grace_ms.unwrap_or(task.record.spec.kill_grace_ms);
        let shorter = task
            .kill
            .as_ref()
            .is_none_or(|kill| grace_ms < kill.grace_ms);
        if shorter {
            let reason = task.kill.as_ref().map_or(reason, |kill| kill.reason);
            self.record(Record::Kill(
                run,
                KillRecord {
                    grace_ms,
                    reason,
                    at: self.now,
                },
            ));
        }
        self.send_kill(run);
    }

    /// Tells the agent of a kill that is decided. Without a session it is told when it is back.
    pub(crate) fn send_kill(&mut self, run: Run) {
        let Some(task) = self.state.task(run) else {
            return;
        };
        let Some(kill) = task.kill.clone() else {
            return;
        };
        if let Some(session) = self.session_of(task.record.agent) {
            self.show(Action::Kill {
                session,
                run,
                grace_ms: kill.grace_ms,
                reason: kill.reason,
            });
        }
    }

    /// Tells the agent to start tasks of one framework; several are one group.
    pub(crate) fn send_launch(&mut self, session: SessionId, tasks: &[Arc<Task>]) {
        let Some(first) = tasks.first() else { return };
        let Some(framework) = self.state.frameworks.get(&first.record.framework) else {
            return;
        };
        let framework = Arc::clone(&framework.record.name);
        let tasks: Vec<_> = tasks.iter().map(|task| Arc::clone(&task.record)).collect();
        self.show(Action::Launch {
            session,
            framework,
            tasks,
        });
    }

    pub(crate) fn on_kill_unknown(&mut self, session: SessionId, run: Run) {
        let agent = self.sessions.get(&session);
        let Some(task) = self.state.task(run).cloned() else {
            return;
        };
        let never_started =
            task.sequence == 0 && !task.status.state.is_final() && task.kill.is_some();
        if agent == Some(&task.record.agent) && never_started {
            let status = Status::new(TaskState::Killed, self.now).because(
                Reason::KilledBeforeStart,
                "its end was asked for before the agent had it",
            );
            self.set_status(run, 0, status);
        }
    }

    pub(crate) fn on_kill_task(
        &mut self,
        id: RequestId,
        framework: &str,
        task: &str,
        grace_ms: Option<u64>,
    ) {
        let Some(framework_id) = self.named(id, framework) else {
            return;
        };
        let max = self.limits.task.kill_grace_ms_max;
        if grace_ms.is_some_and(|grace| grace > max) {
            return self.refuse(id, RefusedKind::Invalid, format!("grace_ms: at most {max}"));
        }
        let found = self
            .state
            .frameworks
            .get(&framework_id)
            .and_then(|f| f.tasks.get(task))
            .cloned();
        match found {
            None => {
                let message = format!(
                    "framework {framework} has no task {task:?}; it may have ended and been forgotten"
                );
                self.refuse(id, RefusedKind::NotFound, message);
            }
            Some(task) if task.status.state.is_final() => {
                let message = format!(
                    "task {} has ended already: {}",
                    task.record.id(),
                    task.status.state.as_str()
                );
                self.refuse(id, RefusedKind::Conflict, message);
            }
            Some(task) => {
                self.kill(task.record.run, grace_ms, Reason::KillRequested);
                self.reply(id, Answer::Done);
            }
        }
    }
}
