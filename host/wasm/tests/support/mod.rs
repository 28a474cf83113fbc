//! A sandbox with workers for one test, and a framework in it whose turns the test hands out itself,
//! as the core would: what a clean turn asks for is what the next turn finds.
#![allow(dead_code, reason = "each test file uses a part of it")]

use mezzo_core::turn::{GuestEvent, Offer, Setup, View, WebRequest};
use mezzo_core::{Call, Effects, Fault, FaultKind, FrameworkLimits, Turn};
use mezzo_types::{
    AgentFacts, AgentId, AgentInfo, Digest, FrameworkId, InstanceId, Instant as Now, OfferId,
    PortSet, RequestId, ReservationId, Resources, Run, Runtime, TaskLimits, TurnId,
};
use mezzo_wasm::{
    CompileCommand, Level, LogSink, Prepared, Refused, Sandbox, SandboxConfig, SandboxLimits,
    Workers,
};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

/// Longer than anything takes: it only ends a test that would hang.
const SAFETY: Duration = Duration::from_secs(120);
/// The instant of the first turn.
pub const NOW_MS: u64 = 1_800_000_000_000;

/// The lines that the frameworks of one host have logged.
#[derive(Default)]
pub struct Lines(Mutex<Vec<(FrameworkId, Level, String)>>);

impl LogSink for Lines {
    fn line(&self, framework: FrameworkId, level: Level, text: &str) {
        let mut lines = self.0.lock().expect("no test panics with the lines");
        lines.push((framework, level, text.to_owned()));
    }
}

impl Lines {
    pub fn take(&self) -> Vec<String> {
        self.take_with_levels().into_iter().map(|l| l.1).collect()
    }

    pub fn take_with_levels(&self) -> Vec<(Level, String)> {
        let mut lines = self.0.lock().expect("no test panics with the lines");
        lines
            .drain(..)
            .map(|(_, level, text)| (level, text))
            .collect()
    }
}

type Ended = HashMap<TurnId, (Result<Effects, Fault>, u64)>;

/// The turns that have ended, for those who wait for them.
#[derive(Default)]
struct Board(Mutex<Ended>, Condvar);

/// A sandbox and its workers.
pub struct Host {
    pub sandbox: Arc<Sandbox>,
    pub lines: Arc<Lines>,
    workers: Option<Workers>,
    board: Arc<Board>,
    folder: tempfile::TempDir,
}

/// The limits of the tests' sandboxes: address space for a few instances only.
pub fn limits() -> SandboxLimits {
    SandboxLimits {
        instances_max: 16,
        ..SandboxLimits::default()
    }
}

pub fn compiler() -> CompileCommand {
    CompileCommand {
        program: PathBuf::from(env!("CARGO_BIN_EXE_mezzo-compile")),
        args: Vec::new(),
    }
}

pub fn open(folder: &Path, limits: SandboxLimits, log: Arc<dyn LogSink>) -> Sandbox {
    let opened = Sandbox::open(SandboxConfig {
        source: None,
        cache_dir: folder.to_owned(),
        compile: compiler(),
        limits,
        log,
    });
    opened.unwrap_or_else(|error| panic!("{error}"))
}

pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// A folder with the compiled guests that most tests run, made once for each test program.
fn compiled() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let sandbox = open(folder.path(), limits(), Arc::new(Lines::default()));
        for guest in [
            mezzo_test_guests::HELLO,
            mezzo_test_guests::COUNTER,
            mezzo_test_guests::KEEPER,
            mezzo_test_guests::HOSTILE,
        ] {
            let prepared = sandbox.prepare(digest_of(guest), guest);
            prepared.unwrap_or_else(|refused| panic!("{refused}"));
        }
        folder
    });
    made.path()
}

impl Host {
    /// The tests' guests are compiled already.
    pub fn new() -> Host {
        Host::with(limits())
    }

