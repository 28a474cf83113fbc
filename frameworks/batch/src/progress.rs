//! How far each index of a job has come: twelve bytes an index, kept in pages, so that a turn rewrites a kilobyte for
//! the indexes that changed and not the whole job.

/// Indexes in one page.
pub const PAGE: usize = 128;

const VERSION: u8 = 2;
const ENTRY_BYTES: usize = 12;

/// Pages of the first version, with attempts up to 255, are still read.
const VERSION_1: u8 = 1;
const ENTRY_BYTES_1: usize = 9;

/// Stands for "no exit code" in a page.
const NO_EXIT: i32 = i32::MIN;

/// Where an index stands. The numbers are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// To be launched.
    #[default]
    Waiting = 0,
    /// Launched, not confirmed.
    Pending = 1,
    /// The agent prepares it.
    Starting = 2,
    /// It runs.
    Running = 3,
    /// It was asked to stop.
    Stopping = 4,
    /// Its agent is silent.
    Unreachable = 5,
    /// Done.
    Finished = 6,
    /// Failed for good.
    Failed = 7,
    /// Not run, or killed, because the job was stopped.
    Cancelled = 8,
}

impl State {
    const ALL: [State; 9] = [
        State::Waiting,
        State::Pending,
        State::Starting,
        State::Running,
        State::Stopping,
        State::Unreachable,
        State::Finished,
        State::Failed,
        State::Cancelled,
    ];

    /// Whether a task of the index is launched and has not ended.
    pub fn is_live(self) -> bool {
        !matches!(self, State::Waiting) && !self.is_final()
    }

    /// Whether the index never leaves it again.
    pub fn is_final(self) -> bool {
        matches!(self, State::Finished | State::Failed | State::Cancelled)
    }

    /// As the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Pending => "pending",
            State::Starting => "starting",
            State::Running => "running",
            State::Stopping => "stopping",
            State::Unreachable => "unreachable",
            State::Finished => "finished",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }
}

/// One index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// How often it was launched.
    pub attempt: u32,
    /// How many attempts failed.
    pub failures: u8,
    /// How many were lost.
    pub lost: u8,
    /// Of the latest attempt that ended.
    pub exit_code: Option<i32>,
    /// Of the same: an index into the job's list of reasons.
    pub reason: u8,
}

/// Writes one page: the entries of up to [`PAGE`] indexes.
pub fn encode(page: &[Progress]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + page.len() * ENTRY_BYTES);
    bytes.push(VERSION);
    for entry in page {
        bytes.extend([entry.state as u8, entry.failures, entry.lost, entry.reason]);
        bytes.extend(entry.attempt.to_le_bytes());
        bytes.extend(entry.exit_code.unwrap_or(NO_EXIT).to_le_bytes());
    }
    bytes
}

/// Reads a page into `page`; the error says why it cannot be one.
pub fn decode(bytes: &[u8], page: &mut [Progress]) -> Result<(), String> {
    let (version, entries) = bytes.split_first().ok_or("an empty page")?;
    let entry_bytes = match *version {
        VERSION => ENTRY_BYTES,
        VERSION_1 => ENTRY_BYTES_1,
        other => {
            return Err(format!(
                "the page has format {other}, this version reads up to {VERSION}"
            ));
        }
    };
    if entries.len() != page.len() * entry_bytes {
        return Err(format!(
            "the page has {} bytes for {} entries",
            entries.len(),
            page.len()
        ));
    }
    for (entry, bytes) in page.iter_mut().zip(entries.chunks_exact(entry_bytes)) {
        *entry = decode_entry(bytes)?;
    }
    Ok(())
}

fn decode_entry(bytes: &[u8]) -> Result<Progress, String> {
    let (state, attempt, [failures, lost, reason], exit_code) = match *bytes {
        [
            state,
            failures,
            lost,
            reason,
            a0,
            a1,
            a2,
            a3,
            e0,
            e1,
            e2,
            e3,
        ] => {
            let attempt = u32::from_le_bytes([a0, a1, a2, a3]);
            (state, attempt, [failures, lost, reason], [e0, e1, e2, e3])
        }
        [state, attempt, failures, lost, reason, e0, e1, e2, e3] => {
            let attempt = u32::from(attempt);
            (state, attempt, [failures, lost, reason], [e0, e1, e2, e3])
        }
        _ => return Err("a short entry".to_owned()),
    };
    let state = State::ALL
        .get(usize::from(state))
        .ok_or_else(|| format!("no state {state}"))?;
    let exit_code = i32::from_le_bytes(exit_code);
    Ok(Progress {
        state: *state,
        attempt,
        failures,
        lost,
        exit_code: (exit_code != NO_EXIT).then_some(exit_code),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_comes_back_as_it_was() {
        for (number, state) in State::ALL.iter().enumerate() {
            assert_eq!(*state as usize, number);
        }
        let entry = Progress {
            state: State::Failed,
            attempt: 70_000,
            failures: 101,
            lost: 10,
            exit_code: Some(-1),
            reason: 255,
        };
        let page = [
            entry,
            Progress::default(),
            Progress {
                exit_code: Some(0),
                ..entry
            },
        ];
        let mut back = [Progress::default(); 3];
        decode(&encode(&page), &mut back).unwrap();
        assert_eq!(back, page);
    }

    #[test]
    fn a_page_of_the_first_version_is_still_read() {
        let mut page = [Progress::default(); 1];
        decode(&[1, 7, 255, 101, 10, 3, 1, 0, 0, 0], &mut page).unwrap();
        let expected = Progress {
            state: State::Failed,
            attempt: 255,
            failures: 101,
            lost: 10,
            exit_code: Some(1),
            reason: 3,
        };
        assert_eq!(page, [expected]);
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let mut page = [Progress::default(); 1];
        let mut bytes = encode(&page);
        assert!(decode(&[], &mut page).is_err());
        assert!(decode(&bytes[..9], &mut page).is_err());
        bytes[1] = 9;
        assert!(
            decode(&bytes, &mut page)
                .unwrap_err()
                .contains("no state 9")
        );
        bytes[0] = 3;
        assert!(decode(&bytes, &mut page).unwrap_err().contains("format 3"));
    }
}
