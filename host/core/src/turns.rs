//! How turns begin: who is next, what it is told, what it sees.

use crate::action::Action;
use crate::cluster::Cluster;
use crate::framework::{CPU_HEAVY_US, Host};
use crate::map::Map;
use crate::record::FrameworkRecord;
use crate::state::{FrameworkState, Reservation, State};
use crate::turn::{Call, GuestEvent, RESERVES_PER_TURN_MAX, Setup, Task, Turn, View};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use mezzo_types::{
    AgentId, AgentInfo, Digest, FrameworkId, InstanceId, Instant, RequestId, ReservationId, Run,
    TurnId,
};

/// A turn that the sandbox has.
#[derive(Debug)]
pub struct Running {
    /// Whose.
    pub framework: FrameworkId,
    /// Its installed name.
    pub name: Arc<str>,
    /// In which instance.
    pub instance: InstanceId,
    /// What for.
    pub kind: Kind,
    /// What it is told.
    pub units: Vec<Unit>,
    /// What it holds.
    pub leases: Vec<crate::lease::Lease>,
    /// Whether the framework counted as heavy when it began.
    pub heavy: bool,
}

/// What a turn is for.
#[derive(Debug)]
pub enum Kind {
    /// The first of a framework to be: nothing of it is durable before.
    Install(RequestId, Box<FrameworkRecord>),
    /// The first of a new instance.
    Start,
    /// The first two calls of another component, on the state of the old one.
    Upgrade(RequestId, Box<FrameworkRecord>),
    /// News.
    Events,
    /// A request.
    Web(RequestId),
}

/// One piece of news: the smallest part in which events are handed out.
#[derive(Clone, Debug)]
pub enum Unit {
    /// Agents that are new to the instance, or have changed.
    Agents(Vec<Arc<AgentInfo>>),
    /// Agents that are gone.
    AgentsGone(Vec<AgentId>),
    /// A task's latest status.
    Status(Arc<Task>),
    /// A timer has fired.
    Timer(Arc<str>, Instant),
    /// The options have changed.
    Options,
    /// Streams whose client has gone.
    StreamsClosed(Vec<RequestId>),
    /// The turn's offers: these agents.
    Offers(Vec<AgentId>),
}

impl Running {
    pub(crate) fn is_install(&self) -> bool {
        matches!(self.kind, Kind::Install(..))
    }
}

impl Cluster {
    /// Notes whether a framework has anything to be told, and so waits for a worker. To be called
    /// after every change to it; repeating it does nothing.
    pub(crate) fn touch(&mut self, id: FrameworkId) {
        self.rank(id);
        let Some(host) = self.hosts.get(&id) else {
            return;
        };
        let was = host.ready;
        let work = host.turn.is_none()
            && self
                .state
                .frameworks
                .get(&id)
                .is_some_and(|f| self.has_work(f, host));
        let is = work.then(|| host.recent_cpu_us(self.now));
        if was == is {
            return;
        }
        if let Some(cpu) = was {
            self.queue.ready.remove(&(cpu, id));
        }
        if let Some(cpu) = is {
            self.queue.ready.insert((cpu, id));
        }
        if let Some(host) = self.hosts.get_mut(&id) {
            host.ready = is;
        }
    }

    fn has_work(&self, framework: &FrameworkState, host: &Host) -> bool {
        if framework.record.removing {
            return false;
        }
        if host.upgrade.is_some() {
            return true;
        }
        if framework.record.quarantined {
            return false;
        }
        if host.instance.is_none() {
            return host.restart_at <= self.now;
        }
        has_news(framework, host) || !host.requests.is_empty()
    }

    fn unready(&mut self, id: FrameworkId) {
        if let Some(cpu) = self.hosts.get_mut(&id).and_then(|host| host.ready.take()) {
            self.queue.ready.remove(&(cpu, id));
        }
    }

    /// Takes a framework out of every queue.
    pub(crate) fn dequeue(&mut self, id: FrameworkId) {
        self.unready(id);
        self.shares.set_seen(id, None);
    }

    pub(crate) fn upgrading(&self, id: FrameworkId) -> bool {
        self.turns
            .values()
            .any(|turn| turn.framework == id && matches!(turn.kind, Kind::Upgrade(..)))
    }