    pub fn with(limits: SandboxLimits) -> Host {
        let folder = tempfile::tempdir().expect("a folder");
        for entry in fs::read_dir(compiled()).expect("it is there") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("it has a name");
            fs::copy(&path, folder.path().join(name)).expect("it is copied");
        }
        Host::at(folder, limits)
    }

    /// Nothing is compiled yet.
    pub fn empty(limits: SandboxLimits) -> Host {
        Host::at(tempfile::tempdir().expect("a folder"), limits)
    }

    fn at(folder: tempfile::TempDir, limits: SandboxLimits) -> Host {
        let lines = Arc::new(Lines::default());
        let log = Arc::clone(&lines) as Arc<dyn LogSink>;
        let sandbox = Arc::new(open(folder.path(), limits, log));
        let board = Arc::new(Board::default());
        let workers = {
            let board = Arc::clone(&board);
            Workers::start(Arc::clone(&sandbox), 2, move |turn, result, cpu_us| {
                let mut ended = board.0.lock().expect("no waiter panics with it");
                ended.insert(turn, (result, cpu_us));
                board.1.notify_all();
            })
        };
        Host {
            sandbox,
            lines,
            workers: Some(workers.expect("threads start")),
            board,
            folder,
        }
    }

    pub fn prepare(&self, component: &[u8]) -> Result<Prepared, Refused> {
        self.sandbox.prepare(digest_of(component), component)
    }

    /// What lies in the cache folder.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).expect("it is there");
        let mut files: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        files.sort();
        files
    }

    /// Ends the sandbox and opens another one on the same folder.
    pub fn reopen(self) -> Host {
        self.reopen_after(|_| {})
    }

    /// The same; in between nothing is open, and something is done with each file.
    pub fn reopen_after(self, change: impl FnMut(PathBuf)) -> Host {
        let limits = self.sandbox.limits().clone();
        let files = self.files();
        let Host {
            folder,
            workers,
            sandbox,
            ..
        } = self;
        drop((workers, sandbox));
        files.into_iter().for_each(change);
        Host::at(folder, limits)
    }

    pub fn submit(&self, turn: Turn) -> TurnId {
        let id = turn.id;
        self.workers.as_ref().expect("they run").submit(turn);
        id
    }

    /// How a turn ended, and its CPU time in microseconds.
    pub fn wait(&self, turn: TurnId) -> (Result<Effects, Fault>, u64) {
        let ended = self.board.0.lock().expect("no worker panics with it");
        let (mut ended, timeout) = self
            .board
            .1
            .wait_timeout_while(ended, SAFETY, |ended| !ended.contains_key(&turn))
            .expect("no worker panics with it");
        assert!(!timeout.timed_out(), "turn {turn} does not end");
        ended.remove(&turn).expect("it has just been there")
    }

    pub fn has_ended(&self, turn: TurnId) -> bool {
        let ended = self.board.0.lock().expect("no worker panics with it");
        ended.contains_key(&turn)
    }

    /// Ends the threads, as dropping the workers does, and waits for them.
    pub fn stop_workers(&mut self) {
        drop(self.workers.take());
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, holds: impl Fn(&Host) -> bool) {
        let end = std::time::Instant::now() + SAFETY;
        while !holds(self) {
            assert!(std::time::Instant::now() < end, "{what}: it does not come");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A framework without an instance yet.
    pub fn framework(&self, component: &[u8], options: &str) -> Framework<'_> {
        Framework {
            host: self,
            component: digest_of(component),
            id: FrameworkId(next()),
            instance: InstanceId(next()),
            options: options.into(),
            // A busy machine must not decide which of the two limits it is.
            limits: FrameworkLimits {
                turn_wall_ms: 60_000,
                ..FrameworkLimits::default()
            },
            now_ms: NOW_MS,
            seed: 7,
            view: View::default(),
            offers: Vec::new(),
        }
    }

    /// `hostile`, with this kind of misbehaviour; it has not started.
    pub fn hostile(&self, kind: &str) -> Framework<'_> {
        let options = format!(r#"{{"misbehave":"{kind}"}}"#);
        self.framework(mezzo_test_guests::HOSTILE, &options)
    }
}

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One framework, as far as a core would keep it.
pub struct Framework<'a> {
    host: &'a Host,
    pub component: Digest,
    pub id: FrameworkId,
    pub instance: InstanceId,
    pub options: String,
    pub limits: FrameworkLimits,
    pub now_ms: u64,
    pub seed: u64,
    pub view: View,
    pub offers: Vec<Offer>,
}

pub type Ran = Result<Effects, Fault>;

