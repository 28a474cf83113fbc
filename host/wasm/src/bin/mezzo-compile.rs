//! The compiler's child process as a program of its own, for tests and measurements.

fn main() -> std::process::ExitCode {
    mezzo_wasm::compile_child_main(std::env::args_os().skip(1))
}
