//! Plays a cluster by hand: one command a line in, the core's actions in short form out. Every step is
//! followed by a check of all invariants and of the rule that records alone rebuild the state.

mod reserve;
mod show;

use mezzo_core::event::{AgentChange, Install, RoleChange, Upgrade};
use mezzo_core::ledger::{Ledger, Placement};
use mezzo_core::record::Quota;
use mezzo_core::turn::{GuestEvent, WebRequest, WebResponse};
use mezzo_core::{
    Action, Answer, Call, Cluster, ClusterLimits, Event, Fault, FaultKind, FrameworkLimits, Record,
    Request, Turn,
};
use mezzo_types::{
    AgentFacts, AgentId, AgentInfo, Attribute, AttributeValue, BatchId, Comparison, Condition,
    Demand, Digest, Instant, PortRequest, PortSet, RequestId, ReservationId, Resources, Run,
    Runtime, SessionId, Status, TaskId, TaskSpec, TaskState, Workload,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// See the module.
pub struct World {
    pub cluster: Cluster,
    pub limits: ClusterLimits,
    pub framework_limits: FrameworkLimits,
    pub now: u64,
    /// All records so far, the newest of each key where that matters.
    pub log: Vec<Record>,
    pub turns: BTreeMap<String, Box<Turn>>,
    /// Turns that the masters before this one had given out.
    late: BTreeMap<String, Box<Turn>>,
    /// Agents by name: session and number.
    pub agents: BTreeMap<String, (SessionId, AgentId)>,
    pub facts: BTreeMap<String, AgentFacts>,
    /// Runs by `framework/task`.
    pub runs: BTreeMap<String, Run>,
    pub sequences: BTreeMap<Run, u64>,
    /// In the order in which they were made.
    pub reservations: Vec<ReservationId>,
    sessions: u64,
    requests: u64,
}

pub fn amounts(words: &[&str]) -> Resources {
    let mut resources = Resources::NONE;
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            continue;
        };
        let Ok(n) = value.parse::<u64>() else {
            continue;
        };
        match key {
            "cpu" => resources.cpu_milli = n,
            "memory" => resources.memory_bytes = n,
            "disk" => resources.disk_bytes = n,
            "gpus" => resources.gpus = n,
            "of-ports" => resources.ports = n,
            _ => {}
        }
    }
    resources
}

fn value<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words
        .iter()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn after<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words
        .iter()
        .position(|word| *word == key)
        .and_then(|at| words.get(at + 1).copied())
}

impl World {
    pub fn new() -> World {
        let limits = ClusterLimits {
            turns_max: 4,
            agent_silent_ms: 1_000,
            claim_ms: 10_000,
            preempt_after_ms: 1_000,
            ..ClusterLimits::default()
        };
        let framework_limits = FrameworkLimits {
            faults_max: 3,
            web_faults_max: 3,
            ..FrameworkLimits::default()
        };
        let cluster =
            Cluster::restore(std::iter::empty(), limits.clone()).expect("an empty state is fine");
        let mut world = World {
            cluster,
            limits,
            framework_limits,
            now: 1_000_000,
            log: Vec::new(),
            turns: BTreeMap::new(),
            late: BTreeMap::new(),
            agents: BTreeMap::new(),
            facts: BTreeMap::new(),
            runs: BTreeMap::new(),
            sequences: BTreeMap::new(),
            reservations: Vec::new(),
            sessions: 0,
            requests: 0,
        };
        world.step(Event::Led {
            name: "test".into(),
            last_batch: BatchId(0),
        });
        world
    }

    /// One event; the actions in short form.
    pub fn step(&mut self, event: Event) -> String {
        let mut out = Vec::new();
        self.cluster.step(Instant(self.now), event, &mut out);
        if let Err(violation) = self.cluster.check() {
            panic!("{violation}");
        }
        let mut text = String::new();
        for action in out {
            self.act(action, &mut text);
        }
        self.named(text)
    }

