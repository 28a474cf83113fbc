//! A master that does what a test says, and real agents: processes with a folder of their own.

#![allow(dead_code, reason = "each test program uses its own part")]

use mezzo_proto::v1::agents_server::{Agents, AgentsServer};
use mezzo_proto::v1::from_agent::Message as Up;
use mezzo_proto::v1::from_master::Message as Down;
use mezzo_proto::{decode_status, encode_spec, v1};
use mezzo_shim::{SHIM, Trace, Wish};
use mezzo_types::{
    Digest, EnvVar, Mount, PortRequest, Reason, Resources, Status, TaskId, TaskSpec, TaskState,
    Workload,
};
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};

/// Nothing here takes so long; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);
pub const TOKEN: &str = "the agents' token";

/// All that the master has been told.
#[derive(Default)]
pub struct Told {
    pub hellos: Vec<v1::Hello>,
    pub updates: Vec<(u64, u64, Status)>,
    pub unknown: Vec<u64>,
    pub volumes: Vec<v1::VolumeReport>,
    pub outputs: BTreeMap<u64, v1::Output>,
    pub fetches: usize,
    session: Option<mpsc::Sender<Result<v1::FromMaster, tonic::Status>>>,
    components: BTreeMap<String, Vec<u8>>,
    acknowledge_none: bool,
    refuse: Option<String>,
    term: u64,
}

#[derive(Clone, Default)]
struct Shared(Arc<(Mutex<Told>, Condvar)>);

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Told) -> T) -> T {
        let result = change(&mut self.0.0.lock().expect("no test thread panics with it"));
        self.0.1.notify_all();
        result
    }
}

/// The master. It acknowledges every status unless told otherwise.
pub struct Master {
    shared: Shared,
    address: String,
    runtime: tokio::runtime::Runtime,
    request: std::sync::atomic::AtomicU64,
}

impl Master {
    pub fn start() -> Master {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Shared::default();
        shared.change(|told| told.term = 1);
        let service = AgentsServer::new(Service(shared.clone()));
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Master {
            shared,
            address,
            runtime,
            request: 0.into(),
        }
    }

