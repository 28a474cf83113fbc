//! Frameworks: install, upgrade, restart, resume, remove, and what of them lasts as long as this
//! leadership.

use crate::action::{Action, Answer, Observation, RefusedKind};
use crate::bits::Bits;
use crate::cluster::{Cluster, Deadline};
use crate::event::{Install, Upgrade};
use crate::fit::Conditions;
use crate::gangs::Gangs;
use crate::map::Map;
use crate::preempt::Preempting;
use crate::record::{ClusterRecord, FrameworkRecord, Record};
use crate::turn::WebRequest;
use crate::turns::Unit;
use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentId, AgentInfo, FrameworkId, InstanceId, Instant, Reason, RequestId, ReservationId, Run,
    TurnId, check_name,
};

/// The part of a framework that is not durable.
#[derive(Debug, Default)]
pub struct Host {
    /// The live copy of its component.
    pub instance: Option<InstanceId>,
    /// Not to be started before.
    pub restart_at: Instant,
    /// The turn that runs.
    pub turn: Option<TurnId>,
    /// Where it stands in `Queue::ready`.
    pub ready: Option<u64>,
    /// CPU time that lately was used, in microseconds; halves every [`CPU_HALVES_MS`].
    pub cpu_us: u64,
    /// As of when.
    pub cpu_at: Instant,
    /// Requests that wait for a turn.
    pub requests: VecDeque<WebRequest>,
    /// Response streams that are open.
    pub streams: Arc<Vec<RequestId>>,
    /// Streams whose client has gone, to be told.
    pub streams_gone: Vec<RequestId>,
    /// Whether a request comes before events, next time that both wait.
    pub web_next: bool,
    /// The agents that this instance was told of.
    pub told: Map<AgentId, Arc<AgentInfo>>,
    /// Those of them that have changed since.
    pub changed: BTreeSet<AgentId>,
    /// Those of them that are gone for good, to be told.
    pub gone: BTreeSet<AgentId>,
    /// Timers that have fired.
    pub due: BTreeSet<Arc<str>>,
    /// Whether the options have changed since the instance was told.
    pub options_changed: bool,
    /// Up to which news it has looked at agents.
    pub looked: u64,
    /// Agents up to there that it has seen as they are, or that did not fit.
    pub seen: Bits,
    /// Agents that it is to look at again, although it has seen them.
    pub again: BTreeSet<AgentId>,
    /// Reservations that it is to look at.
    pub reserved: BTreeSet<ReservationId>,
    /// Its gangs.
    pub gangs: Gangs,
    /// What it takes back.
    pub preempting: Preempting,
    /// Of each demand, in order.
    pub conditions: Vec<Conditions>,
    /// When it last asked to see everything again.
    pub revived: Option<Instant>,
    /// How many units of news one turn may carry; halved while a failing one is being looked for.
    pub units_max: u64,
    /// The units of the turn that failed last, if it had but one.
    pub poison: Option<Unit>,
    /// An upgrade that waits for its turn.
    pub upgrade: Option<(RequestId, Box<FrameworkRecord>)>,
    /// Drop the instance as soon as no turn runs.
    pub restart: bool,
}

/// After so long, CPU time that was used counts half, in milliseconds.
pub const CPU_HALVES_MS: u64 = 10_000;
/// With more than this of recent CPU time a framework counts as heavy, in microseconds.
pub const CPU_HEAVY_US: u64 = 200_000;

impl Host {
    /// Recent CPU time as of now, in microseconds.
    #[must_use]
    pub fn recent_cpu_us(&self, now: Instant) -> u64 {
        let halvings = now.since_ms(self.cpu_at) / CPU_HALVES_MS;
        self.cpu_us
            .checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX))
            .unwrap_or(0)
    }

    /// Adds CPU time that a turn used.
    pub fn use_cpu(&mut self, now: Instant, us: u64) {
        let halvings = now.since_ms(self.cpu_at) / CPU_HALVES_MS;
        self.cpu_us = self.recent_cpu_us(now).saturating_add(us);
        self.cpu_at = if self.cpu_at.0 == 0 {
            now
        } else {
            self.cpu_at.after_ms(halvings * CPU_HALVES_MS)
        };
    }
}