    fn act(&mut self, action: Action, text: &mut String) {
        match action {
            Action::Commit(batch) => {
                batch.records.iter().for_each(|record| self.learn(record));
                self.log.extend(batch.records);
            }
            Action::CreateVolume { .. } | Action::DestroyVolume { .. } => {
                self.act_on_volume(&action, text);
            }
            Action::Turn(turn) => {
                let _ = writeln!(text, "turn {}: {}", turn.name, self.describe(&turn));
                self.turns.insert(turn.name.to_string(), turn);
            }
            Action::DropInstance(_) => text.push_str("drop instance\n"),
            Action::Welcome { agent, .. } => drop(writeln!(text, "welcome {agent}")),
            Action::Refuse { why, again, .. } => drop(writeln!(
                text,
                "refuse ({}): {why}",
                if again { "try again" } else { "for good" }
            )),
            Action::Launch {
                framework, tasks, ..
            } => {
                for task in &tasks {
                    self.runs
                        .insert(format!("{framework}/{}", task.id()), task.run);
                    let ports: Vec<String> = task
                        .ports
                        .iter()
                        .map(|p| format!(" {}={}", p.name, p.number))
                        .collect();
                    let _ = writeln!(
                        text,
                        "launch {framework}/{} on {}{}",
                        task.id(),
                        self.agent_name(task.agent),
                        ports.concat()
                    );
                }
            }
            Action::Kill {
                run,
                grace_ms,
                reason,
                ..
            } => {
                let _ = writeln!(
                    text,
                    "kill {} grace {grace_ms} ({})",
                    self.run_name(run),
                    reason.as_str()
                );
            }
            Action::Acknowledge { run, sequence, .. } => {
                let _ = writeln!(text, "acknowledge {} {sequence}", self.run_name(run));
            }
            Action::Reply(_, answer) => drop(writeln!(text, "reply {}", describe_answer(&answer))),
            Action::Stream(write) => {
                let chunk = write
                    .chunk
                    .map(|c| String::from_utf8_lossy(&c).into_owned());
                let _ = writeln!(text, "stream {}", chunk.unwrap_or("ends".into()));
            }
            Action::Observe(_) => {}
        }
    }

    fn agent_name(&self, id: AgentId) -> String {
        self.agents
            .iter()
            .find(|(_, (_, agent))| *agent == id)
            .map_or(id.to_string(), |(name, _)| name.clone())
    }

    fn run_name(&self, run: Run) -> String {
        self.runs
            .iter()
            .find(|(_, known)| **known == run)
            .map_or("unknown".into(), |(name, _)| name.clone())
    }

    fn describe(&self, turn: &Turn) -> String {
        let mut parts = Vec::new();
        for call in &turn.calls {
            match call {
                Call::Start(setup) => {
                    let upgraded = setup.upgraded_from.map_or("", |_| " (upgraded)");
                    let options = Some(&*setup.options).filter(|options| *options != "{}");
                    let options = options.map_or(String::new(), |text| format!(" options {text}"));
                    parts.push(format!("start{upgraded}{options}"));
                }
                Call::Web(request) => parts.push(format!("{} {}", request.method, request.path)),
                Call::Handle(events) => {
                    parts.extend(events.iter().map(|event| self.describe_event(event, turn)))
                }
            }
        }
        parts.join("; ")
    }

    fn describe_event(&self, event: &GuestEvent, turn: &Turn) -> String {
        match event {
            GuestEvent::Agents(agents) => {
                let one = |a: &Arc<AgentInfo>| {
                    let leaving = a.leaving_at.map(|at| format!(" (leaving at {})", at.0));
                    self.agent_name(a.id) + &leaving.unwrap_or_default()
                };
                format!(
                    "agents {}",
                    agents.iter().map(one).collect::<Vec<_>>().join(" ")
                )
            }
            GuestEvent::AgentsGone(gone) => format!("gone {gone:?}"),
            GuestEvent::Statuses(tasks) => {
                let one = |t: &Arc<mezzo_core::turn::Task>| {
                    let reason = t.status.reason.as_str();
                    let reason = if reason.is_empty() {
                        String::new()
                    } else {
                        format!("({reason})")
                    };
                    format!("{} {}{reason}", t.record.id(), t.status.state.as_str())
                };
                format!(
                    "statuses {}",
                    tasks.iter().map(one).collect::<Vec<_>>().join(", ")
                )
            }
            GuestEvent::Timer(name) => format!("timer {name}"),
            GuestEvent::Options(text) => format!("options {text}"),
            GuestEvent::StreamsClosed(streams) => format!("{} streams closed", streams.len()),
            GuestEvent::Offers => {
                let one = |o: &mezzo_core::turn::Offer| {
                    let (cpu, memory) = (o.free.cpu_milli, o.free.memory_bytes);
                    match o.reservation {
                        None => {
                            format!("{} cpu={cpu} memory={memory}", self.agent_name(o.agent))
                        }
                        Some(id) => format!(
                            "{} on {} cpu={cpu} disk={} volumes {:?}",
                            self.name_of(id),
                            self.agent_name(o.agent),
                            o.free.disk_bytes,
                            o.volumes
                        ),
                    }
                };
                format!(
                    "offers {}",
                    turn.offers.iter().map(one).collect::<Vec<_>>().join(", ")
                )
            }
        }
    }

