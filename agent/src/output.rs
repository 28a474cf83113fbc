//! Reading what a task wrote: the current file, the one that was rotated away, and where they begin.
//!
//! Reads only; the shim writes and rotates at any moment, so each answer is made from files that are
//! open before their places are worked out, and looked at again if a rotation came in between.

use crate::run_file;
use crate::runs::Runs;
use mezzo_proto::{OUTPUT_BYTES_MAX, v1};
use mezzo_shim::{BASE, ROTATED, STDERR, STDOUT};
use mezzo_types::Run;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a reader that waits looks for more.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// The longest wait of one request, whatever it asks for, in milliseconds.
const WAIT_MS_MAX: u32 = 30_000;
/// How far back lines are counted, in bytes.
const LINES_BYTES_MAX: u64 = OUTPUT_BYTES_MAX as u64;
/// A rotation comes between our looks at most so often before we say that there is nothing yet.
const ATTEMPTS_MAX: usize = 20;

/// A piece of output.
#[derive(Debug, Default, PartialEq, Eq)]
struct Piece {
    offset: u64,
    data: Vec<u8>,
    /// It reaches to what is there at this moment.
    last: bool,
}

/// Answers a request; waits for more if it asks for that.
pub async fn read(runs: Runs, request: v1::ReadOutput) -> v1::Output {
    let until = Instant::now() + Duration::from_millis(u64::from(request.wait_ms.min(WAIT_MS_MAX)));
    loop {
        let (runs, ask) = (runs.clone(), request);
        let answer = tokio::task::spawn_blocking(move || read_now(&runs, &ask)).await;
        let answer =
            answer.unwrap_or_else(|error| refuse(&request, format!("the reader failed: {error}")));
        let done = !answer.data.is_empty() || answer.end || !answer.error.is_empty();
        if done || Instant::now() >= until {
            return answer;
        }
        tokio::time::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
    }
}

/// An answer that says why there is nothing.
pub fn refuse(request: &v1::ReadOutput, error: String) -> v1::Output {
    v1::Output {
        request: request.request,
        error,
        ..v1::Output::default()
    }
}

fn read_now(runs: &Runs, request: &v1::ReadOutput) -> v1::Output {
    let run = Run(request.run);
    while let Some(folder) = runs.find(run) {
        let answer = read_in(&folder, runs.is_over(run), request);
        // Put away while it was read: what was not found there may be elsewhere. That happens once.
        if folder.is_dir() {
            return answer;
        }
    }
    refuse(
        request,
        format!("this agent keeps nothing of run {run}; output is kept for a while after the end"),
    )
}

/// `over` was asked before the files are read: what is there then is all that there will be.
fn read_in(folder: &Path, over: bool, request: &v1::ReadOutput) -> v1::Output {
    let name = if request.stderr { STDERR } else { STDOUT };
    let length_max = request.length_max.min(OUTPUT_BYTES_MAX) as usize;
    match piece(&folder.join(name), request.offset, length_max) {
        Ok(piece) => v1::Output {
            request: request.request,
            offset: piece.offset,
            data: piece.data,
            end: over && piece.last,
            error: String::new(),
        },
        Err(error) => refuse(
            request,
            format!("read {name} of run {}: {error}", request.run),
        ),
    }
}

/// The two files of one stream at one moment.
struct Files {
    old: Option<File>,
    old_bytes: u64,
    new: Option<File>,
    /// Where the current file begins.
    base: u64,
    /// Where it ends.
    end: u64,
}

impl Files {
    /// Opens them. None if they were rotated meanwhile.
    fn open(path: &Path) -> io::Result<Option<Files>> {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            std::path::PathBuf::from(name)
        };
        let base_of = || -> io::Result<u64> {
            let text = or_none(run_file::read_note(&beside(BASE)))?;
            Ok(text.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
        };
        let base = base_of()?;
        let new = or_none(run_file::open(path))?;
        let old = or_none(run_file::open(&beside(ROTATED)))?;
        let inode = |file: &Option<File>| {
            file.as_ref()
                .and_then(|file| file.metadata().ok())
                .map(|meta| meta.ino())
        };
        let same = or_none(std::fs::symlink_metadata(path))?.map(|meta| meta.ino()) == inode(&new)
            && base_of()? == base;
        let length = |file: &Option<File>| {
            file.as_ref()
                .map_or(Ok(0), |file| file.metadata().map(|meta| meta.len()))
        };
        let (old_bytes, new_bytes) = (length(&old)?, length(&new)?);
        // Between the rotation's steps the old file is there and the new base is not.
        if !same || old_bytes > base || (new.is_none() && old.is_some()) {
            return Ok(None);
        }
        Ok(Some(Files {
            old,
            old_bytes,
            new,
            base,
            end: base + new_bytes,
        }))
    }

    fn begin(&self) -> u64 {
        self.base - self.old_bytes
    }

