//! The durable state, and the only way to change it: applying a record.
//!
//! Owns what follows from the records alone, sums included. `Cluster::step` uses it, recovery uses
//! it, and so will whoever follows a leader. What lives only as long as a leadership (sessions,
//! leases, instances) is kept beside it, in `cluster.rs`.

use crate::map::Map;
use crate::record::{
    AgentRecord, ClusterRecord, FrameworkRecord, GoneRecord, PrincipalRecord, Quota, Record,
    StatusRecord, TaskRecord,
};
pub use crate::reserved::Reservation;
use crate::turn::Task;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use mezzo_types::{
    AgentId, Demand, FrameworkId, Instant, PortSet, ReservationId, Resources, Run, Status, TaskId,
    TaskState,
};

/// A record that does not fit the ones before it: the store is damaged, or was written by a program
/// with a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptRecord(pub String);

impl fmt::Display for CorruptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the records contradict each other: {}", self.0)
    }
}

impl core::error::Error for CorruptRecord {}

/// Everything that is durable.
#[derive(Debug, Default)]
pub struct State {
    /// Name, term, used-up numbers.
    pub cluster: ClusterRecord,
    /// Every agent that ever joined and has not left for good.
    pub agents: BTreeMap<AgentId, AgentState>,
    /// By what they call themselves.
    pub identities: BTreeMap<Arc<str>, AgentId>,
    /// Agents that may never join again.
    pub gone: BTreeMap<AgentId, GoneRecord>,
    /// What they call themselves.
    pub gone_identities: BTreeSet<Arc<str>>,
    /// Roles that are in use or were spoken of.
    pub roles: BTreeMap<Arc<str>, RoleState>,
    /// Every installed framework.
    pub frameworks: BTreeMap<FrameworkId, FrameworkState>,
    /// By installed name.
    pub names: BTreeMap<Arc<str>, FrameworkId>,
    /// Where each run that is not forgotten is to be found.
    pub runs: BTreeMap<Run, (FrameworkId, TaskId)>,
    /// For which role each reservation is, where it is to be found.
    pub reservations: BTreeMap<ReservationId, Arc<str>>,
    /// Who may use the API.
    pub principals: BTreeMap<Arc<str>, PrincipalRecord>,
    /// What all agents have that are not gone.
    pub total: Resources,
    /// Preemptible tasks that have not ended, by where they run.
    pub preemptible_on: BTreeMap<AgentId, BTreeSet<Run>>,
    /// How many those are.
    pub preemptible: usize,
    /// Tasks that somebody has asked to end and that have not ended.
    pub dying: BTreeSet<Run>,
}

/// One agent.
#[derive(Debug)]
pub struct AgentState {
    /// As it last joined.
    pub record: Arc<AgentRecord>,
    /// Its address, shared by its tasks.
    pub address: Arc<str>,
    /// By tasks that have not ended, and by reservations.
    pub used: Resources,
    /// By tasks that have not ended.
    pub ports_used: PortSet,
    /// Runs that are not forgotten.
    pub runs: BTreeSet<Run>,
    /// What of it is kept for roles.
    pub reservations: BTreeSet<ReservationId>,
}

/// One role.
#[derive(Debug, Clone)]
pub struct RoleState {
    /// At least 1.
    pub weight: u32,
    /// What it is promised and held to.
    pub quota: Option<Quota>,
    /// By tasks of its frameworks, and of roles below it, that have not ended; and by what is
    /// reserved for it and them.
    pub used: Resources,
    /// Frameworks and roles directly below it, and its reservations.
    pub holds: usize,
    /// Its frameworks.
    pub frameworks: BTreeSet<FrameworkId>,
    /// What is kept for it.
    pub reservations: Map<ReservationId, Arc<Reservation>>,
    /// Whether an operator has spoken of it.
    pub spoken: bool,
}

/// One framework.
#[derive(Debug)]
pub struct FrameworkState {
    /// As installed.
    pub record: Arc<FrameworkRecord>,
    /// What it still wants.
    pub demands: Arc<Vec<Demand>>,
    /// When each fires.
    pub timers: Arc<BTreeMap<Arc<str>, Instant>>,
    /// Its keys and values.
    pub state: Map<Arc<str>, Arc<[u8]>>,
    /// Keys and values together, in bytes.
    pub state_bytes: u64,
    /// Its tasks that are not forgotten.
    pub tasks: Map<TaskId, Arc<Task>>,
    /// Their descriptions together, in bytes.
    pub tasks_bytes: u64,
    /// Runs whose status no committed turn has had.
    pub unhandled: BTreeSet<Run>,
    /// Its groups of tasks that are not forgotten.
    pub groups: BTreeMap<Arc<str>, Vec<Run>>,
    /// By its tasks that have not ended.
    pub used: Resources,
}

