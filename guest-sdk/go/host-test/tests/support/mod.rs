//! A component out of the Go program in `guest/`, and a sandbox that runs its turns as a core would.

use mezzo_core::record::TaskRecord;
use mezzo_core::turn::{GuestEvent, Offer, Setup, Task, View, WebRequest};
use mezzo_core::{Call, Effects, Fault, FrameworkLimits, Turn};
use mezzo_types::{
    AgentFacts, AgentId, AgentInfo, AssignedPort, Attribute, AttributeValue, Digest, FrameworkId,
    InstanceId, Instant, Label, OfferId, PortSet, RequestId, ReservationId, Resources, Run,
    Runtime, Status, TaskLimits, TaskSpec, TurnId,
};
use mezzo_wasm::{CompileCommand, Level, LogSink, Sandbox, SandboxConfig, SandboxLimits, Workers};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Longer than anything takes: it only ends a test that would hang.
const SAFETY: Duration = Duration::from_secs(300);
/// The instant of every turn.
pub const NOW_MS: u64 = 1_800_000_000_000;
/// What the stock toolchain needs to know, as `mezzo framework build` tells it.
const LINKER_FLAGS: &str = "-ldflags=-checklinkname=0 -s -w";

/// The component, made once for each test program.
fn component() -> &'static [u8] {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().expect("a folder");
        let module = folder.path().join("guest.wasm");
        let built = Command::new("go")
            .current_dir(own)
            .env("GOOS", "wasip1")
            .env("GOARCH", "wasm")
            .args(["build", "-buildmode=c-shared", LINKER_FLAGS, "-o"])
            .arg(&module)
            .arg("./guest")
            .status();
        let built = built.expect("`go` runs: install Go 1.25 or newer from https://go.dev/dl");
        assert!(built.success(), "the guest does not build");
        let module = std::fs::read(module).expect("it was built");
        encode(module, &own.join("../../../wit"))
    })
}

fn encode(mut module: Vec<u8>, wit: &Path) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(wit).expect("the contract is readable");
    let world = resolve.select_world(&[package], Some("web-framework"));
    let world = world.expect("the contract has this world");
    let utf8 = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, utf8, false)
        .expect("it is a module");
    let adapter = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .expect("it fits the contract")
        .adapter("wasi_snapshot_preview1", adapter)
        .expect("it fits WASI")
        .encode()
        .expect("it encodes")
}

fn open(folder: &Path, log: Arc<dyn LogSink>) -> Sandbox {
    let sandbox = Sandbox::open(SandboxConfig {
        source: None,
        cache_dir: folder.to_owned(),
        compile: CompileCommand {
            program: PathBuf::from(env!("CARGO_BIN_EXE_mezzo-go-host-test")),
            args: Vec::new(),
        },
        limits: SandboxLimits {
            instances_max: 4,
            ..SandboxLimits::default()
        },
        log,
    });
    sandbox.unwrap_or_else(|error| panic!("{error}"))
}

fn prepare(sandbox: &Sandbox) -> Digest {
    let bytes = component();
    let digest = Digest(Sha256::digest(bytes).into());
    let prepared = sandbox.prepare(digest, bytes);
    prepared.unwrap_or_else(|refused| panic!("{refused}"));
    digest
}

/// A folder with the compiled component, made once for each test program: compiling takes seconds.
fn compiled() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(&open(folder.path(), Arc::new(Lines::default())));
        folder
    });
    made.path()
}

/// The same for one sandbox.
fn cache() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(compiled()).expect("it is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("it has a name");
        std::fs::copy(&path, folder.path().join(name)).expect("it is copied");
    }
    folder
}

/// What the framework has logged.
#[derive(Default)]
pub struct Lines(Mutex<Vec<(Level, String)>>);

impl LogSink for Lines {
    fn line(&self, _: FrameworkId, level: Level, text: &str) {
        let mut lines = self.0.lock().expect("no test panics with the lines");
        lines.push((level, text.to_owned()));
    }
}

/// One framework in a sandbox of its own; what a clean turn asks for is what the next turn finds.
pub struct Guest {
    sandbox: Arc<Sandbox>,
    workers: Workers,
    ended: Receiver<Result<Effects, Fault>>,
    lines: Arc<Lines>,
    component: Digest,
    pub limits: FrameworkLimits,
    pub view: View,
    pub offers: Vec<Offer>,
    setup: Setup,
    instance: u64,
    turns: u64,
    _folder: tempfile::TempDir,
}

impl Guest {
    /// Installed, not started.
    pub fn new(options: &str) -> Guest {
        let lines = Arc::new(Lines::default());
        let folder = cache();
        let log = Arc::clone(&lines) as Arc<dyn LogSink>;
        let sandbox = Arc::new(open(folder.path(), log));
        let component = prepare(&sandbox);
        let (sender, ended) = channel();
        let workers = Workers::start(Arc::clone(&sandbox), 1, move |_, result, _| {
            // The receiver is gone when the test has failed already.
            let _ = sender.send(result);
        });
        Guest {
            sandbox,
            workers: workers.expect("threads start"),
            ended,
            lines,
            component,
            limits: FrameworkLimits::default(),
            view: View::default(),
            offers: Vec::new(),
            setup: Setup {
                name: "guest".into(),
                role: "tests".into(),
                options: options.into(),
                upgraded_from: Some(component),
            },
            instance: 1,
            turns: 0,
            _folder: folder,
        }
    }

