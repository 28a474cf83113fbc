//! Running one component: what it may do, how much it may use, and how it ended.
//!
//! It has its folder, its volumes, its arguments, its environment, two clocks, randomness, and its two outputs.
//! It has no network, no other file, and nothing to read from.

use crate::{FAILURE, STOPPED, arguments, engine};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter, Store};
use wasmtime_wasi::p2::bindings::sync::{Command, CommandPre};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxView, WasiView};

/// What an entry of a table takes, in bytes: it counts as memory.
const TABLE_ENTRY_BYTES: usize = 16;
/// Files, streams and the like that it may hold at a time.
const RESOURCES_MAX: usize = 10_000;
/// The words of an outcome, in bytes at most.
const WORDS_BYTES_MAX: usize = 4 << 10;

/// Why a component did not run to its end: a code of `mezzo_types::Reason`, and words.
struct Stopped {
    reason: &'static str,
    words: String,
}

fn bad_component(error: impl std::fmt::Display) -> Stopped {
    Stopped {
        reason: "component-failed",
        words: format!("{error:#}"),
    }
}

struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    memory: Memory,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// All memories and tables of the component together.
struct Memory {
    used: u64,
    max: u64,
    /// It wanted more than it may have.
    exceeded: bool,
}

impl Memory {
    /// Growing too far ends the component, as it would a process: few programs live on without the
    /// memory that they ask for, and the reason would be lost.
    fn grow(&mut self, more: usize) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(more as u64);
        if used > self.max {
            self.exceeded = true;
            return Err(wasmtime::format_err!(
                "it asked for {used} bytes of memory and may have {}",
                self.max
            ));
        }
        self.used = used;
        Ok(true)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The component's own limit; it is told so.
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(
            desired
                .saturating_sub(current)
                .saturating_mul(TABLE_ENTRY_BYTES),
        )
    }
}

/// Whether the component is a command, and imports nothing that is not there.
pub fn check(engine: &Engine, component: &Component) -> Result<(), String> {
    prepare(engine, component)
        .map(drop)
        .map_err(|stopped| stopped.words)
}

fn prepare(engine: &Engine, component: &Component) -> Result<CommandPre<Host>, Stopped> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(bad_component)?;
    let linked = linker.instantiate_pre(component).map_err(bad_component)?;
    CommandPre::new(linked)
        .map_err(|error| bad_component(format!("it is no `wasi:cli/command`: {error:#}")))
}

/// Runs it; its exit code is this process's.
pub fn run(arguments: &arguments::Run) -> ExitCode {
    match command(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(Stopped { reason, words }) => {
            eprintln!("{reason}: {words}");
            if let Some(path) = &arguments.outcome
                && let Err(error) = write_outcome(path, reason, &words)
            {
                eprintln!("write {}: {error}", path.display());
                return ExitCode::from(FAILURE);
            }
            ExitCode::from(STOPPED)
        }
    }
}

fn command(arguments: &arguments::Run) -> Result<u8, Stopped> {
    let engine = engine::engine().map_err(bad_component)?;
    let component = load(&engine, &arguments.code)?;
    let linked = prepare(&engine, &component)?;
    let wasi = wasi(arguments).map_err(|words| Stopped {
        reason: "sandbox-failed",
        words,
    })?;
    let memory = Memory {
        used: 0,
        max: arguments.memory_bytes.unwrap_or(u64::MAX),
        exceeded: false,
    };
    let mut table = ResourceTable::new();
    table.set_max_capacity(RESOURCES_MAX);
    let mut store = Store::new(
        &engine,
        Host {
            wasi,
            table,
            memory,
        },
    );
    store.limiter(|host| &mut host.memory);
    let result = linked
        .instantiate(&mut store)
        .and_then(|command: Command| command.wasi_cli_run().call_run(&mut store));
    let exceeded = store.data().memory.exceeded;
    // The process ends now: giving back piece by piece what it holds would only take time.
    std::mem::forget((store, linked, component, engine));
    match result {
        Ok(Ok(())) => Ok(0),
        Ok(Err(())) => Ok(1),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            // As with a process, its lowest eight bits count.
            Some(I32Exit(code)) => Ok(code.to_le_bytes()[0]),
            None if exceeded => Err(Stopped {
                reason: "memory-limit",
                words: format!("{}", error.root_cause()),
            }),
            None => Err(Stopped {
                reason: "trap",
                words: format!("{error:#}"),
            }),
        },
    }
}

/// Machine code is trusted: it must be a file that nobody else can write.
fn load(engine: &Engine, path: &Path) -> Result<Component, Stopped> {
    let at =
        |error: &dyn std::fmt::Display| bad_component(format!("{}: {error:#}", path.display()));
    let meta = std::fs::metadata(path).map_err(|error| at(&error))?;
    if meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
        return Err(at(
            &"others may write this file; compiled code must be the agent's alone",
        ));
    }
    // SAFETY: only the agent writes into its folder, and only what `compile` has made.
    unsafe { Component::deserialize_file(engine, path) }.map_err(|error| at(&error))
}

fn wasi(arguments: &arguments::Run) -> Result<WasiCtx, String> {
    let mut builder = WasiCtx::builder();
    builder
        .inherit_stdout()
        .inherit_stderr()
        .args(&arguments.argv)
        .allow_tcp(false)
        .allow_udp(false);
    // There is one thread, and it has nothing else to do.
    builder.allow_blocking_current_thread(true);
    for (name, value) in std::env::vars_os() {
        // What is no text cannot be passed on; the agent sends only text.
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
            builder.env(name, value);
        }
    }
    for name in [".", "/"] {
        builder
            .preopened_dir(&arguments.dir, name, FsPerms::ReadWrite)
            .map_err(|error| format!("open {}: {error:#}", arguments.dir.display()))?;
    }
    for (folder, path) in &arguments.mounts {
        for name in [path.clone(), format!("/{path}")] {
            builder
                .preopened_dir(folder, name, FsPerms::ReadWrite)
                .map_err(|error| format!("open {}: {error:#}", folder.display()))?;
        }
    }
    Ok(builder.build())
}

/// Moved into place, so that the agent finds all of it or nothing.
fn write_outcome(path: &Path, reason: &str, words: &str) -> std::io::Result<()> {
    let mut words = words.to_string();
    words.truncate(words.floor_char_boundary(WORDS_BYTES_MAX));
    let new = path.with_extension("new");
    std::fs::write(&new, format!("{reason}\n{words}\n"))?;
    std::fs::rename(new, path)
}
