//! What the agent and the shim say to each other: the words on their sockets and the names of the
//! files in a run's folder. Shared by both, so that neither guesses.

/// The shim's own file: there before it executes the program, and locked for as long as it lives. A
/// [`Trace`]. Whoever makes it decides whether the run is started: it is made once, whole.
pub const SHIM: &str = "shim";
/// Standard output.
pub const STDOUT: &str = "stdout";
/// Standard error.
pub const STDERR: &str = "stderr";
/// Behind a name of an output file: what was rotated away last.
pub const ROTATED: &str = ".1";
/// Behind a name of an output file: how many bytes came before the current file, in decimal.
pub const BASE: &str = ".base";

/// The descriptor on which the spawner reads requests (a stream).
pub const REQUESTS_FD: i32 = 3;
/// The descriptor on which the spawner and its shims write notes (packets).
pub const NOTES_FD: i32 = 4;

/// What is to be started. Sent as a length (u32, little endian) and the fields, each with its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Comes back in every note.
    pub run: u64,
    /// The run's folder: absolute.
    pub folder: String,
    /// Where the program starts: absolute.
    pub cwd: String,
    /// An output file is rotated when it has reached so many bytes.
    pub output_bytes_max: u64,
    /// The program and its arguments; the program is looked for in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
}

impl Request {
    /// Its form on the socket.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut field = |bytes: &[u8]| {
            body.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            body.extend_from_slice(bytes);
        };
        field(&self.run.to_le_bytes());
        field(self.folder.as_bytes());
        field(self.cwd.as_bytes());
        field(&self.output_bytes_max.to_le_bytes());
        field(
            &u32::try_from(self.argv.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        for text in self.argv.iter().chain(&self.env) {
            field(text.as_bytes());
        }
        let mut message = u32::try_from(body.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes()
            .to_vec();
        message.append(&mut body);
        message
    }

    /// Reads the body of a message; none if it is malformed.
    #[must_use]
    pub fn decode(mut body: &[u8]) -> Option<Request> {
        let mut fields = Vec::new();
        while !body.is_empty() {
            let (length, rest) = body.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            fields.push(rest.get(..length)?);
            body = &rest[length..];
        }
        let text = |bytes: &&[u8]| String::from_utf8(bytes.to_vec()).ok();
        let argc = usize::try_from(u32::from_le_bytes(fields.get(4)?[..].try_into().ok()?)).ok()?;
        let texts: Vec<String> = fields.get(5..)?.iter().map(text).collect::<Option<_>>()?;
        let (argv, env) = texts.split_at_checked(argc)?;
        Some(Request {
            run: u64::from_le_bytes(fields.first()?[..].try_into().ok()?),
            folder: text(fields.get(1)?)?,
            cwd: text(fields.get(2)?)?,
            output_bytes_max: u64::from_le_bytes(fields.get(3)?[..].try_into().ok()?),
            argv: argv.to_vec(),
            env: env.to_vec(),
        })
    }
}

/// What a shim is asked to do with all of its run's processes. Said by a signal to the shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM to each.
    Terminate,
    /// SIGKILL to each, until none is left.
    Destroy,
}

impl Wish {
    /// All of them.
    pub const ALL: [Wish; 2] = [Wish::Terminate, Wish::Destroy];

    /// The signal that says it.
    #[must_use]
    pub const fn signal(self) -> i32 {
        match self {
            Wish::Terminate => libc::SIGUSR1,
            Wish::Destroy => libc::SIGUSR2,
        }
    }

    /// What a signal says.
    #[must_use]
    pub fn said_by(signal: i32) -> Option<Wish> {
        Wish::ALL.into_iter().find(|wish| wish.signal() == signal)
    }
}

/// What happened to a run. One packet of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The program is being executed.
    Started,
    /// Its shim has ended, having done its work or not: the files say which.
    Gone,
}

impl Note {
    /// Its form on the socket.
    #[must_use]
    pub fn encode(self, run: u64) -> [u8; 16] {
        let mut packet = [0; 16];
        packet[..8].copy_from_slice(&run.to_le_bytes());
        packet[8] = match self {
            Note::Started => 1,
            Note::Gone => 2,
        };
        packet
    }