    /// Runs one line; its output.
    pub fn command(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [command, rest @ ..] = words.as_slice() else {
            return String::new();
        };
        match *command {
            "agent" => self.connect(rest),
            "disconnect" => {
                let (session, _) = self.agents[rest[0]];
                self.step(Event::AgentDisconnected(session))
            }
            "reconnect" => self.reconnect(rest),
            "advance" => {
                self.now += rest[0].parse::<u64>().expect("milliseconds");
                self.step(Event::Tick)
            }
            "install" => {
                let role = value(rest, "role").unwrap_or("default");
                self.ask(install(rest[0], role, self.framework_limits.clone()))
            }
            "ready" => {
                let out = self.command(&format!("install {}", rest.join(" ")));
                assert!(out.contains("start"), "{out}");
                self.command(&format!("end {}", rest[0]))
            }
            "upgrade" => self.ask(Request::Upgrade(Upgrade {
                framework: rest[0].into(),
                component: value(rest, "component")
                    .map(|n| (Digest([n.parse().expect("a number"); 32]), true)),
                options: value(rest, "options").map(str::to_string),
                limits: None,
                principal: Arc::from("admin"),
            })),
            // A turn ends; `late`: one that the master before this one had given out.
            "end" | "late" => {
                let asks = &line[command.len()..].trim_start()[rest[0].len()..];
                let turns = match *command {
                    "end" => &mut self.turns,
                    _ => &mut self.late,
                };
                match turns.remove(rest[0]) {
                    Some(turn) => self.end_turn(turn, asks),
                    // Whoever writes a scenario sees it in the output.
                    None => format!("{} has no turn\n", rest[0]),
                }
            }
            "fault" => {
                let fault = Fault {
                    kind: FaultKind::Trap,
                    call: Arc::from("handle"),
                    message: Arc::from("unreachable"),
                    at: Instant(0),
                    id: 0,
                    events: Arc::from(""),
                };
                let turn = self.turns.remove(rest[0]).expect("a turn runs");
                self.step(Event::TurnEnded {
                    turn: turn.id,
                    result: Err(fault),
                    cpu_us: 1_000,
                })
            }
            "status" => self.status(rest),
            "unknown" => {
                let (run, agent) = (self.runs[rest[0]], rest[1]);
                self.step(Event::KillUnknown(self.agents[agent].0, run))
            }
            "kill" => {
                let (framework, task) = rest[0].split_once('/').expect("framework/task");
                let grace_ms = value(rest, "grace").map(|g| g.parse().expect("milliseconds"));
                self.ask(Request::KillTask {
                    framework: framework.into(),
                    task: task.into(),
                    grace_ms,
                    principal: Arc::from("admin"),
                })
            }
            "drain" | "deactivate" | "activate" | "declare-gone" => {
                let ms = |name| value(rest, name).map(|ms| ms.parse().expect("milliseconds"));
                let change = match *command {
                    "drain" => AgentChange::Drain {
                        after_ms: ms("after").unwrap_or(0),
                        grace_ms: ms("grace"),
                    },
                    "deactivate" => AgentChange::Deactivate,
                    "activate" => AgentChange::Activate,
                    _ => AgentChange::Gone,
                };
                self.ask(Request::ChangeAgent {
                    agent: self.agents[rest[0]].1,
                    change,
                    principal: Arc::from("admin"),
                })
            }
            "restart" => self.ask(Request::Restart {
                framework: rest[0].into(),
                principal: Arc::from("admin"),
            }),
            "resume" => self.ask(Request::Resume {
                framework: rest[0].into(),
                skip: rest.contains(&"skip"),
                principal: Arc::from("admin"),
            }),
            "remove" => self.ask(Request::Remove {
                framework: rest[0].into(),
                principal: Arc::from("admin"),
            }),
            "role" => self.ask(Request::SetRole {
                role: rest[0].into(),
                change: role_change(rest),
                principal: Arc::from("admin"),
            }),
            // A master reads what does not count in shares at its start.
            "exclude" => {
                self.limits.fairness_excluded = rest.iter().map(|name| (*name).into()).collect();
                self.lead()
            }
            "unrole" => self.ask(Request::RemoveRole {
                role: rest[0].into(),
                principal: Arc::from("admin"),
            }),
            "explain" => self.ask(Request::Explain {
                framework: rest[0].into(),
                demand: rest.get(1).map(|d| (*d).to_string()),
            }),
            "reserve" | "unreserve" | "volume" | "no-volume" | "made" | "destroyed"
            | "reservations" => self.reserve_command(command, rest),
            "get" => self.web(rest[0], rest[1]),
            "gone" => self.step(Event::RequestGone(RequestId(self.requests))),
            "lead" => self.lead(),
            "limit" => {
                self.set_limit(rest[0], rest[1].parse().expect("a number"));
                String::new()
            }
            "tasks" => self.show_tasks(rest[0]),
            "state" => self.show_state(rest[0]),
            "foreign" => self.show_foreign(rest[0]),
            "use" => self.show_use(rest[0]),
            other => panic!("{other:?} is no command"),
        }
    }

