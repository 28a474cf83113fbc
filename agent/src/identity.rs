//! Who this agent is, over restarts: its folder, its lock, its name, the cluster it has joined and
//! the largest term it has seen. What is here is synced to the disk; runs are not, for they end with
//! the boot they were started in.

use crate::{Error, io};
use mezzo_types::Term;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Where the kernel says which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The agent's work folder, ours alone until it is dropped.
#[derive(Debug)]
pub struct Folder {
    /// Where.
    pub path: PathBuf,
    /// The agent's name for as long as the folder exists.
    pub identity: String,
    /// Which boot this is.
    pub boot: String,
    _lock: File,
}

/// The cluster that it belongs to and the largest term it has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Joined {
    /// Empty before the first time.
    pub cluster: String,
    /// Messages of a smaller one are refused.
    pub term: Term,
}

impl Folder {
    /// Uses the folder, making it if need be; an error if another agent does.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        std::fs::create_dir_all(path).map_err(io(format!("make {}", path.display())))?;
        let path = path
            .canonicalize()
            .map_err(io(format!("find {}", path.display())))?;
        let lock = lock(&path)?;
        let boot_file = std::env::var_os("MEZZO_BOOT_ID_FILE")
            .map_or_else(|| PathBuf::from(BOOT_ID), PathBuf::from);
        let boot = std::fs::read_to_string(&boot_file)
            .map_err(io(format!("read {}", boot_file.display())))?;
        let identity = match std::fs::read_to_string(path.join("identity")) {
            Ok(identity) => identity.trim().to_string(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let identity = random_name()?;
                write_durable(&path.join("identity"), identity.as_bytes())?;
                identity
            }
            Err(error) => return Err(io("read the agent's identity")(error)),
        };
        Ok(Folder {
            path,
            identity,
            boot: boot.trim().to_string(),
            _lock: lock,
        })
    }

    /// What it knew of its cluster.
    pub fn joined(&self) -> Result<Joined, Error> {
        match std::fs::read(self.path.join("cluster.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| io("read cluster.json in the agent's folder")(e.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Joined::default()),
            Err(error) => Err(io("read cluster.json in the agent's folder")(error)),
        }
    }

    /// Remembers it, on the disk.
    pub fn join(&self, joined: &Joined) -> Result<(), Error> {
        let text = serde_json::to_vec(joined).map_err(|e| io("write cluster.json")(e.into()))?;
        write_durable(&self.path.join("cluster.json"), &text)
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = path.join("lock");
    let what = || format!("lock {}", file.display());
    let mut lock = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&file)
        .map_err(io(what()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = lock.read_to_string(&mut pid);
            return Err(Error::InUse {
                folder: path.to_path_buf(),
                pid: pid.trim().to_string(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(io(what())(error)),
    }
    let _ = lock.set_len(0);
    let _ = lock.seek(SeekFrom::Start(0));
    let _ = writeln!(lock, "{}", std::process::id());
    Ok(lock)
}

fn random_name() -> Result<String, Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|e| io("draw a name")(std::io::Error::other(e.to_string())))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Replaces a file: the old one or the new one is there after a crash.
fn write_durable(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        path.parent()
            .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(io(format!("write {}", path.display())))
}
