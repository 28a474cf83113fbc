//! The programs of a language: finding them, naming them with what to install where they are not, starting them.

use crate::error::{Error, Result, Tried};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The first of these programs that is on the `PATH`.
pub fn find(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    programs.iter().find_map(|program| {
        let mut folders = std::env::split_paths(&path).map(|folder| folder.join(program));
        folders.find(|candidate| candidate.is_file())
    })
}

/// Like [`find`]; what is missing is named with what to install.
pub fn need(programs: &[&str], needed_for: &'static str, install: &str) -> Result<PathBuf> {
    find(programs).ok_or_else(|| Error::NoTool {
        what: format!("there is no program `{}`", programs.join("` or `")),
        needed_for,
        install: install.to_owned(),
    })
}

/// A program in a folder; its messages go to standard error as it writes them.
pub fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs it to its end, and gives what it wrote to standard output.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let shown = shown(command);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .tried(&format!("starting `{shown}`"))?;
    let output = child
        .wait_with_output()
        .tried(&format!("waiting for `{shown}`"))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(Error::Failed {
            command: format!("`{shown}`"),
            status: output.status.to_string(),
        }),
    }
}

/// As a person would type it, without its folders.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_to_install() {
        let error = need(&["no-such-compiler"], "a build", "apt-get install it").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no program `no-such-compiler`, and a build needs it.\nInstall: apt-get install it"
        );
    }

    #[test]
    fn a_program_that_fails_is_named_with_its_arguments() {
        let sh = need(&["sh"], "the test", "a shell").expect("there is a shell");
        let folder = Path::new("/");
        let output = run(command(&sh, folder).args(["-c", "echo good"])).expect("it ends well");
        assert_eq!(output, b"good\n");
        let error = run(command(&sh, folder).args(["-c", "exit 3"])).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`sh -c exit 3` ended with exit status: 3"),
            "{error}"
        );
    }
}
