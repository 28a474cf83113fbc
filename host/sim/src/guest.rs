//! Who runs the frameworks' turns: the simulator's own framework (`job.rs`), or whoever turns a [`Turn`]
//! into effects, such as a sandbox with a real component.

use mezzo_core::{Effects, Fault, Turn};
use mezzo_types::{Digest, InstanceId};

/// What came of a turn.
#[derive(Debug)]
pub struct Ran {
    /// What it asks for, or why it is undone.
    pub result: Result<Effects, Fault>,
    /// CPU time spent, in microseconds. What is measured makes the play depend on the machine that it
    /// is played on.
    pub cpu_us: u64,
}

/// See the module.
pub trait Guest {
    /// Runs one turn. A guest that can is to ask for `nonsense` besides, all of which must be refused
    /// and change nothing.
    fn run(&mut self, turn: Turn, nonsense: bool) -> Ran;

    /// An instance is used no more.
    fn drop_instance(&mut self, _: InstanceId) {}

    /// What a framework is a copy of.
    fn component(&self) -> Digest {
        Digest([1; 32])
    }
}