    pub fn ask(&mut self, request: Request) -> String {
        self.requests += 1;
        self.step(Event::Asked(RequestId(self.requests), request))
    }

    fn web(&mut self, framework: &str, path: &str) -> String {
        let request = WebRequest {
            id: RequestId(0),
            method: "GET".into(),
            path: path.into(),
            headers: vec![],
            body: vec![],
            principal: "user".into(),
        };
        self.ask(Request::Web {
            framework: framework.into(),
            request,
        })
    }

    /// The master dies: what was committed is read again, all else is lost.
    pub fn lead(&mut self) -> String {
        self.cluster = Cluster::restore(compact(&self.log).into_iter(), self.limits.clone())
            .expect("the records are sound");
        self.late = std::mem::take(&mut self.turns);
        self.agents.clear();
        self.step(Event::Led {
            name: "other".into(),
            last_batch: BatchId(1_000),
        })
    }

    fn connect(&mut self, words: &[&str]) -> String {
        let mut total = amounts(words);
        let ports = value(words, "ports").and_then(|p| p.split_once('-'));
        let port_set = ports.map_or(PortSet::default(), |(a, b)| {
            PortSet::range(a.parse().expect("a port"), b.parse().expect("a port"))
        });
        total.ports = port_set.len();
        let attributes = value(words, "rack").map(|rack| Attribute {
            name: "rack".into(),
            value: AttributeValue::Text(rack.into()),
        });
        let facts = AgentFacts {
            identity: words[0].into(),
            hostname: words[0].into(),
            address: "127.0.0.1".into(),
            region: None,
            zone: None,
            attributes: attributes.into_iter().collect(),
            total,
            port_set,
            runtimes: vec![Runtime::Process],
            version: String::new(),
            reserved: reserve::configured(words),
        };
        self.facts.insert(words[0].into(), facts);
        self.reconnect(words)
    }

    /// `reconnect a f/t=running …`: with what it still keeps.
    fn reconnect(&mut self, words: &[&str]) -> String {
        let mut runs = Vec::new();
        for word in words[1..].iter().filter(|word| word.contains('/')) {
            let (task, state) = word.split_once('=').expect("task=state");
            let run = self.runs[task];
            let sequence = self.sequences.get(&run).copied().unwrap_or(1);
            runs.push((
                run,
                sequence,
                Status::new(state_named(state), Instant(self.now)),
            ));
        }
        self.greet(words[0], runs)
    }

    pub fn greet(&mut self, name: &str, runs: Vec<(Run, u64, Status)>) -> String {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let facts = self.facts[name].clone();
        // The number is known once the core has it; for names in the output it is looked up before.
        let mut actions = Vec::new();
        self.cluster.step(
            Instant(self.now),
            Event::AgentConnected {
                session,
                facts,
                runs,
            },
            &mut actions,
        );
        if let Err(violation) = self.cluster.check() {
            panic!("{violation}");
        }
        for action in &actions {
            if let Action::Welcome { agent, .. } = action {
                self.agents.insert(name.into(), (session, *agent));
            }
        }
        let mut text = String::new();
        for action in actions {
            self.act(action, &mut text);
        }
        text
    }

