//! How turns end: what a clean one asked for becomes records.
//!
//! The core refuses nothing of a clean turn: each call was checked against the turn when it was
//! made, and what it was checked against was leased to the turn.

use crate::action::{Action, Answer, Observation, RefusedKind};
use crate::cluster::{Cluster, Deadline};
use crate::lease::Lease;
use crate::record::{FrameworkRecord, Record, StatusRecord, TaskRecord, Value, VolumeState};
use crate::turn::{Effects, Fault, Launch, Task};
use crate::turns::{Kind, Running, Unit, told_now};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{Demand, FrameworkId, Reason, RequestId, Status, TaskState, TurnId};

/// A framework that asks to see everything again waits so long between two times, in milliseconds.
const REVIVE_MS: u64 = 1_000;

impl Cluster {
    pub(crate) fn on_turn_ended(
        &mut self,
        turn: TurnId,
        result: Result<Effects, Fault>,
        cpu_us: u64,
    ) {
        let Some(mut running) = self.turns.remove(&turn) else {
            return;
        };
        let leases = core::mem::take(&mut running.leases);
        let framework = running.framework;
        self.turns_heavy -= usize::from(running.heavy);
        if running.is_install() {
            self.in_trial.remove(&running.name);
        }
        if let Some(host) = self.hosts.get_mut(&framework) {
            host.turn = None;
            host.use_cpu(self.now, cpu_us);
        }
        let launches = result.as_ref().map_or(0, |effects| effects.launches.len());
        self.observe(Observation::Turn {
            framework,
            cpu_us,
            offers: u32::try_from(leases.len()).unwrap_or(u32::MAX),
            launches: u32::try_from(launches).unwrap_or(u32::MAX),
            clean: result.is_ok(),
        });
        match result {
            // Nobody has seen anything of it, and nobody wants it any more.
            _ if self.removing(framework) => self.discard(running),
            Ok(effects) => self.commit(running, &leases, effects),
            Err(fault) => self.undo(running, fault),
        }
        self.end_leases(framework, &leases);
        self.restart_if_asked(framework);
        self.touch(framework);
        self.finish_removal(framework);
    }

    fn discard(&mut self, running: Running) {
        let lives = self
            .hosts
            .get(&running.framework)
            .is_some_and(|host| host.instance == Some(running.instance));
        if lives {
            self.drop_instance(running.framework);
        } else {
            // A first or a trial one: the framework's own, if there is one, goes with the framework.
            self.immediate.push(Action::DropInstance(running.instance));
        }
        if let Kind::Upgrade(request, _) | Kind::Web(request) = running.kind {
            self.refuse(
                request,
                RefusedKind::Unavailable,
                format!("framework {} is being removed", running.name),
            );
        }
    }

    fn commit(&mut self, running: Running, leases: &[Lease], effects: Effects) {
        let framework = running.framework;
        match running.kind {
            Kind::Install(request, record) => {
                return self.commit_install(request, *record, running.instance, effects);
            }
            Kind::Upgrade(request, ref record) => {
                self.commit_upgrade(request, FrameworkRecord::clone(record), &running)
            }
            Kind::Start => self.instance_lives(framework, running.instance),
            Kind::Web(request) => {
                let answer = effects.response.clone().map_or_else(
                    || {
                        Answer::Refused(crate::action::Refused {
                            kind: RefusedKind::Fault,
                            message: format!("framework {} gave no response", running.name),
                        })
                    },
                    Answer::Web,
                );
                self.reply(request, answer);
            }
            Kind::Events => {}
        }
        self.mark_handled(framework, &running.units);
        if let Some(host) = self.hosts.get_mut(&framework) {
            let max = self
                .state
                .frameworks
                .get(&framework)
                .map_or(1, |f| f.record.limits.events_per_turn_max);
            if matches!(running.kind, Kind::Events) {
                host.units_max = host.units_max.saturating_mul(2).clamp(1, max.max(1));
            }
            for agent in told_now(&running.units) {
                let id = agent.id;
                host.changed.remove(&id);
                // It may have changed, or gone, while the turn ran.
                match self.state.agents.get(&id).map(|known| &known.record) {
                    Some(known) if known.is_gone() => drop(host.gone.insert(id)),
                    Some(known) if Arc::ptr_eq(&known.info, agent) => {}
                    Some(_) => drop(host.changed.insert(id)),
                    None => drop(host.gone.insert(id)),
                }
            }
        }
        self.mark_seen(framework, leases, &effects);
        self.apply_effects(framework, effects);
    }

    fn commit_install(
        &mut self,
        request: RequestId,
        record: FrameworkRecord,
        instance: mezzo_types::InstanceId,
        effects: Effects,
    ) {
        let framework = record.id;
        self.record(Record::Framework(Arc::new(record)));
        self.revive_host(framework);
        self.instance_lives(framework, instance);
        self.apply_effects(framework, effects);
        self.reply(request, Answer::Framework(framework));
        self.touch(framework);
    }