impl State {
    /// One of a run's framework's tasks.
    #[must_use]
    pub fn task(&self, run: Run) -> Option<&Arc<Task>> {
        let (framework, id) = self.runs.get(&run)?;
        self.frameworks.get(framework)?.tasks.get(id)
    }

    /// The framework of that installed name.
    #[must_use]
    pub fn framework_named(&self, name: &str) -> Option<&FrameworkState> {
        self.frameworks.get(self.names.get(name)?)
    }

    /// Takes a record in. An error means that the record cannot be true; the state is then of no
    /// further use.
    pub fn apply(&mut self, record: &Record) -> Result<(), CorruptRecord> {
        match record {
            Record::Cluster(cluster) => {
                self.cluster = cluster.clone();
                Ok(())
            }
            Record::Agent(agent) => {
                self.apply_agent(agent);
                Ok(())
            }
            Record::AgentRemoved(agent) => self.apply_agent_removed(*agent),
            Record::Gone(agent, gone) => {
                let old = match gone {
                    Some(gone) => {
                        self.gone_identities.insert(Arc::clone(&gone.identity));
                        self.gone.insert(*agent, gone.clone())
                    }
                    None => self.gone.remove(agent),
                };
                if let Some(old) = old.filter(|_| gone.is_none()) {
                    self.gone_identities.remove(&old.identity);
                }
                Ok(())
            }
            Record::Role(role) => {
                let known = self.role(&role.name);
                (known.weight, known.spoken) = (role.weight.max(1), true);
                known.quota.clone_from(&role.quota);
                Ok(())
            }
            Record::RoleRemoved(role) => {
                let known = self.role(role);
                (known.weight, known.quota, known.spoken) = (1, None, false);
                self.drop_role(role);
                Ok(())
            }
            Record::Framework(framework) => {
                self.apply_framework(framework);
                Ok(())
            }
            Record::FrameworkRemoved(id) => self.apply_framework_removed(*id),
            Record::Demands(id, demands) => {
                self.framework(*id)?.demands = Arc::clone(demands);
                Ok(())
            }
            Record::Timer(id, name, at) => {
                let timers = Arc::make_mut(&mut self.framework(*id)?.timers);
                match at {
                    Some(at) => timers.insert(Arc::clone(name), *at),
                    None => timers.remove(name),
                };
                Ok(())
            }
            Record::State(id, key, value) => {
                let framework = self.framework(*id)?;
                let old = match value {
                    Some(value) => {
                        framework.state_bytes += (key.len() + value.0.len()) as u64;
                        framework
                            .state
                            .insert(Arc::clone(key), Arc::clone(&value.0))
                    }
                    None => framework.state.remove(&**key),
                };
                framework.state_bytes -= old.map_or(0, |old| (key.len() + old.len()) as u64);
                Ok(())
            }
            Record::Reservation(reservation) => self.apply_reservation(reservation),
            Record::ReservationRemoved(id) => self.apply_reservation_removed(*id),
            Record::Task(task) => self.apply_task(task),
            Record::Status(run, status) => self.apply_status(*run, status),
            Record::Kill(run, kill) => {
                let task = self.task(*run);
                if task.is_some_and(|task| !task.status.state.is_final()) {
                    self.dying.insert(*run);
                }
                self.change_task(*run, |task| task.kill = Some(kill.clone()))
            }
            Record::TaskForgotten(run) => self.apply_task_forgotten(*run),
            Record::Principal(name, principal) => {
                match principal {
                    Some(principal) => self.principals.insert(Arc::clone(name), principal.clone()),
                    None => self.principals.remove(name),
                };
                Ok(())
            }
        }
    }

    fn apply_agent(&mut self, agent: &Arc<AgentRecord>) {
        let facts = &agent.info.facts;
        self.total.add(&of_the_total(agent));
        match self.agents.get_mut(&agent.info.id) {
            Some(known) => {
                self.total.take(&of_the_total(&known.record));
                known.record = Arc::clone(agent);
                if *known.address != facts.address {
                    known.address = Arc::from(facts.address.as_str());
                }
            }
            None => {
                self.identities
                    .insert(Arc::from(facts.identity.as_str()), agent.info.id);
                let state = AgentState {
                    record: Arc::clone(agent),
                    address: Arc::from(facts.address.as_str()),
                    used: Resources::NONE,
                    ports_used: PortSet::default(),
                    runs: BTreeSet::new(),
                    reservations: BTreeSet::new(),
                };
                self.agents.insert(agent.info.id, state);
            }
        }
    }

