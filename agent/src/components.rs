//! Components of module tasks: fetched by digest from the master, kept, and compiled once.
//!
//! | file in `components/` | what it is |
//! |---|---|
//! | `<digest>.wasm` | the component; checked against its digest whenever it is used |
//! | `<digest>-<engine>.cwasm` | machine code that the runner made from it, for that engine alone |
//! | `*.new` | not finished; removed at the next start |
//!
//! Machine code is trusted by the runner without a look, so the folder is the agent's alone, and
//! nothing gets a name without `.new` before it is whole and on the disk.

use crate::session::{Client, client};
use crate::{Config, Error, Program, io};
use mezzo_proto::v1;
use mezzo_types::{Digest, Reason};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tonic::Code;
use tonic::transport::Channel;

/// First delay before a fetch is tried again; it doubles.
const RETRY: Duration = Duration::from_millis(200);
/// What was used so lately is not removed: somebody may be about to open it.
const USED_LATELY: Duration = Duration::from_secs(60);
/// So much of what a failed compiler says is passed on, in bytes.
const WORDS_BYTES_MAX: usize = 4 << 10;
/// A component whose bytes are wrong is fetched so often before the task fails.
const WRONG_BYTES_MAX: usize = 3;

/// Why a component cannot be run.
pub type Problem = (Reason, String);

/// See the module's page.
#[derive(Debug)]
pub struct Components {
    folder: PathBuf,
    runner: Option<Program>,
    engine: String,
    token: String,
    bytes_max: u64,
    component_bytes_max: u64,
    compile: Duration,
    retry_max: Duration,
    master: watch::Sender<Option<Channel>>,
    /// One for each component that is being made ready.
    locks: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    /// Compiling takes a whole processor: one at a time.
    compiling: tokio::sync::Mutex<()>,
    temporaries: AtomicU64,
}

