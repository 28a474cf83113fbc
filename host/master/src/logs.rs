//! The frameworks' logs: the newest lines of each, in memory.

use crate::driver::now;
use mezzo_types::{FrameworkId, Instant};
use mezzo_wasm::{Level, LogSink};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// Grows with each line of the framework.
    #[serde(skip)]
    pub number: u64,
    /// When the master got it.
    pub at_ms: Instant,
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// Without control characters.
    pub text: String,
}

/// See the module.
#[derive(Debug)]
pub struct FrameworkLogs {
    lines_max: usize,
    bytes_max: usize,
    inner: Mutex<HashMap<FrameworkId, Log>>,
    written: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Log {
    last: u64,
    lines: VecDeque<Line>,
    /// Of their texts.
    bytes: usize,
}

impl FrameworkLogs {
    /// Keeps at most so many lines, and so many bytes of text, of each framework.
    #[must_use]
    pub fn new(lines_max: usize, bytes_max: usize) -> FrameworkLogs {
        FrameworkLogs {
            lines_max,
            bytes_max,
            inner: Mutex::default(),
            written: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FrameworkId, Log>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes with every line of any framework.
    #[must_use]
    pub fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// The newest `tail` lines.
    #[must_use]
    pub fn tail(&self, framework: FrameworkId, tail: usize) -> Vec<Line> {
        let inner = self.lock();
        let Some(log) = inner.get(&framework) else {
            return Vec::new();
        };
        let from = log.lines.len().saturating_sub(tail);
        log.lines.range(from..).cloned().collect()
    }

    /// The lines after this number, as far as they are kept.
    #[must_use]
    pub fn after(&self, framework: FrameworkId, number: u64) -> Vec<Line> {
        let inner = self.lock();
        let lines = inner.get(&framework).map(|log| &log.lines);
        let newer = lines.into_iter().flatten();
        newer.filter(|line| line.number > number).cloned().collect()
    }

    /// A removed framework's log goes.
    pub fn forget(&self, framework: FrameworkId) {
        self.lock().remove(&framework);
    }
}

impl LogSink for FrameworkLogs {
    fn line(&self, framework: FrameworkId, level: Level, text: &str) {
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let mut inner = self.lock();
        let log = inner.entry(framework).or_default();
        log.last += 1;
        let number = log.last;
        log.bytes += text.len();
        log.lines.push_back(Line {
            number,
            at_ms: now(),
            level,
            text: text.to_string(),
        });
        while (log.lines.len() > self.lines_max || log.bytes > self.bytes_max)
            && let Some(oldest) = log.lines.pop_front()
        {
            log.bytes -= oldest.text.len();
        }
        drop(inner);
        self.written.send_modify(|n| *n += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_stay_within_both_limits() {
        let logs = FrameworkLogs::new(3, 10);
        let id = FrameworkId(1);
        let texts = || -> Vec<String> {
            let lines = logs.tail(id, 100).into_iter();
            lines.map(|line| line.text).collect()
        };
        for text in ["a", "b", "c", "d"] {
            logs.line(id, Level::Info, text);
        }
        assert_eq!(texts(), ["b", "c", "d"]);
        logs.line(id, Level::Info, "123456789");
        assert_eq!(texts(), ["d", "123456789"]);
        logs.line(id, Level::Info, "12345678901");
        assert!(texts().is_empty(), "a line beyond the limit is not kept");
        logs.line(id, Level::Info, "e");
        assert_eq!(texts(), ["e"]);
        assert_eq!(logs.after(id, 5).len(), 1, "numbers go on");
    }
}