impl Cluster {
    /// Makes the soft side of a framework that is in the records.
    pub(crate) fn revive_host(&mut self, id: FrameworkId) {
        let Some(framework) = self.state.frameworks.get(&id) else {
            return;
        };
        let units_max = framework.record.limits.events_per_turn_max;
        let timers: Vec<_> = framework
            .timers
            .iter()
            .map(|(name, at)| (*at, Arc::clone(name)))
            .collect();
        for (at, name) in timers {
            self.deadlines.insert((at, Deadline::Timer(id, name)));
        }
        self.hosts.insert(
            id,
            Host {
                units_max,
                ..Host::default()
            },
        );
        self.demands_changed(id, true);
        self.touch(id);
        self.finish_removal(id);
    }

    pub(crate) fn on_install(&mut self, id: RequestId, install: Install) {
        if let Err((kind, message)) = self.check_install(&install) {
            return self.refuse(id, kind, message);
        }
        let framework = FrameworkId(self.state.cluster.last_framework.0 + 1);
        self.record(Record::Cluster(ClusterRecord {
            last_framework: framework,
            ..self.state.cluster.clone()
        }));
        let record = FrameworkRecord {
            id: framework,
            name: Arc::from(install.name),
            role: Arc::from(install.role),
            component: install.component,
            web: install.web,
            options: Arc::from(install.options),
            limits: Arc::new(install.limits),
            principal: install.principal,
            installed: self.now,
            upgraded: None,
            upgraded_from: None,
            faults: 0,
            web_faults: 0,
            last_fault: None,
            quarantined: false,
            web_closed: false,
            removing: false,
        };
        self.in_trial.insert(Arc::clone(&record.name));
        self.installs.push_back((id, Box::new(record)));
    }

    fn check_install(&self, install: &Install) -> Result<(), (RefusedKind, String)> {
        check_name(&install.name).map_err(|e| (RefusedKind::Invalid, format!("name: {e}")))?;
        crate::quota::check_role(&install.role)
            .map_err(|e| (RefusedKind::Invalid, format!("role: {e}")))?;
        self.check_options(&install.options)?;
        if self.state.names.contains_key(install.name.as_str())
            || self.in_trial.contains(install.name.as_str())
        {
            let message = format!(
                "a framework named {:?} is installed already; choose another name, or use `mezzo framework upgrade`",
                install.name
            );
            return Err((RefusedKind::Conflict, message));
        }
        if self.state.frameworks.len() + self.installs.len() >= self.limits.frameworks_max {
            return Err((
                RefusedKind::Limit,
                format!(
                    "frameworks-max: at most {} frameworks",
                    self.limits.frameworks_max
                ),
            ));
        }
        Ok(())
    }

    fn check_options(&self, options: &str) -> Result<(), (RefusedKind, String)> {
        let max = self.limits.options_bytes_max;
        if options.len() > max {
            return Err((
                RefusedKind::Limit,
                format!(
                    "options-bytes-max: at most {max} bytes of options, not {}",
                    options.len()
                ),
            ));
        }
        Ok(())
    }

