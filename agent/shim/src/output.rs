//! One output file of a run: appended to, and rotated when it is full, so that no task fills a disk.

use crate::sys;
use mezzo_shim::{BASE, ROTATED};
use std::os::fd::RawFd;

/// A stream of the program and the file that it goes to.
pub struct Output {
    /// The end of the pipe that the program writes to; -1 when it is closed.
    pub pipe: RawFd,
    path: String,
    /// Made with the first output: many tasks have none. -1 before.
    file: RawFd,
    written: u64,
    /// Bytes before the current file began.
    base: u64,
    bytes_max: u64,
}

impl Output {
    /// What comes out of the pipe goes to this file.
    pub fn new(path: String, pipe: RawFd, bytes_max: u64) -> Output {
        Output {
            pipe,
            path,
            file: -1,
            written: 0,
            base: 0,
            bytes_max: bytes_max.max(1),
        }
    }

    /// Moves what is there to the file. False when the stream has ended.
    pub fn pump(&mut self, buffer: &mut [u8]) -> bool {
        match sys::read(self.pipe, buffer) {
            Ok(0) => {
                self.close();
                false
            }
            Ok(n) => {
                self.append(buffer.get(..n).unwrap_or_default());
                true
            }
            Err(libc::EAGAIN | libc::EINTR) => true,
            Err(_) => {
                self.close();
                false
            }
        }
    }

    fn close(&mut self) {
        if self.pipe >= 0 {
            sys::close(self.pipe);
            self.pipe = -1;
        }
    }

    /// Output that finds no room is dropped: the task matters more than what it says.
    fn append(&mut self, bytes: &[u8]) {
        if self.written >= self.bytes_max {
            self.rotate();
        }
        if self.file < 0 {
            self.file = open(&self.path).unwrap_or(-1);
        }
        match sys::write_all(self.file, bytes) {
            Ok(()) => self.written += bytes.len() as u64,
            // Some of it may have found room.
            Err(_) => self.written = sys::size(self.file).unwrap_or(self.written),
        }
    }

    fn rotate(&mut self) {
        let base = self.base + self.written;
        let text = format!("{base}\n");
        let new = format!("{}{BASE}.new", self.path);
        let noted = sys::open(&new, libc::O_CREAT | libc::O_TRUNC | libc::O_WRONLY, 0o600)
            .and_then(|fd| {
                let written = sys::write_all(fd, text.as_bytes());
                sys::close(fd);
                written
            });
        if noted.is_err() || sys::rename(&self.path, &format!("{}{ROTATED}", self.path)).is_err() {
            return;
        }
        let _ = sys::rename(&new, &format!("{}{BASE}", self.path));
        // The next one is made with the next output.
        sys::close(self.file);
        (self.file, self.base, self.written) = (-1, base, 0);
    }
}

fn open(path: &str) -> Result<RawFd, i32> {
    // The task may have put a link or a pipe there: neither is followed nor waited for.
    let careful = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    sys::open(
        path,
        libc::O_CREAT | libc::O_APPEND | libc::O_WRONLY | careful,
        0o600,
    )
}
