//! Starts the compiler's process, watches it, and says what it died of.

use super::{
    CompileCommand, Failure, OPTION_CPU, OPTION_MEMORY, OPTION_OUT, OPTION_OUT_BYTES, OPTION_STACK,
};
use crate::fault::printable;
use crate::limits::SandboxLimits;
use crate::refused::Refused;
use std::fs::File;
use std::io::{Read, Seek as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Bytes of the child's words that are read.
const WORDS_BYTES_MAX: u64 = 16 << 10;
/// How often the child is looked at; most components compile in a few hundred milliseconds.
const POLL: Duration = Duration::from_millis(2);

/// Compiles `component` into the file `out`, which must not exist, and its seal beside it.
pub fn compile(
    command: &CompileCommand,
    limits: &SandboxLimits,
    component: &[u8],
    out: &Path,
) -> Result<(), Refused> {
    let input = input_file(component, out)?;
    let mut child = Command::new(&command.program)
        .args(&command.args)
        .arg(OPTION_OUT)
        .arg(out)
        .args([OPTION_MEMORY, &limits.compile_memory_bytes.to_string()])
        .args([OPTION_CPU, &limits.compile_cpu_s.to_string()])
        .args([OPTION_OUT_BYTES, &limits.compiled_bytes_max.to_string()])
        .args([OPTION_STACK, &limits.wasm_stack_bytes.to_string()])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(input))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| {
            Refused::host(
                format!("starting the compiler {}", command.program.display()),
                e,
            )
        })?;
    let words = read_in_background(child.stdout.take());
    let errors = read_in_background(child.stderr.take());
    let status = wait(&mut child, Duration::from_millis(limits.compile_wall_ms))?;
    let (words, errors) = (joined(words), joined(errors));
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(died(status, &words, &errors, limits)),
        None => Err(Refused::CompileLimit {
            limit: "compile_wall_ms",
            max: limits.compile_wall_ms,
            words: "it was still at work".to_owned(),
        }),
    }
}

/// The component as a file without a name: the child reads it, and nothing is left behind whatever
/// becomes of either process.
fn input_file(component: &[u8], out: &Path) -> Result<File, Refused> {
    let path = out.with_extension("in");
    let failed = |e| Refused::host(format!("writing {}", path.display()), e);
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    let mut file = options.open(&path).map_err(failed)?;
    std::fs::remove_file(&path).map_err(failed)?;
    file.write_all(component).map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok(file)
}

type Reader = std::thread::JoinHandle<Vec<u8>>;

/// The child must never wait for us to read.
fn read_in_background(pipe: Option<impl Read + Send + 'static>) -> Option<Reader> {
    let mut pipe = pipe?;
    Some(std::thread::spawn(move || {
        let mut words = Vec::new();
        let _ = pipe.by_ref().take(WORDS_BYTES_MAX).read_to_end(&mut words);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        words
    }))
}

fn joined(reader: Option<Reader>) -> String {
    let words = reader
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default();
    String::from_utf8_lossy(&words).into_owned()
}

/// The child's end, or none if it had to be killed.
fn wait(child: &mut Child, max: Duration) -> Result<Option<ExitStatus>, Refused> {
    let failed = |e| Refused::host("waiting for the compiler", e);
    let end = Instant::now() + max;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

fn died(status: ExitStatus, words: &str, errors: &str, limits: &SandboxLimits) -> Refused {
    if let Ok(failure) = serde_json::from_str::<Failure>(words.trim()) {
        let message = printable(&failure.message, 1_000);
        // An allocation that the compiler itself noticed, such as for its code.
        if message.contains("Cannot allocate memory") || message.contains("out of memory") {
            return out_of_memory(limits, message);
        }
        return Refused::Compile(message);
    }
    let errors = printable(errors.trim(), 300);
    match status.signal() {
        Some(libc::SIGXCPU) | Some(libc::SIGKILL) => Refused::CompileLimit {
            limit: "compile_cpu_s",
            max: limits.compile_cpu_s,
            words: format!("{status}"),
        },
        Some(libc::SIGXFSZ) => Refused::CompileLimit {
            limit: "compiled_bytes_max",
            max: limits.compiled_bytes_max,
            words: format!("{status}"),
        },
        Some(libc::SIGABRT | libc::SIGSEGV) => out_of_memory(limits, errors),
        _ => Refused::Compile(format!("the compiler ended with {status}: {errors}")),
    }
}

fn out_of_memory(limits: &SandboxLimits, words: String) -> Refused {
    Refused::CompileLimit {
        limit: "compile_memory_bytes",
        max: limits.compile_memory_bytes,
        words,
    }
}