    fn commit_upgrade(&mut self, request: RequestId, record: FrameworkRecord, running: &Running) {
        let framework = running.framework;
        self.record(Record::Framework(Arc::new(record)));
        self.drop_instance(framework);
        self.instance_lives(framework, running.instance);
        // The new version may want what the old one left.
        self.demands_changed(framework, true);
        self.reply(request, Answer::Framework(framework));
    }

    fn instance_lives(&mut self, framework: FrameworkId, instance: mezzo_types::InstanceId) {
        if let Some(host) = self.hosts.get_mut(&framework) {
            host.instance = Some(instance);
        }
        self.demands_changed(framework, true);
        self.observe(Observation::Live(framework, true));
    }

    /// A committed turn has had these units, or an operator skips them.
    pub(crate) fn mark_handled(&mut self, framework: FrameworkId, units: &[Unit]) {
        for unit in units {
            match unit {
                Unit::Status(task) => self.mark_status_handled(task),
                Unit::Timer(name, at) => {
                    let current = self
                        .state
                        .frameworks
                        .get(&framework)
                        .and_then(|f| f.timers.get(name).copied());
                    if let Some(host) = self.hosts.get_mut(&framework) {
                        host.due.remove(name);
                    }
                    if current == Some(*at) {
                        self.record(Record::Timer(framework, Arc::clone(name), None));
                    }
                }
                Unit::Options => {
                    if let Some(host) = self.hosts.get_mut(&framework) {
                        host.options_changed = false;
                    }
                }
                Unit::StreamsClosed(streams) => {
                    if let Some(host) = self.hosts.get_mut(&framework) {
                        host.streams_gone.retain(|stream| !streams.contains(stream));
                    }
                }
                Unit::Agents(agents) => {
                    if let Some(host) = self.hosts.get_mut(&framework) {
                        for agent in agents {
                            host.changed.remove(&agent.id);
                        }
                    }
                }
                Unit::AgentsGone(agents) => {
                    if let Some(host) = self.hosts.get_mut(&framework) {
                        for agent in agents {
                            host.gone.remove(agent);
                            host.told.remove(agent);
                        }
                    }
                }
                // What a turn has refused is for it to say: `mark_seen`.
                Unit::Offers(_) => {}
            }
        }
    }

    fn mark_status_handled(&mut self, told: &Arc<Task>) {
        let run = told.record.run;
        let Some(task) = self.state.task(run).cloned() else {
            return;
        };
        // Something newer has come meanwhile: that will be told.
        if task.status != told.status || task.sequence != told.sequence {
            return;
        }
        if task.status.state.is_final() {
            self.record(Record::TaskForgotten(run));
        } else {
            let status = StatusRecord {
                sequence: task.sequence,
                status: task.status.clone(),
                handled: true,
            };
            self.record(Record::Status(run, status));
        }
    }

    fn apply_effects(&mut self, framework: FrameworkId, effects: Effects) {
        let Effects {
            reserves,
            volumes,
            unreserves,
            launches,
            kills,
            want,
            revive,
            state,
            timers,
            response: _,
            opened,
            streams,
        } = effects;
        for (key, value) in state {
            self.record(Record::State(framework, key, value.map(Value)));
        }
        for (name, after_ms) in timers {
            self.set_timer(framework, name, after_ms);
        }
        if let Some(demands) = want {
            self.set_demands(framework, demands);
        }
        for reserve in reserves {
            self.keep(framework, reserve);
        }
        for volume in volumes {
            match volume.size_bytes {
                Some(size) => self.create_volume(volume.reservation, &volume.name, size),
                None => self.destroy_volume(volume.reservation, &volume.name),
            }
        }
        for launch in &launches {
            self.launched(framework, launch);
        }
        let preemptible = self.state.preemptible;
        self.launch_all(framework, launches);
        if preemptible == 0 && self.state.preemptible > 0 {
            self.await_all_preemptions();
        }
        for reservation in unreserves {
            self.give_back(reservation);
        }
        for (run, grace_ms) in kills {
            self.kill(run, grace_ms, Reason::KillRequested);
        }
        if revive {
            self.revive(framework);
        }
        self.write_streams(framework, opened, streams);
    }

    fn set_timer(&mut self, framework: FrameworkId, name: Arc<str>, after_ms: Option<u64>) {
        let at = after_ms.map(|ms| self.now.after_ms(ms));
        let old = self
            .state
            .frameworks
            .get(&framework)
            .and_then(|f| f.timers.get(&name).copied());
        if let Some(old) = old {
            self.deadlines
                .remove(&(old, Deadline::Timer(framework, Arc::clone(&name))));
        }
        if let Some(host) = self.hosts.get_mut(&framework) {
            host.due.remove(&name);
        }
        self.record(Record::Timer(framework, Arc::clone(&name), at));
        if let Some(at) = at {
            self.deadlines
                .insert((at, Deadline::Timer(framework, name)));
        }
    }

