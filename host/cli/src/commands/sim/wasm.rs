//! Real components in the simulator: the same sandbox as the master's runs their turns.
//!
//! A guest sees the virtual time and chance from the play's seed, so the same seed plays the same, as
//! long as no turn comes near a limit of time: that depends on the machine.

use crate::output::note;
use anyhow::Context;
use mezzo_core::Turn;
use mezzo_sim::guest::{Guest, Ran};
use mezzo_sim::workload::Submit;
use mezzo_types::{Digest, FrameworkId, InstanceId};
use mezzo_wasm::{
    CompileCommand, Level, LogSink, Sandbox, SandboxConfig, SandboxLimits, digest_of,
};
use std::path::Path;
use std::sync::Arc;

/// What a turn is said to cost, in microseconds: what is measured would change the play.
const TURN_CPU_US: u64 = 100;
/// As the sandbox's own threads have it: the guest's stack, and some for the host.
const STACK_BYTES: usize = 4 << 20;

/// One component, which is every framework of the play.
pub struct Wasm {
    sandbox: Sandbox,
    component: Digest,
    /// Holds what was compiled for as long as it is used.
    _folder: tempfile::TempDir,
}

/// What guests log: on standard error, if anybody wants to see it.
struct Log {
    print: bool,
}

impl LogSink for Log {
    fn line(&self, framework: FrameworkId, _: Level, line: &str) {
        if self.print {
            note(&format!("framework {framework}: {line}"));
        }
    }
}

impl Wasm {
    /// Compiles the component of a file.
    pub fn open(path: &Path, print: bool) -> anyhow::Result<Wasm> {
        let name = path.display();
        let bytes = std::fs::read(path).with_context(|| format!("read {name}"))?;
        let folder = tempfile::tempdir()?;
        let sandbox = Sandbox::open(SandboxConfig {
            source: None,
            cache_dir: folder.path().join("compiled"),
            compile: CompileCommand {
                program: std::env::current_exe()?,
                args: vec!["compile-child".into()],
            },
            limits: SandboxLimits::default(),
            log: Arc::new(Log { print }),
        })?;
        let component = digest_of(&bytes);
        let prepared = sandbox.prepare(component, &bytes);
        let prepared = prepared.with_context(|| format!("{name} cannot be a framework"))?;
        if !prepared.web {
            anyhow::bail!(
                "{name} does not export `web`: the simulator gives tasks to a framework over its HTTP API"
            );
        }
        Ok(Wasm {
            sandbox,
            component,
            _folder: folder,
        })
    }
}

impl Guest for Wasm {
    fn run(&mut self, turn: Turn, _: bool) -> Ran {
        Ran {
            result: self.sandbox.run(turn).result,
            cpu_us: TURN_CPU_US,
        }
    }

    fn drop_instance(&mut self, instance: InstanceId) {
        self.sandbox.drop_instance(instance);
    }

    fn component(&self) -> Digest {
        self.component
    }
}

/// As `batch` is asked for a job of one task; a workload's `submit` says otherwise.
pub fn submit() -> Submit {
    Submit {
        path: "/jobs".into(),
        body: r#"{"count":1,"argv":["work","{number}","{takes_ms}"],"cpu_milli":{cpu_milli},"memory_bytes":{memory_bytes}}"#.into(),
    }
}

/// Guests run on the thread that calls them, and need more of its stack than a program's first thread
/// is sure to have.
pub fn on_a_deep_stack<T: Send>(
    play: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let played = thread.spawn_scoped(scope, play)?.join();
        played.map_err(|_| anyhow::anyhow!("the simulator panicked"))?
    })
}