    pub(crate) fn on_upgrade(&mut self, id: RequestId, upgrade: Upgrade) {
        let Some(framework_id) = self.named(id, &upgrade.framework) else {
            return;
        };
        let Some(framework) = self.state.frameworks.get(&framework_id) else {
            return;
        };
        let old = Arc::clone(&framework.record);
        if old.removing {
            return self.refuse(
                id,
                RefusedKind::Conflict,
                format!("framework {} is being removed", old.name),
            );
        }
        if self
            .hosts
            .get(&framework_id)
            .is_some_and(|host| host.upgrade.is_some())
            || self.upgrading(framework_id)
        {
            let message = format!(
                "another upgrade of framework {} has not ended yet; try again",
                old.name
            );
            return self.refuse(id, RefusedKind::Conflict, message);
        }
        let mut record = FrameworkRecord::clone(&old);
        if let Some(options) = &upgrade.options {
            if let Err((kind, message)) = self.check_options(options) {
                return self.refuse(id, kind, message);
            }
            record.options = Arc::from(options.as_str());
        }
        if let Some(limits) = upgrade.limits {
            record.limits = Arc::new(limits);
        }
        let Some((component, web)) = upgrade.component else {
            let options_changed = record.options != old.options;
            self.record(Record::Framework(Arc::new(record)));
            if let Some(host) = self.hosts.get_mut(&framework_id) {
                host.options_changed |= options_changed;
            }
            self.touch(framework_id);
            return self.reply(id, Answer::Framework(framework_id));
        };
        record.upgraded_from = Some(old.component);
        record.upgraded = Some(self.now);
        (record.component, record.web) = (component, web);
        // A new version is judged by its own faults.
        (
            record.faults,
            record.web_faults,
            record.quarantined,
            record.web_closed,
        ) = (0, 0, false, false);
        if let Some(host) = self.hosts.get_mut(&framework_id) {
            host.upgrade = Some((id, Box::new(record)));
        }
        self.touch(framework_id);
    }

    pub(crate) fn on_restart(&mut self, id: RequestId, name: &str) {
        let Some(framework) = self.named(id, name) else {
            return;
        };
        let known = self.state.frameworks.get(&framework);
        if known.is_some_and(|known| known.record.quarantined) {
            // It has no turns: nothing would start, and an answer of success would hide that.
            let message = format!(
                "framework {name} is quarantined and is not started; `mezzo framework resume {name}` ends that, `mezzo framework inspect {name}` says why"
            );
            return self.refuse(id, RefusedKind::Conflict, message);
        }
        if let Some(host) = self.hosts.get_mut(&framework) {
            host.restart = true;
            host.restart_at = self.now;
        }
        self.restart_if_asked(framework);
        self.touch(framework);
        self.reply(id, Answer::Done);
    }

    /// Drops the instance if somebody asked for it and no turn runs in it.
    pub(crate) fn restart_if_asked(&mut self, framework: FrameworkId) {
        let Some(host) = self.hosts.get_mut(&framework) else {
            return;
        };
        if host.restart && host.turn.is_none() {
            host.restart = false;
            self.drop_instance(framework);
        }
    }

    /// Forgets the live copy and everything that it had been told; its streams end.
    pub(crate) fn drop_instance(&mut self, framework: FrameworkId) {
        let Some(host) = self.hosts.get_mut(&framework) else {
            return;
        };
        host.told = Map::default();
        host.changed.clear();
        host.gone.clear();
        host.streams_gone.clear();
        host.options_changed = false;
        let streams = core::mem::take(&mut host.streams);
        let instance = host.instance.take();
        for request in streams.iter() {
            self.show(Action::Stream(crate::turn::StreamWrite {
                request: *request,
                chunk: None,
            }));
        }
        if let Some(instance) = instance {
            self.immediate.push(Action::DropInstance(instance));
            self.observe(Observation::Live(framework, false));
        }
    }

    pub(crate) fn on_resume(&mut self, id: RequestId, name: &str, skip: bool) {
        let Some(framework) = self.named(id, name) else {
            return;
        };
        let Some(known) = self.state.frameworks.get(&framework) else {
            return;
        };
        let record = &known.record;
        if !record.quarantined && !record.web_closed && record.faults == 0 {
            let message = format!(
                "framework {name} is not quarantined, and its web API is open: there is nothing to resume"
            );
            return self.refuse(id, RefusedKind::Conflict, message);
        }
        let poison = self
            .hosts
            .get_mut(&framework)
            .and_then(|host| host.poison.take());
        if skip && poison.is_none() {
            let message = format!(
                "no event of framework {name} failed alone since this master leads: nothing to skip"
            );
            return self.refuse(id, RefusedKind::Conflict, message);
        }
        let mut record = FrameworkRecord::clone(record);
        (
            record.faults,
            record.web_faults,
            record.quarantined,
            record.web_closed,
        ) = (0, 0, false, false);
        self.record(Record::Framework(Arc::new(record)));
        if let Some(unit) = poison.filter(|_| skip) {
            self.mark_handled(framework, &[unit]);
        }
        if let Some(host) = self.hosts.get_mut(&framework) {
            host.restart_at = self.now;
        }
        self.demands_changed(framework, true);
        self.touch(framework);
        self.reply(id, Answer::Done);
    }