    /// The session of that agent, or of the first one.
    fn session_of(&self, agent: Option<AgentId>) -> SessionId {
        let mut all = self.agents.values();
        let its = all.clone().find(|(_, id)| Some(*id) == agent);
        its.or(all.next()).expect("an agent").0
    }

    /// `status f/t running [sequence=2] [from b]`; over a session that has ended if the agent is away.
    fn status(&mut self, words: &[&str]) -> String {
        let run = self.runs[words[0]];
        let state = state_named(words[1]);
        let agent = self.cluster.state().task(run).map(|t| t.record.agent);
        let session = match after(words, "from") {
            Some(name) => self.agents[name].0,
            None => self.session_of(agent),
        };
        let sequence = value(words, "sequence").map_or_else(
            || {
                let next = self.sequences.entry(run).or_default();
                *next += 1;
                *next
            },
            |s| s.parse().expect("a number"),
        );
        let status = Status::new(state, Instant(self.now));
        self.step(Event::StatusReported {
            session,
            run,
            sequence,
            status,
        })
    }

    /// Ends a framework's turn; what it asks for stands behind its name, parts separated by `;`.
    fn end_turn(&mut self, turn: Box<Turn>, asks: &str) -> String {
        let id = turn.id;
        let mut ledger = Ledger::new(*turn);
        let mut refusals = String::new();
        let mut answered = false;
        let mut made = reserve::Made::new();
        for ask in asks.split(';') {
            let words: Vec<&str> = ask.split_whitespace().collect();
            if words.first() == Some(&"answer") {
                answered = true;
            }
            if let Err(refusal) = self.ask_in_turn(&mut ledger, &words, &mut made) {
                let _ = writeln!(refusals, "refused: {refusal}");
            }
        }
        if !answered {
            respond(&mut ledger, Some("ok"));
        }
        let effects = ledger.finish();
        refusals
            + &self.step(Event::TurnEnded {
                turn: id,
                result: Ok(effects),
                cpu_us: 1_000,
            })
    }

    fn ask_in_turn(
        &self,
        ledger: &mut Ledger,
        words: &[&str],
        made: &mut reserve::Made,
    ) -> Result<(), String> {
        match words {
            [] => Ok(()),
            ["want", demands @ ..] => {
                let demands = demands
                    .split(|word| *word == "and")
                    .map(|words| self.with_reservations(demand(words), words, made))
                    .filter(|d| !d.name.is_empty())
                    .collect();
                ledger.want(demands).map_err(|e| format!("{e:?}"))
            }
            ["launch", rest @ ..] => self.launch(ledger, rest, None, made),
            ["group", group, rest @ ..] => self.launch(ledger, rest, Some(group), made),
            ["reserve" | "unreserve" | "volume" | "no-volume", ..] => {
                self.reserve_in_turn(ledger, words, made)
            }
            ["kill", task] => ledger.kill(task, None).map_err(|e| format!("{e:?}")),
            ["set", key, value] => ledger.state_set(key, value.as_bytes().to_vec()),
            ["delete", key] => {
                ledger.state_delete(key);
                Ok(())
            }
            ["timer", name, ms] => ledger.timer_set(name, ms.parse().expect("milliseconds")),
            ["cancel", name] => {
                ledger.timer_cancel(name);
                Ok(())
            }
            ["revive"] => {
                ledger.revive();
                Ok(())
            }
            ["answer", "stream"] => {
                respond(ledger, None);
                Ok(())
            }
            ["answer", text] => {
                respond(ledger, Some(text));
                Ok(())
            }
            ["write", text] => {
                let streams: Vec<RequestId> = ledger.turn().view.streams.iter().copied().collect();
                for stream in streams {
                    ledger.stream_write(stream, text.as_bytes().to_vec());
                }
                Ok(())
            }
            other => panic!("{other:?} is nothing that a framework can ask for"),
        }
    }

