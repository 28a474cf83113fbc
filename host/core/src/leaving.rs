//! Agents that an operator takes out: deactivated, drained, activated again, or gone for good.
//!
//! Who leaves is offered to nobody any more. Frameworks are told beforehand when a drained agent's
//! tasks will be asked to end, and afterwards that an agent is gone.

use crate::action::{Action, Answer, Observation, RefusedKind};
use crate::cluster::{Cluster, Deadline};
use crate::event::AgentChange;
use crate::record::{AgentRecord, GoneRecord, How, Leaving, Record};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{AgentId, AgentInfo, Reason, RequestId, Run, Status, TaskState};

/// The latest that a drained agent's tasks can be asked to end, from now, in milliseconds: 30 days.
const DRAIN_AFTER_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// Identities that are remembered as gone; the oldest may join again, as a new agent.
pub(crate) const GONE_MAX: usize = 100_000;

impl Cluster {
    pub(crate) fn on_change_agent(
        &mut self,
        id: RequestId,
        agent: AgentId,
        change: AgentChange,
        principal: Arc<str>,
    ) {
        let Some(known) = self.state.agents.get(&agent) else {
            let message =
                format!("there is no agent {agent}; `mezzo agent ls` lists those there are");
            return self.refuse(id, RefusedKind::NotFound, message);
        };
        if known.record.is_gone() {
            let message = format!("agent {agent} is gone for good; that cannot be taken back");
            return self.refuse(id, RefusedKind::Conflict, message);
        }
        let leaving = |how| {
            Some(Leaving {
                how,
                since: self.now,
                principal,
            })
        };
        match change {
            AgentChange::Activate => self.set_leaving(agent, None),
            AgentChange::Deactivate => {
                let leaving = leaving(How::Deactivated);
                self.set_leaving(agent, leaving);
            }
            AgentChange::Drain { after_ms, grace_ms } => {
                if after_ms > DRAIN_AFTER_MS_MAX {
                    let message = format!("after: at most {DRAIN_AFTER_MS_MAX} ms, not {after_ms}");
                    return self.refuse(id, RefusedKind::Invalid, message);
                }
                let at = self.now.after_ms(after_ms);
                let leaving = leaving(How::Draining { at, grace_ms });
                self.set_leaving(agent, leaving);
                self.deadlines.insert((at, Deadline::Drain(agent)));
            }
            AgentChange::Gone => {
                let leaving = leaving(How::Gone);
                self.gone(agent, leaving);
            }
        }
        self.reply(id, Answer::Done);
    }

    fn set_leaving(&mut self, agent: AgentId, leaving: Option<Leaving>) {
        let Some(old) = self.state.agents.get(&agent).map(|a| Arc::clone(&a.record)) else {
            return;
        };
        let leaving_at = match &leaving {
            Some(Leaving {
                how: How::Draining { at, .. },
                ..
            }) => Some(*at),
            _ => None,
        };
        let same = old.info.leaving_at == leaving_at;
        let info = if same {
            Arc::clone(&old.info)
        } else {
            Arc::new(AgentInfo {
                leaving_at,
                ..AgentInfo::clone(&old.info)
            })
        };
        let stays = leaving.is_none();
        self.record(Record::Agent(Arc::new(AgentRecord {
            info,
            leaving,
            ..AgentRecord::clone(&old)
        })));
        if !same {
            self.tell_of_change(agent);
        }
        if stays {
            self.agent_improved(agent);
        } else {
            self.withdraw(agent);
        }
    }

    /// A drained agent's time is up: all that still runs there is asked to end.
    pub(crate) fn on_drain_due(&mut self, agent: AgentId) {
        let Some((runs, grace_ms)) = self.drained(agent) else {
            return;
        };
        for run in runs {
            self.kill(run, grace_ms, Reason::AgentDraining);
        }
    }

