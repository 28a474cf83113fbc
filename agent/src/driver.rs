//! The loop around the state machine: one thread that owns every run.
//!
//! Inputs come from the session, the spawner, the watchers and the fetching of components; actions
//! go to files, to the spawner and to the session. Nothing here decides what a run should do next.

mod volumes;

use crate::components::Components;
use crate::ended::{self, Keep};
use crate::environment::environment;
use crate::identity::Folder;
use crate::runs::{OUTCOME, Runs};
use crate::spawner::{self, Heard, Listener, Spawner};
use crate::volumes::Volumes;
use crate::{Config, Error, Program, io, leftovers, sandbox};
use mezzo_agent_core::{Action, Agent, Ending, Event, Kill, Launch, Volume, sequence};
use mezzo_proto::{encode_status, v1};
use mezzo_shim::{Request, Wish};
use mezzo_types::{Instant, Reason, Run, Runtime, Status, TaskState, Term, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long the loop sleeps when no run has a deadline.
const IDLE: Duration = Duration::from_secs(3600);
/// The memory of a component that asks for none, in bytes.
const MODULE_MEMORY_BYTES: u64 = 128 << 20;
/// Folders of ended runs are looked through at most so often.
const COLLECT_EVERY: Duration = Duration::from_secs(10);

/// Where the driver's words to the master go.
pub type Upward = mpsc::Sender<v1::FromAgent>;

/// Whatever wakes the driver.
enum Input {
    Event(Event),
    Heard(Heard),
    /// The compiled component of a run is there, or will not be.
    Code(Run, Result<PathBuf, (Reason, String)>),
    /// What came of destroying a volume.
    Destroyed(Volume, std::io::Result<()>),
    /// The session wants to say what there is.
    Greeting(oneshot::Sender<Vec<v1::Update>>),
    /// The session stands.
    Opened(Term, Upward),
    Stop,
}

/// How the rest of the agent reaches the driver. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inputs: Sender<Input>,
    /// To read output without the driver.
    pub runs: Runs,
    /// Told by the session which master is there.
    pub components: Arc<Components>,
}

impl Handle {
    /// Every run and its latest status.
    pub async fn greeting(&self) -> Option<Vec<v1::Update>> {
        let (tell, told) = oneshot::channel();
        self.inputs.send(Input::Greeting(tell)).ok()?;
        told.await.ok()
    }

    /// A session stands; statuses go there from now on.
    pub fn opened(&self, term: Term, upward: Upward) {
        let _ = self.inputs.send(Input::Opened(term, upward));
    }

    /// Passes on what the master says, or that the session has ended.
    pub fn event(&self, event: Event) {
        let _ = self.inputs.send(Input::Event(event));
    }

    /// Ends the driver; tasks run on.
    pub fn stop(&self) {
        let _ = self.inputs.send(Input::Stop);
    }
}

/// See the module's page.
pub struct Driver {
    agent: Agent,
    runs: Runs,
    volumes: Volumes,
    /// They are being destroyed.
    going: BTreeSet<Volume>,
    spawner: Spawner,
    listener: Listener,
    components: Arc<Components>,
    runtime: tokio::runtime::Handle,
    /// For what is done elsewhere and answered here.
    own: Sender<Input>,
    inputs: Receiver<Input>,
    upward: Option<Upward>,
    /// Sent to this spawner, which has not yet said that they are over.
    spawned: BTreeMap<Run, u64>,
    /// They wait for their component.
    waiting: BTreeSet<Run>,
    hostname: String,
    runner: Option<Program>,
    output_bytes_max: u64,
    keep: Keep,
    collected: std::time::Instant,
    collecting: Arc<AtomicBool>,
    clock: Clock,
}

/// Milliseconds since the epoch that never go back.
struct Clock {
    base_ms: u64,
    started: std::time::Instant,
}

impl Clock {
    fn start() -> Clock {
        let since = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default();
        Clock {
            base_ms: millis(since),
            started: std::time::Instant::now(),
        }
    }