    /// Hands out turns while there are workers and somebody to serve.
    pub(crate) fn start_turns(&mut self) {
        while self.turns.len() < self.limits.turns_max {
            if let Some((request, record)) = self.installs.pop_front() {
                self.begin_install(request, record);
                continue;
            }
            let heavy_allowed = self.turns_heavy < self.limits.turns_heavy_max;
            let ready = self.queue.ready.first().map(|(cpu, id)| (*cpu, *id));
            let ready = ready
                .filter(|(cpu, _)| heavy_allowed || *cpu <= CPU_HEAVY_US)
                .map(|(_, id)| id);
            let hungry = self.next_in_fairness(heavy_allowed);
            let chosen = match (ready, hungry) {
                (None, None) => return,
                (Some(one), None) | (None, Some(one)) => one,
                (Some(ready), Some(hungry)) => {
                    self.queue.offers_next = !self.queue.offers_next;
                    if self.queue.offers_next {
                        ready
                    } else {
                        hungry
                    }
                }
            };
            let running = self.turns.len();
            self.serve(chosen, hungry == Some(chosen));
            if self.turns.len() == running && hungry != Some(chosen) {
                // It waited for a turn, and then there was nothing to tell after all.
                self.unready(chosen);
            }
        }
    }

    fn is_heavy(&self, id: FrameworkId) -> bool {
        self.hosts
            .get(&id)
            .is_some_and(|host| host.recent_cpu_us(self.now) > CPU_HEAVY_US)
    }

    fn serve(&mut self, id: FrameworkId, with_offers: bool) {
        let (Some(framework), Some(host)) =
            (self.state.frameworks.get(&id), self.hosts.get_mut(&id))
        else {
            return self.dequeue(id);
        };
        if let Some((request, record)) = host.upgrade.take() {
            return self.begin_upgrade(id, request, record);
        }
        if host.instance.is_none() {
            return self.begin_start(id);
        }
        let web = !host.requests.is_empty()
            && (host.web_next || !(has_news(framework, host) || with_offers));
        host.web_next = !web;
        if web {
            self.begin_web(id)
        } else {
            self.begin_events(id, with_offers)
        }
    }

    fn begin_install(&mut self, request: RequestId, record: Box<FrameworkRecord>) {
        let instance = InstanceId(self.take_numbers(1));
        let calls = vec![Call::Start(setup(&record, None))];
        let turn = self.turn(&record, instance, calls, View::default());
        self.begin(turn, Kind::Install(request, record), Vec::new(), Vec::new());
    }

    fn begin_start(&mut self, id: FrameworkId) {
        let Some(framework) = self.state.frameworks.get(&id) else {
            return;
        };
        let record = Arc::clone(&framework.record);
        let instance = InstanceId(self.take_numbers(1));
        let calls = vec![Call::Start(setup(&record, None))];
        let view = self.view(id);
        let turn = self.turn(&record, instance, calls, view);
        self.begin(turn, Kind::Start, Vec::new(), Vec::new());
    }

    /// The new version starts and has one real turn, on the old one's state; all of it commits, or
    /// the old instance goes on.
    fn begin_upgrade(&mut self, id: FrameworkId, request: RequestId, record: Box<FrameworkRecord>) {
        let Some(old) = self.state.frameworks.get(&id).map(|f| f.record.component) else {
            return;
        };
        let instance = InstanceId(self.take_numbers(1));
        // The new instance has been told of no agent yet, so only its tasks and timers are news.
        let units = self.news(id, |unit| matches!(unit, Unit::Status(_) | Unit::Timer(..)));
        let calls = vec![
            Call::Start(setup(&record, Some(old))),
            Call::Handle(events(&units)),
        ];
        let view = self.view(id);
        let turn = self.turn(&record, instance, calls, view);
        self.begin(turn, Kind::Upgrade(request, record), units, Vec::new());
    }

    fn begin_web(&mut self, id: FrameworkId) {
        let Some(framework) = self.state.frameworks.get(&id) else {
            return;
        };
        let record = Arc::clone(&framework.record);
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        let (Some(request), Some(instance)) = (host.requests.pop_front(), host.instance) else {
            return;
        };
        let request_id = request.id;
        let view = self.view(id);
        let turn = self.turn(&record, instance, vec![Call::Web(request)], view);
        self.begin(turn, Kind::Web(request_id), Vec::new(), Vec::new());
    }

    fn begin_events(&mut self, id: FrameworkId, with_offers: bool) {
        let Some(framework) = self.state.frameworks.get(&id) else {
            return;
        };
        let record = Arc::clone(&framework.record);
        let Some(instance) = self.hosts.get(&id).and_then(|host| host.instance) else {
            return;
        };
        let mut units = self.news(id, |_| true);
        let room = self
            .hosts
            .get(&id)
            .map_or(0, |host| host.units_max.saturating_sub(units.len() as u64));
        // Without room the offers stay for the next turn: the framework stays hungry.
        let leases = if with_offers && room > 0 {
            self.lease(id)
        } else {
            Vec::new()
        };
        let new = self.new_agents(id, &leases);
        if !leases.is_empty() {
            units.push(Unit::Offers(
                leases.iter().map(|lease| lease.agent).collect(),
            ));
        }
        if units.is_empty() {
            // It was hungry, but there was nothing that fits.
            return self.touch(id);
        }
        tell_agents(&mut units, new);
        self.note_told(id, &units);
        let view = self.view(id);
        let mut turn = self.turn(&record, instance, vec![Call::Handle(events(&units))], view);
        turn.offers = leases.iter().map(crate::lease::Lease::offer).collect();
        self.begin(turn, Kind::Events, units, leases);
    }