    pub(crate) fn on_remove(&mut self, id: RequestId, name: &str) {
        let Some(framework) = self.named(id, name) else {
            return;
        };
        let Some(known) = self.state.frameworks.get(&framework) else {
            return;
        };
        if !known.record.removing {
            let record = FrameworkRecord {
                removing: true,
                ..FrameworkRecord::clone(&known.record)
            };
            let runs: Vec<Run> = known.tasks.values().map(|task| task.record.run).collect();
            self.record(Record::Framework(Arc::new(record)));
            for run in runs {
                match self
                    .state
                    .task(run)
                    .map(|task| task.status.state.is_final())
                {
                    Some(true) => self.record(Record::TaskForgotten(run)),
                    Some(false) => self.kill(run, None, Reason::FrameworkRemoved),
                    None => {}
                }
            }
            self.abandon_requests(framework);
            self.demands_changed(framework, true);
            if let Some((request, _)) = self
                .hosts
                .get_mut(&framework)
                .and_then(|host| host.upgrade.take())
            {
                self.refuse(
                    request,
                    RefusedKind::Conflict,
                    format!("framework {name} is being removed"),
                );
            }
            self.touch(framework);
        }
        self.reply(id, Answer::Done);
        self.finish_removal(framework);
    }

    pub(crate) fn removing(&self, framework: FrameworkId) -> bool {
        self.state
            .frameworks
            .get(&framework)
            .is_some_and(|f| f.record.removing)
    }

    /// Takes a framework away for good once its last task has ended and no turn runs.
    pub(crate) fn finish_removal(&mut self, framework: FrameworkId) {
        let Some(known) = self.state.frameworks.get(&framework) else {
            return;
        };
        let in_turn = self
            .hosts
            .get(&framework)
            .is_some_and(|host| host.turn.is_some());
        if !known.record.removing || !known.tasks.is_empty() || in_turn {
            return;
        }
        let keys: Vec<Arc<str>> = known.state.iter().map(|(key, _)| Arc::clone(key)).collect();
        let timers: Vec<Arc<str>> = known.timers.keys().cloned().collect();
        self.drop_instance(framework);
        for key in keys {
            self.record(Record::State(framework, key, None));
        }
        for timer in timers {
            self.record(Record::Timer(framework, timer, None));
        }
        self.record(Record::Demands(framework, Arc::default()));
        self.hold_nothing(framework);
        self.record(Record::FrameworkRemoved(framework));
        self.dequeue(framework);
        self.reserving.remove(&framework);
        self.hosts.remove(&framework);
    }

    /// The frameworks whose instances know of an agent.
    pub(crate) fn told_of(&self, agent: AgentId) -> Vec<FrameworkId> {
        self.hosts
            .iter()
            .filter(|(_, host)| host.told.contains_key(&agent))
            .map(|(id, _)| *id)
            .collect()
    }

    /// An agent has other facts than before: frameworks that were told of it are told again.
    pub(crate) fn tell_of_change(&mut self, agent: AgentId) {
        for framework in self.told_of(agent) {
            if let Some(host) = self.hosts.get_mut(&framework) {
                host.changed.insert(agent);
            }
            self.touch(framework);
        }
    }

    pub(crate) fn on_timer_due(&mut self, framework: FrameworkId, name: Arc<str>) {
        let at = self
            .state
            .frameworks
            .get(&framework)
            .and_then(|f| f.timers.get(&name).copied());
        // A timer that was set anew has a deadline of its own.
        if at.is_some_and(|at| at <= self.now)
            && let Some(host) = self.hosts.get_mut(&framework)
        {
            host.due.insert(name);
            self.touch(framework);
        }
    }
}