    fn now(&self) -> Instant {
        Instant(self.base_ms + millis(self.started.elapsed()))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Driver {
    /// Finds what an earlier agent left and goes on with it. Call it within a tokio runtime.
    pub fn new(
        config: Config,
        folder: &Folder,
        hostname: String,
        runtimes: Vec<Runtime>,
        mut spawner: Spawner,
    ) -> Result<(Driver, Handle), Error> {
        let (own, inputs) = std::sync::mpsc::channel();
        let tell = std::sync::Mutex::new(own.clone());
        let listener: Listener = Arc::new(move |heard| {
            if let Ok(tell) = tell.lock() {
                let _ = tell.send(Input::Heard(heard));
            }
        });
        spawner.listen(&listener)?;
        let runs = Runs::open(&folder.path, &folder.boot)?;
        let volumes = Volumes::open(&folder.path)?;
        let components = Arc::new(Components::open(&config, &folder.path)?);
        let handle = Handle {
            inputs: own.clone(),
            runs: runs.clone(),
            components: components.clone(),
        };
        let found = runs.recover()?;
        let running: Vec<Run> = found
            .iter()
            .filter(|found| matches!(found.trace, mezzo_agent_core::Trace::Running(_)))
            .map(|found| found.launch.run)
            .collect();
        if !found.is_empty() {
            tracing::info!(
                kept = found.len(),
                running = running.len(),
                "found the runs of an earlier agent"
            );
        }
        let clock = Clock::start();
        let mut actions = Vec::new();
        let agent = Agent::restore(
            clock.now(),
            folder.joined()?.term,
            runtimes,
            found,
            &mut actions,
        );
        let mut driver = Driver {
            agent,
            runs,
            volumes,
            going: BTreeSet::new(),
            spawner,
            listener,
            components,
            runtime: tokio::runtime::Handle::current(),
            own,
            inputs,
            upward: None,
            spawned: BTreeMap::new(),
            waiting: BTreeSet::new(),
            hostname,
            runner: config.runner,
            output_bytes_max: config.limits.output_bytes_max,
            keep: Keep {
                seconds: config.limits.ended_kept_s,
                folders: config.limits.ended_kept_max,
                bytes: config.limits.ended_bytes_max,
            },
            collected: std::time::Instant::now(),
            collecting: Arc::default(),
            clock,
        };
        for run in running {
            driver.watch(run);
        }
        driver.execute_all(actions);
        Ok((driver, handle))
    }

    /// Goes on until it is stopped.
    pub fn run(mut self) {
        loop {
            let now = self.clock.now();
            let wait = self
                .agent
                .next_deadline()
                .map_or(IDLE, |at| Duration::from_millis(at.since_ms(now)));
            let input = match self.inputs.recv_timeout(wait.min(IDLE)) {
                Ok(input) => input,
                Err(RecvTimeoutError::Timeout) => Input::Event(Event::Tick),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match input {
                Input::Event(event) => self.step(event),
                Input::Heard(heard) => self.heard(heard),
                Input::Code(run, code) => self.code(run, code),
                Input::Destroyed(volume, result) => self.destroyed(volume, result),
                Input::Greeting(tell) => drop(tell.send(self.greeting())),
                Input::Opened(term, upward) => {
                    self.upward = Some(upward);
                    self.step(Event::SessionOpened(term));
                }
                Input::Stop => return,
            }
        }
    }

    fn step(&mut self, event: Event) {
        if event == Event::SessionClosed {
            self.upward = None;
        }
        let mut actions = Vec::new();
        self.agent.step(self.clock.now(), event, &mut actions);
        self.execute_all(actions);
    }

    fn execute_all(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.execute(action);
        }
    }

    fn execute(&mut self, action: Action) {
        match action {
            Action::Keep(launch) => self.keep(&launch),
            Action::KeepKill(run, kill) => self.keep_kill(run, &kill),
            Action::Start(run) => self.start(run),
            Action::Terminate(run) => self.ask(run, Wish::Terminate),
            Action::Destroy(run) => self.ask(run, Wish::Destroy),
            Action::Say(run, number, status) => self.say(update(run, number, &status)),
            Action::SayUnknown(run) => {
                let unknown = v1::KillUnknown { run: run.0 };
                self.say(v1::from_agent::Message::KillUnknown(unknown));
            }
            Action::CreateVolume(volume) => self.create_volume(&volume),
            Action::DestroyVolume(volume) => self.destroy_volume(volume),
            Action::Forget(run) => self.forget(run),
        }
    }

    fn keep(&mut self, launch: &Launch) {
        let run = launch.run;
        if let Err(error) = self.runs.keep(launch) {
            // It is not started: its file would not be there for a later agent.
            return self.fail(
                run,
                Reason::SandboxFailed,
                format!("the launch could not be kept: {error}"),
            );
        }
        // Refused right away: the machine's word for it is kept as well.
        if let Some(status) = self
            .agent
            .status_of(run)
            .filter(|status| status.state.is_final())
        {
            self.keep_over(run, status.reason, &status.message);
        }
    }

    fn keep_over(&self, run: Run, reason: Reason, message: &str) {
        if let Err(error) = self.runs.keep_over(run, reason, message) {
            tracing::warn!(%run, "could not keep why the run is over: {error}");
        }
    }

    fn keep_kill(&mut self, run: Run, kill: &Kill) {
        if let Err(error) = self.runs.keep_kill(run, kill) {
            tracing::warn!(%run, "could not keep that the run was killed: {error}; after a restart it is killed anew when the master says so");
        }
        if self.waiting.remove(&run) {
            let message = "it was killed while its component was made ready";
            self.fail(run, Reason::KilledBeforeStart, message.into());
        }
    }

    /// Ends a run that its shim says nothing of.
    fn fail(&mut self, run: Run, reason: Reason, message: String) {
        self.spawned.remove(&run);
        self.waiting.remove(&run);
        match self.runs.seal(run) {
            Ok(true) => {}
            // A spawner of before was asked for it as well.
            Ok(false) => return self.adopt_run(run),
            Err(error) => tracing::warn!(%run, "could not be sealed: {error}"),
        }
        if self.runs.folder(run).is_dir() {
            self.keep_over(run, reason, &message);
        }
        tracing::info!(%run, reason = reason.as_str(), "failed: {message}");
        self.step(Event::Ended(run, Ending::Failed(reason, message)));
    }

    fn start(&mut self, run: Run) {
        let state = self.agent.status_of(run).map(|status| status.state);
        // Over before it began, for example because it could not be kept.
        if state != Some(TaskState::Starting) {
            return;
        }
        let Some(launch) = self.agent.launch_of(run).cloned() else {
            return;
        };
        match &launch.spec.workload {
            Workload::Process { argv } => self.spawn(&launch, argv.clone(), None),
            Workload::Module { component, .. } if self.runner.is_some() => {
                self.waiting.insert(run);
                let (components, digest, own) =
                    (self.components.clone(), *component, self.own.clone());
                if let Some(code) = components.ready(&digest) {
                    return self.code(run, Ok(code));
                }
                self.runtime.spawn(async move {
                    let code = components.make_ready(digest).await;
                    let _ = own.send(Input::Code(run, code));
                });
            }
            other => {
                let kind = other.runtime().as_str();
                self.fail(
                    run,
                    Reason::Unsupported,
                    format!("this agent does not run workloads of the kind `{kind}`"),
                );
            }
        }
    }

    fn code(&mut self, run: Run, code: Result<PathBuf, (Reason, String)>) {
        if !self.waiting.remove(&run) {
            // Killed meanwhile.
            return;
        }
        let Some(launch) = self.agent.launch_of(run).cloned() else {
            return;
        };
        let (Workload::Module { argv, .. }, Some(runner)) = (&launch.spec.workload, &self.runner)
        else {
            return;
        };
        match code {
            Ok(code) => {
                let mounts = match self.mounts(&launch) {
                    Ok(mounts) => mounts,
                    Err(message) => return self.fail(run, Reason::VolumeFailed, message),
                };
                let argv = runner_argv(
                    runner,
                    &self.runs.folder(run),
                    &code,
                    launch.spec.resources.memory_bytes,
                    &mounts,
                    argv,
                );
                self.spawn(&launch, argv, Some("/"));
            }
            Err((reason, message)) => self.fail(run, reason, message),
        }
    }

    /// Makes the sandbox and asks the spawner. `home` is what the task sees as its folder, if that is
    /// not the sandbox's path.
    fn spawn(&mut self, launch: &Launch, argv: Vec<String>, home: Option<&str>) {
        let run = launch.run;
        let folder = self.runs.folder(run);
        let mounts = match self.mounts(launch) {
            Ok(mounts) => mounts,
            Err(message) => return self.fail(run, Reason::VolumeFailed, message),
        };
        // A component does not see where its folder is, and a link out of it would lead nowhere.
        let links = if home.is_none() { &mounts[..] } else { &[] };
        let sandbox = match self.sandbox(launch, links) {
            Ok(sandbox) => sandbox,
            Err((reason, message)) => return self.fail(run, reason, message),
        };
        if let Some((port, error)) = taken(&launch.ports) {
            let message =
                format!("port {port} is in use by something else on this machine: {error}");
            return self.fail(run, Reason::PortTaken, message);
        }
        let mut env = environment(
            launch,
            home.map_or(sandbox.as_path(), Path::new),
            &self.hostname,
        );
        if home.is_none() {
            env.push(format!("{}={}", leftovers::SANDBOX, sandbox.display()));
        }
        let request = Request {
            run: run.0,
            folder: folder.to_string_lossy().into_owned(),
            cwd: sandbox.to_string_lossy().into_owned(),
            output_bytes_max: self.output_bytes_max,
            argv,
            env,
        };
        if let Err(problem) = self.send(&request) {
            self.fail(
                run,
                Reason::StartFailed,
                format!("no process could be made for the task: {problem}"),
            );
        }
    }

    /// Sends a request; to another spawner if this one does not take it.
    fn send(&mut self, request: &Request) -> Result<(), String> {
        let run = Run(request.run);
        if self.spawner.send(request).is_err() {
            self.respawn();
            self.spawner
                .send(request)
                .map_err(|error| format!("the spawner: {error}"))?;
        }
        self.spawned.insert(run, self.spawner.number());
        Ok(())
    }

    fn respawn(&mut self) {
        match self.spawner.restart(&self.listener) {
            Ok(()) => tracing::warn!("the spawner was gone; another one was started"),
            Err(error) => tracing::error!("no spawner can be started: {error}"),
        }
    }

    fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Started(run) => self.step(Event::Started(run)),
            Heard::Gone(run) => self.gone(run),
            Heard::Died(number) => {
                if number == self.spawner.number() {
                    self.respawn();
                }
                self.adopt(number);
            }
        }
    }

