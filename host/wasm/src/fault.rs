//! What a failed call is called: from the engine's error to one of the core's kinds of fault.

use mezzo_core::FaultKind;
use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// The longest message of a fault, in bytes.
pub const FAULT_MESSAGE_BYTES_MAX: usize = 2_048;

/// Words of the engine's error for used-up call fuel; its type is not public.
const FUEL_WORDS: &str = "fuel allocated for hostcalls";

/// Why the host ends a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// CPU time is used up.
    #[error("the call used more than {max_ms} ms of CPU time ({limit})")]
    Cpu {
        /// Its name.
        limit: &'static str,
        /// In milliseconds.
        max_ms: u64,
    },
    /// Wall time is used up.
    #[error("the call took longer than {max_ms} ms ({limit})")]
    Wall {
        /// Its name.
        limit: &'static str,
        /// In milliseconds.
        max_ms: u64,
    },
    /// Too many bytes went across.
    #[error("more than {max} bytes went {way} in one turn (boundary_bytes_max)")]
    Boundary {
        /// `into the framework` or `out of the framework`.
        way: &'static str,
        /// The limit.
        max: u64,
    },
    /// A call that only a turn may make.
    #[error("{0} may not be called while the instance is being made; call it from `start` on")]
    NoTurn(&'static str),
    /// An argument that no correct guest passes.
    #[error("{0}")]
    BadArgument(String),
}

/// The kind of fault that an error is, and the words for people. `growth_refused` tells whether the
/// guest was refused memory in this turn: most languages give up by a trap then.
pub fn classify(error: &wasmtime::Error, growth_refused: Option<&str>) -> (FaultKind, String) {
    let (kind, mut message) = kind_of(error, growth_refused);
    if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
        let names: Vec<String> = trace
            .frames()
            .iter()
            .map(|frame| match frame.func_name() {
                Some(name) => printable(name, 120),
                None => format!("function {}", frame.func_index()),
            })
            .collect();
        if !names.is_empty() {
            message.push_str("; in ");
            message.push_str(&names.join(" < "));
        }
    }
    (kind, printable(&message, FAULT_MESSAGE_BYTES_MAX))
}

fn kind_of(error: &wasmtime::Error, growth_refused: Option<&str>) -> (FaultKind, String) {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        let kind = match stop {
            Stop::Cpu { .. } => FaultKind::CpuLimit,
            Stop::Wall { .. } => FaultKind::WallLimit,
            Stop::Boundary { .. } => FaultKind::BoundaryLimit,
            Stop::NoTurn(_) => FaultKind::Trap,
            Stop::BadArgument(_) => FaultKind::Malformed,
        };
        return (kind, stop.to_string());
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        let message = format!(
            "the framework ended itself with exit code {}; a framework returns from its calls",
            exit.0
        );
        return (FaultKind::Trap, message);
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return of_trap(*trap, growth_refused);
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return (
            FaultKind::Instantiate,
            format!("the sandbox has no room for another instance (instances_max): {error}"),
        );
    }
    if error.downcast_ref::<ResourceTableError>().is_some() {
        return (
            FaultKind::Trap,
            format!("the framework holds too many handles, or a wrong one (handles_max): {error}"),
        );
    }
    let message = error.root_cause().to_string();
    if message.contains(FUEL_WORDS) {
        return (
            FaultKind::BoundaryLimit,
            "more bytes left the framework in one turn than it may (boundary_bytes_max)".to_owned(),
        );
    }
    (FaultKind::Malformed, message)
}

fn of_trap(trap: Trap, growth_refused: Option<&str>) -> (FaultKind, String) {
    match trap {
        Trap::StackOverflow => (
            FaultKind::StackLimit,
            "the framework used up its stack (wasm_stack_bytes): endless recursion?".to_owned(),
        ),
        Trap::Interrupt => (FaultKind::CpuLimit, "the call was interrupted".to_owned()),
        Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::InvalidChar
        | Trap::UnalignedPointer
        | Trap::CannotLeaveComponent
        | Trap::CannotEnterComponent => (
            FaultKind::Malformed,
            format!("the framework broke a rule of the component model: {trap}"),
        ),
        trap => match growth_refused {
            Some(refused) => (
                FaultKind::MemoryLimit,
                format!("{refused}, and then: {trap}"),
            ),
            None => (FaultKind::Trap, trap.to_string()),
        },
    }
}

/// The text without control characters, and not longer than that many bytes.
pub fn printable(text: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes_max));
    for c in text.chars() {
        if out.len() + c.len_utf8() > bytes_max {
            // Whole characters only; the mark shows that something is missing.
            while out.len() + '…'.len_utf8() > bytes_max {
                out.pop();
            }
            out.push('…');
            break;
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: impl Into<wasmtime::Error>) -> FaultKind {
        classify(&error.into(), None).0
    }

    #[test]
    fn each_error_has_its_kind() {
        let stop = Stop::Boundary {
            way: "into the framework",
            max: 1,
        };
        assert_eq!(kind(stop), FaultKind::BoundaryLimit);
        assert_eq!(kind(I32Exit(3)), FaultKind::Trap);
        assert_eq!(kind(Trap::StackOverflow), FaultKind::StackLimit);
        assert_eq!(kind(Trap::UnreachableCodeReached), FaultKind::Trap);
        assert_eq!(kind(Trap::ListOutOfBounds), FaultKind::Malformed);
        let unreachable = wasmtime::Error::from(Trap::UnreachableCodeReached);
        assert_eq!(
            classify(&unreachable, Some("refused")).0,
            FaultKind::MemoryLimit
        );
        assert_eq!(
            kind(wasmtime::format_err!("invalid utf-8 sequence")),
            FaultKind::Malformed
        );
    }

    #[test]
    fn messages_are_bounded_and_cannot_steer_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc", 100), "a [2Jb c");
        let long = printable(&"é".repeat(5_000), 101);
        assert!(long.len() <= 101 && long.ends_with('…'));
        assert_eq!(printable("abc", 3), "abc");
    }
}
