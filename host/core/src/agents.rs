//! Agents: joining, leaving, being silent, and what they have free.

use crate::action::{Action, Observation};
use crate::cluster::{Cluster, Deadline, Link};
use crate::record::{AgentRecord, ClusterRecord, Record, StatusRecord};
use crate::state::AgentState;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentFacts, AgentId, AgentInfo, Instant, PortSet, Reason, Resources, Run, SessionId, Status,
    TaskState, check_name,
};

/// Attributes that one agent may report.
const ATTRIBUTES_MAX: usize = 256;
/// All texts that one agent reports together, in bytes.
const FACTS_TEXT_BYTES_MAX: usize = 64 << 10;
/// In milliseconds.
const MINUTE_MS: u64 = 60_000;
/// Runs that the master does not know, remembered for one agent.
const FOREIGN_MAX: usize = 1_000;

impl Cluster {
    pub(crate) fn on_agent_connected(
        &mut self,
        session: SessionId,
        facts: AgentFacts,
        runs: Vec<(Run, u64, Status)>,
    ) {
        if let Some(problem) = invalid_facts(&facts) {
            return self.refuse_agent(session, problem, false);
        }
        if self.state.gone_identities.contains(facts.identity.as_str()) {
            let why = format!(
                "agent {} was declared gone; give it an empty data folder to join as a new one",
                facts.identity
            );
            return self.refuse_agent(session, why, false);
        }
        let known = self.state.identities.get(facts.identity.as_str()).copied();
        if let Some(problem) = self.invalid_configuration(known, &facts) {
            return self.refuse_agent(session, problem, true);
        }
        if let Some(agent) = known
            && self
                .links
                .get(&agent)
                .is_some_and(|link| link.session.is_some())
        {
            let why = format!(
                "agent {} already has a session; a second one is refused while the first lives",
                facts.identity
            );
            return self.refuse_agent(session, why, true);
        }
        let agent = self.admit(known, facts);
        self.sessions.insert(session, agent);
        let link = self.links.entry(agent).or_default();
        link.session = Some(session);
        link.silent_at = None;
        link.foreign.clear();
        let term = self.state.cluster.term;
        self.show(Action::Welcome {
            session,
            agent,
            term,
        });
        self.observe(Observation::Session(agent, true));
        self.reserve_by_configuration(agent);
        self.send_all_volumes(agent);
        self.reconcile(agent, session, runs);
        self.agent_improved(agent);
        self.agent_reservations_improved(agent);
    }

    fn refuse_agent(&mut self, session: SessionId, why: String, again: bool) {
        self.show(Action::Refuse {
            session,
            why,
            again,
        });
    }

    /// Records who has joined, if that is news.
    fn admit(&mut self, known: Option<AgentId>, facts: AgentFacts) -> AgentId {
        let id = known.unwrap_or_else(|| {
            let id = AgentId(self.state.cluster.last_agent.0 + 1);
            self.record(Record::Cluster(ClusterRecord {
                last_agent: id,
                ..self.state.cluster.clone()
            }));
            id
        });
        let old = self
            .state
            .agents
            .get(&id)
            .map(|agent| Arc::clone(&agent.record));
        let same = old
            .as_ref()
            .filter(|old| old.info.facts == facts)
            .map(|old| Arc::clone(&old.info));
        let changed = same.is_none();
        let leaving_at = old.as_ref().and_then(|old| old.info.leaving_at);
        let info = || {
            Arc::new(AgentInfo {
                id,
                facts,
                leaving_at,
            })
        };
        let record = AgentRecord {
            info: same.unwrap_or_else(info),
            joined: old.as_ref().map_or(self.now, |old| old.joined),
            silent_since: None,
            leaving: old.as_ref().and_then(|old| old.leaving.clone()),
        };
        if old.as_deref() != Some(&record) {
            self.record(Record::Agent(Arc::new(record)));
        }
        if changed && old.is_some() {
            self.tell_of_change(id);
        }
        id
    }

