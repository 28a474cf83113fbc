//! The master as a whole: opens what it keeps, leads, serves, and leads again when a leadership is
//! lost.

use crate::accept::Door;
use crate::components::Components;
use crate::config::Config;
use crate::error::{Error, io};
use crate::lead::{self, Lead, Threads};
use crate::logs::FrameworkLogs;
use crate::mailbox::Ending;
use crate::{bundled, descriptors, server, tokens};
use mezzo_core::{Answer, Request};
use mezzo_registry::{Embedded, EmbeddedLimits, Registry};
use mezzo_wasm::{CompileCommand, Sandbox, SandboxConfig, SandboxLimits};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What a master is made of besides its configuration.
pub struct Parts {
    /// How the compiler's process is started.
    pub compile: CompileCommand,
    /// Frameworks to be installed if there is none of their name: name and component.
    pub bundled: Vec<(&'static str, &'static [u8])>,
}

/// The file in the data folder that says where the master is to be found.
const ADDRESSES: &str = "master.json";
/// How long to wait before the lead is taken again after it was lost.
const LEAD_AGAIN: Duration = Duration::from_millis(200);
/// How long a leadership may take to make its first batch durable before a start is given up.
const FIRST_BATCH: Duration = Duration::from_secs(30);

/// What all parts of a master share.
pub struct Shared {
    /// As it was told.
    pub config: Config,
    /// Since when this process runs.
    pub started: mezzo_types::Instant,
    /// SHA-256 of the agents' token, hexadecimal.
    pub agent_token_sha256: String,
    /// Components by digest.
    pub components: Arc<Components>,
    /// The frameworks' logs.
    pub logs: Arc<FrameworkLogs>,
    /// What clients asked for and got, for `/metrics` and repeats.
    pub api: crate::api::State,
    lead: RwLock<Option<Arc<Lead>>>,
    why_not: RwLock<String>,
}

/// Nobody leads at the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this master does not lead: {0}")]
pub struct NotLeading(pub String);

impl Shared {
    /// The leadership, if there is one.
    pub fn lead(&self) -> Result<Arc<Lead>, NotLeading> {
        let lead = self.lead.read().unwrap_or_else(PoisonError::into_inner);
        lead.clone().ok_or_else(|| {
            NotLeading(
                self.why_not
                    .read()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone(),
            )
        })
    }

    fn set_lead(&self, lead: Option<Arc<Lead>>, why_not: &str) {
        *self.why_not.write().unwrap_or_else(PoisonError::into_inner) = why_not.to_string();
        *self.lead.write().unwrap_or_else(PoisonError::into_inner) = lead;
    }
}

/// A master that leads and serves.
pub struct Master {
    shared: Arc<Shared>,
    address: SocketAddr,
    agents_address: SocketAddr,
    stop: watch::Sender<bool>,
    served: Vec<tokio::task::JoinHandle<()>>,
    leading: std::thread::JoinHandle<Result<(), Error>>,
}

impl Master {
    /// Opens the data folder, takes the lead, installs what is bundled and serves. Call it within a
    /// tokio runtime of several threads.
    pub async fn start(config: Config, parts: Parts) -> Result<Master, Error> {
        config.check()?;
        make_folder(&config)?;
        let places = descriptors::places(&config.limits);
        let registry: Box<dyn Registry> = Box::new(Embedded::open(
            &config.data.join("registry"),
            EmbeddedLimits::default(),
        )?);
        let agent_token = tokens::read_or_make(&config.data, tokens::AGENT_FILE)?;
        let logs = Arc::new(FrameworkLogs::new(
            config.limits.log_lines_max,
            config.limits.log_bytes_max,
        ));
        let components = Arc::new(Components::open(
            &config.data.join("components"),
            &config.limits,
        )?);
        let sandbox = Arc::new(open_sandbox(
            &config,
            parts.compile.clone(),
            Arc::clone(&logs),
            Arc::clone(&components),
        )?);
        let listener = listen("listen", config.listen).await?;
        let agents_listener = listen("agents_listen", config.agents_listen).await?;
        let address = listener.local_addr().map_err(io("read the own address"))?;
        let agents_address = agents_listener
            .local_addr()
            .map_err(io("read the own address"))?;
        let shared = Arc::new(Shared {
            started: crate::driver::now(),
            agent_token_sha256: tokens::sha256_hex(agent_token.as_bytes()),
            components,
            logs,
            api: crate::api::State::new(&config.limits),
            lead: RwLock::default(),
            why_not: RwLock::new("it is starting".into()),
            config,
        });
        let (stop, stopped) = watch::channel(false);
        let first = first_lead(&shared, registry, &sandbox).await?;
        let leading = {
            let (shared, sandbox, stopped) =
                (Arc::clone(&shared), Arc::clone(&sandbox), stopped.clone());
            std::thread::Builder::new()
                .name("leader".into())
                .spawn(move || lead_on(&shared, &sandbox, first, &stopped))
                .map_err(io("start the leader's thread"))?
        };
        let served = vec![
            tokio::spawn(server::http(
                Arc::clone(&shared),
                Door::new(listener, places.http),
                stopped.clone(),
            )),
            tokio::spawn(server::agents(
                Arc::clone(&shared),
                Door::new(agents_listener, places.agents),
                stopped,
            )),
        ];
        let master = Master {
            shared,
            address,
            agents_address,
            stop,
            served,
            leading,
        };
        match master.prepare(parts.bundled).await {
            Ok(()) => Ok(master),
            Err(error) => {
                master.end().await?;
                Err(error)
            }
        }
    }

    async fn prepare(&self, bundled: Vec<(&'static str, &'static [u8])>) -> Result<(), Error> {
        first_principal(&self.shared).await?;
        for (name, component) in bundled {
            bundled::install(&self.shared, name, component).await?;
        }
        self.write_addresses()
    }