impl Framework<'_> {
    pub fn turn(&self, calls: Vec<Call>) -> Turn {
        Turn {
            id: TurnId(next()),
            framework: self.id,
            name: "test".into(),
            role: "tests".into(),
            instance: self.instance,
            component: self.component,
            limits: Arc::new(self.limits.clone()),
            task_limits: TaskLimits::default(),
            now: Now(self.now_ms),
            seed: self.seed,
            calls,
            offers: self.offers.clone(),
            view: self.view.clone(),
            first_run: Run(1_000),
            first_reservation: ReservationId(1_000_000),
        }
    }

    /// Runs a turn; what a clean one asks for is in the view afterwards.
    pub fn run(&mut self, calls: Vec<Call>) -> Ran {
        let turn = self.host.submit(self.turn(calls));
        let (result, _) = self.host.wait(turn);
        if let Ok(effects) = &result {
            self.commit(effects);
        }
        result
    }

    fn commit(&mut self, effects: &Effects) {
        for (key, value) in &effects.state {
            match value {
                Some(value) => self.view.state.insert(Arc::clone(key), Arc::clone(value)),
                None => self.view.state.remove(key),
            };
        }
        let state = self.view.state.iter();
        self.view.state_bytes = state
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum();
        let timers = Arc::make_mut(&mut self.view.timers);
        for (name, after_ms) in &effects.timers {
            match after_ms {
                Some(ms) => timers.insert(Arc::clone(name), Now(self.now_ms + ms)),
                None => timers.remove(name),
            };
        }
        if let Some(want) = &effects.want {
            self.view.demands = Arc::new(want.clone());
        }
        let streams = Arc::make_mut(&mut self.view.streams);
        streams.extend(effects.opened);
        for write in effects.streams.iter().filter(|write| write.chunk.is_none()) {
            streams.retain(|open| *open != write.request);
        }
    }

    pub fn setup(&self) -> Call {
        Call::Start(Setup {
            name: "test".into(),
            role: "tests".into(),
            options: self.options.as_str().into(),
            upgraded_from: None,
        })
    }

    pub fn start(&mut self) -> Ran {
        self.run(vec![self.setup()])
    }

    pub fn started(mut self) -> Self {
        self.start().unwrap_or_else(|fault| panic!("{fault:?}"));
        self
    }

    pub fn handle(&mut self, events: Vec<GuestEvent>) -> Ran {
        self.run(vec![Call::Handle(events)])
    }

    /// The timer that makes `hostile` misbehave.
    pub fn go(&mut self) -> Ran {
        self.handle(go())
    }

    pub fn web(&mut self, method: &str, path: &str, body: &[u8]) -> Ran {
        self.run(vec![request(method, path, body)])
    }

    /// A response's status and body.
    pub fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let effects = self.web(method, path, body);
        let effects = effects.unwrap_or_else(|fault| panic!("{fault:?}"));
        let response = effects.response.expect("a request is answered");
        let body = response.body.unwrap_or_default();
        let body = String::from_utf8(body).expect("text");
        (response.status, body.trim_end().to_owned())
    }

    /// The next turn starts another instance, as after a fault.
    pub fn restart(&mut self) {
        self.instance = InstanceId(next());
    }

    pub fn add_agent(&mut self, cpu_milli: u64) {
        let id = next();
        let free = Resources {
            cpu_milli,
            memory_bytes: 1 << 30,
            ..Resources::NONE
        };
        let agent = AgentInfo {
            id: AgentId(id),
            leaving_at: None,
            facts: AgentFacts {
                identity: format!("agent-{id}"),
                hostname: format!("host-{id}"),
                address: "10.0.0.1".into(),
                region: None,
                zone: None,
                attributes: Vec::new(),
                total: free.clone(),
                port_set: PortSet::default(),
                runtimes: vec![Runtime::Process],
                version: "test".into(),
                reserved: Vec::new(),
            },
        };
        self.view.agents.insert(AgentId(id), Arc::new(agent));
        self.offers.push(Offer {
            id: OfferId(next()),
            agent: AgentId(id),
            free,
            port_set: PortSet::default(),
            reservation: None,
            volumes: Vec::new(),
        });
    }
}

pub fn go() -> Vec<GuestEvent> {
    vec![GuestEvent::Timer("go".into())]
}

pub fn request(method: &str, path: &str, body: &[u8]) -> Call {
    Call::Web(WebRequest {
        id: RequestId(next()),
        method: method.into(),
        path: path.into(),
        headers: Vec::new(),
        body: body.to_vec(),
        principal: "tester".into(),
    })
}

/// That a turn ended by this kind of fault, in this call, with these words in its message.
#[track_caller]
pub fn check_fault(ran: Ran, kind: FaultKind, call: &str, words: &str) {
    match ran {
        Err(fault) => {
            assert_eq!(fault.kind, kind, "{fault:?}");
            assert_eq!(&*fault.call, call, "{fault:?}");
            assert!(fault.message.contains(words), "{words:?} in {fault:?}");
        }
        Ok(effects) => panic!("it did not fault: {effects:?}"),
    }
}
