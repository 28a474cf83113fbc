//! The compiler's child process, for this package's tests.

fn main() -> std::process::ExitCode {
    mezzo_wasm::compile_child_main(std::env::args_os().skip(1))
}