    /// Reads a packet; none if it is malformed.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<(u64, Note)> {
        let run = u64::from_le_bytes(packet.get(..8)?.try_into().ok()?);
        match packet.get(8)? {
            1 => Some((run, Note::Started)),
            2 => Some((run, Note::Gone)),
            _ => None,
        }
    }
}

/// What the shim's file says, a line each: who the shim is, and, once the program and all of its
/// processes are gone, how it ended. One file for both, because a task that lives for a millisecond
/// is as dear as the files that are made for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The shim's process. It is the shim's for as long as the file is locked.
    pub pid: Option<i32>,
    /// How the run ended.
    pub outcome: Option<Outcome>,
}

impl Trace {
    /// The first line.
    #[must_use]
    pub fn begin(pid: i32) -> String {
        format!("pid {pid}\n")
    }

    /// Reads the file. A torn line is none.
    #[must_use]
    pub fn decode(text: &str) -> Trace {
        let mut trace = Trace::default();
        for line in text.split_inclusive('\n') {
            match line.strip_prefix("pid ") {
                Some(pid) => trace.pid = pid.strip_suffix('\n').and_then(|pid| pid.parse().ok()),
                None => trace.outcome = Outcome::decode(line).or(trace.outcome),
            }
        }
        trace
    }
}

/// How a run ended, as its shim saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Ended by itself.
    Code(i32),
    /// Ended by a signal.
    Signal(i32),
    /// The program could not be executed: the number of the error.
    NotExecuted(i32),
    /// The shim could not do its part: what failed, and the number of the error.
    Broken(String, i32),
    /// The run is not to be started any more: the agent's word, in the file's only line.
    Sealed,
}

impl Outcome {
    /// Its line in the shim's file.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Outcome::Code(code) => format!("code {code}\n"),
            Outcome::Signal(signal) => format!("signal {signal}\n"),
            Outcome::NotExecuted(errno) => format!("not-executed {errno}\n"),
            Outcome::Broken(what, errno) => format!("broken {errno} {what}\n"),
            Outcome::Sealed => "sealed -\n".into(),
        }
    }

    /// Reads the line; none if it is malformed.
    #[must_use]
    pub fn decode(text: &str) -> Option<Outcome> {
        let line = text.strip_suffix('\n')?;
        let (word, rest) = line.split_once(' ')?;
        match word {
            "code" => rest.parse().ok().map(Outcome::Code),
            "signal" => rest.parse().ok().map(Outcome::Signal),
            "not-executed" => rest.parse().ok().map(Outcome::NotExecuted),
            "sealed" => Some(Outcome::Sealed),
            "broken" => {
                let (errno, what) = rest.split_once(' ')?;
                Some(Outcome::Broken(what.to_string(), errno.parse().ok()?))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let request = Request {
            run: 7,
            folder: "/a".into(),
            cwd: "/a/sandbox".into(),
            output_bytes_max: 9,
            argv: vec!["echo".into(), String::new(), "ü".into()],
            env: vec!["A=1".into()],
        };
        let message = request.encode();
        assert_eq!(Request::decode(&message[4..]), Some(request));
        for cut in 5..message.len() - 1 {
            assert_ne!(
                Request::decode(&message[4..cut]).map(|r| r.env.len()),
                Some(1),
                "cut at {cut}"
            );
        }
        for note in [Note::Started, Note::Gone] {
            assert_eq!(Note::decode(&note.encode(9)), Some((9, note)));
        }
        let broken = Outcome::Broken("open stdout".into(), 28);
        for outcome in [
            Outcome::Code(-1),
            Outcome::Signal(9),
            Outcome::NotExecuted(2),
            Outcome::Sealed,
            broken,
        ] {
            assert_eq!(Outcome::decode(&outcome.encode()), Some(outcome));
        }
        let begin = Trace::begin(12);
        let whole = format!("{begin}{}", Outcome::Code(3).encode());
        let trace = |pid, outcome| Trace { pid, outcome };
        assert_eq!(
            Trace::decode(&whole),
            trace(Some(12), Some(Outcome::Code(3)))
        );
        assert_eq!(Trace::decode(&begin), trace(Some(12), None));
        assert_eq!(
            Trace::decode("pid 1"),
            trace(None, None),
            "a torn line is none"
        );
        assert_eq!(
            Trace::decode("pid 12\ncode 1"),
            trace(Some(12), None),
            "a torn line is none"
        );
    }
}
