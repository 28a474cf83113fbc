//! Compiling one component, in a process that limits itself first: a component is made by anybody,
//! and some cost far more to compile than they are long.

use crate::{engine, run};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use wasmtime::component::Component;

/// Address space of the whole process.
const MEMORY_BYTES_MAX: u64 = 4 << 30;
/// Processor time of the whole process.
const CPU_S_MAX: u64 = 60;
/// The largest file of machine code.
const CODE_BYTES_MAX: u64 = 1 << 30;

/// Reads `from` and makes the new file `to`, which is whole and on the disk when this returns.
pub fn compile(from: &Path, to: &Path) -> Result<(), String> {
    limit(Resource::As, MEMORY_BYTES_MAX)?;
    limit(Resource::Cpu, CPU_S_MAX)?;
    limit(Resource::Fsize, CODE_BYTES_MAX)?;
    limit(Resource::Core, 0)?;
    let bytes = std::fs::read(from).map_err(|error| format!("read {}: {error}", from.display()))?;
    let engine = engine::engine()?;
    let code = engine
        .precompile_component(&bytes)
        .map_err(|error| format!("{error:#}"))?;
    // SAFETY: the bytes were made right here.
    let component =
        unsafe { Component::deserialize(&engine, &code) }.map_err(|error| format!("{error:#}"))?;
    run::check(&engine, &component)?;
    write(to, &code).map_err(|error| format!("write {}: {error}", to.display()))
}

fn write(to: &Path, code: &[u8]) -> std::io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    file.write_all(code)?;
    file.sync_all()
}

/// Both limits, so that nothing that runs later can raise it.
fn limit(resource: Resource, max: u64) -> Result<(), String> {
    let limit = Rlimit {
        current: Some(max),
        maximum: Some(max),
    };
    setrlimit(resource, limit).map_err(|error| format!("limit {resource:?} to {max}: {error}"))
}