    /// `launch t1 t2 cpu=1000 on a [for demand] [ports=http,admin] [image=x] [and t3 cpu=500 on b]`
    fn launch(
        &self,
        ledger: &mut Ledger,
        words: &[&str],
        group: Option<&str>,
        made: &reserve::Made,
    ) -> Result<(), String> {
        let parts = words.split(|word| *word == "and");
        let placements = parts
            .flat_map(|part| self.placements(ledger, part, made))
            .collect();
        let launched = match group {
            Some(group) => ledger.launch_group(group, placements),
            None => ledger.launch(placements),
        };
        launched
            .map(|_| ())
            .map_err(|e| self.named(format!("{e:?}")))
    }

    fn placements(&self, ledger: &Ledger, words: &[&str], made: &reserve::Made) -> Vec<Placement> {
        let place = after(words, "on").expect("launch … on AGENT or RESERVATION");
        let offer = self.offer_named(ledger, place, made);
        let tasks = words
            .iter()
            .take_while(|word| !word.contains('=') && **word != "on");
        let ports: Vec<PortRequest> = value(words, "ports")
            .map(|names| {
                names
                    .split(',')
                    .map(|name| PortRequest {
                        name: name.into(),
                        fixed: None,
                    })
                    .collect()
            })
            .unwrap_or_default();
        let placement = |task: &&str| {
            let mut task = TaskSpec {
                ports: ports.clone(),
                resources: amounts(words),
                mounts: reserve::mounts(words),
                preemptible: words.contains(&"preemptible"),
                ..spec(task)
            };
            if let Some(image) = value(words, "image") {
                task.workload = Workload::Container {
                    image: image.into(),
                    argv: vec![],
                };
            }
            Placement {
                offer,
                demand: after(words, "for").map(str::to_string),
                task,
            }
        };
        tasks.map(placement).collect()
    }
}

pub fn install(name: &str, role: &str, limits: FrameworkLimits) -> Request {
    Request::Install(Install {
        name: name.into(),
        role: role.into(),
        component: Digest([1; 32]),
        web: true,
        options: "{}".into(),
        limits,
        principal: Arc::from("admin"),
    })
}

pub fn spec(id: &str) -> TaskSpec {
    TaskSpec {
        id: TaskId::new(id).expect("a good name"),
        name: String::new(),
        workload: Workload::Process {
            argv: vec!["true".into()],
        },
        resources: Resources::NONE,
        env: vec![],
        labels: vec![],
        ports: vec![],
        files: vec![],
        kill_grace_ms: 5_000,
        runtime_max_ms: None,
        mounts: vec![],
        preemptible: false,
    }
}

/// `name cpu=… count=… [rack=…] [port=…]`
fn demand(words: &[&str]) -> Demand {
    Demand {
        name: words.first().unwrap_or(&"").to_string(),
        each: amounts(words),
        count: value(words, "count").map_or(1, |n| n.parse().expect("a number")),
        conditions: value(words, "rack")
            .map(|rack| Condition {
                attribute: "rack".into(),
                test: Comparison::Equals,
                value: rack.into(),
            })
            .into_iter()
            .collect(),
        fixed_ports: value(words, "port")
            .map(|p| p.parse().expect("a port"))
            .into_iter()
            .collect(),
        together: words.contains(&"together"),
        priority: value(words, "priority").map_or(0, |n| n.parse().expect("a number")),
        ..Demand::default()
    }
}

fn respond(ledger: &mut Ledger, body: Option<&str>) {
    let request = ledger.turn().calls.iter().find_map(|c| {
        if let Call::Web(r) = c {
            Some(r.id)
        } else {
            None
        }
    });
    if let Some(request) = request {
        let body = body.map(|b| b.as_bytes().to_vec());
        ledger
            .respond(
                request,
                WebResponse {
                    status: 200,
                    headers: vec![],
                    body,
                },
            )
            .expect("a good response");
    }
}

fn state_named(name: &str) -> TaskState {
    TaskState::ALL
        .into_iter()
        .find(|state| state.as_str() == name)
        .expect("a state")
}

