//! The log of one framework: lines from `log.write`, standard output and standard error, limited in
//! bytes a second. It outlives the instance, so that a crash does not refill the budget.
//!
//! Time is the turns' `now`, so that what is dropped depends on the turns alone.

use crate::fault::printable;
use mezzo_types::FrameworkId;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How much a line matters; the cases are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the framework's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Something is wrong.
    Error,
}

/// Where the lines go. It is called on a worker thread in the middle of a turn: it may not block.
pub trait LogSink: Send + Sync {
    /// One line, without control characters and not longer than the limit.
    fn line(&self, framework: FrameworkId, level: Level, text: &str);
}

/// One of the standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its lines are [`Level::Info`].
    Out,
    /// Its lines are [`Level::Warn`].
    Err,
}

/// A framework's log. Clones are the same log.
#[derive(Clone)]
pub struct FrameworkLog(Arc<Mutex<Inner>>);

struct Inner {
    framework: FrameworkId,
    sink: Arc<dyn LogSink>,
    line_bytes_max: usize,
    budget: Budget,
    dropped_lines: u64,
    dropped_bytes: u64,
    /// The last line of each stream, while it is not ended.
    partial: [Vec<u8>; 2],
    /// The newest lines of the turn's standard error: a language that gives up says there why.
    words: Vec<String>,
}

/// So many lines of standard error are kept for a fault.
const WORDS_LINES_MAX: usize = 4;
/// Each of them has at most so many bytes.
const WORDS_LINE_BYTES_MAX: usize = 300;
/// How Rust ends what a panic says; that helps nobody here.
const NOTE: &str = "note: run with `RUST_BACKTRACE";

/// A token bucket of bytes, filled by the time of the turns.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    per_s: u64,
    left: u64,
    at_ms: Option<u64>,
}

impl Budget {
    fn begin_turn(&mut self, now_ms: u64, per_s: u64) {
        let burst = per_s.saturating_mul(2);
        let passed_ms = self
            .at_ms
            .map_or(2_000, |at| now_ms.saturating_sub(at))
            .min(2_000);
        // A gain of less than one byte is not lost: its time stays open.
        let gain = per_s.saturating_mul(passed_ms) / 1_000;
        if gain > 0 || self.at_ms.is_none() || self.per_s != per_s {
            self.at_ms = Some(now_ms.max(self.at_ms.unwrap_or(0)));
        }
        self.per_s = per_s;
        self.left = self.left.saturating_add(gain).min(burst);
    }

    fn take(&mut self, bytes: u64) -> bool {
        let enough = self.left >= bytes;
        if enough {
            self.left -= bytes;
        }
        enough
    }
}

