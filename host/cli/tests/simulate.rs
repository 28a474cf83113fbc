//! `mezzo sim` as people use it: short clusters, the command that a failure names, workloads, and a real
//! component.

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};

fn sim(args: &[&str], typed: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mezzo"))
        .arg("sim")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mezzo sim");
    let mut stdin = child.stdin.take().expect("its input");
    // It may have ended before it has read all.
    let _ = stdin.write_all(typed.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("its output")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_failure_names_the_command_that_shows_it() {
    let bug = ["--bug", "forgets-a-batch"];
    let failed = sim(&["--seeds", "30", bug[0], bug[1]], "");
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    let problem = said.lines().find(|line| line.starts_with("seed "));
    let problem = problem.expect("a problem");
    let command = problem.split('`').nth(1).expect("a command");
    let mut args = command.split(' ').skip(2);
    assert_eq!(args.next(), Some("--replay"), "{command}");
    let place = args.next().expect("a place");
    let rest: Vec<&str> = args.collect();
    assert_eq!(rest, bug);
    let shown = sim(&["--replay", place, bug[0], bug[1]], "");
    assert_eq!(shown.status.code(), Some(1), "{shown:?}");
    let shown = out(&shown);
    assert!(shown.ends_with(&format!("{problem}\n")), "{shown}");
    assert!(shown.contains("framework f0 (role r0): tasks "), "{shown}");
}

#[test]
fn a_play_is_gone_through_step_by_step() {
    let shown = out(&sim(&["--replay", "1:40"], "\n3\nwhat\ns\nq\n1000000\n"));
    let steps: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("step "))
        .filter(|line| line.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    assert_eq!(steps, ["40", "41", "42", "43", "44"]);
    let states = shown.matches("leads in term").count();
    assert_eq!(states, 2, "at the first step, and when asked for");
    let over = sim(&["--replay", "1"], "1000000\n");
    assert!(over.status.success());
    assert!(out(&over).contains("it is over after"));
}

#[test]
fn a_workload_is_reported_and_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let svg = folder.path().join("out.svg");
    let workload = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../sim/workloads/two-teams.toml"
    );
    let svg_name = svg.display().to_string();
    let output = sim(&["--workload", workload, "--json", "--svg", &svg_name], "");
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["machines"], 40);
    assert!(
        report["started"].as_u64().is_some_and(|n| n > 10_000),
        "{report}"
    );
    assert_eq!(report["roles"][0]["name"], "prod");
    assert_eq!(report["preempted"], 0);
    let drawn = std::fs::read_to_string(&svg).expect("a picture");
    assert!(drawn.starts_with("<svg") && drawn.contains("research"));
}

#[test]
fn a_workload_that_is_wrong_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wrong.toml");
    std::fs::write(&path, "duration = \"1h\"\nmachine = 3\n").expect("a file");
    let output = sim(&["--workload", &path.display().to_string()], "");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("wrong.toml:2: unknown field `machine`"),
        "{said}"
    );
}

#[test]
fn a_real_component_is_simulated() {
    let folder = tempfile::tempdir().expect("a folder");
    let batch = folder.path().join("batch.wasm");
    std::fs::write(&batch, mezzo_bundle::BATCH).expect("a file");
    let batch = batch.display().to_string();
    let args = [
        "--wasm",
        &batch,
        "--framework-options",
        "{}",
        "--rate",
        "0.5",
        "--duration",
        "5m",
        "--machines",
        "10",
        "--frameworks",
        "2",
        "--json",
    ];
    let output = sim(&args, "");
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let number = |name: &str| report[name].as_u64().expect("a number");
    assert!(number("arrived") > 50, "{report}");
    // Those that arrive last may not have been started when the time is up.
    assert!(number("started") + 3 >= number("arrived"), "{report}");
    assert_eq!(
        out(&sim(&args, "")),
        out(&output),
        "the same seed plays the same"
    );
}
