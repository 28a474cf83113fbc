//! The commands as people and scripts use them, against a real `mezzo dev`.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

struct Dev {
    child: Child,
    folder: tempfile::TempDir,
    ready: Value,
}

impl Dev {
    fn start(agents: u32) -> Dev {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(env!("CARGO_BIN_EXE_mezzo"))
            .args(["dev", "--json", "--listen", "127.0.0.1:0", "--agents"])
            .arg(agents.to_string())
            .env("MEZZO_CONTEXT", folder.path().join("context.json"))
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("mezzo dev");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let ready = serde_json::from_str(&line).expect("ready");
        Dev {
            child,
            folder,
            ready,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mezzo"));
        command
            .args(args)
            .env("MEZZO_CONTEXT", self.folder.path().join("context.json"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("mezzo")
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn stop(mut self) {
        let data = PathBuf::from(self.ready["data"].as_str().expect("a folder"));
        assert!(data.is_dir());
        // SAFETY: signals a child that has not been waited for.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{status}");
        assert!(!data.exists(), "a temporary folder is removed");
        assert!(!self.folder.path().join("context.json").exists());
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_program_runs_with_its_output_and_its_exit_code() {
    let dev = Dev::start(2);
    let script = "echo out; echo err >&2; exit 7";
    let output = dev.run(&["run", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("out\n".into(), "err\n".into())
    );

    let output = dev.run(&["run", "--count", "3", "--", "sh", "-c", "echo $BATCH_INDEX"]);
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_string).collect();
    lines.sort();
    assert_eq!(lines, ["[0] 0", "[1] 1", "[2] 2"]);

    // Every byte of a large output, once.
    let output = dev.run(&["run", "--", "seq", "200000"]);
    let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    assert!(text(&output.stdout) == expected, "200,000 lines");

    for (args, code) in [
        (vec!["run", "--timeout", "300ms", "--", "sleep", "100"], 3),
        (
            vec!["run", "--timeout", "300ms", "--cpus", "1000", "--", "true"],
            2,
        ),
        (vec!["status", "--token", "wrong"], 4),
        (vec!["task", "inspect", "nobody"], 1),
    ] {
        let output = dev.run(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{args:?} says why");
    }
    dev.stop();
}

#[test]
fn reads_are_json_and_ctrl_c_cancels() {
    let dev = Dev::start(1);
    let mut run = dev
        .command(&["run", "--", "sh", "-c", "echo begun; exec sleep 1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mezzo run");
    let mut line = String::new();
    let out = run.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert_eq!(line, "begun\n");
    let tasks = dev.json(&["task", "ls", "--state", "running", "-o", "json"]);
    assert_eq!(tasks["tasks"][0]["task"], "j1.0.1");
    // SAFETY: signals a child that has not been waited for.
    unsafe { libc::kill(run.id().cast_signed(), libc::SIGINT) };
    assert_eq!(run.wait().expect("its end").code(), Some(130));
    let task = dev.json(&["task", "inspect", "j1.0.1", "-o", "json"]);
    assert_eq!(task["state"], "killed", "{task}");

    assert_eq!(
        dev.json(&["status", "-o", "json"])["agents"]["connected"],
        1
    );
    assert_eq!(
        dev.json(&["agent", "ls", "-o", "json"])["agents"][0]["state"],
        "connected"
    );
    let frameworks = dev.json(&["framework", "ls", "-o", "json"]);
    assert_eq!(frameworks["frameworks"][0]["name"], "batch");
    let waiting = dev.run(&["run", "--detach", "--cpus", "1000", "--", "true"]);
    let job = text(&waiting.stdout).trim().to_string();
    let explained = dev.json(&["explain", "batch", &job, "-o", "json"]);
    assert_eq!(explained["demands"][0]["agents_fit"], 0, "{explained}");

    let output = dev.run(&["framework", "install", "Cargo.toml", "--name", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("no WebAssembly"),
        "{output:?}"
    );
    let output = dev.run(&["framework", "install", "builtin:batch", "--name", "second"]);
    assert!(output.status.success(), "{output:?}");
    let output = dev.run(&[
        "framework",
        "upgrade",
        "second",
        "builtin:batch",
        "--limit",
        "tasks_max=7",
    ]);
    assert!(output.status.success(), "{output:?}");
    let second = dev.json(&["framework", "inspect", "second", "-o", "json"]);
    assert_eq!(second["limits"]["tasks_max"], 7);
    let output = dev.run(&["framework", "remove", "second", "--wait"]);
    assert!(output.status.success(), "{output:?}");
    dev.stop();
}

#[test]
fn a_job_is_found_again_and_what_failed_is_said() {
    let dev = Dev::start(1);
    let script = "echo out $BATCH_INDEX; echo err >&2; test $BATCH_INDEX = 0 || exit 5";
    let job = dev.json(&[
        "run",
        "-d",
        "--count=2",
        "-o",
        "json",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(job["id"], "j1");
    let waited = dev.run(&["job", "wait", "j1"]);
    assert_eq!(waited.status.code(), Some(5));
    let said = text(&waited.stderr);
    assert_eq!(said, "error: 1 of 2 failed: [1] exit code 5\n");
    let logs = dev.run(&["job", "logs", "j1"]);
    assert_eq!(text(&logs.stdout), "[0] out 0\n[1] out 1\n");
    assert_eq!(text(&logs.stderr), "[0] err\n[1] err\n");
    let logs = dev.run(&["job", "logs", "-f", "j1", "--index", "1"]);
    assert_eq!(text(&logs.stdout), "out 1\n");
    let jobs = dev.json(&["job", "ls", "-o", "json"]);
    assert_eq!(jobs["jobs"][0]["state"], "failed");
    let long = dev.run(&["run", "-d", "--", "sleep", "1000"]);
    assert_eq!(text(&long.stdout), "j2\n");
    let cases: &[(&[&str], i32, &str)] = &[
        (
            &["job", "wait", "j2", "--timeout", "100ms"],
            3,
            "it goes on",
        ),
        (&["job", "cancel", "j2"], 0, ""),
        (&["job", "wait", "j2"], 1, "was cancelled"),
        (&["job", "wait", "j9"], 1, "j9"),
        (&["task", "inspect", "j1"], 1, "mezzo job"),
        (&["run", "--", "no-such-program"], 1, "start-failed: "),
        (
            &["run", "--", "sh", "-c", "kill -9 $$"],
            137,
            "on dev-1: signal 9",
        ),
        (
            &["run", "--timeout", "400ms", "--cpus", "1000", "--", "true"],
            2,
            "fits on none of 1 agents",
        ),
        (&["run", "--cpus", "0", "--", "true"], 1, "--cpus: 0"),
        (&["run", "--count", "x", "--", "true"], 64, "whole number"),
        (&["task", "ls", "--framework", "nope"], 1, "there is batch"),
        (&["task", "ls", "--agent", "nobody"], 1, "1 (dev-1)"),
        (&["bench", "--help"], 0, ""),
    ];
    for (args, code, words) in cases {
        let output = dev.run(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {output:?}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
    let ended = dev.run(&["task", "kill", "j1.0.1"]);
    assert_eq!(
        text(&ended.stdout),
        "j1.0.1 has already ended (finished, exit code 0)\n"
    );
    let events = dev.run(&["events", "--kind", "gap"]);
    assert_eq!(
        text(&events.stdout),
        "",
        "nothing is missing of a new cluster"
    );
    dev.stop();
}

#[test]
fn without_a_master_the_next_command_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_mezzo"))
        .arg("status")
        .env("MEZZO_CONTEXT", folder.path().join("context.json"))
        .env_remove("MEZZO_URL")
        .env_remove("MEZZO_TOKEN")
        .output()
        .expect("mezzo");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("mezzo dev"), "{output:?}");
}