    /// What is to end on an agent whose drain is due.
    fn drained(&self, agent: AgentId) -> Option<(Vec<Run>, Option<u64>)> {
        let known = self.state.agents.get(&agent)?;
        let Some(Leaving {
            how: How::Draining { at, grace_ms },
            ..
        }) = &known.record.leaving
        else {
            return None;
        };
        (*at <= self.now).then(|| (known.runs.iter().copied().collect(), *grace_ms))
    }

    /// A turn that began before may still have launched there.
    pub(crate) fn end_if_leaving(&mut self, agent: AgentId, run: Run) {
        if let Some((_, grace_ms)) = self.drained(agent) {
            self.kill(run, grace_ms, Reason::AgentDraining);
        }
        let known = self.state.agents.get(&agent);
        if known.is_some_and(|known| known.record.is_gone()) {
            self.lose(agent, run);
        }
    }

    /// A task is lost with its agent.
    fn lose(&mut self, agent: AgentId, run: Run) {
        let task = self.state.task(run);
        let Some(sequence) = task
            .filter(|task| !task.status.state.is_final())
            .map(|task| task.sequence)
        else {
            return;
        };
        let known = self.state.agents.get(&agent);
        let hostname = known.map_or("", |known| known.record.info.facts.hostname.as_str());
        let status = Status::new(TaskState::Lost, self.now).because(
            Reason::AgentGone,
            format!("agent {hostname} is gone for good, an operator says"),
        );
        self.set_status(run, sequence, status);
    }

    fn gone(&mut self, agent: AgentId, leaving: Option<Leaving>) {
        let Some(known) = self.state.agents.get(&agent) else {
            return;
        };
        let runs: Vec<Run> = known.runs.iter().copied().collect();
        let record = AgentRecord {
            leaving,
            ..AgentRecord::clone(&known.record)
        };
        let identity = Arc::from(record.info.facts.identity.as_str());
        if self.state.gone.len() >= GONE_MAX
            && let Some(oldest) = self.state.gone.keys().next().copied()
        {
            self.record(Record::Gone(oldest, None));
        }
        self.record(Record::Gone(
            agent,
            Some(GoneRecord {
                identity,
                at: self.now,
            }),
        ));
        self.record(Record::Agent(Arc::new(record)));
        for run in runs {
            self.lose(agent, run);
        }
        self.withdraw(agent);
        self.cut(agent);
        for framework in self.told_of(agent) {
            if let Some(host) = self.hosts.get_mut(&framework) {
                host.changed.remove(&agent);
                host.gone.insert(agent);
            }
            self.touch(framework);
        }
        self.leavers.insert(agent);
    }

    /// Ends the session of an agent that is gone, should it have one.
    fn cut(&mut self, agent: AgentId) {
        let session = self.links.get_mut(&agent).and_then(|link| {
            link.silent_at = None;
            link.session.take()
        });
        let Some(session) = session else {
            return;
        };
        self.sessions.remove(&session);
        self.show(Action::Refuse {
            session,
            why: "this agent was declared gone; give it an empty data folder to join as a new one"
                .into(),
            again: false,
        });
        self.observe(Observation::Session(agent, false));
    }

    /// Agents that are gone, and of which no task is left, are forgotten; not before the turns have ended
    /// that may launch there yet.
    pub(crate) fn forget_leavers(&mut self) {
        if self.leavers.is_empty() {
            return;
        }
        let over: Vec<AgentId> = self
            .leavers
            .iter()
            .filter(|agent| {
                let known = self.state.agents.get(agent);
                let mut leases = self.turns.values().flat_map(|turn| &turn.leases);
                known.is_none_or(|known| known.runs.is_empty())
                    && !leases.any(|lease| lease.agent == **agent)
            })
            .copied()
            .collect();
        for agent in over {
            self.leavers.remove(&agent);
            self.links.remove(&agent);
            if self.state.agents.contains_key(&agent) {
                self.record(Record::AgentRemoved(agent));
            }
        }
    }
}
