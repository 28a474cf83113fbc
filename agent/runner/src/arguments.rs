//! The command line. The agent is its only user: it is strict, and nothing has a short form.

use std::ffi::OsString;
use std::path::PathBuf;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Say what compiled code depends on.
    Engine,
    /// Make machine code.
    Compile {
        /// The component.
        from: PathBuf,
        /// The new file.
        to: PathBuf,
    },
    /// Run machine code.
    Run(Run),
}

/// One run of a component.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Machine code that this program has made.
    pub code: PathBuf,
    /// All that it sees of the file system.
    pub dir: PathBuf,
    /// Folders that it sees at these paths, beside its own.
    pub mounts: Vec<(PathBuf, String)>,
    /// Where to say why it was stopped.
    pub outcome: Option<PathBuf>,
    /// How much memory it may use.
    pub memory_bytes: Option<u64>,
    /// Its arguments, the program's name first.
    pub argv: Vec<String>,
}

impl Arguments {
    /// Reads what follows the command's name.
    pub fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
        let command = args.next().unwrap_or_default();
        match command.to_str() {
            Some("engine") => Ok(Arguments::Engine),
            Some("compile") => {
                let mut path = |what: &str| {
                    args.next()
                        .map(PathBuf::from)
                        .ok_or(format!("compile IN OUT: {what} is missing"))
                };
                Ok(Arguments::Compile {
                    from: path("IN")?,
                    to: path("OUT")?,
                })
            }
            Some("run") => Run::parse(args).map(Arguments::Run),
            _ => Err(format!(
                "expected `engine`, `compile` or `run`, not {command:?}; this command is for the agent"
            )),
        }
    }
}

impl Run {
    fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Run, String> {
        let mut run = Run::default();
        loop {
            let option = args
                .next()
                .ok_or("run: `--` and the component's arguments are missing")?;
            if option == "--" {
                break;
            }
            let value = args
                .next()
                .ok_or(format!("run {option:?}: its value is missing"))?;
            match option.to_str() {
                Some("--code") => run.code = value.into(),
                Some("--dir") => run.dir = value.into(),
                // The two belong together: one folder, one path.
                Some("--mount") => run.mounts.push((value.into(), String::new())),
                Some("--at") => {
                    let mount = run.mounts.last_mut().filter(|(_, at)| at.is_empty());
                    let (_, at) =
                        mount.ok_or("run --at: the folder, `--mount DIR`, is missing before it")?;
                    *at = value
                        .into_string()
                        .map_err(|value| format!("run --at {value:?}: it is no text"))?;
                }
                Some("--outcome") => run.outcome = Some(value.into()),
                Some("--memory-bytes") => {
                    let number = value.to_str().and_then(|text| text.parse().ok());
                    run.memory_bytes = Some(
                        number.ok_or(format!("run --memory-bytes {value:?}: expected a number"))?,
                    );
                }
                // An option of a newer agent may be a limit: it is not run without it.
                _ => return Err(format!("run: unknown option {option:?}")),
            }
        }
        let text = |arg: OsString| {
            arg.into_string()
                .map_err(|arg| format!("run: {arg:?} is no text"))
        };
        run.argv = args.map(text).collect::<Result<_, _>>()?;
        match () {
            () if run.code.as_os_str().is_empty() => Err("run: --code is missing".into()),
            () if run.dir.as_os_str().is_empty() => Err("run: --dir is missing".into()),
            () if run.mounts.iter().any(|(_, at)| at.is_empty()) => {
                Err("run --mount: its `--at PATH` is missing".into())
            }
            () => Ok(run),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_line_is_strict() {
        let run = Run {
            code: "c".into(),
            dir: "d".into(),
            mounts: vec![("m".into(), "data".into()), ("n".into(), "x/y".into())],
            outcome: None,
            memory_bytes: Some(5),
            argv: vec!["a".into(), "--dir".into()],
        };
        assert_eq!(
            parse(
                "run --code c --dir d --mount m --at data --mount n --at x/y --memory-bytes 5 -- a --dir"
            ),
            Ok(Arguments::Run(run))
        );
        assert_eq!(parse("engine"), Ok(Arguments::Engine));
        for bad in [
            "",
            "walk",
            "compile a",
            "run --code c -- a",
            "run --dir d -- a",
            "run --code",
            "run --code c --dir d",
            "run --code c --dir d --mount m -- a",
            "run --code c --dir d --at data -- a",
            "run --code c --dir d --mount m --at x --at y -- a",
            "run --code c --dir d --mount m --mount n --at x -- a",
            "run --code c --dir d --speed 9 -- a",
            "run --code c --dir d --memory-bytes x -- a",
        ] {
            parse(bad).expect_err(bad);
        }
    }
}