    /// What the agent keeps against what the master knows.
    fn reconcile(&mut self, agent: AgentId, session: SessionId, runs: Vec<(Run, u64, Status)>) {
        let reported: BTreeMap<Run, (u64, Status)> = runs
            .into_iter()
            .map(|(run, sequence, status)| (run, (sequence, status)))
            .collect();
        let known: Vec<Run> = self
            .state
            .agents
            .get(&agent)
            .map_or_else(Vec::new, |a| a.runs.iter().copied().collect());
        for run in &known {
            let Some(task) = self.state.task(*run).cloned() else {
                continue;
            };
            match reported.get(run) {
                Some((sequence, status)) => {
                    self.take_status(session, *run, *sequence, status.clone(), true)
                }
                None if task.status.state.is_final() => {}
                None if task.sequence == 0 => self.relaunch(session, *run),
                None => {
                    let status = Status::new(TaskState::Lost, self.now).because(
                        Reason::AgentForgot,
                        "the agent came back without any trace of the task",
                    );
                    self.set_status(*run, task.sequence, status);
                }
            }
            if self
                .state
                .task(*run)
                .is_some_and(|t| !t.status.state.is_final() && t.kill.is_some())
            {
                self.send_kill(*run);
            }
        }
        for (run, (sequence, status)) in reported {
            if self.state.runs.contains_key(&run) {
                continue;
            }
            // Nothing here knows it: it may be from before a restored backup. It is listed, not killed.
            if status.state.is_final() {
                self.show(Action::Acknowledge {
                    session,
                    run,
                    sequence,
                });
            } else if let Some(link) = self.links.get_mut(&agent)
                && link.foreign.len() < FOREIGN_MAX
            {
                link.foreign.insert(run, status);
            }
        }
    }

    /// The agent never had it: it is still to be started, unless its end was asked for meanwhile.
    fn relaunch(&mut self, session: SessionId, run: Run) {
        let Some(task) = self.state.task(run).cloned() else {
            return;
        };
        if task.status.state == TaskState::Unreachable {
            self.set_status(
                run,
                0,
                Status::new(TaskState::Pending, self.now).because(Reason::AgentReturned, ""),
            );
        }
        if task.kill.is_none() {
            self.send_launch(session, &[task]);
        }
    }

    pub(crate) fn on_agent_disconnected(&mut self, session: SessionId) {
        let Some(agent) = self.sessions.remove(&session) else {
            return;
        };
        if let Some(link) = self.links.get_mut(&agent) {
            link.session = None;
        }
        self.withdraw(agent);
        self.unclaim(agent);
        self.observe(Observation::Session(agent, false));
        self.await_silence(agent);
    }

    /// When the next agent may be declared silent, if too many have been within a minute.
    fn too_many_silent(&mut self) -> Option<Instant> {
        while let Some(first) = self.silenced.front()
            && self.now.since_ms(*first) >= MINUTE_MS
        {
            self.silenced.pop_front();
        }
        let full = self.silenced.len() as u64 >= self.limits.agents_silent_per_minute_max.max(1);
        let first = self.silenced.front().filter(|_| full)?;
        Some(first.after_ms(MINUTE_MS))
    }

    pub(crate) fn await_silence(&mut self, agent: AgentId) {
        let at = self.now.after_ms(self.limits.agent_silent_ms);
        self.links.entry(agent).or_default().silent_at = Some(at);
        self.deadlines.insert((at, Deadline::Silent(agent)));
    }

    pub(crate) fn on_agent_silent(&mut self, id: AgentId) {
        let Some(known) = self.state.agents.get(&id).map(|a| Arc::clone(&a.record)) else {
            return;
        };
        // It may have come back since, and left again: then a later deadline stands.
        let due = self
            .links
            .get(&id)
            .and_then(|link| link.silent_at)
            .is_some_and(|at| at <= self.now);
        if !due || known.silent_since.is_some() || known.is_gone() {
            return;
        }
        if let Some(later) = self.too_many_silent() {
            // A rack, or the master's own network, rather than an agent: not all at once.
            if let Some(link) = self.links.get_mut(&id) {
                link.silent_at = Some(later);
            }
            self.deadlines.insert((later, Deadline::Silent(id)));
            return;
        }
        self.silenced.push_back(self.now);
        let record = AgentRecord {
            silent_since: Some(self.now),
            ..AgentRecord::clone(&known)
        };
        let runs: Vec<Run> = self
            .state
            .agents
            .get(&id)
            .map_or_else(Vec::new, |agent| agent.runs.iter().copied().collect());
        let message = format!(
            "agent {} has been silent for {} ms",
            record.info.facts.hostname, self.limits.agent_silent_ms
        );
        self.record(Record::Agent(Arc::new(record)));
        for run in runs {
            let Some(task) = self.state.task(run).filter(|t| !t.status.state.is_final()) else {
                continue;
            };
            let sequence = task.sequence;
            let status = Status::new(TaskState::Unreachable, self.now)
                .because(Reason::AgentSilent, message.clone());
            self.set_status(run, sequence, status);
        }
    }

