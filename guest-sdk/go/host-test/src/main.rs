//! The compiler's child process for the tests of the Go SDK in the real sandbox; the tests are in `tests/`.

fn main() -> std::process::ExitCode {
    mezzo_wasm::compile_child_main(std::env::args_os().skip(1))
}
