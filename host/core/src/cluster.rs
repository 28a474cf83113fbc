//! The cluster and its step: one event in, records and actions out.
//!
//! Owns the order of things within a step and what lives only as long as a leadership. What an
//! event means stands in the entity's own file.

use crate::action::{Action, Answer, Observation, Refused, RefusedKind};
use crate::claims::Claim;
use crate::event::{Event, Install, Request, Reserve};
use crate::fairness::Excluded;
use crate::framework::Host;
use crate::held::Held;
use crate::limits::ClusterLimits;
use crate::record::{Batch, ClusterRecord, FORMAT, FrameworkRecord, Header, Record};
use crate::shares::Shares;
use crate::state::{self, CorruptRecord, State};
use crate::turns::Running;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentId, BatchId, FrameworkId, Instant, PortSet, RequestId, ReservationId, Resources, Run,
    SessionId, Status, Term, TurnId,
};

/// Numbers are made durable in blocks of so many, so that a turn need not write for them.
const NUMBERS_BLOCK: u64 = 1 << 24;
/// The clock may run ahead by at most so much in one step, in milliseconds: a machine whose clock was
/// wrong for a moment must not make every agent silent.
const CLOCK_JUMP_MS_MAX: u64 = 3_600_000;
/// Room for so many actions is kept from step to step; more, of a rare large step, is given back.
const ACTIONS_KEPT: usize = 1_024;

/// News begin here: a framework that has looked at nothing stands before it.
pub(crate) const FIRST_NEWS: u64 = 1;

/// The state machine. See the crate's page for where to find what.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) state: State,
    pub(crate) limits: ClusterLimits,
    pub(crate) now: Instant,
    pub(crate) last_batch: BatchId,
    pub(crate) next_number: u64,
    /// Of this step.
    pub(crate) records: Vec<Record>,
    /// Of this step, to be released when its records are durable.
    pub(crate) visible: Vec<Action>,
    /// Of this step, to be done at once.
    pub(crate) immediate: Vec<Action>,
    pub(crate) sessions: BTreeMap<SessionId, AgentId>,
    pub(crate) links: BTreeMap<AgentId, Link>,
    pub(crate) hosts: BTreeMap<FrameworkId, Host>,
    pub(crate) turns: BTreeMap<TurnId, Running>,
    /// Of them, those of frameworks that counted as heavy when they began.
    pub(crate) turns_heavy: usize,
    /// Installs that wait for their first turn.
    pub(crate) installs: VecDeque<(RequestId, Box<FrameworkRecord>)>,
    /// The names of installs that wait for their first turn or for its end.
    pub(crate) in_trial: BTreeSet<Arc<str>>,
    pub(crate) deadlines: BTreeSet<(Instant, Deadline)>,
    pub(crate) queue: Queue,
    pub(crate) shares: Shares,
    /// Counts what agents have had to offer that was new.
    pub(crate) news: u64,
    /// Agents with something to give, by where they stand.
    pub(crate) offerable: BTreeMap<u64, AgentId>,
    /// Agents that would have something if it were not leased, by where they stood.
    pub(crate) hidden: BTreeMap<u64, AgentId>,
    /// Free and not leased, on all agents together.
    pub(crate) free_total: [u64; 5],
    /// Which of a framework's demands quota holds back.
    pub(crate) held: Held,
    /// Reservations that running turns were offered, and the frameworks that wait for each.
    pub(crate) lent: BTreeMap<ReservationId, BTreeSet<FrameworkId>>,
    /// What is held before there is a turn for it.
    pub(crate) claims: Vec<Claim>,
    /// Frameworks that are to look at a reservation, or have a claim that is complete.
    pub(crate) reserving: BTreeSet<FrameworkId>,
    /// What a look at each agent needs first, by the agent's number.
    pub(crate) spots: Vec<Spot>,
    /// Hidden agents up to here may have been passed over.
    pub(crate) passed: u64,
    /// Agents that are gone and whose tasks are not all forgotten.
    pub(crate) leavers: BTreeSet<AgentId>,
    /// When agents were declared silent, within the last minute.
    pub(crate) silenced: VecDeque<Instant>,
}

