//! Compiled components on disk: made once, used again after a restart.
//!
//! A file is machine code that the master runs, so that only files of its own are ever used: the
//! folder belongs to the master alone, and beside each file stands a seal with the checksum, the
//! component's digest and the engine that it was made for. What does not fit its seal is thrown away
//! and made again. The seal is written last, so that a file without one is unfinished.

use crate::refused::Refused;
use mezzo_types::Digest;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// What the file of compiled code is called.
const CODE: &str = "code";
/// What the seal's file is called.
const SEAL: &str = "seal";
/// The first field of each seal; another layout gets another one.
const MAGIC: &str = "mezzo compiled component 1";

/// The name of some bytes.
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(&Sha256::digest(bytes));
    Digest(digest)
}

/// What a file of compiled code is, and that it is whole.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    magic: String,
    component: Digest,
    engine: String,
    bytes: u64,
    checksum: Digest,
}

impl Seal {
    /// For freshly compiled code.
    pub fn of(component: &[u8], code: &[u8], engine: u64) -> Seal {
        Seal {
            magic: MAGIC.to_owned(),
            component: digest_of(component),
            engine: format!("{engine:016x}"),
            bytes: code.len() as u64,
            checksum: digest_of(code),
        }
    }
}

/// Writes compiled code and then its seal. Neither file may exist.
pub fn write_new(code_path: &Path, code: &[u8], seal: &Seal) -> io::Result<()> {
    write_file(code_path, code)?;
    let text = serde_json::to_vec(seal).map_err(io::Error::other)?;
    write_file(&code_path.with_extension(SEAL), &text)
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The folder.
pub struct Cache {
    folder: PathBuf,
    engine: u64,
    bytes_max: u64,
    next: AtomicU64,
}

impl Cache {
    /// Opens the folder, or makes it, and takes everybody else's access away.
    pub fn open(folder: &Path, engine: u64, bytes_max: u64) -> io::Result<Cache> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        let cache = Cache {
            folder: folder.to_owned(),
            engine,
            bytes_max,
            next: AtomicU64::new(0),
        };
        cache.remove_unfinished()?;
        Ok(cache)
    }

    fn code_path(&self, digest: &Digest) -> PathBuf {
        let name = format!("{}-{:016x}.{CODE}", digest.hex(), self.engine);
        self.folder.join(name)
    }

    /// Where the compiler may write; [`Cache::adopt`] makes it an entry.
    pub fn temporary(&self) -> PathBuf {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.folder
            .join(format!("new-{}-{n}.{CODE}", std::process::id()))
    }

    /// Takes a temporary file away, with all that belongs to it.
    pub fn discard(&self, code_path: &Path) {
        for path in [code_path.with_extension(SEAL), code_path.to_owned()] {
            // Not there is as good as gone.
            let _ = fs::remove_file(path);
        }
    }

    /// The file of an entry that is whole and ours, or none.
    pub fn find(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.code_path(digest);
        if !path.exists() {
            return None;
        }
        match self.check(&path, digest) {
            Ok(()) => {
                // The time of the last use is what the eviction goes by; it may fail.
                let _ = fs::File::open(&path).and_then(|f| f.set_modified(SystemTime::now()));
                Some(path)
            }
            Err(why) => {
                tracing::warn!(path = %path.display(), %why, "a compiled component is not used and made again");
                self.discard(&path);
                None
            }
        }
    }

    fn check(&self, code_path: &Path, digest: &Digest) -> Result<(), String> {
        let text =
            fs::read(code_path.with_extension(SEAL)).map_err(|e| format!("its seal: {e}"))?;
        let seal: Seal = serde_json::from_slice(&text).map_err(|e| format!("its seal: {e}"))?;
        let code = fs::read(code_path).map_err(|e| e.to_string())?;
        let expected = Seal {
            magic: MAGIC.to_owned(),
            component: *digest,
            engine: format!("{:016x}", self.engine),
            bytes: code.len() as u64,
            checksum: digest_of(&code),
        };
        if seal == expected {
            Ok(())
        } else {
            Err(format!("its seal is {seal:?}, expected {expected:?}"))
        }
    }

    /// Makes a temporary file the entry of a component, if its seal says that it is.
    pub fn adopt(&self, temporary: &Path, digest: &Digest) -> Result<PathBuf, Refused> {
        self.check(temporary, digest).map_err(|why| {
            Refused::Compile(format!(
                "the compiler is not of this version of mezzo: {why}"
            ))
        })?;
        let path = self.code_path(digest);
        let failed = |e| Refused::host(format!("keeping {}", path.display()), e);
        self.discard(&path);
        fs::rename(temporary, &path).map_err(failed)?;
        let seal = temporary.with_extension(SEAL);
        fs::rename(seal, path.with_extension(SEAL)).map_err(failed)?;
        Ok(path)
    }

    /// Takes the entries that were unused for longest away until the rest fits; never one of `keep`.
    pub fn evict(&self, keep: &[Digest]) -> io::Result<()> {
        let keep: Vec<PathBuf> = keep.iter().map(|digest| self.code_path(digest)).collect();
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == CODE) && !keep.contains(&path) {
                let meta = fs::metadata(&path)?;
                entries.push((meta.modified()?, meta.len(), path));
            }
        }
        entries.sort();
        let mut bytes: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, size, path) in entries {
            if bytes <= self.bytes_max {
                break;
            }
            self.discard(&path);
            bytes -= size;
        }
        Ok(())
    }

    /// What a process left that ended while it compiled.
    fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("new-") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn put(cache: &Cache, component: &[u8], code: &[u8]) -> Digest {
        let temporary = cache.temporary();
        write_new(&temporary, code, &Seal::of(component, code, cache.engine)).unwrap();
        let digest = digest_of(component);
        cache.adopt(&temporary, &digest).unwrap();
        digest
    }

    #[test]
    fn entries_outlive_the_process_and_fit_one_engine() {
        let folder = tempfile::tempdir().unwrap();
        let digest = put(&Cache::open(folder.path(), 1, 100).unwrap(), b"c", b"code");
        assert!(
            Cache::open(folder.path(), 1, 100)
                .unwrap()
                .find(&digest)
                .is_some()
        );
        assert!(
            Cache::open(folder.path(), 2, 100)
                .unwrap()
                .find(&digest)
                .is_none()
        );
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn what_does_not_fit_its_seal_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 1, 100).unwrap();
        let damage: [fn(&Path); 4] = [
            |code| fs::write(code, b"cOde").unwrap(),
            |code| fs::write(code, b"cod").unwrap(),
            |code| fs::remove_file(code.with_extension(SEAL)).unwrap(),
            |code| fs::write(code.with_extension(SEAL), b"{}").unwrap(),
        ];
        for damage in damage {
            let digest = put(&cache, b"c", b"code");
            damage(&cache.find(&digest).unwrap());
            assert_eq!(cache.find(&digest), None);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_file_made_for_another_component_is_not_adopted() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 1, 100).unwrap();
        let temporary = cache.temporary();
        write_new(&temporary, b"code", &Seal::of(b"a", b"code", 1)).unwrap();
        assert!(cache.adopt(&temporary, &digest_of(b"b")).is_err());
    }

    #[test]
    fn the_ones_unused_for_longest_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 1, 8).unwrap();
        let digests = [b"a", b"b", b"c"].map(|c| put(&cache, c, b"code"));
        for (age, digest) in [(30, &digests[0]), (20, &digests[1]), (10, &digests[2])] {
            let then = SystemTime::now() - Duration::from_secs(age);
            fs::File::open(cache.code_path(digest))
                .unwrap()
                .set_modified(then)
                .unwrap();
        }
        cache.evict(&[]).unwrap();
        let there = || digests.map(|d| cache.code_path(&d).exists());
        assert_eq!(there(), [false, true, true]);
        put(&cache, b"d", b"code");
        cache.evict(&[digests[1]]).unwrap();
        assert_eq!(
            there(),
            [false, true, true],
            "what is in use does not count"
        );
    }
}