    /// A run's shim is gone, unless the note was about a second one that found it started.
    fn gone(&mut self, run: Run) {
        self.spawned.remove(&run);
        let state = self.agent.status_of(run).map(|status| status.state);
        if state.is_none_or(TaskState::is_final) {
            return;
        }
        if !self.runs.is_over(run) && spawner::shim_lives(&self.runs.folder(run)) {
            return self.adopt_run(run);
        }
        let runtime = self
            .agent
            .launch_of(run)
            .map_or(Runtime::Process, |launch| launch.spec.workload.runtime());
        let ending = self.runs.ending(run, runtime);
        if let Ending::Failed(reason, message) = &ending {
            self.keep_over(run, *reason, message);
        }
        tracing::info!(%run, "over: {ending:?}");
        self.step(Event::Ended(run, ending));
    }

    /// The runs of a dead spawner: those with a shim are watched, the others are started again.
    fn adopt(&mut self, number: u64) {
        let orphans: Vec<Run> = self
            .spawned
            .iter()
            .filter(|(_, of)| **of == number)
            .map(|(run, _)| *run)
            .collect();
        for run in orphans {
            self.spawned.remove(&run);
            if spawner::trace(&self.runs.folder(run)).is_some() {
                self.adopt_run(run);
            } else {
                self.start(run);
            }
        }
    }