/// What lasts as long as this leadership of an agent.
#[derive(Debug, Default)]
pub struct Link {
    /// Its session, while it has one.
    pub session: Option<SessionId>,
    /// When it counts as silent, while it has none.
    pub silent_at: Option<Instant>,
    /// When it last had more to give, or changed, in the order of all news.
    pub improved: u64,
    /// Where it stands among the agents that have something to give.
    pub shown: u64,
    /// Whether somebody has passed over it while it was hidden.
    pub missed: bool,
    /// Frameworks that would have fitted on what was leased of it.
    pub waiting: BTreeSet<FrameworkId>,
    /// In offers of running turns.
    pub leased: Resources,
    /// In offers of running turns.
    pub ports_leased: PortSet,
    /// Runs that it keeps and the master does not know.
    pub foreign: BTreeMap<Run, Status>,
}

/// An agent at a glance: most looks end here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spot {
    /// What it would have free if nothing of it were leased, of the resources with fields of their own.
    pub unleased: [u64; 5],
    /// What of it is not leased.
    pub free: [u64; 5],
    /// As in [`Link`].
    pub improved: u64,
}

/// Who waits for what.
#[derive(Debug, Default)]
pub struct Queue {
    /// Frameworks with something to be told, least CPU used first.
    pub ready: BTreeSet<(u64, FrameworkId)>,
    /// Whose turn it is when both wait: the one with events, or the one next in fairness.
    pub offers_next: bool,
}

/// What a deadline is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    /// A framework's instance may be started.
    Restart(FrameworkId),
    /// A framework's timer fires.
    Timer(FrameworkId, Arc<str>),
    /// An agent has been without a session for long enough.
    Silent(AgentId),
    /// A framework that asked too soon sees again what it has seen.
    Revive(FrameworkId),
    /// A drained agent's tasks are to end.
    Drain(AgentId),
    /// A reservation ends, unless something uses it.
    Reservation(ReservationId),
    /// A claim that is not complete ends.
    Claim(FrameworkId),
    /// A framework's gangs may be tried again.
    Gang(FrameworkId),
    /// A framework that still waits takes back what it may.
    Preempt(FrameworkId),
}

impl Cluster {
    /// A cluster from its records, in any order.
    pub fn restore(
        records: impl Iterator<Item = Record>,
        limits: ClusterLimits,
    ) -> Result<Cluster, CorruptRecord> {
        let mut records: Vec<Record> = records.collect();
        state::sort(&mut records);
        let mut state = State::default();
        for record in &records {
            state.apply(record)?;
        }
        let mut shares = Shares::new(Excluded::new(&limits.fairness_excluded));
        for (name, role) in &state.roles {
            shares.set_role(name, role.weight, role.quota.as_ref());
        }
        for (id, framework) in &state.frameworks {
            shares.add(*id, &framework.record.role);
            shares.charge(*id, &framework.used);
        }
        for (id, role) in &state.reservations {
            if let Some(known) = state.reservation(*id) {
                let above = state.role_of(known.record.within)?;
                shares.charge_role(role, above.as_deref(), &known.record.amount);
            }
        }
        Ok(Cluster {
            shares,
            news: FIRST_NEWS,
            offerable: BTreeMap::new(),
            hidden: BTreeMap::new(),
            free_total: [0; 5],
            held: Held::default(),
            lent: BTreeMap::new(),
            reserving: BTreeSet::new(),
            claims: Vec::new(),
            spots: Vec::new(),
            passed: 0,
            // 0 stands for none where a number travels without a word for that.
            next_number: state.cluster.numbers_below.max(1),
            state,
            limits,
            now: Instant(0),
            last_batch: BatchId(0),
            records: Vec::new(),
            visible: Vec::new(),
            immediate: Vec::new(),
            sessions: BTreeMap::new(),
            links: BTreeMap::new(),
            hosts: BTreeMap::new(),
            turns: BTreeMap::new(),
            turns_heavy: 0,
            installs: VecDeque::new(),
            in_trial: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            queue: Queue::default(),
            leavers: BTreeSet::new(),
            silenced: VecDeque::new(),
        })
    }