    /// Waits until `look` finds something in what was told.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut(&Told) -> Option<T>) -> T {
        let begin = Instant::now();
        let (told, changed) = &*self.shared.0;
        let mut told = told.lock().expect("no test thread panics with it");
        loop {
            if let Some(found) = look(&told) {
                return found;
            }
            let left = PATIENCE.saturating_sub(begin.elapsed());
            assert!(
                !left.is_zero(),
                "waited in vain for {what}; updates: {:#?}",
                told.updates
            );
            told = changed
                .wait_timeout(told, left)
                .expect("no test thread panics with it")
                .0;
        }
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Told) -> T) -> T {
        self.shared.change(change)
    }

    /// Waits for the session number `n`, counted from 1.
    pub fn wait_session(&self, n: usize) -> v1::Hello {
        self.wait("a session", |told| {
            told.session.as_ref().and(told.hellos.get(n - 1).cloned())
        })
    }

    /// Waits until a run has this state.
    pub fn wait_state(&self, run: u64, state: TaskState) -> Status {
        self.wait(&format!("run {run} to be {}", state.as_str()), |told| {
            let mut of_run = told.updates.iter().filter(|(of, ..)| *of == run);
            of_run
                .find(|(.., status)| status.state == state)
                .map(|(.., status)| status.clone())
        })
    }

    /// Waits until a run is over.
    pub fn wait_end(&self, run: u64) -> Status {
        self.wait(&format!("run {run} to end"), |told| {
            let mut of_run = told.updates.iter().filter(|(of, ..)| *of == run);
            of_run
                .find(|(.., status)| status.state.is_final())
                .map(|(.., status)| status.clone())
        })
    }

    pub fn states(&self, run: u64) -> Vec<TaskState> {
        self.change(|told| {
            told.updates
                .iter()
                .filter(|(of, ..)| *of == run)
                .map(|(.., status)| status.state)
                .collect()
        })
    }

    pub fn acknowledge_none(&self, none: bool) {
        self.change(|told| told.acknowledge_none = none);
    }

    pub fn keep_component(&self, bytes: &[u8]) -> Digest {
        let digest = Digest(sha2::Sha256::digest(bytes).into());
        self.change(|told| told.components.insert(digest.to_string(), bytes.to_vec()));
        digest
    }

    pub fn say(&self, message: Down) {
        let session = self.wait("a session", |told| told.session.clone());
        let message = v1::FromMaster {
            message: Some(message),
        };
        self.runtime
            .block_on(session.send(Ok(message)))
            .expect("the agent is there");
    }

    pub fn launch(&self, run: u64, spec: &TaskSpec, ports: &[u16]) {
        self.launch_on(0, run, spec, ports);
    }

    /// On a reservation.
    pub fn launch_on(&self, reservation: u64, run: u64, spec: &TaskSpec, ports: &[u16]) {
        let task = v1::LaunchTask {
            run,
            framework: "f".into(),
            spec: encode_spec(spec),
            ports: ports.iter().map(|port| u32::from(*port)).collect(),
            group: String::new(),
            reservation,
        };
        self.say(Down::Launch(v1::Launch {
            term: 1,
            tasks: vec![task],
        }));
    }

    /// A launch of two tasks of which the first cannot be read.
    pub fn launch_unreadable(&self, run: u64, next: u64, spec: &TaskSpec) {
        let task = |run, spec| v1::LaunchTask {
            run,
            framework: "f".into(),
            spec,
            ports: Vec::new(),
            group: String::new(),
            reservation: 0,
        };
        self.say(Down::Launch(v1::Launch {
            term: 1,
            tasks: vec![task(run, vec![0xc1]), task(next, encode_spec(spec))],
        }));
    }

    pub fn kill(&self, run: u64, grace_ms: u64) {
        let reason = Reason::KillRequested.as_str().to_string();
        self.say(Down::Kill(v1::Kill {
            term: 1,
            run,
            grace_ms,
            reason,
        }));
    }

    pub fn create_volume(&self, reservation: u64, name: &str) {
        self.say(Down::CreateVolume(v1::CreateVolume {
            term: 1,
            reservation,
            name: name.into(),
        }));
    }

    pub fn destroy_volume(&self, reservation: u64, name: &str) {
        self.say(Down::DestroyVolume(v1::DestroyVolume {
            term: 1,
            reservation,
            name: name.into(),
        }));
    }

    /// Waits until the agent has said this of a volume.
    pub fn wait_volume(&self, reservation: u64, name: &str, exists: bool) {
        self.wait(&format!("volume {name} to be there: {exists}"), |told| {
            let mut said = told.volumes.iter();
            said.find(|v| (v.reservation, v.name.as_str(), v.exists) == (reservation, name, exists))
                .map(drop)
        });
    }

    /// Ends the session, as a broken line does.
    pub fn hang_up(&self) {
        self.change(|told| told.session = None);
    }

    pub fn read(&self, run: u64, offset: i64, wait_ms: u32) -> v1::Output {
        self.read_part(run, false, offset, 1 << 20, wait_ms)
    }

    pub fn read_part(
        &self,
        run: u64,
        stderr: bool,
        offset: i64,
        length_max: u32,
        wait_ms: u32,
    ) -> v1::Output {
        let request = self
            .request
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.say(Down::ReadOutput(v1::ReadOutput {
            request,
            run,
            stderr,
            offset,
            length_max,
            wait_ms,
        }));
        self.wait("output", |told| told.outputs.get(&request).cloned())
    }

    /// Everything that a run writes, until its end.
    pub fn read_all(&self, run: u64, stderr: bool) -> String {
        let mut text = Vec::new();
        loop {
            let at = i64::try_from(text.len()).expect("not so much");
            let piece = self.read_part(run, stderr, at, 1 << 20, 10_000);
            assert_eq!(piece.error, "");
            text.extend(piece.data);
            if piece.end {
                return String::from_utf8(text).expect("text");
            }
        }
    }

    /// Waits until the output of a run holds a text, and returns all of it.
    pub fn wait_output(&self, run: u64, text: &str) -> String {
        let begin = Instant::now();
        loop {
            let piece = self.read(run, 0, 100);
            let all = String::from_utf8_lossy(&piece.data).into_owned();
            if all.contains(text) {
                return all;
            }
            assert!(
                begin.elapsed() < PATIENCE && !piece.end,
                "run {run} did not say {text:?} but {all:?} {}",
                piece.error
            );
        }
    }
}

struct Service(Shared);

type Stream<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, tonic::Status>> + Send>>;

#[tonic::async_trait]
impl Agents for Service {
    type SessionStream = Stream<v1::FromMaster>;
    type FetchStream = Stream<v1::Chunk>;

    async fn session(
        &self,
        request: tonic::Request<tonic::Streaming<v1::FromAgent>>,
    ) -> Result<tonic::Response<Self::SessionStream>, tonic::Status> {
        authorize(&request)?;
        let shared = self.0.clone();
        let (down, queue) = mpsc::channel(1024);
        let mut up = request.into_inner();
        tokio::spawn(async move {
            // Once it stands, only `Told::session` holds the session open, so that a test can end it.
            let (weak, mut first) = (down.downgrade(), Some(down));
            while let Ok(Some(v1::FromAgent {
                message: Some(message),
            })) = up.message().await
            {
                let Some(down) = weak.upgrade() else { return };
                told(&shared, message, &down);
                first = None;
            }
            drop(first);
        });
        Ok(tonic::Response::new(Box::pin(ReceiverStream::new(queue))))
    }

