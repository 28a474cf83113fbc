//! Exit codes, and how a failure is said.

use std::process::ExitCode;

/// All is well.
pub const OK: u8 = 0;
/// Something failed; the message says what.
pub const ERROR: u8 = 1;
/// No place was found in time.
pub const NOT_PLACED: u8 = 2;
/// It did not end in time.
pub const TIMED_OUT: u8 = 3;
/// The token is missing, wrong, or may not do this.
pub const DENIED: u8 = 4;
/// The command line cannot be understood, as `sysexits.h` has it; 2 is taken.
pub const USAGE: u8 = 64;
/// Ended by Ctrl-C, as shells count it.
pub const INTERRUPTED: u8 = 130;

/// The master does not let this token do it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Denied(pub String);

/// Nobody reads standard output any more, as with `mezzo task ls | head -1`: no failure.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub struct OutputClosed;

/// Says a failure on standard error and turns it into the exit code.
pub fn report(result: anyhow::Result<ExitCode>) -> ExitCode {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    if error.is::<OutputClosed>() {
        return ExitCode::from(OK);
    }
    crate::output::note(&format!("error: {error:#}"));
    ExitCode::from(code(&error))
}

/// Shows help, or what is wrong with the command line.
pub fn usage(shown: &clap::Error) -> ExitCode {
    let _ = shown.print();
    ExitCode::from(if shown.use_stderr() { USAGE } else { OK })
}

fn code(error: &anyhow::Error) -> u8 {
    let denied = error.chain().any(|cause| cause.is::<Denied>());
    if denied { DENIED } else { ERROR }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_denial_keeps_its_code_under_whatever_context() {
        let denied: anyhow::Error = Denied("no".into()).into();
        assert_eq!(code(&denied), DENIED);
        let wrapped = Err::<(), _>(Denied("no".into())).context("list the tasks");
        assert_eq!(code(&wrapped.unwrap_err()), DENIED);
        assert_eq!(code(&anyhow::anyhow!("other")), ERROR);
    }
}