    /// A run whose shim is another spawner's, and was not heard.
    fn adopt_run(&mut self, run: Run) {
        self.watch(run);
        self.step(Event::Started(run));
    }

    fn watch(&self, run: Run) {
        if let Err(error) = spawner::watch(self.runs.folder(run), run, &self.listener) {
            tracing::error!(%run, "its end will not be noticed before the next start of the agent: {error}");
        }
    }

    fn ask(&self, run: Run, wish: Wish) {
        if let Err(error) = spawner::ask(&self.runs.folder(run), wish) {
            tracing::warn!(%run, "its shim could not be asked to {wish:?} it: {error}");
        }
    }

    fn say(&self, message: v1::from_agent::Message) {
        // A full queue is a stuck session: statuses are said again, and kills are asked for again.
        if let Some(upward) = &self.upward {
            let _ = upward.try_send(v1::FromAgent {
                message: Some(message),
            });
        }
    }

    fn greeting(&self) -> Vec<v1::Update> {
        let update = |(run, number, status): (Run, u64, &Status)| v1::Update {
            run: run.0,
            sequence: number,
            status: encode_status(status),
            acknowledged: 0,
        };
        self.agent.runs().map(update).collect()
    }

    fn forget(&mut self, run: Run) {
        if let Err(error) = self.runs.forget(run) {
            tracing::warn!(%run, "its folder could not be put away: {error}");
        }
        let due = self.collected.elapsed() >= COLLECT_EVERY
            && !self.collecting.swap(true, Ordering::AcqRel);
        if !due {
            return;
        }
        self.collected = std::time::Instant::now();
        let (folder, keep) = (self.runs.ended().to_path_buf(), self.keep);
        let collecting = self.collecting.clone();
        self.runtime.spawn_blocking(move || {
            if let Err(error) = ended::collect(&folder, keep) {
                tracing::warn!("could not remove folders of ended runs: {error}");
            }
            collecting.store(false, Ordering::Release);
        });
    }
}