    /// What there is to tell, in the contract's order, as many units as one turn may carry.
    fn news(&self, id: FrameworkId, wanted: impl Fn(&Unit) -> bool) -> Vec<Unit> {
        let (Some(framework), Some(host)) = (self.state.frameworks.get(&id), self.hosts.get(&id))
        else {
            return Vec::new();
        };
        let changed: Vec<Arc<AgentInfo>> = host
            .changed
            .iter()
            .filter_map(|agent| Some(Arc::clone(&self.state.agents.get(agent)?.record.info)))
            .collect();
        let changed = (!changed.is_empty()).then_some(Unit::Agents(changed));
        let gone =
            (!host.gone.is_empty()).then(|| Unit::AgentsGone(host.gone.iter().copied().collect()));
        let max = framework.record.limits.events_per_turn_max;
        let statuses = framework
            .unhandled
            .iter()
            .take(usize::try_from(max).unwrap_or(usize::MAX));
        let statuses =
            statuses.filter_map(|run: &Run| Some(Unit::Status(Arc::clone(self.state.task(*run)?))));
        let timers = host
            .due
            .iter()
            .filter_map(|name| Some(Unit::Timer(Arc::clone(name), *framework.timers.get(name)?)));
        let options = host.options_changed.then_some(Unit::Options);
        let closed =
            (!host.streams_gone.is_empty()).then(|| Unit::StreamsClosed(host.streams_gone.clone()));
        let all = changed
            .into_iter()
            .chain(gone)
            .chain(statuses)
            .chain(timers)
            .chain(options)
            .chain(closed);
        all.filter(wanted)
            .take(usize::try_from(host.units_max).unwrap_or(usize::MAX))
            .collect()
    }

    /// The agents of these leases that the instance has not been told of, or not as they are now.
    fn new_agents(&self, id: FrameworkId, leases: &[crate::lease::Lease]) -> Vec<Arc<AgentInfo>> {
        let Some(host) = self.hosts.get(&id) else {
            return Vec::new();
        };
        // An agent comes several times if some of its reservations are offered as well.
        let agents: BTreeSet<AgentId> = leases.iter().map(|lease| lease.agent).collect();
        let infos = agents
            .iter()
            .filter_map(|agent| Some(&self.state.agents.get(agent)?.record.info));
        infos
            .filter(|info| {
                host.told
                    .get(&info.id)
                    .is_none_or(|told| !Arc::ptr_eq(told, info))
            })
            .cloned()
            .collect()
    }

    /// What the instance is told of agents when the turn begins; with the turn it would fall, too.
    fn note_told(&mut self, id: FrameworkId, units: &[Unit]) {
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        for agent in told_now(units) {
            host.told.insert(agent.id, Arc::clone(agent));
        }
    }

    fn view(&self, id: FrameworkId) -> View {
        let (Some(framework), Some(host)) = (self.state.frameworks.get(&id), self.hosts.get(&id))
        else {
            return View::default();
        };
        View {
            tasks: framework.tasks.clone(),
            tasks_bytes: framework.tasks_bytes,
            state: framework.state.clone(),
            state_bytes: framework.state_bytes,
            demands: Arc::clone(&framework.demands),
            timers: Arc::clone(&framework.timers),
            agents: host.told.clone(),
            streams: Arc::clone(&host.streams),
            reservations: self.reservations_of(&framework.record.role),
        }
    }

    /// Those of a role, and of each role above it that has any.
    fn reservations_of(&self, role: &str) -> Vec<Map<ReservationId, Arc<Reservation>>> {
        let roles = State::roles_above(role).filter_map(|role| self.state.roles.get(role));
        roles
            .filter(|role| !role.reservations.is_empty())
            .map(|role| role.reservations.clone())
            .collect()
    }

