//! What people ask of the master: installs, tasks that arrive, what operators do. They ask until they
//! hear an answer: one that died with its master is asked for again.

use super::operators::{Acting, Todo};
use super::{BEGIN_MS, Happens, World};
use crate::draw::Draw;
use crate::job::Progress;
use crate::rng::Rng;
use crate::workload::{Framework, What, Workload};
use mezzo_core::event::Install;
use mezzo_core::turn::WebRequest;
use mezzo_core::{Answer, Event, FrameworkLimits, Request};
use mezzo_types::RequestId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who was refused asks again after so long, in milliseconds.
pub(super) const AGAIN_MS: u64 = 1_000;

/// One thing that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A framework.
    Install(usize),
    /// A framework is to take its tasks up to this number.
    Submit(usize, u64),
    /// What an operator does.
    Act(Box<Acting>),
}

/// See the module.
#[derive(Debug)]
pub struct People {
    requests: u64,
    /// Who waits for which answer.
    waiting: BTreeMap<RequestId, Ask>,
    clients: Vec<Client>,
}

/// Who gives a framework its tasks.
#[derive(Debug)]
struct Client {
    rng: Rng,
    /// When the next one arrives, in microseconds.
    next_us: u64,
    /// When each arrived, in milliseconds.
    arrived: Vec<u64>,
    /// Whether each was started.
    started: Vec<bool>,
    /// Tasks below this number were accepted.
    accepted: u64,
    installed: bool,
    /// Whether an answer is awaited, or asking again is due.
    asking: bool,
}

impl People {
    /// Those of a workload. Their chance depends on nothing but the seed, by [`World::begin_asking`].
    pub fn new(workload: &Workload) -> People {
        let client = |framework: &Framework| Client {
            rng: Rng::new(0),
            next_us: framework.from_ms.max(BEGIN_MS) * 1_000,
            arrived: vec![BEGIN_MS; usize::try_from(framework.tasks).unwrap_or(0)],
            started: Vec::new(),
            accepted: 0,
            installed: false,
            asking: false,
        };
        People {
            requests: 0,
            waiting: BTreeMap::new(),
            clients: workload.frameworks.iter().map(client).collect(),
        }
    }

    /// Tasks that have arrived for a framework.
    pub fn arrived(&self, framework: usize) -> u64 {
        self.clients[framework].arrived.len() as u64
    }

    /// When a task arrived, the first time that it is started.
    pub fn first_start(&mut self, framework: usize, number: u64) -> Option<u64> {
        let client = &mut self.clients[framework];
        let number = usize::try_from(number).ok()?;
        client.started.resize(client.arrived.len(), false);
        let started = client.started.get_mut(number)?;
        let first = !std::mem::replace(started, true);
        first.then(|| client.arrived[number])
    }
}

impl World {
    /// Everybody begins to ask.
    pub(super) fn begin_asking(&mut self, workload: &Workload) {
        for role in &workload.roles {
            // There are no machines yet for what it guarantees.
            let acting = Acting {
                what: What::Role(role.clone()),
                force: true,
            };
            self.ask(Ask::Act(Box::new(acting)));
        }
        for (n, framework) in workload.frameworks.iter().enumerate() {
            self.people.clients[n].rng = framework.rng(self.play.seed, u64::MAX);
            self.meter.arrived(n, framework.tasks);
            self.ask(Ask::Install(n));
            self.next_arrival(n);
        }
        if let Some(first) = workload.acts.first() {
            self.at(first.at_ms.max(BEGIN_MS), Happens::Acts);
        }
    }

    fn next_arrival(&mut self, n: usize) {
        let framework = &self.play.workload.frameworks[n];
        let Some(every_us) = framework.every_us else {
            return;
        };
        let to_ms = framework.to_ms.min(self.play.workload.duration_ms);
        let gap = Draw::Exponential {
            mean: every_us,
            max: crate::draw::DRAW_MAX,
        };
        let client = &mut self.people.clients[n];
        client.next_us += gap.draw(&mut client.rng);
        let at = client.next_us / 1_000;
        if at < to_ms {
            self.at(at, Happens::Arrives(n));
        }
    }

    pub(super) fn task_arrives(&mut self, n: usize) {
        let together = self.play.workload.frameworks[n].together;
        let (client, now) = (&mut self.people.clients[n], self.now);
        client.arrived.extend((0..together).map(|_| now));
        self.meter.arrived(n, together);
        self.submit(n);
        self.next_arrival(n);
    }

    /// Gives a framework the tasks that it has not accepted yet, unless that is under way.
    fn submit(&mut self, n: usize) {
        let one_by_one = self.play.workload.frameworks[n].submit.is_some();
        let client = &mut self.people.clients[n];
        let arrived = client.arrived.len() as u64;
        if client.installed && !client.asking && client.accepted < arrived {
            client.asking = true;
            let up_to = if one_by_one {
                client.accepted + 1
            } else {
                arrived
            };
            self.ask_soon(Ask::Submit(n, up_to));
        }
    }

    /// Asks in an event of its own: whoever hears an answer is outside the step that gave it.
    pub(super) fn ask_soon(&mut self, ask: Ask) {
        self.after(0, self.play.pace.message_ms_max, Happens::Asks(ask));
    }

