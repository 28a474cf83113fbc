//! `mezzo dev`: a whole cluster in one command. The master runs in this process, each agent in one
//! of its own.

use super::master;
use crate::client::Client;
use crate::context::{self, Context, Target};
use crate::output::{line, note};
use crate::query::encode;
use crate::signals::Signals;
use crate::units::whole;
use anyhow::{Context as _, bail};
use mezzo_agent::Config as AgentConfig;
use mezzo_master::{Config, Master};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

/// Ports that the agents of one machine share out.
const PORTS: (u16, u16) = (31_000, 32_999);
/// Agents at most.
const AGENTS_MAX: usize = 64;
/// How long an agent may take to end.
const AGENT_END: Duration = Duration::from_secs(5);
/// How long tasks may take to end when their cluster's folder is about to be removed.
const TASKS_END: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Dev {
    /// How many agents
    #[arg(long, default_value_t = 1, value_parser = whole::<usize>)]
    agents: usize,
    /// Where everything is kept; a temporary folder, removed at the end, if absent
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where people and programs reach the master; a free port if 7070 is taken
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Print one line of JSON when it is ready: url, token, data, agents
    #[arg(long)]
    json: bool,
}

impl Dev {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        start(&self)
    }
}

fn start(args: &Dev) -> anyhow::Result<ExitCode> {
    if !(1..=AGENTS_MAX).contains(&args.agents) {
        bail!("--agents: from 1 to {AGENTS_MAX}, not {}", args.agents);
    }
    master::log_to_stderr("warn");
    master::runtime()?.block_on(serve(args))
}

async fn serve(args: &Dev) -> anyhow::Result<ExitCode> {
    let temporary = match args.data {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("mezzo-dev-")
                .tempdir()
                .context("make a temporary folder")?,
        ),
    };
    let data = match (&args.data, &temporary) {
        (Some(data), _) => std::path::absolute(data)?,
        (None, Some(folder)) => folder.path().to_path_buf(),
        (None, None) => unreachable!("one of them is there"),
    };
    let mut signals = Signals::listen()?;
    let stop = async {
        signals.next().await;
    };
    tokio::pin!(stop);
    let master = tokio::select! {
        master = start_master(args, &data) => master?,
        () = &mut stop => return Ok(ExitCode::SUCCESS),
    };
    let url = format!("http://{}", master.address());
    let token = read_token(&data, "admin.token")?;
    let agents_address = master.agents_address().to_string();
    let mut agents = Agents::start(args.agents, &agents_address, &data)?;
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let mut serving = tokio::spawn(master.run(async {
        let _ = ended.await;
    }));
    tokio::select! {
        joined = wait_for_agents(&url, &token, args.agents) => joined?,
        () = &mut stop => {
            agents.end().await;
            return Ok(ExitCode::SUCCESS);
        }
    }
    let context = Context {
        url: url.clone(),
        token: token.clone(),
        pid: std::process::id(),
        data: data.clone(),
    };
    let other = context::read(&context::path()).ok().flatten();
    context::write(&context::path(), &context)?;
    if let Some(other) = other.filter(|other| context::is_alive(other.pid)) {
        note(&replaced(&other));
    }
    if args.json {
        let ready = serde_json::json!({
            "url": url, "token": token, "data": data, "agents": args.agents,
            "agents_address": agents_address,
        });
        line(&ready.to_string())?;
    } else {
        greet(&url, args.agents, &data, temporary.is_some())?;
    }
    let ended = tokio::select! {
        () = agents.watch_until(&mut stop) => None,
        ended = &mut serving => Some(ended),
    };
    context::remove(&context::path());
    if temporary.is_some() && ended.is_none() {
        end_tasks(&url, &token).await;
    }
    agents.end().await;
    if let Some(ended) = ended {
        ended.context("the master's task")?.context("the master")?;
        bail!("the master has ended by itself");
    }
    let _ = end.send(());
    serving.await.context("the master's task")??;
    Ok(ExitCode::SUCCESS)
}

async fn start_master(args: &Dev, data: &Path) -> anyhow::Result<Master> {
    let mut config = Config::new(data.join("master"));
    config.agents_listen.set_port(0);
    if let Some(listen) = args.listen {
        config.listen = listen;
    } else if std::net::TcpListener::bind(config.listen).is_err() {
        note(&format!(
            "{} is taken; using a free port instead",
            config.listen
        ));
        config.listen.set_port(0);
    }
    Ok(Master::start(config, master::parts()?).await?)
}

fn read_token(data: &Path, file: &str) -> anyhow::Result<String> {
    let path = data.join("master").join(file);
    let token = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(token.trim().to_string())
}

/// There is one file, and the newest `mezzo dev` has it. The token is named by its file: what is
/// printed stays in logs.
fn replaced(other: &Context) -> String {
    let token = other.data.join("master/admin.token");
    format!(
        "another `mezzo dev` runs (process {}): commands now talk to this one; reach the other with --url {} --token \"$(cat {})\"",
        other.pid,
        other.url,
        token.display()
    )
}

fn greet(url: &str, agents: usize, data: &Path, temporary: bool) -> anyhow::Result<()> {
    let removed = if temporary {
        " (removed at the end)"
    } else {
        ""
    };
    let plural = if agents == 1 { "" } else { "s" };
    line(&format!(
        "Mezzo is ready: {url}, {agents} agent{plural}, data in {}{removed}",
        data.display()
    ))?;
    line("")?;
    line("Try, in another terminal:")?;
    line("  mezzo run --count 3 -- sh -c 'echo hello from $BATCH_INDEX'")?;
    line("  mezzo status")?;
    line("")?;
    line("Ctrl-C stops it.")
}