    async fn fetch(
        &self,
        request: tonic::Request<v1::FetchRequest>,
    ) -> Result<tonic::Response<Self::FetchStream>, tonic::Status> {
        authorize(&request)?;
        let digest = request.into_inner().digest;
        let bytes = self.0.change(|told| {
            told.fetches += 1;
            told.components.get(&digest).cloned()
        });
        let bytes = bytes.ok_or_else(|| tonic::Status::not_found("no such component"))?;
        let chunks: Vec<_> = bytes
            .chunks(mezzo_proto::CHUNK_BYTES)
            .map(|data| {
                Ok(v1::Chunk {
                    data: data.to_vec(),
                })
            })
            .collect();
        Ok(tonic::Response::new(Box::pin(tokio_stream::iter(chunks))))
    }
}

fn authorize<T>(request: &tonic::Request<T>) -> Result<(), tonic::Status> {
    let expected = format!("Bearer {TOKEN}");
    match request.metadata().get("authorization") {
        Some(given) if given.as_bytes() == expected.as_bytes() => Ok(()),
        _ => Err(tonic::Status::permission_denied("the token is wrong")),
    }
}

type Answer = Result<v1::FromMaster, tonic::Status>;

fn told(shared: &Shared, message: Up, down: &mpsc::Sender<Answer>) {
    // Sent while nobody else can send: the welcome is the first message.
    let say = |message| {
        down.try_send(Ok(v1::FromMaster {
            message: Some(message),
        }))
        .expect("there is room")
    };
    shared.change(|told| match message {
        Up::Hello(hello) => {
            if let Some(why) = &told.refuse {
                let refused = Err(tonic::Status::failed_precondition(why));
                return down.try_send(refused).expect("there is room");
            }
            for run in &hello.runs {
                let status = decode_status(&run.status).expect("a good status");
                told.updates.push((run.run, run.sequence, status));
            }
            told.hellos.push(hello);
            told.session = Some(down.clone());
            say(Down::Welcome(v1::Welcome {
                protocol: 1,
                agent: 1,
                cluster: "c".into(),
                term: told.term,
            }));
        }
        Up::Update(update) => {
            let status = decode_status(&update.status).expect("a good status");
            told.updates.push((update.run, update.sequence, status));
            if !told.acknowledge_none {
                say(Down::Acknowledge(v1::Acknowledge {
                    run: update.run,
                    sequence: update.sequence,
                }));
            }
        }
        Up::Output(output) => drop(told.outputs.insert(output.request, output)),
        Up::KillUnknown(unknown) => told.unknown.push(unknown.run),
        Up::VolumeReport(report) => told.volumes.push(report),
    });
}

impl Told {
    pub fn refuse_all(&mut self, why: &str) {
        self.refuse = Some(why.into());
    }
}

/// A running `mezzo-agent`. Killed, with all of its tasks, when it is dropped.
pub struct Agent {
    pub child: Child,
    pub folder: PathBuf,
    home: Option<tempfile::TempDir>,
    config: PathBuf,
}

impl Agent {
    pub fn start(master: &Master) -> Agent {
        Agent::start_with(master, "")
    }

    /// With more settings, in TOML. Those of tables come last.
    pub fn start_with(master: &Master, settings: &str) -> Agent {
        let home = tempfile::tempdir().expect("a folder");
        let config = home.path().join("agent.toml");
        let folder = home.path().join("agent");
        let text = format!(
            "masters = [{:?}]\ntoken = {TOKEN:?}\nfolder = {folder:?}\nshim = {:?}\n{settings}",
            master.address,
            program("mezzo-shim")
        );
        std::fs::write(&config, text).expect("writable");
        std::fs::write(home.path().join("boot"), "1").expect("writable");
        Agent {
            child: spawn(&config),
            folder,
            home: Some(home),
            config,
        }
    }

    /// The runner's settings, for [`Agent::start_with`].
    pub fn runner() -> String {
        format!("[runner]\nprogram = {:?}\n", program("mezzo-runner"))
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it has ended");
    }

    pub fn restart(&mut self) {
        self.child = spawn(&self.config);
    }

