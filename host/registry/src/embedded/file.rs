//! The library's file behind a guard: until it is released, writes stay in memory, so that a damaged
//! file is left as it was, whatever the library does to it while it looks.

use crate::LoadError;
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What redb puts first into each of its files.
const MAGIC: [u8; 9] = [b'r', b'e', b'd', b'b', 0x1A, 0x0A, 0xA9, 0x0D, 0x0A];

/// The file as the library sees it.
#[derive(Debug)]
pub struct GuardedFile(Arc<Inner>);

/// Lets the writes through.
#[derive(Debug)]
pub struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    released: AtomicBool,
    overlay: Mutex<Overlay>,
}

/// What would have been written: bytes by where they begin, and the length.
#[derive(Debug, Default)]
struct Overlay {
    len: u64,
    /// The smallest length since the file was opened: what lay behind it is gone.
    kept: u64,
    writes: BTreeMap<u64, Vec<u8>>,
}

impl GuardedFile {
    /// Opens a file that is empty or begins as the library's files do.
    pub fn open(path: &Path) -> Result<(GuardedFile, Guard), LoadError> {
        let io = |source| LoadError::Io {
            path: path.to_path_buf(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        if len > 0 {
            let mut first = [0; MAGIC.len()];
            let read = file.read_at(&mut first, 0).map_err(io)?;
            if read < MAGIC.len() || first != MAGIC {
                let problem = "the file does not begin as it should".to_string();
                return Err(LoadError::Corrupt {
                    path: path.to_path_buf(),
                    problem,
                });
            }
        }
        let overlay = Mutex::new(Overlay {
            len,
            kept: len,
            writes: BTreeMap::new(),
        });
        let inner = Arc::new(Inner {
            file,
            released: AtomicBool::new(false),
            overlay,
        });
        Ok((GuardedFile(Arc::clone(&inner)), Guard(inner)))
    }
}

impl Guard {
    /// Writes what was held back, in the order of the file, and holds nothing back from now on.
    pub fn release(self) -> std::io::Result<()> {
        let mut overlay = self.0.overlay();
        if overlay.kept < self.0.file.metadata()?.len() {
            self.0.file.set_len(overlay.kept)?;
        }
        self.0.file.set_len(overlay.len)?;
        for (offset, bytes) in &overlay.writes {
            self.0.file.write_all_at(bytes, *offset)?;
        }
        if !overlay.writes.is_empty() {
            self.0.file.sync_data()?;
        }
        overlay.writes.clear();
        self.0.released.store(true, Ordering::Release);
        Ok(())
    }
}

impl Inner {
    fn overlay(&self) -> MutexGuard<'_, Overlay> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn released(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }
}

impl Overlay {
    /// What the file holds there, changed by what was held back.
    fn read(&self, file: &File, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let end = offset + out.len() as u64;
        if end > self.len {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                "read behind the end of the file",
            ));
        }
        out.fill(0);
        let stored = usize::try_from(self.kept.clamp(offset, end) - offset).unwrap_or(0);
        if let Some(out) = out.get_mut(..stored) {
            file.read_exact_at(out, offset)?;
        }
        // Writes do not overlap, so at most one begins before `offset` and reaches into it.
        let first = self
            .writes
            .range(..=offset)
            .next_back()
            .map_or(offset, |(at, _)| *at);
        for (at, bytes) in self.writes.range(first..end) {
            let (from, to) = (offset.max(*at), end.min(at + bytes.len() as u64));
            if from < to {
                let place = |n: u64, base: u64| usize::try_from(n - base).unwrap_or(usize::MAX);
                let source = bytes.get(place(from, *at)..place(to, *at));
                let target = out.get_mut(place(from, offset)..place(to, offset));
                if let (Some(source), Some(target)) = (source, target) {
                    target.copy_from_slice(source);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let end = offset + data.len() as u64;
        // What it covers is taken out; what sticks out on either side stays.
        let first = self
            .writes
            .range(..=offset)
            .next_back()
            .map_or(offset, |(at, _)| *at);
        let touched: Vec<u64> = self.writes.range(first..end).map(|(at, _)| *at).collect();
        for at in touched {
            let Some(bytes) = self.writes.remove(&at) else {
                continue;
            };
            let old_end = at + bytes.len() as u64;
            let before = usize::try_from(offset.saturating_sub(at))
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            if before > 0 {
                self.writes.insert(at, bytes[..before].to_vec());
            }
            if old_end > end {
                let after = usize::try_from(end.saturating_sub(at))
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.writes.insert(end.max(at), bytes[after..].to_vec());
            }
        }
        self.writes.insert(offset, data.to_vec());
    }
}

impl StorageBackend for GuardedFile {
    fn len(&self) -> Result<u64, Error> {
        if self.0.released() {
            Ok(self.0.file.metadata()?.len())
        } else {
            Ok(self.0.overlay().len)
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        if self.0.released() {
            return self.0.file.read_exact_at(out, offset);
        }
        self.0.overlay().read(&self.0.file, offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        if self.0.released() {
            return self.0.file.set_len(len);
        }
        let mut overlay = self.0.overlay();
        if len < overlay.len {
            overlay.kept = overlay.kept.min(len);
            overlay.writes.retain(|at, _| *at < len);
            if let Some((at, bytes)) = overlay.writes.iter_mut().next_back() {
                bytes.truncate(usize::try_from(len - at).unwrap_or(usize::MAX));
            }
        }
        overlay.len = len;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        if self.0.released() {
            self.0.file.sync_data()
        } else {
            Ok(())
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        if self.0.released() {
            return self.0.file.write_all_at(data, offset);
        }
        self.0.overlay().write(offset, data);
        Ok(())
    }
}
