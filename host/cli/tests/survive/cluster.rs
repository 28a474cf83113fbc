//! A cluster of real processes that a test may kill: one master and its agents, each with its data
//! in one temporary folder, found again at the same addresses after a restart.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A state that is not reached after so long will not be.
const LATE: Duration = Duration::from_secs(120);

/// Runs until it is dropped.
pub struct Cluster {
    folder: tempfile::TempDir,
    master: Option<Child>,
    agents: Vec<Option<Child>>,
    address: String,
    agents_address: String,
    extra: String,
    /// Further flags of agents that are started from now on.
    pub agent_flags: Vec<String>,
}

impl Cluster {
    /// A master and so many agents, ready. `extra` are lines of the master's configuration.
    pub fn start(agents: usize, extra: &str) -> Cluster {
        let mut cluster = Cluster {
            folder: tempfile::tempdir().expect("a folder"),
            master: None,
            agents: Vec::new(),
            address: "127.0.0.1:0".into(),
            agents_address: "127.0.0.1:0".into(),
            extra: extra.into(),
            agent_flags: Vec::new(),
        };
        cluster.start_master();
        for _ in 0..agents {
            cluster.add_agent();
        }
        cluster.wait_for("agents", |c| {
            c.get("/api/v1/status")["agents"]["connected"] == agents
        });
        cluster
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The master's; on a small file system if the test runs in one.
    pub fn data(&self) -> PathBuf {
        match std::env::var_os(crate::full_disk::MOUNTED) {
            Some(folder) => PathBuf::from(folder).join("master"),
            None => self.folder.path().join("master"),
        }
    }

    pub fn start_master(&mut self) {
        let config = self.folder.path().join("master.toml");
        let text = format!(
            "data = {:?}\nlisten = {:?}\nagents_listen = {:?}\n{}\n",
            self.data(),
            self.address,
            self.agents_address,
            self.extra
        );
        std::fs::write(&config, text).expect("a configuration");
        let _ = std::fs::remove_file(self.data().join("master.json"));
        let child = mezzo()
            .args(["master", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log("master"))
            .spawn()
            .expect("a master");
        self.master = Some(child);
        let path = self.data().join("master.json");
        let told = self.until("the master is ready", |_| {
            let text = std::fs::read_to_string(&path).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        });
        let text = |name: &str| told[name].as_str().expect("an address").to_string();
        self.address = text("url").trim_start_matches("http://").to_string();
        self.agents_address = text("agents");
    }

    fn log(&self, name: &str) -> Stdio {
        let path = self.folder.path().join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("a log");
        file.into()
    }

    /// One more.
    pub fn add_agent(&mut self) {
        self.agents.push(None);
        self.start_agent(self.agents.len() - 1);
    }

    pub fn start_agent(&mut self, n: usize) {
        let first = 31_000 + 200 * n;
        let child = mezzo()
            .args(["agent", "--master", &self.agents_address, "--token-file"])
            .arg(self.data().join("agent.token"))
            .arg("--data")
            .arg(self.folder.path().join(format!("agent-{n}")))
            .args(["--cpus", "8", "--memory", "8GiB"])
            .args(["--ports", &format!("{first}-{}", first + 199)])
            .args(&self.agent_flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log(&format!("agent-{n}")))
            .spawn()
            .expect("an agent");
        self.agents[n] = Some(child);
    }

    /// `kill -9`, and the process is gone.
    pub fn kill_master(&mut self) {
        kill(self.master.take());
    }

    /// `kill -9`, and the process is gone.
    pub fn kill_agent(&mut self, n: usize) {
        kill(self.agents[n].take());
    }

    /// Waits until one of the agents has ended by itself.
    pub fn wait_agent_ends(&mut self) {
        let begun = Instant::now();
        loop {
            let mut agents = self.agents.iter_mut().flatten();
            if agents.any(|agent| matches!(agent.try_wait(), Ok(Some(_)))) {
                return;
            }
            assert!(begun.elapsed() < LATE, "no agent has ended");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A command of `mezzo` that asks this cluster.
    pub fn mezzo(&self, args: &[&str]) -> Command {
        let mut command = mezzo();
        command
            .args(args)
            .env("MEZZO_URL", format!("http://{}", self.address))
            .env("MEZZO_TOKEN", self.token());
        command
    }

    pub fn master_pid(&self) -> u32 {
        self.master.as_ref().expect("a master").id()
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn token(&self) -> String {
        let path = self.data().join("admin.token");
        std::fs::read_to_string(path)
            .expect("a token")
            .trim()
            .to_string()
    }

    /// The status of an answer and its body; none while nobody answers.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(LATE)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
            self.token(),
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        // One that is refused early may hang up before all is sent.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&answer[..end]).to_string();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer[end + 4..].to_vec()))
    }

    /// The JSON of an answer; null while there is none.
    pub fn get(&self, path: &str) -> Value {
        match self.ask("GET", path, b"") {
            Some((200, body)) => serde_json::from_slice(&body).unwrap_or(Value::Null),
            _ => Value::Null,
        }
    }

    /// Submits a job to `batch`: its id.
    pub fn submit(&self, job: &Value) -> String {
        let (status, body) = self
            .ask("POST", "/fw/batch/jobs", job.to_string().as_bytes())
            .expect("an answer");
        let text = String::from_utf8_lossy(&body).to_string();
        assert_eq!(status, 201, "{text}");
        let job: Value = serde_json::from_str(&text).expect("a job");
        job["id"].as_str().expect("an id").to_string()
    }

    /// The job as it stands; null while nobody answers.
    pub fn job(&self, id: &str) -> Value {
        self.get(&format!("/fw/batch/jobs/{id}"))
    }

    /// Waits until the job has so many tasks that have finished.
    pub fn wait_finished(&self, id: &str, at_least: u64) {
        self.wait_for(&format!("{at_least} finished tasks of {id}"), |c| {
            c.job(id)["counts"]["finished"].as_u64().unwrap_or(0) >= at_least
        });
    }

    /// Waits until the job has ended: the job.
    pub fn wait_ended(&self, id: &str) -> Value {
        self.until(&format!("the end of {id}"), |c| {
            let job = c.job(id);
            let state = job["state"].as_str()?.to_string();
            (!matches!(state.as_str(), "waiting" | "running")).then_some(job)
        })
    }

    /// Installs a component: the status and the answer.
    pub fn install(&self, name: &str, query: &str, component: &[u8]) -> (u16, Value) {
        let path = format!("/api/v1/frameworks?name={name}&role={name}{query}");
        let (status, body) = self.ask("POST", &path, component).expect("an answer");
        let value =
            serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
        (status, value)
    }

    /// Waits until a framework's state is this one.
    pub fn wait_framework(&self, name: &str, state: &str) -> Value {
        self.until(&format!("framework {name} is {state}"), |c| {
            let framework = c.get(&format!("/api/v1/frameworks/{name}"));
            (framework["state"] == state).then_some(framework)
        })
    }

    /// Waits until it holds.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&Cluster) -> bool) {
        self.until(what, |c| holds(c).then_some(()));
    }

    /// Waits until there is one.
    pub fn until<T>(&self, what: &str, mut get: impl FnMut(&Cluster) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(got) = get(self) {
                return got;
            }
            if started.elapsed() > LATE {
                panic!("not in {LATE:?}: {what}\n{}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the processes said, for a failure's message.
    fn logs(&self) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.folder.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.path().extension().is_some_and(|e| e == "log") {
                let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(30).collect();
                all += &format!("--- {}\n", entry.path().display());
                for line in tail.into_iter().rev() {
                    all += line;
                    all.push('\n');
                }
            }
        }
        all
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Tasks outlive master and agents, so they are ended through their shims: the spawner's
        // session is the process group of each agent's tasks.
        let ids: Vec<String> = self.get("/fw/batch/jobs")["jobs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|job| matches!(job["state"].as_str(), Some("waiting" | "running")))
            .filter_map(|job| Some(job["id"].as_str()?.to_string()))
            .collect();
        if !std::thread::panicking() {
            for id in &ids {
                self.ask("DELETE", &format!("/fw/batch/jobs/{id}"), b"");
            }
            for id in &ids {
                self.wait_ended(id);
            }
        }
        for agent in &mut self.agents {
            kill(agent.take());
        }
        kill(self.master.take());
    }
}

/// The program under test.
pub fn mezzo() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mezzo"))
}

fn kill(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}
