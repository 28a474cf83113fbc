//! Tasks that are components: fetched, compiled, and run in their sandbox by the runner.

mod support;

use mezzo_test_guests::COMMAND;
use mezzo_types::{Digest, Reason, Status, TaskSpec, TaskState};
use support::{Agent, Master, is_alive, module, with_env};

fn start() -> (Master, Agent, Digest) {
    let master = Master::start();
    let agent = Agent::start_with(&master, &Agent::runner());
    let digest = master.keep_component(COMMAND);
    (master, agent, digest)
}

fn run(master: &Master, run: u64, spec: &TaskSpec) -> (Status, String) {
    master.launch(run, spec, &[]);
    let status = master.wait_end(run);
    let output = master.read_all(run, false);
    (status, output)
}

#[test]
fn a_component_runs_like_a_program() {
    let (master, agent, digest) = start();
    let facts = mezzo_proto::decode_facts(&master.wait_session(1).facts).expect("good facts");
    assert!(facts.runtimes.contains(&mezzo_types::Runtime::Module));
    let spec = with_env(
        module(
            digest,
            &[
                "args", "env", "error", "oops", "write", "a", "text", "read", "./a", "list", "/",
            ],
        ),
        "X",
        "y",
    );
    let (status, output) = run(&master, 1, &spec);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Finished, Reason::Exited),
        "{} {}",
        status.message,
        master.read_all(1, true)
    );
    for line in ["guest", "X=y", "HOME=/", "MEZZO_RUN=1"] {
        assert!(output.lines().any(|l| l == line), "{line} in {output}");
    }
    assert!(output.ends_with("texta\n"), "{output}");
    assert_eq!(master.read_all(1, true), "oops\n");
    // `wasi:cli/exit`, as guests of this world have it, knows success and failure and no other codes.
    for (i, code) in [3, 134, 250].into_iter().enumerate() {
        let (status, _) = run(
            &master,
            10 + i as u64,
            &module(digest, &["exit", &code.to_string()]),
        );
        assert_eq!(
            (status.state, status.reason, status.exit_code),
            (TaskState::Failed, Reason::Exited, Some(1))
        );
    }
    assert_eq!(master.change(|told| told.fetches), 1, "it is fetched once");
    drop(agent);
}

#[test]
fn why_a_component_was_stopped_is_told() {
    let (master, _agent, digest) = start();
    let (status, _) = run(&master, 1, &module(digest, &["panic"]));
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Reason::Trap),
        "{}",
        status.message
    );
    assert!(status.message.contains("unreachable"), "{}", status.message);

    let mut spec = module(digest, &["alloc", "8", "print", "fine", "alloc", "64"]);
    spec.resources.memory_bytes = 32 << 20;
    let (status, output) = run(&master, 2, &spec);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Reason::MemoryLimit),
        "{}",
        status.message
    );
    assert!(output.contains("fine"), "{output}");

    let none = master.keep_component(&mezzo_test_guests::core_module());
    let unlinked = master.keep_component(mezzo_test_guests::HELLO);
    for (i, bad) in [none, unlinked, Digest([7; 32])].into_iter().enumerate() {
        let (status, _) = run(&master, 3 + i as u64, &module(bad, &[]));
        assert_eq!(
            (status.state, status.reason),
            (TaskState::Failed, Reason::ComponentFailed),
            "{i} {}",
            status.message
        );
        assert!(status.message.contains("sha256:"), "{}", status.message);
    }
}

#[test]
fn an_endless_loop_can_be_killed() {
    let (master, agent, digest) = start();
    master.launch(1, &module(digest, &["print", "begin", "loop"]), &[]);
    master.wait_output(1, "begin");
    let shim = agent.shim(1);
    let children = support::children(u32::try_from(shim).expect("a process number"));
    assert_eq!(children.len(), 1);
    master.kill(1, 10_000);
    let status = master.wait_end(1);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Killed, Reason::KillRequested)
    );
    assert!(!is_alive(children[0]));
    let mut spec = module(digest, &["loop"]);
    spec.runtime_max_ms = Some(100);
    let (status, _) = run(&master, 2, &spec);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Reason::RuntimeMax)
    );
}

#[test]
fn nothing_outside_the_sandbox_is_there() {
    let (master, agent, digest) = start();
    master.wait_session(1);
    std::fs::write(agent.folder.join("secret"), "secret").expect("writable");
    let absolute = agent.folder.join("secret").to_string_lossy().into_owned();
    for (i, path) in [
        "../launch",
        "../../../secret",
        "/etc/passwd",
        &absolute,
        "/../../../secret",
        "./../launch",
    ]
    .into_iter()
    .enumerate()
    {
        let (status, output) = run(&master, 1 + i as u64, &module(digest, &["read", path]));
        assert_eq!(
            (status.state, status.exit_code),
            (TaskState::Failed, Some(1)),
            "{path}: {output}"
        );
        assert_eq!(output, "", "{path}");
    }
    // A link that somebody else has put there leads nowhere either.
    let spec = module(
        digest,
        &["print", "begin", "sleep", "300", "read", "way-out/secret"],
    );
    master.launch(50, &spec, &[]);
    master.wait_state(50, TaskState::Running);
    std::os::unix::fs::symlink(&agent.folder, agent.run_folder(50).join("sandbox/way-out"))
        .expect("a link");
    let status = master.wait_end(50);
    assert_eq!(
        (status.exit_code, master.read_all(50, false).as_str()),
        (Some(1), "begin\n")
    );
    let (status, output) = run(&master, 51, &module(digest, &["write", "../out", "x"]));
    assert_eq!(status.exit_code, Some(1), "{output}");
    assert!(!agent.run_folder(51).join("out").exists());
}

#[test]
fn a_run_that_waits_for_its_component_can_be_killed() {
    let (master, mut agent, digest) = start();
    master.wait_session(1);
    let mut spec = module(digest, &["print", "never"]);
    spec.kill_grace_ms = 0;
    master.launch(1, &spec, &[]);
    master.kill(1, 0);
    let status = master.wait_end(1);
    assert!(
        matches!(
            (status.state, status.reason),
            (
                TaskState::Killed,
                Reason::KilledBeforeStart | Reason::KillRequested
            )
        ),
        "{status:?}"
    );
    // And what was fetched is still there for the next agent.
    let (status, _) = run(&master, 2, &module(digest, &["print", "x"]));
    assert_eq!(status.state, TaskState::Finished);
    let fetches = master.change(|told| told.fetches);
    agent.kill();
    agent.restart();
    master.wait_session(2);
    let (status, output) = run(&master, 3, &module(digest, &["print", "y"]));
    assert_eq!(
        (status.state, output.as_str()),
        (TaskState::Finished, "y\n")
    );
    assert_eq!(master.change(|told| told.fetches), fetches);
}
