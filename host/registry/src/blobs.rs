//! Components by digest. They are stored before the record that names them.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A store of immutable files, each named by the SHA-256 of its bytes (32 bytes).
pub trait Blobs: Send + Sync {
    /// Stores what `from` gives, up to `size_max` bytes. Durable when it returns; storing the same
    /// again does nothing.
    fn put(&self, from: &mut dyn Read, size_max: u64) -> Result<([u8; 32], u64), BlobError>;
    /// The bytes, checked against the digest.
    fn get(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, BlobError>;
    /// Every digest and its size in bytes.
    fn list(&self) -> Result<Vec<([u8; 32], u64)>, BlobError>;
    /// Takes one away; whether it was there.
    fn delete(&self, digest: &[u8; 32]) -> Result<bool, BlobError>;
}

/// Why a blob could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// More bytes than allowed; nothing was stored.
    #[error("component-bytes-max: at most {0} bytes")]
    TooLarge(u64),
    /// The file has changed.
    #[error("{0}: its bytes do not fit its name; delete it and upload the component again")]
    Corrupt(PathBuf),
    /// The sender broke off, or the operating system refused; nothing was stored.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(digest)
}

/// Copies with a limit while hashing.
fn copy(
    from: &mut dyn Read,
    to: &mut dyn Write,
    size_max: u64,
) -> Result<([u8; 32], u64), CopyError> {
    let mut hasher = Sha256::new();
    let mut size = 0_u64;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finalize().into(), size)),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Io(error)),
        };
        size += read as u64;
        if size > size_max {
            return Err(CopyError::TooLarge);
        }
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read]).map_err(CopyError::Io)?;
    }
}

enum CopyError {
    TooLarge,
    Io(std::io::Error),
}

/// Files in one folder.
#[derive(Debug)]
pub struct FileBlobs {
    folder: PathBuf,
    uploads: std::sync::atomic::AtomicU64,
}

impl FileBlobs {
    /// Uses the folder, making it if need be; what broken uploads left is removed.
    pub fn open(folder: &Path) -> Result<FileBlobs, BlobError> {
        let io = |e| BlobError::Io(folder.to_path_buf(), e);
        std::fs::create_dir_all(folder).map_err(io)?;
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            if entry.file_name().to_string_lossy().starts_with("upload-") {
                std::fs::remove_file(entry.path()).map_err(io)?;
            }
        }
        Ok(FileBlobs {
            folder: folder.to_path_buf(),
            uploads: Default::default(),
        })
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        self.folder.join(hex(digest))
    }

    fn put_at(
        &self,
        temporary: &Path,
        from: &mut dyn Read,
        size_max: u64,
    ) -> Result<([u8; 32], u64), BlobError> {
        let io = |e| BlobError::Io(temporary.to_path_buf(), e);
        let mut file = File::create(temporary).map_err(io)?;
        let (digest, size) = copy(from, &mut file, size_max).map_err(|e| match e {
            CopyError::TooLarge => BlobError::TooLarge(size_max),
            CopyError::Io(e) => io(e),
        })?;
        file.sync_all().map_err(io)?;
        std::fs::rename(temporary, self.path(&digest)).map_err(io)?;
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io)?;
        Ok((digest, size))
    }
}

impl Blobs for FileBlobs {
    fn put(&self, from: &mut dyn Read, size_max: u64) -> Result<([u8; 32], u64), BlobError> {
        let number = self
            .uploads
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let temporary = self
            .folder
            .join(format!("upload-{}-{number}", std::process::id()));
        let result = self.put_at(&temporary, from, size_max);
        if result.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        result
    }

    fn get(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, BlobError> {
        let path = self.path(digest);
        match std::fs::read(&path) {
            Ok(bytes) if <[u8; 32]>::from(Sha256::digest(&bytes)) == *digest => Ok(Some(bytes)),
            Ok(_) => Err(BlobError::Corrupt(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BlobError::Io(path, error)),
        }
    }

    fn list(&self) -> Result<Vec<([u8; 32], u64)>, BlobError> {
        let io = |e| BlobError::Io(self.folder.clone(), e);
        let mut list = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            if let Some(digest) = entry.file_name().to_str().and_then(unhex) {
                list.push((digest, entry.metadata().map_err(io)?.len()));
            }
        }
        list.sort_unstable();
        Ok(list)
    }

    fn delete(&self, digest: &[u8; 32]) -> Result<bool, BlobError> {
        let path = self.path(digest);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(BlobError::Io(path, error)),
        }
    }
}

/// In memory: for tests.
#[derive(Debug, Default)]
pub struct MemoryBlobs(Mutex<BTreeMap<[u8; 32], Vec<u8>>>);

impl Blobs for MemoryBlobs {
    fn put(&self, from: &mut dyn Read, size_max: u64) -> Result<([u8; 32], u64), BlobError> {
        let mut bytes = Vec::new();
        let (digest, size) = copy(from, &mut bytes, size_max).map_err(|e| match e {
            CopyError::TooLarge => BlobError::TooLarge(size_max),
            CopyError::Io(e) => BlobError::Io(PathBuf::new(), e),
        })?;
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, bytes);
        Ok((digest, size))
    }

    fn get(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, BlobError> {
        Ok(self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .cloned())
    }

    fn list(&self) -> Result<Vec<([u8; 32], u64)>, BlobError> {
        let blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(blobs
            .iter()
            .map(|(digest, bytes)| (*digest, bytes.len() as u64))
            .collect())
    }

    fn delete(&self, digest: &[u8; 32]) -> Result<bool, BlobError> {
        Ok(self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(digest)
            .is_some())
    }
}