    /// Takes one event in and says what is to be done. Never fails, never blocks, and does bounded
    /// work.
    pub fn step(&mut self, now: Instant, event: Event, out: &mut Vec<Action>) {
        if self.now.0 > 0 {
            self.now = now.max(self.now).min(self.now.after_ms(CLOCK_JUMP_MS_MAX));
        } else {
            self.now = now;
        }
        let (principal, cause) = origin(&event, self);
        self.on(event);
        self.fire_deadlines();
        self.forget_leavers();
        self.start_turns();
        self.flush(principal, cause, out);
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Led { name, last_batch } => self.on_led(&name, last_batch),
            Event::Tick => {}
            Event::AgentConnected {
                session,
                facts,
                runs,
            } => self.on_agent_connected(session, facts, runs),
            Event::AgentDisconnected(session) => self.on_agent_disconnected(session),
            Event::StatusReported {
                session,
                run,
                sequence,
                status,
            } => {
                self.on_status_reported(session, run, sequence, status);
            }
            Event::KillUnknown(session, run) => self.on_kill_unknown(session, run),
            Event::VolumeReported {
                session,
                reservation,
                volume,
                exists,
            } => self.on_volume_reported(session, reservation, &volume, exists),
            Event::TurnEnded {
                turn,
                result,
                cpu_us,
            } => self.on_turn_ended(turn, result, cpu_us),
            Event::Asked(id, request) => self.on_asked(id, request),
            Event::RequestGone(id) => self.on_request_gone(id),
        }
    }

    fn on_asked(&mut self, id: RequestId, request: Request) {
        match request {
            Request::Install(install) => self.on_install(id, install),
            Request::Upgrade(upgrade) => self.on_upgrade(id, upgrade),
            Request::Restart { framework, .. } => self.on_restart(id, &framework),
            Request::Resume {
                framework, skip, ..
            } => self.on_resume(id, &framework, skip),
            Request::Remove { framework, .. } => self.on_remove(id, &framework),
            Request::KillTask {
                framework,
                task,
                grace_ms,
                ..
            } => self.on_kill_task(id, &framework, &task, grace_ms),
            Request::ChangeAgent {
                agent,
                change,
                principal,
            } => self.on_change_agent(id, agent, change, principal),
            Request::SetRole { role, change, .. } => self.on_set_role(id, &role, change),
            Request::RemoveRole { role, .. } => self.on_remove_role(id, &role),
            Request::Reserve(reserve) => self.on_reserve(id, reserve),
            Request::Unreserve { reservation, .. } => self.on_unreserve(id, reservation),
            Request::CreateVolume {
                reservation,
                name,
                size_bytes,
                ..
            } => self.on_create_volume(id, reservation, &name, size_bytes),
            Request::DestroyVolume {
                reservation, name, ..
            } => self.on_destroy_volume(id, reservation, &name),
            Request::SetPrincipal {
                name, token_sha256, ..
            } => self.on_set_principal(id, &name, token_sha256),
            Request::Explain { framework, demand } => {
                self.on_explain(id, &framework, demand.as_deref())
            }
            Request::Web { framework, request } => self.on_web_request(id, &framework, request),
        }
    }

    /// Takes the lead: a new term, every instance to be started, every agent awaited.
    fn on_led(&mut self, name: &str, last_batch: BatchId) {
        self.last_batch = last_batch;
        let old = &self.state.cluster;
        let name = if old.name.is_empty() {
            Arc::from(name)
        } else {
            Arc::clone(&old.name)
        };
        let cluster = ClusterRecord {
            name,
            term: Term(old.term.0 + 1),
            ..old.clone()
        };
        self.record(Record::Cluster(cluster));
        let agents: Vec<_> = self
            .state
            .agents
            .values()
            .map(|a| Arc::clone(&a.record))
            .collect();
        for agent in agents {
            let id = agent.info.id;
            if agent.is_gone() {
                self.leavers.insert(id);
                continue;
            }
            self.links.insert(id, Link::default());
            self.await_silence(id);
            if let Some(at) = agent.info.leaving_at {
                self.deadlines.insert((at, Deadline::Drain(id)));
            }
        }
        self.await_reservations();
        for framework in self.state.frameworks.keys().copied().collect::<Vec<_>>() {
            self.revive_host(framework);
        }
    }

    /// When to step with [`Event::Tick`] if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn fire_deadlines(&mut self) {
        while let Some((at, _)) = self.deadlines.first()
            && *at <= self.now
            && let Some((_, deadline)) = self.deadlines.pop_first()
        {
            match deadline {
                Deadline::Restart(framework) => self.touch(framework),
                Deadline::Timer(framework, name) => self.on_timer_due(framework, name),
                Deadline::Silent(agent) => self.on_agent_silent(agent),
                Deadline::Revive(framework) => self.on_revive_due(framework),
                Deadline::Drain(agent) => self.on_drain_due(agent),
                Deadline::Reservation(id) => self.on_reservation_due(id),
                Deadline::Claim(framework) => self.on_claim_due(framework),
                Deadline::Gang(framework) => self.on_gang_due(framework),
                Deadline::Preempt(framework) => self.on_preempt_due(framework),
            }
        }
    }

    /// Decides a durable fact: it holds from here on in this step, and for everyone once its batch is
    /// durable.
    pub(crate) fn record(&mut self, record: Record) {
        let freed = self.frees(&record);
        let was_reserved = match &record {
            Record::Reservation(new) => self.state.reservations.contains_key(&new.id),
            _ => false,
        };
        if let Record::ReservationRemoved(id) = &record
            && let Some(gone) = self.state.reservation(*id).map(|r| Arc::clone(&r.record))
        {
            let above = self.role_above(gone.within);
            self.shares
                .discharge_role(&gone.role, above.as_deref(), &gone.amount);
        }
        if let Err(error) = self.state.apply(&record) {
            // The core wrote a record that its own state contradicts: going on would make the
            // contradiction durable.
            panic!("the core contradicts itself: {error}");
        }
        match &record {
            Record::Task(task) => self.shares.charge(task.framework, &task.charged()),
            Record::Reservation(new) if !was_reserved => {
                let above = self.role_above(new.within);
                self.shares
                    .charge_role(&new.role, above.as_deref(), &new.amount);
            }
            Record::Role(role) => {
                self.shares
                    .set_role(&role.name, role.weight, role.quota.as_ref())
            }
            Record::RoleRemoved(role) => self.shares.set_role(role, 1, None),
            Record::Framework(framework) => self.shares.add(framework.id, &framework.role),
            Record::FrameworkRemoved(id) => self.shares.remove(*id),
            _ => {}
        }
        if let Some(task) = freed {
            self.shares
                .discharge(task.record.framework, &task.record.charged());
        }
        self.records.push(record);
    }

    /// The role of the reservation that one is a part of.
    fn role_above(&self, within: Option<ReservationId>) -> Option<Arc<str>> {
        self.state.reservations.get(&within?).cloned()
    }

    /// The task that a record ends, if it ends one.
    fn frees(&self, record: &Record) -> Option<Arc<crate::turn::Task>> {
        let Record::Status(run, status) = record else {
            return None;
        };
        let task = self.state.task(*run)?;
        let ends = status.status.state.is_final() && !task.status.state.is_final();
        ends.then(|| Arc::clone(task))
    }

    /// Does something that others can see; it waits for this step's records.
    pub(crate) fn show(&mut self, action: Action) {
        self.visible.push(action);
    }

    /// Ends this step: its records as one batch, then what rests on them.
    fn flush(&mut self, principal: Arc<str>, cause: &'static str, out: &mut Vec<Action>) {
        if !self.records.is_empty() {
            self.last_batch = BatchId(self.last_batch.0 + 1);
            let header = Header {
                format: FORMAT,
                term: self.state.cluster.term,
                at: self.now,
                principal,
                cause: Arc::from(cause),
            };
            let records = core::mem::take(&mut self.records);
            out.push(Action::Commit(Batch {
                id: self.last_batch,
                header,
                records,
            }));
        }
        out.append(&mut self.immediate);
        out.append(&mut self.visible);
        self.immediate.shrink_to(ACTIONS_KEPT);
        self.visible.shrink_to(ACTIONS_KEPT);
    }

    /// `count` numbers that were never used, the first of them.
    pub(crate) fn take_numbers(&mut self, count: u64) -> u64 {
        let first = self.next_number;
        self.next_number += count;
        if self.next_number > self.state.cluster.numbers_below {
            let numbers_below = self.next_number + NUMBERS_BLOCK;
            self.record(Record::Cluster(ClusterRecord {
                numbers_below,
                ..self.state.cluster.clone()
            }));
        }
        first
    }

    pub(crate) fn reply(&mut self, id: RequestId, answer: Answer) {
        self.show(Action::Reply(id, answer));
    }

    pub(crate) fn refuse(&mut self, id: RequestId, kind: RefusedKind, message: impl Into<String>) {
        self.reply(
            id,
            Answer::Refused(Refused {
                kind,
                message: message.into(),
            }),
        );
    }

    /// The framework of that name, or a refusal of the request.
    pub(crate) fn named(&mut self, id: RequestId, name: &str) -> Option<FrameworkId> {
        let found = self.state.names.get(name).copied();
        if found.is_none() {
            let message = format!(
                "there is no framework {name:?}; `mezzo framework ls` lists those there are"
            );
            self.refuse(id, RefusedKind::NotFound, message);
        }
        found
    }

    fn on_set_principal(&mut self, id: RequestId, name: &str, token_sha256: Option<String>) {
        if let Err(error) = mezzo_types::check_name(name) {
            return self.refuse(id, RefusedKind::Invalid, format!("principal: {error}"));
        }
        if token_sha256.is_none() && !self.state.principals.contains_key(name) {
            return self.refuse(
                id,
                RefusedKind::NotFound,
                format!("there is no principal {name:?}"),
            );
        }
        let created = self.now;
        let principal = token_sha256.map(|token| crate::record::PrincipalRecord {
            token_sha256: Arc::from(token),
            created,
        });
        self.record(Record::Principal(Arc::from(name), principal));
        self.reply(id, Answer::Done);
    }

    pub(crate) fn observe(&mut self, observation: Observation) {
        self.show(Action::Observe(observation));
    }

    /// The durable state: what has been decided, also if it is still on its way to the disk.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}