fn describe_answer(answer: &Answer) -> String {
    match answer {
        Answer::Done => "done".into(),
        Answer::Reserved(id) => format!("reservation {id}"),
        Answer::Framework(id) => format!("framework {id}"),
        Answer::Web(response) => match &response.body {
            Some(body) => format!("{} {}", response.status, String::from_utf8_lossy(body)),
            None => format!("{} and a stream", response.status),
        },
        Answer::Refused(refused) => format!("refused {:?}: {}", refused.kind, refused.message),
        Answer::Explained(explanation) => {
            let mut text = format!("explained {}", explanation.framework);
            if !explanation.state.is_empty() {
                let _ = write!(text, " ({})", explanation.state);
            }
            for demand in &explanation.demands {
                let _ = write!(
                    text,
                    "\n  {}: {} of {} agents fit",
                    demand.demand.name, demand.agents_fit, demand.agents
                );
                for reason in &demand.reasons {
                    let _ = write!(
                        text,
                        "\n    {} {}{}",
                        reason.agents,
                        reason.reason,
                        if reason.passing { " (passing)" } else { "" }
                    );
                    let _ = write!(text, "\n      {}", reason.remedy);
                }
                let _ = write!(text, "\n    {}", demand.hint);
            }
            for task in &explanation.pending {
                let _ = write!(
                    text,
                    "\n  {} {}: {}\n      {}",
                    task.task,
                    task.state.as_str(),
                    task.reason,
                    task.remedy
                );
            }
            if explanation.pending_more > 0 {
                let _ = write!(text, "\n  {} more", explanation.pending_more);
            }
            text
        }
    }
}

/// `role NAME weight=2 guarantee=cpu limit=cpu force dry`, amounts in thousandths of a cpu.
fn role_change(words: &[&str]) -> RoleChange {
    let number = |name| value(words, name).map(|n| n.parse().expect("a number"));
    let (guarantee, limit): (Option<u64>, Option<u64>) = (number("guarantee"), number("limit"));
    let quota = Quota {
        guarantee: Resources {
            cpu_milli: guarantee.unwrap_or(0),
            ..Resources::NONE
        },
        limit_cpu_milli: limit,
        ..Quota::default()
    };
    let weight = value(words, "weight").map(|n| n.parse().expect("a number"));
    RoleChange {
        weight,
        quota: (weight.is_none()).then_some(quota),
        force: words.contains(&"force"),
        dry_run: words.contains(&"dry"),
    }
}

/// Only the newest record of each key, as a store keeps them.
pub fn compact(log: &[Record]) -> Vec<Record> {
    let mut kept: BTreeMap<String, Record> = BTreeMap::new();
    for record in log {
        let key = match record {
            Record::Cluster(_) => "cluster".to_string(),
            Record::Agent(a) => format!("agent/{}", a.info.id),
            Record::AgentRemoved(id) => {
                kept.remove(&format!("agent/{id}"));
                continue;
            }
            Record::Gone(id, gone) => {
                let key = format!("gone/{id}");
                if gone.is_none() {
                    kept.remove(&key);
                    continue;
                }
                key
            }
            Record::Role(r) => format!("role/{}", r.name),
            Record::RoleRemoved(name) => {
                kept.remove(&format!("role/{name}"));
                continue;
            }
            Record::Framework(f) => format!("framework/{}", f.id),
            Record::FrameworkRemoved(id) => {
                kept.remove(&format!("framework/{id}"));
                kept.remove(&format!("demands/{id}"));
                continue;
            }
            Record::Demands(id, _) => format!("demands/{id}"),
            Record::Timer(id, name, at) => {
                let key = format!("timer/{id}/{name}");
                if at.is_none() {
                    kept.remove(&key);
                    continue;
                }
                key
            }
            Record::State(id, name, value) => {
                let key = format!("state/{id}/{name}");
                if value.is_none() {
                    kept.remove(&key);
                    continue;
                }
                key
            }
            Record::Reservation(r) => format!("reservation/{}", r.id),
            Record::ReservationRemoved(id) => {
                kept.remove(&format!("reservation/{id}"));
                continue;
            }
            Record::Task(t) => format!("task/{}", t.run),
            Record::Status(run, _) => format!("status/{run}"),
            Record::Kill(run, _) => format!("kill/{run}"),
            Record::TaskForgotten(run) => {
                for part in ["task", "status", "kill"] {
                    kept.remove(&format!("{part}/{run}"));
                }
                continue;
            }
            Record::Principal(name, _) => format!("principal/{name}"),
        };
        kept.insert(key, record.clone());
    }
    kept.into_values().collect()
}