    fn set_demands(&mut self, framework: FrameworkId, demands: Vec<Demand>) {
        let Some(old) = self
            .state
            .frameworks
            .get(&framework)
            .map(|f| Arc::clone(&f.demands))
        else {
            return;
        };
        if *old == demands {
            return;
        }
        let asks_anew = |new: &Demand| {
            old.iter()
                .find(|old| old.name == new.name)
                .is_none_or(|old| {
                    // A smaller gang may fit where a larger one did not.
                    let more = new.count > old.count || new.together && new.count != old.count;
                    more || !old.same_shape(new)
                })
        };
        let anew = demands.iter().any(asks_anew);
        self.record(Record::Demands(framework, Arc::new(demands)));
        self.demands_changed(framework, anew);
    }

    fn launch_all(&mut self, framework: FrameworkId, launches: Vec<Launch>) {
        let mut groups: BTreeMap<Arc<str>, Vec<Arc<Task>>> = BTreeMap::new();
        // A group is launched as a whole, or not at all.
        let mut gone_groups: BTreeMap<Arc<str>, (Reason, &'static str)> = BTreeMap::new();
        for launch in launches.iter().filter(|launch| launch.group.is_some()) {
            if let (Some(group), Some(gone)) = (&launch.group, self.gone_meanwhile(launch)) {
                gone_groups.insert(Arc::clone(group), gone);
            }
        }
        for launch in launches {
            let gone = self.gone_meanwhile(&launch);
            let of_group = launch.group.as_ref().and_then(|g| gone_groups.get(g));
            let gone = gone.or(of_group.copied());
            let Launch {
                run,
                agent,
                reservation,
                priority,
                group,
                ports,
                spec,
                ..
            } = launch;
            let record = TaskRecord {
                run,
                framework,
                agent,
                ports,
                group: group.clone(),
                launched: self.now,
                spec,
                reservation: reservation.filter(|_| gone.is_none()),
                priority,
            };
            self.record(Record::Task(Arc::new(record)));
            if let Some((reason, message)) = gone {
                let status = Status::new(TaskState::Lost, self.now).because(reason, message);
                self.set_status(run, 0, status);
                continue;
            }
            let Some(task) = self.state.task(run).cloned() else {
                continue;
            };
            match group {
                Some(group) => groups.entry(group).or_default().push(task),
                None => self.launch(&[task]),
            }
            self.show_agent(agent);
            self.end_if_drained(agent, run);
        }
        for (_, tasks) in groups {
            self.launch(&tasks);
        }
    }

    /// Why a launch cannot be, because of what happened while its turn ran.
    fn gone_meanwhile(&self, launch: &Launch) -> Option<(Reason, &'static str)> {
        let agent = self.state.agents.get(&launch.agent);
        if agent.is_some_and(|agent| agent.record.is_gone()) {
            return Some((
                Reason::AgentGone,
                "its agent was declared gone while it was being launched",
            ));
        }
        let Some(known) = self.state.reservation(launch.reservation?) else {
            return Some((
                Reason::ReservationGone,
                "its reservation went while it was being launched",
            ));
        };
        let there = |mount: &mezzo_types::Mount| {
            let volume = known.record.volume(&mount.volume);
            volume.is_some_and(|volume| volume.state != VolumeState::Destroying)
        };
        (!launch.spec.mounts.iter().all(there)).then_some((
            Reason::ReservationGone,
            "a volume of it was destroyed while it was being launched",
        ))
    }

    /// To an agent without a session it is sent when it is back.
    fn launch(&mut self, tasks: &[Arc<Task>]) {
        if let Some(session) = tasks
            .first()
            .and_then(|task| self.session_of(task.record.agent))
        {
            self.send_launch(session, tasks);
        }
    }

    fn revive(&mut self, framework: FrameworkId) {
        let Some(host) = self.hosts.get_mut(&framework) else {
            return;
        };
        match host.revived {
            Some(last) if self.now.since_ms(last) < REVIVE_MS => {
                self.deadlines
                    .insert((last.after_ms(REVIVE_MS), Deadline::Revive(framework)));
            }
            _ => {
                host.revived = Some(self.now);
                self.demands_changed(framework, true);
            }
        }
    }

    pub(crate) fn on_revive_due(&mut self, framework: FrameworkId) {
        let Some(host) = self.hosts.get_mut(&framework) else {
            return;
        };
        if host
            .revived
            .is_some_and(|last| self.now.since_ms(last) >= REVIVE_MS)
        {
            host.revived = Some(self.now);
            self.demands_changed(framework, true);
        }
    }

    fn write_streams(
        &mut self,
        framework: FrameworkId,
        opened: Option<RequestId>,
        writes: Vec<crate::turn::StreamWrite>,
    ) {
        if let (Some(opened), Some(host)) = (opened, self.hosts.get_mut(&framework)) {
            Arc::make_mut(&mut host.streams).push(opened);
        }
        for write in writes {
            let Some(host) = self.hosts.get_mut(&framework) else {
                return;
            };
            if !host.streams.contains(&write.request) {
                continue;
            }
            if write.chunk.is_none() {
                Arc::make_mut(&mut host.streams).retain(|stream| *stream != write.request);
            }
            self.show(Action::Stream(write));
        }
    }
}