    /// Another agent on the same folder.
    pub fn second(&self) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_mezzo-agent"))
            .arg(&self.config)
            .output()
            .expect("it can be started")
    }

    /// Says that the machine was started anew.
    pub fn reboot(&self) {
        std::fs::write(self.config.with_file_name("boot"), "2").expect("writable");
    }

    pub fn run_folder(&self, run: u64) -> PathBuf {
        self.folder.join("runs").join(run.to_string())
    }

    /// What the shim of a run has written down so far.
    pub fn trace(&self, run: u64) -> Trace {
        let text = std::fs::read_to_string(self.run_folder(run).join(SHIM)).unwrap_or_default();
        Trace::decode(&text)
    }

    /// The shim of a run.
    pub fn shim(&self, run: u64) -> i32 {
        until("a shim", || self.trace(run).pid)
    }

    /// The agent's spawner.
    pub fn spawner(&self) -> i32 {
        let pid = self.child.id();
        until("a spawner", || children(pid).into_iter().next())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Only then are there no more runs; and their shims are gone before their folder is.
        let runs = std::fs::read_dir(self.folder.join("runs"))
            .into_iter()
            .flatten()
            .flatten();
        for run in runs {
            let path = run.path().join(SHIM);
            let trace = Trace::decode(&std::fs::read_to_string(&path).unwrap_or_default());
            if let (Some(pid), None) = (trace.pid, trace.outcome) {
                // SAFETY: signalling touches no memory.
                unsafe { libc::kill(pid, Wish::Destroy.signal()) };
            }
            if let Ok(shim) = std::fs::File::open(&path) {
                let _ = shim.lock_shared();
            }
        }
        drop(self.home.take());
    }
}

fn spawn(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mezzo-agent"))
        .arg(config)
        .env("MEZZO_BOOT_ID_FILE", config.with_file_name("boot"))
        .stdin(Stdio::null())
        .spawn()
        .expect("mezzo-agent can be started")
}

/// A program of another package, built if need be: cargo builds only this package's own for tests.
fn program(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let agent = Path::new(env!("CARGO_BIN_EXE_mezzo-agent"));
    let target = agent.parent().expect("it is in a folder");
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        // Together with the agent, so that all three use the same builds of what they share.
        cargo.args([
            "build",
            "-q",
            "-p",
            "mezzo-shim",
            "-p",
            "mezzo-runner",
            "-p",
            "mezzo-agent",
        ]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo
            .arg("--target-dir")
            .arg(target.parent().expect("it is in a target folder"));
        if target.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(
            cargo.status().expect("cargo can be started").success(),
            "the shim and the runner can be built"
        );
    });
    target.join(name)
}

/// Waits until `look` finds something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn children(parent: u32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task"))
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}

/// Whether a process runs: a zombie does not.
pub fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !matches!(rest.split_whitespace().next(), Some("Z" | "X")))
}

pub fn kill_9(pid: i32) {
    let status = Command::new("kill")
        .arg("-9")
        .arg(pid.to_string())
        .status()
        .expect("there is kill");
    assert!(status.success(), "process {pid} can be killed");
}

/// The number behind a word in a text: `pid 17`.
pub fn number_after(text: &str, word: &str) -> i32 {
    let mut words = text.split_whitespace();
    words.find(|w| *w == word);
    words
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("no number behind {word:?} in {text:?}"))
}

pub fn task(id: &str, workload: Workload) -> TaskSpec {
    TaskSpec {
        id: TaskId::new(id).expect("a good name"),
        name: String::new(),
        workload,
        resources: Resources::NONE,
        env: vec![],
        labels: vec![],
        ports: vec![],
        files: vec![],
        kill_grace_ms: 10_000,
        runtime_max_ms: None,
        mounts: vec![],
        preemptible: false,
    }
}

pub fn program_task(argv: &[&str]) -> TaskSpec {
    task(
        "t",
        Workload::Process {
            argv: argv.iter().map(|arg| (*arg).to_string()).collect(),
        },
    )
}

pub fn shell(script: &str) -> TaskSpec {
    program_task(&["/bin/sh", "-c", script])
}

pub fn module(component: Digest, args: &[&str]) -> TaskSpec {
    let argv = ["guest"]
        .iter()
        .chain(args)
        .map(|arg| (*arg).to_string())
        .collect();
    task("m", Workload::Module { component, argv })
}

pub fn with_env(mut spec: TaskSpec, name: &str, value: &str) -> TaskSpec {
    spec.env.push(EnvVar {
        name: name.into(),
        value: value.into(),
    });
    spec
}

pub fn with_volume(mut spec: TaskSpec, volume: &str, path: &str) -> TaskSpec {
    spec.mounts.push(Mount {
        volume: volume.into(),
        path: path.into(),
    });
    spec
}

pub fn with_port(mut spec: TaskSpec, name: &str) -> TaskSpec {
    spec.ports.push(PortRequest {
        name: name.into(),
        fixed: None,
    });
    spec.resources.ports += 1;
    spec
}