/// The largest weight of a role.
pub const WEIGHT_MAX: u32 = 1_000_000;

/// Who is behind an event and what it is called in the audit log.
fn origin(event: &Event, cluster: &Cluster) -> (Arc<str>, &'static str) {
    let master = || Arc::from("master");
    let agent = |session: &SessionId| match cluster.sessions.get(session) {
        Some(agent) => Arc::from(format!("agent/{agent}")),
        None => Arc::from("agent"),
    };
    match event {
        Event::Led { .. } => (master(), "led"),
        Event::Tick => (master(), "tick"),
        Event::AgentConnected { .. } => (Arc::from("agent"), "agent-connected"),
        Event::AgentDisconnected(session) => (agent(session), "agent-disconnected"),
        Event::StatusReported { session, .. } => (agent(session), "status-reported"),
        Event::KillUnknown(session, _) => (agent(session), "kill-unknown"),
        Event::VolumeReported { session, .. } => (agent(session), "volume-reported"),
        Event::TurnEnded { turn, .. } => match cluster.turns.get(turn) {
            Some(running) => (
                Arc::from(format!("framework/{}", running.name)),
                "turn-ended",
            ),
            None => (master(), "turn-ended"),
        },
        Event::RequestGone(_) => (master(), "request-gone"),
        Event::Asked(_, request) => match request {
            Request::Install(Install { principal, .. }) => (Arc::clone(principal), "install"),
            Request::Upgrade(upgrade) => (Arc::clone(&upgrade.principal), "upgrade"),
            Request::Restart { principal, .. } => (Arc::clone(principal), "restart"),
            Request::Resume { principal, .. } => (Arc::clone(principal), "resume"),
            Request::Remove { principal, .. } => (Arc::clone(principal), "remove"),
            Request::KillTask { principal, .. } => (Arc::clone(principal), "kill-task"),
            Request::ChangeAgent { principal, .. } => (Arc::clone(principal), "change-agent"),
            Request::SetRole { principal, .. } => (Arc::clone(principal), "set-role"),
            Request::RemoveRole { principal, .. } => (Arc::clone(principal), "remove-role"),
            Request::Reserve(Reserve { principal, .. }) => (Arc::clone(principal), "reserve"),
            Request::Unreserve { principal, .. } => (Arc::clone(principal), "unreserve"),
            Request::CreateVolume { principal, .. } => (Arc::clone(principal), "create-volume"),
            Request::DestroyVolume { principal, .. } => (Arc::clone(principal), "destroy-volume"),
            Request::SetPrincipal { principal, .. } => (Arc::clone(principal), "set-principal"),
            Request::Explain { .. } => (master(), "explain"),
            Request::Web { .. } => (master(), "web-request"),
        },
    }
}