impl FrameworkLog {
    /// An empty log.
    pub fn new(framework: FrameworkId, sink: Arc<dyn LogSink>, line_bytes_max: usize) -> Self {
        FrameworkLog(Arc::new(Mutex::new(Inner {
            framework,
            sink,
            line_bytes_max,
            budget: Budget::default(),
            dropped_lines: 0,
            dropped_bytes: 0,
            partial: [Vec::new(), Vec::new()],
            words: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A sink that panicked leaves at most one line half counted.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a turn: what the time since the last one is worth.
    pub fn begin_turn(&self, now_ms: u64, bytes_per_s: u64) {
        let mut log = self.lock();
        log.words.clear();
        log.budget.begin_turn(now_ms, bytes_per_s);
    }

    /// What the guest has said on standard error in this turn, in one line; empty if nothing. The
    /// newest lines, a few.
    pub fn last_words(&self) -> String {
        let mut log = self.lock();
        log.end_line(Stream::Err);
        log.words.join(" ")
    }

    /// After a turn: ends open lines and tells what was dropped.
    pub fn end_turn(&self) {
        let mut log = self.lock();
        for stream in [Stream::Out, Stream::Err] {
            log.end_line(stream);
        }
        if log.dropped_lines > 0 {
            let text = format!(
                "{} lines ({} bytes) were dropped: more than log_bytes_per_s = {}",
                log.dropped_lines, log.dropped_bytes, log.budget.per_s
            );
            (log.dropped_lines, log.dropped_bytes) = (0, 0);
            log.sink.line(log.framework, Level::Warn, &text);
        }
    }

    /// One message. Line breaks inside it begin lines that are indented, so that none can pass for
    /// a message of its own.
    pub fn message(&self, level: Level, message: &str) {
        let mut log = self.lock();
        for (i, line) in message.lines().enumerate() {
            log.emit(level, if i == 0 { "" } else { "  " }, line);
        }
    }

    /// Bytes of a standard stream.
    pub fn bytes(&self, stream: Stream, bytes: &[u8]) {
        let mut log = self.lock();
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|b| *b == b'\n') {
            let (line, after) = rest.split_at(at);
            log.extend(stream, line);
            log.end_line(stream);
            rest = after.get(1..).unwrap_or_default();
        }
        log.extend(stream, rest);
    }
}

impl Inner {
    fn partial(&mut self, stream: Stream) -> &mut Vec<u8> {
        &mut self.partial[usize::from(stream == Stream::Err)]
    }

    fn extend(&mut self, stream: Stream, mut bytes: &[u8]) {
        let max = self.line_bytes_max;
        loop {
            let partial = self.partial(stream);
            let room = max.saturating_sub(partial.len());
            if bytes.len() <= room {
                partial.extend_from_slice(bytes);
                return;
            }
            let (now, later) = bytes.split_at(room);
            partial.extend_from_slice(now);
            bytes = later;
            self.end_line(stream);
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let line = std::mem::take(self.partial(stream));
        if line.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&line);
        let level = match stream {
            Stream::Out => Level::Info,
            Stream::Err => Level::Warn,
        };
        if stream == Stream::Err && !line.starts_with(NOTE) {
            if self.words.len() == WORDS_LINES_MAX {
                self.words.remove(0);
            }
            self.words
                .push(printable(line.trim(), WORDS_LINE_BYTES_MAX));
        }
        self.emit(level, "", &line);
    }

    fn emit(&mut self, level: Level, indent: &str, line: &str) {
        let mut rest = line;
        loop {
            let at = boundary_at(rest, self.line_bytes_max);
            let (piece, later) = rest.split_at(at);
            // An empty line costs a byte too, or endless ones would be free.
            let cost = piece.len() as u64 + 1;
            if self.budget.take(cost) {
                let text: String = indent
                    .chars()
                    .chain(
                        piece
                            .chars()
                            .map(|c| if c.is_control() && c != '\t' { ' ' } else { c }),
                    )
                    .collect();
                self.sink.line(self.framework, level, &text);
            } else {
                self.dropped_lines += 1;
                self.dropped_bytes += piece.len() as u64;
            }
            rest = later;
            if rest.is_empty() {
                return;
            }
        }
    }
}

/// The largest place not after `max` where the text can be cut.
fn boundary_at(text: &str, max: usize) -> usize {
    if text.len() <= max {
        return text.len();
    }
    let at = (0..=max)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    // A limit smaller than one character must not stop the loop.
    if at == 0 {
        text.chars().next().map_or(0, char::len_utf8)
    } else {
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<(Level, String)>>);

    impl LogSink for Kept {
        fn line(&self, _: FrameworkId, level: Level, text: &str) {
            self.0.lock().unwrap().push((level, text.to_owned()));
        }
    }

    fn log() -> (FrameworkLog, Arc<Kept>) {
        let kept = Arc::new(Kept::default());
        let sink = Arc::clone(&kept) as Arc<dyn LogSink>;
        (FrameworkLog::new(FrameworkId(1), sink, 10), kept)
    }

    fn lines(kept: &Kept) -> Vec<String> {
        kept.0
            .lock()
            .unwrap()
            .drain(..)
            .map(|(_, text)| text)
            .collect()
    }

    #[test]
    fn streams_are_split_into_lines() {
        let (log, kept) = log();
        log.begin_turn(0, 1_000);
        log.bytes(Stream::Out, b"ab");
        // The stray byte becomes a character of three, so that the line of ten bytes is two.
        log.bytes(Stream::Out, b"c\nd\n\n\xff0123456789abc");
        assert_eq!(lines(&kept), ["abc", "d", "\u{fffd}0123456", "78"]);
        log.end_turn();
        assert_eq!(lines(&kept), ["9abc"]);
    }

    #[test]
    fn the_last_words_are_the_newest_lines_of_standard_error() {
        let kept = Arc::new(Kept::default());
        let log = FrameworkLog::new(FrameworkId(1), kept, 100);
        log.begin_turn(0, 0);
        log.bytes(Stream::Out, b"not this\n");
        log.bytes(
            Stream::Err,
            b"1\n2\n3\n\nthread panicked:\nwhy\nnote: run with `RUST_BACKTRACE=1`\nand",
        );
        assert_eq!(log.last_words(), "3 thread panicked: why and");
        log.begin_turn(1, 0);
        assert_eq!(log.last_words(), "");
    }

    #[test]
    fn a_message_cannot_pass_for_another() {
        let (log, kept) = log();
        log.begin_turn(0, 1_000);
        log.message(Level::Error, "a\nERROR b\x1b[0m");
        assert_eq!(lines(&kept), ["a", "  ERROR b [0", "  m"]);
    }

    #[test]
    fn what_is_over_the_rate_is_counted_and_the_count_is_shown() {
        let (log, kept) = log();
        log.begin_turn(0, 5);
        for _ in 0..6 {
            log.message(Level::Info, "1234");
        }
        log.end_turn();
        let shown = lines(&kept);
        assert_eq!(
            shown.len(),
            3,
            "two lines fit twice the rate, then the count: {shown:?}"
        );
        assert!(
            shown[2].starts_with("4 lines (16 bytes) were dropped"),
            "{}",
            shown[2]
        );
        // The same instant gives nothing new, a second later the rate, never more than the burst.
        log.begin_turn(0, 5);
        log.message(Level::Info, "1234");
        log.end_turn();
        assert_eq!(lines(&kept).len(), 1);
        log.begin_turn(1_000, 5);
        log.message(Level::Info, "1234");
        log.end_turn();
        assert_eq!(lines(&kept), ["1234"]);
    }
}