    pub fn started(options: &str) -> Guest {
        let mut guest = Guest::new(options);
        guest.start().unwrap_or_else(|fault| panic!("{fault:?}"));
        guest
    }

    /// The first turn of another instance.
    pub fn start(&mut self) -> Result<Effects, Fault> {
        self.instance += 1;
        self.run(Call::Start(self.setup.clone()))
    }

    pub fn handle(&mut self, events: Vec<GuestEvent>) -> Result<Effects, Fault> {
        self.run(Call::Handle(events))
    }

    pub fn timer(&mut self, name: &str) -> Result<Effects, Fault> {
        self.handle(vec![GuestEvent::Timer(name.into())])
    }

    pub fn request(&mut self, id: u64, method: &str, path: &str) -> Result<Effects, Fault> {
        self.run(Call::Web(WebRequest {
            id: RequestId(id),
            method: method.into(),
            path: path.into(),
            headers: vec![("x-given".into(), b"yes".to_vec())],
            body: "böдy".into(),
            principal: "tester".into(),
        }))
    }

    fn run(&mut self, call: Call) -> Result<Effects, Fault> {
        self.turns += 1;
        self.workers.submit(Turn {
            id: TurnId(self.turns),
            framework: FrameworkId(1),
            name: "guest".into(),
            role: "tests".into(),
            instance: InstanceId(self.instance),
            component: self.component,
            limits: Arc::new(self.limits.clone()),
            task_limits: TaskLimits::default(),
            now: Instant(NOW_MS),
            seed: 7,
            calls: vec![call],
            offers: self.offers.clone(),
            view: self.view.clone(),
            first_run: Run(1_000),
            first_reservation: ReservationId(1_000_000),
        });
        let ended = self.ended.recv_timeout(SAFETY).expect("the turn ends");
        if let Ok(effects) = &ended {
            for (key, value) in &effects.state {
                match value {
                    Some(value) => self.view.state.insert(Arc::clone(key), Arc::clone(value)),
                    None => self.view.state.remove(key),
                };
            }
            let state = self.view.state.iter();
            let bytes = state.map(|(key, value)| (key.len() + value.len()) as u64);
            self.view.state_bytes = bytes.sum();
            if let Some(want) = &effects.want {
                self.view.demands = Arc::new(want.clone());
            }
        }
        ended
    }

    /// The lines since the last time.
    pub fn lines(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut *self.lines.0.lock().expect("no test panics with the lines"))
    }

    pub fn texts(&self) -> Vec<String> {
        self.lines().into_iter().map(|(_, text)| text).collect()
    }

    pub fn idle_instances(&self) -> usize {
        self.sandbox.idle_instances()
    }

    /// An agent, and an offer of it.
    pub fn add_agent(&mut self, id: u64, free: Resources) {
        let attribute = |name: &str, value| Attribute {
            name: name.into(),
            value,
        };
        let agent = AgentInfo {
            id: AgentId(id),
            leaving_at: (id == 1).then_some(Instant(NOW_MS + 5)),
            facts: AgentFacts {
                identity: format!("agent-{id}"),
                hostname: format!("host-{id}"),
                address: "10.0.0.1".into(),
                region: Some("eu".into()),
                zone: None,
                attributes: vec![
                    attribute("cores", AttributeValue::NumberMilli(-1_500)),
                    attribute("rack", AttributeValue::Text("r7".into())),
                ],
                total: free.clone(),
                port_set: ports(),
                runtimes: vec![Runtime::Process],
                version: "test".into(),
                reserved: Vec::new(),
            },
        };
        self.view.agents.insert(AgentId(id), Arc::new(agent));
        self.offers.push(Offer {
            id: OfferId(id + 100_000),
            agent: AgentId(id),
            free,
            port_set: ports(),
            reservation: None,
            volumes: Vec::new(),
        });
    }
}

fn ports() -> PortSet {
    PortSet::range(31_000, 31_010)
}

/// A task of the master's record.
pub fn task(spec: &Arc<TaskSpec>, status: Status) -> Arc<Task> {
    let record = TaskRecord {
        run: Run(9),
        framework: FrameworkId(1),
        agent: AgentId(1),
        ports: vec![AssignedPort {
            name: "http".into(),
            number: 31_000,
        }],
        group: Some("group".into()),
        launched: Instant(NOW_MS),
        spec: Arc::clone(spec),
        reservation: None,
        priority: 0,
    };
    Arc::new(Task {
        record: Arc::new(record),
        address: "10.0.0.1".into(),
        status,
        sequence: 1,
        handled: false,
        kill: None,
    })
}

pub fn label(key: &str, value: &str) -> Label {
    Label {
        key: key.into(),
        value: value.into(),
    }
}
