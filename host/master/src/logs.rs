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
    inner: Mutex<HashMap<FrameworkId, Log>>,
    written: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Log {
    last: u64,
    lines: VecDeque<Line>,
}

impl FrameworkLogs {
    /// Keeps at most so many lines of each framework.
    #[must_use]
    pub fn new(lines_max: usize) -> FrameworkLogs {
        FrameworkLogs {
            lines_max,
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
        log.lines.push_back(Line {
            number,
            at_ms: now(),
            level,
            text: text.to_string(),
        });
        while log.lines.len() > self.lines_max {
            log.lines.pop_front();
        }
        drop(inner);
        self.written.send_modify(|n| *n += 1);
    }
}