    /// Says in the data folder where this master is to be found: with port 0 nobody else knows.
    fn write_addresses(&self) -> Result<(), Error> {
        let addresses = serde_json::json!({
            "url": format!("http://{}", self.address),
            "agents": self.agents_address.to_string(),
            "pid": std::process::id(),
        });
        let path = self.shared.config.data.join(ADDRESSES);
        let new = path.with_extension("new");
        std::fs::write(&new, addresses.to_string())
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(io(format!("write {}", path.display())))
    }

    /// Where people and programs reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where agents reach it.
    #[must_use]
    pub fn agents_address(&self) -> SocketAddr {
        self.agents_address
    }

    /// Serves until `shutdown` is ready or the lead can never be taken again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::pin!(shutdown);
        let mut check = tokio::time::interval(Duration::from_millis(500));
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                _ = check.tick(), if !self.leading.is_finished() => {}
            }
            if self.leading.is_finished() {
                break;
            }
        }
        self.end().await
    }

    async fn end(self) -> Result<(), Error> {
        let _ = std::fs::remove_file(self.shared.config.data.join(ADDRESSES));
        let _ = self.stop.send(true);
        if let Ok(lead) = self.shared.lead() {
            lead.mailbox.end(Ending::Stopped);
        }
        let leading = self.leading;
        let result = tokio::task::spawn_blocking(move || leading.join())
            .await
            .ok()
            .and_then(Result::ok);
        for task in self.served {
            task.abort();
        }
        result.unwrap_or(Ok(()))
    }
}

fn make_folder(config: &Config) -> Result<(), Error> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data)
        .map_err(io(format!(
            "make the data folder {}",
            config.data.display()
        )))
}

fn open_sandbox(
    config: &Config,
    compile: CompileCommand,
    logs: Arc<FrameworkLogs>,
    components: Arc<Components>,
) -> Result<Sandbox, Error> {
    let limits = SandboxLimits {
        component_bytes_max: config.limits.component_bytes_max,
        compile_memory_bytes: config.limits.compile_memory_bytes,
        compiles_waiting_max: config.limits.compiles_waiting_max,
        ..SandboxLimits::default()
    };
    Ok(Sandbox::open(SandboxConfig {
        cache_dir: config.data.join("compiled"),
        compile,
        limits,
        log: logs,
        source: Some(Arc::new(move |digest| {
            let kept = components.get(*digest);
            kept.inspect_err(|error| tracing::error!(%digest, "{error}"))
                .ok()
                .flatten()
        })),
    })?)
}

async fn listen(field: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen {
            field,
            address,
            source,
        })
}

async fn first_lead(
    shared: &Arc<Shared>,
    registry: Box<dyn Registry>,
    sandbox: &Arc<Sandbox>,
) -> Result<Threads, Error> {
    let name = cluster_name()?;
    let (lead, threads) = lead::take(&shared.config, registry, sandbox, name)?;
    let mut newest = lead.view.events.newest();
    let found = lead.found;
    shared.set_lead(Some(Arc::new(lead)), "");
    let led = newest.wait_for(|batch| *batch > found);
    // A full disk is waited out by the committer; people can look meanwhile.
    let _ = tokio::time::timeout(FIRST_BATCH, led).await;
    Ok(threads)
}

/// Waits for the end of each leadership, and takes the next one until the master stops.
fn lead_on(
    shared: &Arc<Shared>,
    sandbox: &Arc<Sandbox>,
    first: Threads,
    stopped: &watch::Receiver<bool>,
) -> Result<(), Error> {
    let mut threads = first;
    loop {
        let (ending, registry) = threads.join();
        let why = match ending {
            Ending::Stopped => {
                shared.set_lead(None, "it is stopping");
                if let Some(registry) = registry {
                    registry.close()?;
                }
                return Ok(());
            }
            Ending::Lost(why) => why,
        };
        shared.set_lead(None, &why);
        sandbox.drop_instances();
        if *stopped.borrow() {
            return Ok(());
        }
        tracing::error!("the lead is lost: {why}; reading the registry again");
        let since = Instant::now();
        let registry = match registry {
            Some(registry) => registry,
            None => Box::new(Embedded::open(
                &shared.config.data.join("registry"),
                EmbeddedLimits::default(),
            )?),
        };
        std::thread::sleep(LEAD_AGAIN);
        let (lead, next) = lead::take(&shared.config, registry, sandbox, cluster_name()?)?;
        let lead = Arc::new(lead);
        shared.set_lead(Some(Arc::clone(&lead)), "");
        if *stopped.borrow() {
            // Whoever stops the master may have found no leadership to end.
            lead.stop();
        }
        drop(lead);
        tracing::info!(
            ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
            "this master leads again"
        );
        threads = next;
    }
}

fn cluster_name() -> Result<String, Error> {
    Ok(tokens::generate()?.chars().take(16).collect())
}

/// The first token, if nobody has one. It is always a new one: what stands in the file may have been
/// taken away from somebody.
async fn first_principal(shared: &Shared) -> Result<(), Error> {
    let Ok(lead) = shared.lead() else {
        return Ok(());
    };
    if !lead.view.read().state.principals.is_empty() {
        return Ok(());
    }
    let token = tokens::make(&shared.config.data, tokens::ADMIN_FILE)?;
    let request = Request::SetPrincipal {
        name: tokens::ADMIN.into(),
        token_sha256: Some(tokens::sha256_hex(token.as_bytes())),
        principal: Arc::from("master"),
    };
    if let Ok(Answer::Refused(refused)) = lead.ask(request).await {
        tracing::error!("the first token was refused: {}", refused.message);
    }
    Ok(())
}