/// The agents' processes.
struct Agents {
    configs: Vec<PathBuf>,
    children: Vec<Child>,
}

impl Agents {
    fn start(count: usize, master: &str, data: &Path) -> anyhow::Result<Agents> {
        let token = read_token(data, "agent.token")?;
        let mut agents = Agents {
            configs: Vec::new(),
            children: Vec::new(),
        };
        let share = (PORTS.1 - PORTS.0 + 1) / u16::try_from(count).unwrap_or(u16::MAX);
        for n in 0..count {
            let folder = data.join(format!("agent-{}", n + 1));
            let masters = vec![master.to_string()];
            let mut config = AgentConfig::new(masters, token.clone(), folder);
            config.hostname = Some(format!("dev-{}", n + 1));
            config.runner = Some(super::agent::runner()?);
            let first = PORTS.0 + share * u16::try_from(n).unwrap_or(0);
            config.ports = vec![(first, first + share - 1)];
            share_out(&mut config, count);
            let path = data.join(format!("agent-{}.toml", n + 1));
            let text = toml::to_string(&config)?;
            write_private(&path, &text).with_context(|| path.display().to_string())?;
            agents.configs.push(path);
        }
        for config in &agents.configs {
            agents.children.push(spawn(config)?);
        }
        Ok(agents)
    }

    /// Until `stop`; an agent that ends by itself is started again.
    async fn watch_until(&mut self, stop: &mut (impl Future<Output = ()> + Unpin)) {
        loop {
            let any_ended = async {
                let waits = self
                    .children
                    .iter_mut()
                    .enumerate()
                    .map(|(n, child)| Box::pin(async move { (n, child.wait().await) }));
                first_of(waits.collect()).await
            };
            let (n, status) = tokio::select! {
                () = &mut *stop => return,
                ended = any_ended => ended,
            };
            let status = status.map_or_else(|e| e.to_string(), |s| s.to_string());
            note(&format!(
                "agent {} has ended ({status}); starting it again",
                n + 1
            ));
            tokio::select! {
                () = &mut *stop => return,
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            let (Some(config), Some(place)) = (self.configs.get(n), self.children.get_mut(n))
            else {
                continue;
            };
            match spawn(config) {
                Ok(child) => *place = child,
                Err(error) => note(&format!("agent {}: {error:#}", n + 1)),
            }
        }
    }

    async fn end(&mut self) {
        for child in &self.children {
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        for child in &mut self.children {
            if tokio::time::timeout(AGENT_END, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }
}

/// The first of them that is ready.
async fn first_of<T>(mut futures: Vec<std::pin::Pin<Box<impl Future<Output = T>>>>) -> T {
    std::future::poll_fn(|cx| {
        for future in &mut futures {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
                return std::task::Poll::Ready(value);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn spawn(config: &Path) -> anyhow::Result<Child> {
    let program = std::env::current_exe()?;
    Command::new(program)
        // The signal at this process' end follows the thread that started it: the main one.
        .args(["agent", "--with-parent", "--config"])
        .arg(config)
        .env(
            "RUST_LOG",
            std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into()),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Ctrl-C on the terminal is for this process, which ends the agents itself.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("start an agent")
}

/// Each agent of one machine gives out its part of it.
fn share_out(config: &mut AgentConfig, count: usize) {
    let count = count as u64;
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let parts = [
        ("cpu_milli", Some(cpus * 1_000)),
        ("memory_bytes", memory_bytes()),
    ];
    for (name, all) in parts {
        if let Some(all) = all.filter(|_| count > 1) {
            config.resources.insert(name.into(), all / count);
        }
    }
}

fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

fn client(url: &str, token: &str) -> anyhow::Result<Client> {
    Client::new(Target {
        url: url.into(),
        token: token.into(),
    })
}

/// Ready means that a task could start at once.
async fn wait_for_agents(url: &str, token: &str, agents: usize) -> anyhow::Result<()> {
    let client = client(url, token)?;
    let connected = |status: &serde_json::Value| status["agents"]["connected"].as_u64();
    for _ in 0..2_000 {
        let status = client.get("/api/v1/status").await?;
        if connected(&status).is_some_and(|n| n >= agents as u64) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bail!("the agents did not join within 10 s; run again with RUST_LOG=info to see why")
}

/// The folder is about to go, and with it all that the tasks of this cluster have.
async fn end_tasks(url: &str, token: &str) {
    let all = async {
        let client = client(url, token)?;
        // Removing a framework ends its tasks and launches no more.
        let frameworks = client.list("/api/v1/frameworks", "frameworks").await?;
        for framework in frameworks["frameworks"].as_array().into_iter().flatten() {
            let name = framework["name"].as_str().unwrap_or_default();
            let path = format!("/api/v1/frameworks/{}", encode(name));
            client.json(hyper::Method::DELETE, &path, None).await?;
        }
        loop {
            let left = client.list("/api/v1/frameworks", "frameworks").await?;
            if left["frameworks"].as_array().is_none_or(Vec::is_empty) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(TASKS_END, all).await.is_err() {
        note("some tasks have not ended; they run on without their folder");
    }
}
