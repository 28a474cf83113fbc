//! The compiler's process: it limits itself, reads a component, compiles it, writes the result.

use super::{Failure, OPTION_CPU, OPTION_MEMORY, OPTION_OUT, OPTION_OUT_BYTES, OPTION_STACK};
use crate::cache;
use crate::engine;
use crate::limits::SandboxLimits;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

struct Arguments {
    out: PathBuf,
    memory_bytes: u64,
    cpu_s: u64,
    out_bytes: u64,
    wasm_stack_bytes: usize,
}

/// The body of the hidden command that compiles a component. `args` are the arguments after the
/// command's name. Not for people: [`crate::Sandbox::prepare`] starts it.
pub fn compile_child_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match parse(args).and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let failure = serde_json::to_string(&Failure { message });
            // If nobody listens there is nobody to tell.
            let _ = writeln!(std::io::stdout(), "{}", failure.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Arguments, String> {
    let limits = SandboxLimits::default();
    let mut arguments = Arguments {
        out: PathBuf::new(),
        memory_bytes: limits.compile_memory_bytes,
        cpu_s: limits.compile_cpu_s,
        out_bytes: limits.compiled_bytes_max,
        wasm_stack_bytes: limits.wasm_stack_bytes,
    };
    let mut args = args.into_iter();
    while let Some(option) = args.next() {
        let value = args
            .next()
            .ok_or_else(|| format!("{option:?} needs a value"))?;
        let number = || {
            let text = value.to_str().unwrap_or_default();
            text.parse::<u64>()
                .map_err(|e| format!("{option:?} {value:?}: {e}"))
        };
        match option.to_str() {
            Some(OPTION_OUT) => arguments.out = PathBuf::from(&value),
            Some(OPTION_MEMORY) => arguments.memory_bytes = number()?,
            Some(OPTION_CPU) => arguments.cpu_s = number()?,
            Some(OPTION_OUT_BYTES) => arguments.out_bytes = number()?,
            Some(OPTION_STACK) => {
                arguments.wasm_stack_bytes = usize::try_from(number()?).unwrap_or(usize::MAX);
            }
            _ => return Err(format!("unknown option {option:?}")),
        }
    }
    if arguments.out.as_os_str().is_empty() {
        return Err(format!("{OPTION_OUT} is missing"));
    }
    Ok(arguments)
}

fn run(arguments: &Arguments) -> Result<(), String> {
    limit(Resource::As, arguments.memory_bytes)?;
    limit(Resource::Cpu, arguments.cpu_s)?;
    limit(Resource::Fsize, arguments.out_bytes)?;
    limit(Resource::Core, 0)?;
    let mut component = Vec::new();
    std::io::stdin()
        .read_to_end(&mut component)
        .map_err(|e| format!("reading the component: {e}"))?;
    let limits = SandboxLimits {
        wasm_stack_bytes: arguments.wasm_stack_bytes,
        ..SandboxLimits::default()
    };
    let engine = engine::for_compiling(&limits).map_err(|e| format!("the engine: {e:#}"))?;
    let code = engine
        .precompile_component(&component)
        .map_err(|e| format!("{e:#}"))?;
    let seal = cache::Seal::of(&component, &code, engine::compatibility(&engine));
    drop(component);
    cache::write_new(&arguments.out, &code, &seal)
        .map_err(|e| format!("writing {}: {e}", arguments.out.display()))
}

/// Both limits, so that nothing that runs later can raise it.
fn limit(resource: Resource, max: u64) -> Result<(), String> {
    let limit = Rlimit {
        current: Some(max),
        maximum: Some(max),
    };
    setrlimit(resource, limit).map_err(|e| format!("limiting {resource:?} to {max}: {e}"))
}