impl Components {
    /// Uses the agent's folder, and asks the runner which engine it has.
    pub fn open(config: &Config, folder: &Path) -> Result<Components, Error> {
        let folder = folder.join("components");
        let what = || format!("make {}", folder.display());
        std::fs::create_dir_all(&folder).map_err(io(what()))?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))
            .map_err(io(what()))?;
        for entry in std::fs::read_dir(&folder).map_err(io(what()))? {
            let path = entry.map_err(io(what()))?.path();
            if path.extension().is_some_and(|extension| extension == "new") {
                std::fs::remove_file(&path).map_err(io(format!("remove {}", path.display())))?;
            }
        }
        Ok(Components {
            engine: config.runner.as_ref().map_or(Ok(String::new()), engine)?,
            folder,
            runner: config.runner.clone(),
            token: config.token.clone(),
            bytes_max: config.limits.components_bytes_max,
            component_bytes_max: config.limits.component_bytes_max,
            compile: Duration::from_millis(config.limits.compile_ms_max),
            retry_max: Duration::from_millis(config.limits.reconnect_ms_max),
            master: watch::Sender::new(None),
            locks: Mutex::default(),
            compiling: tokio::sync::Mutex::default(),
            temporaries: AtomicU64::new(0),
        })
    }

    /// Says which master components come from; none while there is no session.
    pub fn set_master(&self, channel: Option<Channel>) {
        self.master.send_replace(channel);
    }

    /// The compiled component, if it is there already.
    pub fn ready(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.compiled_path(digest);
        let file = File::open(&path).ok()?;
        if let Err(error) = file.set_modified(SystemTime::now()) {
            tracing::warn!("{}: its use could not be noted: {error}", path.display());
        }
        Some(path)
    }

    /// Fetches and compiles it, if need be. Waits for a master for as long as it takes.
    pub async fn make_ready(&self, digest: Digest) -> Result<PathBuf, Problem> {
        let lock = self.lock_of(digest);
        let held = lock.lock().await;
        let result = match self.ready(&digest) {
            Some(path) => Ok(path),
            None => self.make(&digest).await,
        };
        drop(held);
        if let Ok(mut locks) = self.locks.lock() {
            // Ours and the map's: nobody else waits.
            if Arc::strong_count(&lock) <= 2 {
                locks.remove(&digest);
            }
        }
        result
    }

    fn lock_of(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        match self.locks.lock() {
            Ok(mut locks) => locks.entry(digest).or_default().clone(),
            Err(_) => Arc::default(),
        }
    }

    async fn make(&self, digest: &Digest) -> Result<PathBuf, Problem> {
        let wasm = self.folder.join(format!("{}.wasm", digest.hex()));
        let kept = std::fs::read(&wasm)
            .ok()
            .filter(|bytes| digest_of(bytes) == *digest);
        if kept.is_none() {
            let bytes = self.fetch(digest).await?;
            let new = self.temporary();
            std::fs::write(&new, &bytes)
                .and_then(|()| std::fs::rename(&new, &wasm))
                .map_err(|error| failed(digest, format!("could not be kept: {error}")))?;
        }
        let path = self.compile(digest, &wasm).await?;
        self.make_room(&[&wasm, &path]);
        Ok(path)
    }

    async fn fetch(&self, digest: &Digest) -> Result<Vec<u8>, Problem> {
        let mut masters = self.master.subscribe();
        let mut delay = RETRY;
        let mut wrong = 0;
        loop {
            let channel = match masters.wait_for(Option::is_some).await {
                Ok(channel) => channel.clone(),
                Err(_) => return Err(failed(digest, "the agent is stopping")),
            };
            let Some(channel) = channel else { continue };
            match self.fetch_once(client(channel, &self.token), digest).await {
                Ok(bytes) if digest_of(&bytes) == *digest => return Ok(bytes),
                Ok(bytes) => {
                    wrong += 1;
                    tracing::warn!(%digest, "the master sent {} bytes that are not it", bytes.len());
                    if wrong >= WRONG_BYTES_MAX {
                        return Err(failed(
                            digest,
                            "the bytes that the master sends do not have this digest",
                        ));
                    }
                }
                Err(status) if is_final(status.code()) => {
                    return Err(failed(
                        digest,
                        format!("the master does not give it: {}", status.message()),
                    ));
                }
                Err(status) => tracing::info!(%digest, "could not be fetched yet: {status}"),
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(self.retry_max.max(RETRY));
        }
    }

    async fn fetch_once(
        &self,
        mut client: Client,
        digest: &Digest,
    ) -> Result<Vec<u8>, tonic::Status> {
        let request = v1::FetchRequest {
            digest: digest.to_string(),
        };
        let mut chunks = client.fetch(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            if (bytes.len() + chunk.data.len()) as u64 > self.component_bytes_max {
                let max = self.component_bytes_max;
                let message =
                    format!("larger than {max} bytes, this agent's limit `component_bytes_max`");
                return Err(tonic::Status::failed_precondition(message));
            }
            bytes.extend_from_slice(&chunk.data);
        }
        Ok(bytes)
    }

    async fn compile(&self, digest: &Digest, wasm: &Path) -> Result<PathBuf, Problem> {
        let Some(runner) = &self.runner else {
            return Err((
                Reason::Unsupported,
                "this agent has no runner for components".into(),
            ));
        };
        let turn = self.compiling.lock().await;
        let new = self.temporary();
        let mut command = tokio::process::Command::new(&runner.program);
        command
            .args(&runner.args)
            .arg("compile")
            .arg(wasm)
            .arg(&new);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let output = match tokio::time::timeout(self.compile, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => {
                return Err(failed(
                    digest,
                    format!("start {}: {error}", runner.program.display()),
                ));
            }
            Err(_) => {
                let _ = std::fs::remove_file(&new);
                let ms = self.compile.as_millis();
                return Err(failed(
                    digest,
                    format!("compiling took longer than {ms} ms, the limit `compile_ms_max`"),
                ));
            }
        };
        drop(turn);
        if !output.status.success() {
            let _ = std::fs::remove_file(&new);
            let words = output
                .stderr
                .get(..output.stderr.len().min(WORDS_BYTES_MAX))
                .unwrap_or_default();
            let words = String::from_utf8_lossy(words);
            return Err(failed(
                digest,
                format!(
                    "could not be compiled ({}): {}",
                    output.status,
                    words.trim()
                ),
            ));
        }
        let path = self.compiled_path(digest);
        std::fs::rename(&new, &path)
            .map_err(|error| failed(digest, format!("could not be kept: {error}")))?;
        Ok(path)
    }

    /// Removes what was not used for the longest time, until the rest is within the limit.
    fn make_room(&self, keep: &[&Path]) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| entry.metadata().ok().map(|meta| (meta, entry.path())))
            .map(|(meta, path)| {
                (
                    meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    meta.len(),
                    path,
                )
            })
            .collect();
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (used, length, path) in files {
            let lately = used.elapsed().is_ok_and(|age| age < USED_LATELY);
            if bytes <= self.bytes_max {
                return;
            }
            let is_code = path
                .extension()
                .is_some_and(|extension| extension == "cwasm");
            if keep.contains(&path.as_path()) || (lately && is_code) {
                continue;
            }
            match std::fs::remove_file(&path) {
                Ok(()) => bytes -= length,
                Err(error) => tracing::warn!("remove {}: {error}", path.display()),
            }
        }
    }

    fn compiled_path(&self, digest: &Digest) -> PathBuf {
        self.folder
            .join(format!("{}-{}.cwasm", digest.hex(), self.engine))
    }

    fn temporary(&self) -> PathBuf {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{number}.new"))
    }
}

fn failed(digest: &Digest, problem: impl std::fmt::Display) -> Problem {
    (Reason::ComponentFailed, format!("{digest}: {problem}"))
}

/// Whether asking again could not help.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::NotFound
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::Unimplemented
    )
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// What compiled code depends on, as the runner says: a word of letters and digits.
fn engine(runner: &Program) -> Result<String, Error> {
    let wrong = |problem: String| Error::Config {
        field: "runner",
        problem: format!(
            "{}: {problem}; it must be a `mezzo-runner` of this version",
            runner.program.display()
        ),
    };
    let output = std::process::Command::new(&runner.program)
        .args(&runner.args)
        .arg("engine")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| wrong(format!("cannot be started: {error}")))?;
    let word = String::from_utf8_lossy(&output.stdout).trim().to_string();
    let good = !word.is_empty()
        && word.len() <= 64
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if output.status.success() && good {
        Ok(word)
    } else {
        Err(wrong(format!(
            "did not say which engine it has ({})",
            output.status
        )))
    }
}
