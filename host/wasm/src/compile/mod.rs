//! Compiling, in a process of its own: a small component can cost the compiler gigabytes, and a
//! process that runs out of memory takes only itself down.

mod child;
mod parent;

pub use child::compile_child_main;
pub(crate) use parent::compile;

use std::ffi::OsString;
use std::path::PathBuf;

/// How the compiler's process is started: `program args… OPTIONS`, with the component as standard
/// input. What runs there is [`compile_child_main`].
#[derive(Clone, Debug)]
pub struct CompileCommand {
    /// Mostly the running program itself.
    pub program: PathBuf,
    /// Such as the hidden command's name.
    pub args: Vec<OsString>,
}

/// What the child says when it gives up; one line of JSON on its standard output.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Failure {
    message: String,
}

const OPTION_OUT: &str = "--out";
const OPTION_MEMORY: &str = "--memory-bytes";
const OPTION_CPU: &str = "--cpu-s";
const OPTION_STACK: &str = "--wasm-stack-bytes";
const OPTION_OUT_BYTES: &str = "--out-bytes";