    fn turn(
        &mut self,
        record: &FrameworkRecord,
        instance: InstanceId,
        calls: Vec<Call>,
        view: View,
    ) -> Turn {
        let id = self.take_numbers(1);
        let first_run = Run(self.take_numbers(record.limits.launches_per_turn_max));
        let first_reservation = ReservationId(self.take_numbers(2 * RESERVES_PER_TURN_MAX));
        Turn {
            id: TurnId(id),
            framework: record.id,
            name: Arc::clone(&record.name),
            role: Arc::clone(&record.role),
            instance,
            component: record.component,
            limits: Arc::clone(&record.limits),
            task_limits: self.limits.task.clone(),
            now: self.now,
            seed: seed(&self.state.cluster.name, id),
            calls: with_options(calls, &record.options),
            offers: Vec::new(),
            view,
            first_run,
            first_reservation,
        }
    }

    fn begin(
        &mut self,
        turn: Turn,
        kind: Kind,
        units: Vec<Unit>,
        leases: Vec<crate::lease::Lease>,
    ) {
        let heavy = self.is_heavy(turn.framework);
        if let Some(host) = self.hosts.get_mut(&turn.framework) {
            host.turn = Some(turn.id);
        }
        self.turns_heavy += usize::from(heavy);
        let (framework, name, instance) = (turn.framework, Arc::clone(&turn.name), turn.instance);
        self.turns.insert(
            turn.id,
            Running {
                framework,
                name,
                instance,
                kind,
                units,
                leases,
                heavy,
            },
        );
        self.touch(framework);
        self.immediate.push(Action::Turn(Box::new(turn)));
    }
}

fn has_news(framework: &FrameworkState, host: &Host) -> bool {
    !framework.unhandled.is_empty()
        || !host.due.is_empty()
        || !host.changed.is_empty()
        || !host.gone.is_empty()
        || host.options_changed
        || !host.streams_gone.is_empty()
}

fn setup(record: &FrameworkRecord, upgraded_from: Option<Digest>) -> Setup {
    Setup {
        name: Arc::clone(&record.name),
        role: Arc::clone(&record.role),
        options: Arc::clone(&record.options),
        upgraded_from,
    }
}

/// The calls' form of what is to be told: neighbours of one kind in one event.
fn events(units: &[Unit]) -> Vec<GuestEvent> {
    let mut events: Vec<GuestEvent> = Vec::new();
    for unit in units {
        match (unit, events.last_mut()) {
            (Unit::Status(task), Some(GuestEvent::Statuses(tasks))) => tasks.push(Arc::clone(task)),
            (Unit::Status(task), _) => events.push(GuestEvent::Statuses(vec![Arc::clone(task)])),
            (Unit::Agents(agents), _) => events.push(GuestEvent::Agents(agents.clone())),
            (Unit::AgentsGone(agents), _) => events.push(GuestEvent::AgentsGone(agents.clone())),
            (Unit::Timer(name, _), _) => events.push(GuestEvent::Timer(Arc::clone(name))),
            // The text is filled in where the framework's record is at hand.
            (Unit::Options, _) => events.push(GuestEvent::Options(Arc::from(""))),
            (Unit::StreamsClosed(streams), _) => {
                events.push(GuestEvent::StreamsClosed(streams.clone()))
            }
            (Unit::Offers(_), _) => events.push(GuestEvent::Offers),
        }
    }
    events
}

fn with_options(mut calls: Vec<Call>, options: &Arc<str>) -> Vec<Call> {
    for call in &mut calls {
        let Call::Handle(events) = call else { continue };
        for event in events {
            if let GuestEvent::Options(text) = event {
                *text = Arc::clone(options);
            }
        }
    }
    calls
}

/// Adds agents that must be told before the offers: to the unit that there is, or as a new first one.
fn tell_agents(units: &mut Vec<Unit>, new: Vec<Arc<AgentInfo>>) {
    if new.is_empty() {
        return;
    }
    match units.first_mut() {
        Some(Unit::Agents(agents)) => {
            let known: BTreeMap<AgentId, ()> = agents.iter().map(|agent| (agent.id, ())).collect();
            agents.extend(
                new.into_iter()
                    .filter(|agent| !known.contains_key(&agent.id)),
            );
        }
        _ => units.insert(0, Unit::Agents(new)),
    }
}

/// The agents that these units tell of.
pub(crate) fn told_now(units: &[Unit]) -> impl Iterator<Item = &Arc<AgentInfo>> {
    let agents = units.iter().filter_map(|unit| {
        if let Unit::Agents(agents) = unit {
            Some(agents)
        } else {
            None
        }
    });
    agents.flatten()
}

/// The same for the same turn of the same cluster, and hard to guess from outside it (FNV-1a over
/// the cluster's random name, then splitmix64 by Steele, Lea and Flood).
fn seed(cluster: &str, turn: u64) -> u64 {
    let hash = cluster
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    let mut z = hash.wrapping_add(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