    /// Fills the buffer from this place on; how much was there.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let (file, from, to) = match (&self.old, &self.new) {
                (Some(old), _) if at < self.base => (old, self.begin(), self.base),
                (_, Some(new)) if at < self.end => (new, self.base, self.end),
                _ => break,
            };
            let length = usize::try_from(to - at)
                .unwrap_or(usize::MAX)
                .min(buffer.len() - done);
            let n = file.read_at(&mut buffer[done..done + length], at - from)?;
            if n == 0 {
                break;
            }
            done += n;
        }
        Ok(done)
    }

    /// Where the last so many lines begin. A line that is not ended counts.
    fn lines_from_end(&self, lines: u64) -> io::Result<u64> {
        let from = self.begin().max(self.end.saturating_sub(LINES_BYTES_MAX));
        let mut text = vec![0; usize::try_from(self.end - from).unwrap_or(0)];
        let n = self.read(from, &mut text)?;
        text.truncate(n);
        // The newline that ends the last line begins none.
        let body = text.strip_suffix(b"\n").unwrap_or(&text);
        let mut newlines = body
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(i, _)| i as u64);
        let nth = usize::try_from(lines.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(newlines.nth(nth).map_or(from, |i| from + i + 1))
    }
}

fn or_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn piece(path: &Path, offset: i64, length_max: usize) -> io::Result<Piece> {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(files) = Files::open(path)? {
            return piece_of(&files, offset, length_max);
        }
        std::thread::yield_now();
    }
    // A shim that was killed in the middle of a rotation leaves it so for ever: what is there counts.
    let mut name = path.as_os_str().to_owned();
    name.push(ROTATED);
    let old = or_none(run_file::open(Path::new(&name)))?;
    let bytes = old
        .as_ref()
        .map_or(Ok(0), |file| file.metadata().map(|meta| meta.len()))?;
    let files = Files {
        old,
        old_bytes: bytes,
        new: None,
        base: bytes,
        end: bytes,
    };
    piece_of(&files, offset, length_max)
}

fn piece_of(files: &Files, offset: i64, length_max: usize) -> io::Result<Piece> {
    let offset = match u64::try_from(offset) {
        Ok(offset) => offset.max(files.begin()),
        Err(_) => files.lines_from_end(offset.unsigned_abs())?,
    };
    let there = usize::try_from(files.end.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut data = vec![0; there.min(length_max)];
    let n = files.read(offset, &mut data)?;
    data.truncate(n);
    Ok(Piece {
        offset,
        last: offset + n as u64 >= files.end,
        data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        old: Option<&str>,
        new: &str,
        base: u64,
        offset: i64,
        length_max: usize,
        expected: (u64, &str, bool),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stdout");
        std::fs::write(&path, new).expect("writable");
        if let Some(old) = old {
            std::fs::write(folder.path().join("stdout.1"), old).expect("writable");
            std::fs::write(folder.path().join("stdout.base"), format!("{base}\n"))
                .expect("writable");
        }
        let piece = piece(&path, offset, length_max).expect("readable");
        let text = String::from_utf8(piece.data).expect("text");
        assert_eq!(
            (piece.offset, text.as_str(), piece.last),
            expected,
            "{offset}"
        );
    }

    #[test]
    fn pieces_reach_over_the_rotation() {
        check(None, "one\ntwo\n", 0, 0, 100, (0, "one\ntwo\n", true));
        check(None, "one\ntwo\n", 0, 4, 2, (4, "tw", false));
        check(None, "one\ntwo\n", 0, 99, 10, (99, "", true));
        // Ten bytes are gone, then "abc" and "def".
        check(Some("abc"), "def", 13, 0, 100, (10, "abcdef", true));
        check(Some("abc"), "def", 13, 12, 2, (12, "cd", false));
        check(Some("abc"), "def", 13, 14, 100, (14, "ef", true));
    }

    #[test]
    fn lines_are_counted_from_the_end() {
        check(None, "1\n2\n3\n", 0, -1, 100, (4, "3\n", true));
        check(None, "1\n2\n3\n", 0, -2, 100, (2, "2\n3\n", true));
        check(None, "1\n2\n3\n", 0, -9, 100, (0, "1\n2\n3\n", true));
        check(None, "1\n2\n3", 0, -1, 100, (4, "3", true));
        check(Some("1\n2"), "2\n3\n", 3, -2, 100, (2, "22\n3\n", true));
        check(None, "", 0, -5, 100, (0, "", true));
    }

    #[test]
    fn no_file_is_no_output() {
        let folder = tempfile::tempdir().expect("a folder");
        let piece = piece(&folder.path().join("stdout"), 0, 10).expect("nothing");
        assert_eq!(
            piece,
            Piece {
                offset: 0,
                data: Vec::new(),
                last: true
            }
        );
    }
}