/// A status of a run, with its number.
pub fn update(run: Run, number: u64, status: &Status) -> v1::from_agent::Message {
    debug_assert_eq!(number, sequence(status.state));
    v1::from_agent::Message::Update(v1::Update {
        run: run.0,
        sequence: number,
        status: encode_status(status),
        acknowledged: 0,
    })
}

/// The first port that somebody else listens on.
fn taken(ports: &[u16]) -> Option<(u16, std::io::Error)> {
    ports
        .iter()
        .find_map(|port| match TcpListener::bind(("0.0.0.0", *port)) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Some((*port, error)),
            _ => None,
        })
}

/// The runner's command line. Options that it does not know would be refused, never ignored.
fn runner_argv(
    runner: &Program,
    folder: &Path,
    code: &Path,
    memory_bytes: u64,
    mounts: &[(PathBuf, String)],
    argv: &[String],
) -> Vec<String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut all = vec![text(&runner.program)];
    all.extend(runner.args.iter().cloned());
    all.extend(["run".into(), "--code".into(), text(code)]);
    all.extend(["--dir".into(), text(&folder.join(sandbox::SANDBOX))]);
    all.extend(["--outcome".into(), text(&folder.join(OUTCOME))]);
    for (folder, path) in mounts {
        all.extend(["--mount".into(), text(folder), "--at".into(), path.clone()]);
    }
    let memory_bytes = match memory_bytes {
        0 => MODULE_MEMORY_BYTES,
        asked => asked,
    };
    all.extend(["--memory-bytes".into(), memory_bytes.to_string()]);
    all.push("--".into());
    all.extend(argv.iter().cloned());
    all
}

/// Says which thread could not be started.
pub fn start(driver: Driver) -> Result<std::thread::JoinHandle<()>, Error> {
    let thread = std::thread::Builder::new().name("driver".into());
    thread
        .spawn(move || driver.run())
        .map_err(io("start the driver's thread"))
}