    /// Asks the master, if there is one; otherwise once there is one.
    pub(super) fn ask(&mut self, ask: Ask) {
        self.people.requests += 1;
        let id = RequestId(self.people.requests);
        if let Ask::Install(n) = ask
            && self.is_installed(n)
        {
            return self.installed(n);
        }
        let request = match &ask {
            Ask::Install(n) => Some(self.install(*n)),
            Ask::Submit(n, up_to) => Some(self.submission(*n, *up_to, id)),
            Ask::Act(acting) => match self.act(acting) {
                Todo::Ask(request) => Some(*request),
                Todo::Later => None,
                Todo::Nothing => return self.acted(&acting.clone(), true),
            },
        };
        let Some(request) = request else {
            return self.after(AGAIN_MS, AGAIN_MS, Happens::Asks(ask));
        };
        self.people.waiting.insert(id, ask);
        if self.master.is_some() {
            self.step(Event::Asked(id, request));
        }
    }

    /// A new master leads: who had no answer asks again.
    pub(super) fn ask_again(&mut self) {
        for ask in std::mem::take(&mut self.people.waiting).into_values() {
            self.ask(ask);
        }
    }

    pub(super) fn answer(&mut self, id: RequestId, answer: Answer) {
        let Some(ask) = self.people.waiting.remove(&id) else {
            return;
        };
        match (ask, answer) {
            (Ask::Install(n), Answer::Framework(_)) => self.installed(n),
            (Ask::Submit(n, up_to), Answer::Web(response)) if response.status < 300 => {
                let client = &mut self.people.clients[n];
                client.accepted = client.accepted.max(up_to);
                client.asking = false;
                self.submit(n);
            }
            (Ask::Act(acting), Answer::Done | Answer::Reserved(_)) => self.acted(&acting, true),
            (Ask::Act(acting), _) => self.acted(&acting, false),
            (ask, _) => self.after(AGAIN_MS, AGAIN_MS, Happens::Asks(ask)),
        }
    }

    fn is_installed(&self, n: usize) -> bool {
        self.master.as_ref().is_some_and(|master| {
            let state = master.cluster.state();
            state
                .framework_named(&self.play.workload.framework(n).name)
                .is_some()
        })
    }

    fn installed(&mut self, n: usize) {
        self.people.clients[n].installed = true;
        self.submit(n);
    }

    fn install(&self, n: usize) -> Request {
        let framework = self.play.workload.framework(n);
        Request::Install(Install {
            name: framework.name.clone(),
            role: framework.role.clone(),
            component: self.guest.component(),
            web: true,
            options: framework.options.clone(),
            limits: FrameworkLimits {
                offers_per_turn_max: framework
                    .offers_per_turn_max
                    .unwrap_or(FrameworkLimits::default().offers_per_turn_max),
                faults_max: 1_000_000,
                web_faults_max: 1_000_000,
                ..FrameworkLimits::default()
            },
            principal: Arc::from("sim"),
        })
    }

    fn submission(&self, n: usize, up_to: u64, id: RequestId) -> Request {
        let framework = self.play.workload.framework(n);
        let (path, body) = match &framework.submit {
            None => ("/tasks".to_string(), up_to.to_string()),
            Some(submit) => {
                let number = up_to.saturating_sub(1);
                let task = framework.task(self.play.seed, number);
                let each = &framework.sizes()[task.size];
                let body = submit
                    .body
                    .replace("{number}", &number.to_string())
                    .replace("{cpu_milli}", &each.cpu_milli.to_string())
                    .replace("{memory_bytes}", &each.memory_bytes.to_string())
                    .replace("{takes_ms}", &task.takes_ms.to_string());
                (submit.path.clone(), body)
            }
        };
        Request::Web {
            framework: framework.name.clone(),
            request: WebRequest {
                id,
                method: "POST".into(),
                path,
                headers: vec![("content-type".into(), b"application/json".to_vec())],
                body: body.into_bytes(),
                principal: "sim".into(),
            },
        }
    }

    /// How far a framework is, as its durable state says.
    pub(super) fn progress(&self, n: usize) -> Option<Progress> {
        let master = self.master.as_ref()?;
        let name = &self.play.workload.framework(n).name;
        let framework = master.cluster.state().framework_named(name)?;
        let state = framework.state.get("progress").map(|bytes| &**bytes);
        Some(Progress::of(state))
    }

    pub(super) fn is_finished(&self) -> bool {
        let asks = self.people.waiting.is_empty() && self.operators.are_done();
        let state = self.master.as_ref().map(|master| master.cluster.state());
        let asks = asks && state.is_some_and(|state| self.kept(state).next().is_none());
        let frameworks = 0..self.people.clients.len();
        asks && frameworks.into_iter().all(|n| {
            let arrived = self.people.arrived(n);
            let accepted = self.people.clients[n].accepted;
            accepted == arrived && self.is_done(n, arrived)
        })
    }

    /// Whether so many tasks of a framework have finished, and nothing of them is left.
    fn is_done(&self, n: usize, tasks: u64) -> bool {
        if self.play.workload.framework(n).submit.is_none() {
            return self
                .progress(n)
                .is_some_and(|progress| progress.done == tasks);
        }
        let name = &self.play.workload.framework(n).name;
        let state = self.master.as_ref().map(|master| master.cluster.state());
        let framework = state.and_then(|state| state.framework_named(name));
        framework.is_some_and(|it| it.tasks.is_empty() && it.demands.iter().all(|d| d.count == 0))
    }
}