    fn apply_agent_removed(&mut self, id: AgentId) -> Result<(), CorruptRecord> {
        let Some(agent) = self.agents.get(&id) else {
            return Err(CorruptRecord(format!("agent {id} is removed, but unknown")));
        };
        if !agent.runs.is_empty() || !agent.reservations.is_empty() {
            return Err(CorruptRecord(format!(
                "agent {id} is removed, but has tasks or reservations"
            )));
        }
        self.total.take(&of_the_total(&agent.record));
        self.identities
            .remove(agent.record.info.facts.identity.as_str());
        self.agents.remove(&id);
        Ok(())
    }

    fn framework(&mut self, id: FrameworkId) -> Result<&mut FrameworkState, CorruptRecord> {
        self.frameworks
            .get_mut(&id)
            .ok_or_else(|| CorruptRecord(format!("there is no framework {id}")))
    }

    fn apply_framework(&mut self, record: &Arc<FrameworkRecord>) {
        if let Some(known) = self.frameworks.get_mut(&record.id) {
            known.record = Arc::clone(record);
            return;
        }
        let role = self.role(&record.role);
        role.holds += 1;
        role.frameworks.insert(record.id);
        self.names.insert(Arc::clone(&record.name), record.id);
        let state = FrameworkState {
            record: Arc::clone(record),
            demands: Arc::default(),
            timers: Arc::default(),
            state: Map::default(),
            state_bytes: 0,
            tasks: Map::default(),
            tasks_bytes: 0,
            unhandled: BTreeSet::new(),
            groups: BTreeMap::new(),
            used: Resources::NONE,
        };
        self.frameworks.insert(record.id, state);
    }

    fn apply_framework_removed(&mut self, id: FrameworkId) -> Result<(), CorruptRecord> {
        if !self.framework(id)?.tasks.is_empty() {
            return Err(CorruptRecord(format!(
                "framework {id} is removed, but has tasks"
            )));
        }
        if let Some(framework) = self.frameworks.remove(&id) {
            self.names.remove(&framework.record.name);
            let role = &framework.record.role;
            let known = self.role(role);
            known.holds -= 1;
            known.frameworks.remove(&id);
            self.drop_role(role);
        }
        Ok(())
    }

    fn apply_task(&mut self, record: &Arc<TaskRecord>) -> Result<(), CorruptRecord> {
        let run = record.run;
        let agent = self.agents.get_mut(&record.agent).ok_or_else(|| {
            CorruptRecord(format!(
                "run {run} is on agent {}, which is unknown",
                record.agent
            ))
        })?;
        let framework = self.frameworks.get_mut(&record.framework).ok_or_else(|| {
            CorruptRecord(format!(
                "run {run} is of framework {}, which is unknown",
                record.framework
            ))
        })?;
        if self
            .runs
            .insert(run, (record.framework, record.id().clone()))
            .is_some()
        {
            return Err(CorruptRecord(format!("run {run} is launched twice")));
        }
        framework.tasks_bytes += record.spec.bytes();
        let task = Task {
            record: Arc::clone(record),
            address: Arc::clone(&agent.address),
            status: Status::new(TaskState::Pending, record.launched),
            sequence: 0,
            handled: true,
            kill: None,
        };
        if framework
            .tasks
            .insert(record.id().clone(), Arc::new(task))
            .is_some()
        {
            return Err(CorruptRecord(format!(
                "task {} of framework {} is launched twice",
                record.id(),
                record.framework
            )));
        }
        if let Some(group) = &record.group {
            framework
                .groups
                .entry(Arc::clone(group))
                .or_default()
                .push(run);
        }
        agent.runs.insert(run);
        for port in &record.ports {
            agent.ports_used.insert(port.number);
        }
        let charged = record.charged();
        agent.used.add(&charged);
        framework.used.add(&charged);
        let role = Arc::clone(&framework.record.role);
        self.change_used(&role, None, |used| used.add(&charged));
        self.use_reservation(record);
        if record.spec.preemptible {
            self.preemptible_on
                .entry(record.agent)
                .or_default()
                .insert(run);
            self.preemptible += 1;
        }
        Ok(())
    }

    fn apply_status(&mut self, run: Run, status: &StatusRecord) -> Result<(), CorruptRecord> {
        let task = self
            .task(run)
            .ok_or_else(|| CorruptRecord(format!("a status of run {run}, which is unknown")))?;
        let (was_final, is_final) = (task.status.state.is_final(), status.status.state.is_final());
        if was_final && (!is_final || task.status != status.status) {
            return Err(CorruptRecord(format!(
                "run {run} has ended, and changes its state"
            )));
        }
        let record = Arc::clone(&task.record);
        if is_final && !was_final {
            self.release(&record);
        }
        if let Some(framework) = self.frameworks.get_mut(&record.framework) {
            if status.handled {
                framework.unhandled.remove(&run)
            } else {
                framework.unhandled.insert(run)
            };
        }
        self.change_task(run, |task| {
            task.status.clone_from(&status.status);
            task.sequence = status.sequence;
            task.handled = status.handled;
        })
    }