    /// What a turn could be offered of an agent now; none if it has no session.
    pub(crate) fn free(&self, id: AgentId) -> Option<Resources> {
        free_of(self.state.agents.get(&id)?, self.links.get(&id)?)
    }

    /// The ports that a turn could be offered.
    pub(crate) fn free_ports(&self, id: AgentId) -> PortSet {
        let (Some(agent), Some(link)) = (self.state.agents.get(&id), self.links.get(&id)) else {
            return PortSet::default();
        };
        let mut free = agent.record.info.facts.port_set.clone();
        for port in agent.ports_used.iter().chain(link.ports_leased.iter()) {
            free.remove(port);
        }
        free
    }

    /// The session through which an agent can be reached.
    pub(crate) fn session_of(&self, agent: AgentId) -> Option<SessionId> {
        self.links.get(&agent)?.session
    }

    /// An agent's runs that the master does not know.
    #[must_use]
    pub fn foreign_runs(&self, agent: AgentId) -> Option<&BTreeMap<Run, Status>> {
        self.links.get(&agent).map(|link| &link.foreign)
    }
}

/// As [`Cluster::free`].
pub(crate) fn free_of(agent: &AgentState, link: &Link) -> Option<Resources> {
    link.session?;
    if agent.record.leaving.is_some() {
        return None;
    }
    let mut free = agent.record.info.facts.total.clone();
    free.take(&agent.used);
    free.take(&link.leased);
    Some(free)
}

/// What is wrong with an agent's facts, which are not trusted more than a guest's.
fn invalid_facts(facts: &AgentFacts) -> Option<String> {
    if let Err(error) = check_name(&facts.identity) {
        return Some(format!("identity: {error}"));
    }
    if facts.hostname.is_empty() || facts.address.is_empty() {
        return Some("hostname and address may not be empty".into());
    }
    if let Some(kind) = facts.total.invalid() {
        return Some(format!("total.{kind} is out of range"));
    }
    if facts.total.ports != facts.port_set.len() {
        return Some("total.ports is not the number of ports in port_set".into());
    }
    if facts.attributes.len() > ATTRIBUTES_MAX {
        return Some(format!(
            "at most {ATTRIBUTES_MAX} attributes, not {}",
            facts.attributes.len()
        ));
    }
    let text = |value: &mezzo_types::AttributeValue| match value {
        mezzo_types::AttributeValue::Text(text) => text.len(),
        mezzo_types::AttributeValue::NumberMilli(_) => 0,
    };
    let bytes = facts.hostname.len()
        + facts.address.len()
        + facts
            .attributes
            .iter()
            .map(|a| a.name.len() + text(&a.value))
            .sum::<usize>();
    if bytes > FACTS_TEXT_BYTES_MAX {
        return Some(format!(
            "at most {FACTS_TEXT_BYTES_MAX} bytes of text, not {bytes}"
        ));
    }
    let twice = facts
        .attributes
        .windows(2)
        .find(|pair| pair[0].name >= pair[1].name);
    twice.map(|pair| {
        format!(
            "attributes: {:?} must come once, and sorted by name",
            pair[1].name
        )
    })
}

impl Cluster {
    /// Decides a status of a run that differs from what is known.
    pub(crate) fn set_status(&mut self, run: Run, sequence: u64, status: Status) {
        self.record(Record::Status(
            run,
            StatusRecord {
                sequence,
                status,
                handled: false,
            },
        ));
        self.status_changed(run);
    }
}