    /// A task has ended: what it used is free again.
    fn release(&mut self, record: &TaskRecord) {
        let charged = record.charged();
        if let Some(agent) = self.agents.get_mut(&record.agent) {
            agent.used.take(&charged);
            for port in &record.ports {
                agent.ports_used.remove(port.number);
            }
        }
        if let Some(framework) = self.frameworks.get_mut(&record.framework) {
            framework.used.take(&charged);
            let role = Arc::clone(&framework.record.role);
            self.change_used(&role, None, |used| {
                let _ = used.take(&charged);
            });
        }
        self.leave_reservation(record);
        self.dying.remove(&record.run);
        if record.spec.preemptible {
            self.preemptible -= 1;
            if let Some(runs) = self.preemptible_on.get_mut(&record.agent) {
                runs.remove(&record.run);
                if runs.is_empty() {
                    self.preemptible_on.remove(&record.agent);
                }
            }
        }
    }

    fn change_task(
        &mut self,
        run: Run,
        change: impl FnOnce(&mut Task),
    ) -> Result<(), CorruptRecord> {
        let unknown = || CorruptRecord(format!("run {run} is unknown"));
        let (framework, id) = self.runs.get(&run).ok_or_else(unknown)?;
        let framework = self.frameworks.get_mut(framework).ok_or_else(unknown)?;
        let mut task = Task::clone(framework.tasks.get(id).ok_or_else(unknown)?);
        change(&mut task);
        framework.tasks.insert(id.clone(), Arc::new(task));
        Ok(())
    }

    fn apply_task_forgotten(&mut self, run: Run) -> Result<(), CorruptRecord> {
        let task = Arc::clone(
            self.task(run)
                .ok_or_else(|| CorruptRecord(format!("run {run} is forgotten, but unknown")))?,
        );
        if !task.status.state.is_final() {
            return Err(CorruptRecord(format!(
                "run {run} is forgotten, but has not ended"
            )));
        }
        self.runs.remove(&run);
        if let Some(agent) = self.agents.get_mut(&task.record.agent) {
            agent.runs.remove(&run);
        }
        let framework = self.framework(task.record.framework)?;
        framework.tasks.remove(task.record.id());
        framework.tasks_bytes -= task.record.spec.bytes();
        framework.unhandled.remove(&run);
        if let Some(group) = &task.record.group {
            let members = framework.groups.entry(Arc::clone(group)).or_default();
            members.retain(|member| *member != run);
            if members.is_empty() {
                framework.groups.remove(group);
            }
        }
        Ok(())
    }
}

/// What an agent adds to the cluster's total.
fn of_the_total(agent: &AgentRecord) -> Resources {
    if agent.is_gone() {
        Resources::NONE
    } else {
        agent.info.facts.total.clone()
    }
}

/// Puts the records of a whole state into an order in which they apply: what is referred to comes
/// first. Tasks that have ended come, with their ends, before those that live and may have their ports.
pub fn sort(records: &mut [Record]) {
    let ended = |record: &Record| match record {
        Record::Status(run, status) if status.status.state.is_final() => Some(*run),
        _ => None,
    };
    let ended: BTreeSet<Run> = records.iter().filter_map(ended).collect();
    records.sort_by_key(|record| rank(record, &ended));
}

fn rank(record: &Record, ended: &BTreeSet<Run>) -> (u8, u64, u8) {
    let of_run = |run: &Run, rank: u8, part: u8| {
        if ended.contains(run) {
            (5, run.0, part)
        } else {
            (rank, 0, 0)
        }
    };
    match record {
        Record::Cluster(_) => (0, 0, 0),
        Record::Principal(..)
        | Record::Agent(_)
        | Record::AgentRemoved(_)
        | Record::Gone(..)
        | Record::Role(_)
        | Record::RoleRemoved(_) => (1, 0, 0),
        Record::Framework(_) | Record::FrameworkRemoved(_) => (2, 0, 0),
        // Newer ones may be parts of older ones.
        Record::Reservation(reservation) => (3, reservation.id.0, 0),
        Record::ReservationRemoved(id) => (3, id.0, 0),
        Record::Demands(..) | Record::Timer(..) | Record::State(..) => (4, 0, 0),
        Record::Task(task) => of_run(&task.run, 6, 0),
        Record::Status(run, _) => of_run(run, 7, 1),
        Record::Kill(run, _) => of_run(run, 8, 2),
        Record::TaskForgotten(_) => (9, 0, 0),
    }
}
