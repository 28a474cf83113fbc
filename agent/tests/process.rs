//! Tasks that are programs: real agents, shims and processes, and a master that does as it is told.

mod support;

use mezzo_types::{File, Reason, TaskState};
use support::{
    Agent, Master, is_alive, kill_9, number_after, program_task, shell, until, with_env, with_port,
};

#[test]
fn a_program_runs_and_says_what_it_says() {
    let master = Master::start();
    let agent = Agent::start(&master);
    let hello = master.wait_session(1);
    let facts = mezzo_proto::decode_facts(&hello.facts).expect("good facts");
    assert!(
        facts.total.cpu_milli >= 1_000
            && facts.total.memory_bytes > 0
            && facts.total.disk_bytes > 0
    );
    assert!(hello.runs.is_empty());

    let mut spec = shell("cat note; ./tool; echo oops >&2; exit 7");
    let file = |path: &str, content: &str, executable| File {
        path: path.into(),
        content: content.into(),
        executable,
    };
    spec.files = vec![
        file("note", "hi\n", false),
        file("bin/tool", "", false),
        file("tool", "#!/bin/sh\necho tool\n", true),
    ];
    master.launch(1, &spec, &[]);
    let status = master.wait_end(1);
    assert_eq!(
        (status.state, status.reason, status.exit_code),
        (TaskState::Failed, Reason::Exited, Some(7))
    );
    assert_eq!(master.states(1), [TaskState::Running, TaskState::Failed]);
    assert_eq!(master.read_all(1, false), "hi\ntool\n");
    assert_eq!(master.read_all(1, true), "oops\n");

    master.launch(2, &shell("true"), &[]);
    assert_eq!(master.wait_end(2).state, TaskState::Finished);
    master.launch(3, &shell("kill -SEGV $$"), &[]);
    let status = master.wait_end(3);
    assert_eq!(
        (status.state, status.reason, status.exit_code),
        (TaskState::Failed, Reason::Signal, Some(139))
    );

    // Acknowledged, it is put away, and nothing starts it again.
    until("the run to be put away", || {
        (!agent.run_folder(1).exists()).then_some(())
    });
    master.launch(1, &spec, &[]);
    master.wait("a refusal", |told| {
        told.updates
            .iter()
            .find(|(run, _, status)| *run == 1 && status.message.contains("before"))
            .map(drop)
    });
}

#[test]
fn output_can_be_followed_and_is_rotated() {
    let master = Master::start();
    let _agent = Agent::start_with(&master, "[limits]\noutput_bytes_max = 10000\n");
    // A reader that waits sees a line when it is written.
    master.launch(1, &shell("while [ ! -e go ]; do sleep 0.01; done; echo gone; i=0; while [ ! -e end ]; do sleep 0.01; done"), &[]);
    master.wait_state(1, TaskState::Running);
    let nothing = master.read(1, 0, 50);
    assert_eq!(
        (nothing.data.len(), nothing.end, nothing.error.as_str()),
        (0, false, "")
    );
    std::fs::write(_agent.run_folder(1).join("sandbox/go"), "").expect("writable");
    let piece = master.read(1, 0, 20_000);
    assert_eq!((piece.data.as_slice(), piece.end), (&b"gone\n"[..], false));
    std::fs::write(_agent.run_folder(1).join("sandbox/end"), "").expect("writable");
    let rest = master.read(1, 5, 20_000);
    assert!(rest.end && rest.data.is_empty());

    // 50000 lines of 8 bytes, through files of 10 kB and what is in a pipe at once.
    master.launch(
        2,
        &shell("i=10000; while [ $i -lt 60000 ]; do echo l $i; i=$((i+1)); done"),
        &[],
    );
    master.wait_end(2);
    let first = master.read(2, 0, 0);
    assert!(first.offset > 0, "the beginning was rotated away");
    let text = String::from_utf8(first.data).expect("text");
    assert!(
        first.end && text.ends_with("l 59999\n"),
        "all that is there is one piece"
    );
    assert!(
        text.len() >= 10_000,
        "the file before the current one is kept: {}",
        text.len()
    );
    assert_eq!(first.offset + text.len() as u64, 50_000 * 8);
    let tail = master.read(2, -3, 0);
    assert_eq!(
        String::from_utf8_lossy(&tail.data),
        "l 59997\nl 59998\nl 59999\n"
    );
    assert_eq!(tail.offset, 49_997 * 8);
    assert!(master.read(99, 0, 0).error.contains("99"));
}

#[test]
fn environment_and_ports_are_handed_over() {
    let master = Master::start();
    let _agent = Agent::start_with(
        &master,
        "ports = [[41000, 41010]]\nhostname = \"h\"\n[resources]\ncpu_milli = 500\n",
    );
    let facts = mezzo_proto::decode_facts(&master.wait_session(1).facts).expect("good facts");
    assert_eq!(
        (
            facts.total.cpu_milli,
            facts.total.ports,
            facts.hostname.as_str()
        ),
        (500, 11, "h")
    );
    // Nobody listens there; the numbers are from the kernel, for other tests run at the same time.
    let free: Vec<std::net::TcpListener> = (0..2)
        .map(|_| std::net::TcpListener::bind("0.0.0.0:0").expect("a port"))
        .collect();
    let ports: Vec<u16> = free
        .iter()
        .map(|l| l.local_addr().expect("an address").port())
        .collect();
    let spec = with_port(
        with_port(
            with_env(shell("env; pwd"), "GREETING", "hello there"),
            "http",
        ),
        "web-2",
    );
    master.launch(1, &spec, &ports);
    let status = master.wait_end(1);
    assert_eq!(status.reason, Reason::PortTaken, "{}", status.message);
    drop(free);
    master.launch(2, &spec, &ports);
    assert_eq!(master.wait_end(2).state, TaskState::Finished);
    let output = master.read_all(2, false);
    for line in [
        "GREETING=hello there".to_string(),
        format!("PORT={}", ports[0]),
        format!("PORT_HTTP={}", ports[0]),
        format!("PORT_WEB_2={}", ports[1]),
        "MEZZO_RUN=2".into(),
        "MEZZO_TASK=t".into(),
        "MEZZO_FRAMEWORK=f".into(),
    ] {
        assert!(output.lines().any(|l| l == line), "{line} in {output}");
    }
}

#[test]
fn what_cannot_be_started_says_so() {
    let master = Master::start();
    let _agent = Agent::start(&master);
    master.launch(1, &program_task(&["/no/such/program"]), &[]);
    let status = master.wait_end(1);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Reason::StartFailed),
        "{}",
        status.message
    );
    let mut spec = shell("true");
    spec.files = vec![File {
        path: "a".into(),
        content: vec![],
        executable: false,
    }];
    spec.files.push(File {
        path: "a/b".into(),
        content: vec![],
        executable: false,
    });
    master.launch(2, &spec, &[]);
    assert_eq!(master.wait_end(2).reason, Reason::SandboxFailed);
    let digest = master.keep_component(b"none");
    master.launch(3, &support::module(digest, &[]), &[]);
    assert_eq!(master.wait_end(3).reason, Reason::Unsupported);
    let container = mezzo_types::Workload::Container {
        image: "i".into(),
        argv: vec![],
    };
    master.launch(4, &support::task("c", container), &[]);
    assert_eq!(master.wait_end(4).reason, Reason::Unsupported);
}

#[test]
fn a_kill_reaches_the_whole_tree() {
    let master = Master::start();
    let _agent = Agent::start(&master);
    // A child in a session of its own that does not listen to the polite signal.
    let script = "trap 'echo polite; exit 0' TERM
        setsid sh -c 'trap \"\" TERM; echo child $$; while :; do sleep 0.05; done' &
        while :; do sleep 0.05; done";
    master.launch(1, &shell(script), &[]);
    let child = number_after(&master.wait_output(1, "child"), "child");
    assert!(is_alive(child));
    master.kill(1, 20_000);
    let status = master.wait_end(1);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Killed, Reason::KillRequested)
    );
    assert!(master.read_all(1, false).contains("polite"));
    assert!(
        !is_alive(child),
        "nothing of it is left when its end is reported"
    );
    assert!(master.states(1).contains(&TaskState::Stopping));

    // One that does not end by itself is ended when the grace is over.
    master.launch(
        2,
        &shell("trap '' TERM; echo child $$; while :; do sleep 0.05; done"),
        &[],
    );
    let child = number_after(&master.wait_output(2, "child"), "child");
    master.kill(2, 600_000);
    master.wait_state(2, TaskState::Stopping);
    assert!(is_alive(child));
    master.kill(2, 100);
    assert_eq!(master.wait_end(2).state, TaskState::Killed);
    assert!(!is_alive(child));

    let mut spec = shell("while :; do sleep 0.05; done");
    spec.runtime_max_ms = Some(100);
    master.launch(3, &spec, &[]);
    let status = master.wait_end(3);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Reason::RuntimeMax)
    );
}

#[test]
fn tasks_outlive_their_agent() {
    let master = Master::start();
    let mut agent = Agent::start(&master);
    let script = |word: &str| {
        shell(&format!(
            "echo {word} $$; while [ ! -e end ]; do sleep 0.01; done; exit 3"
        ))
    };
    for run in 1..=3 {
        master.launch(run, &script("pid"), &[]);
        master.wait_state(run, TaskState::Running);
    }
    let pids: Vec<i32> = (1..=3)
        .map(|run| number_after(&master.wait_output(run, "pid"), "pid"))
        .collect();
    agent.kill();
    // One ends while no agent is there.
    let end =
        |run: u64| std::fs::write(agent.run_folder(run).join("sandbox/end"), "").expect("writable");
    end(1);
    until("the first to end", || agent.trace(1).outcome);
    assert!(pids[1..].iter().all(|pid| is_alive(*pid)));
    master.change(|told| told.updates.clear());
    agent.restart();
    let hello = master.wait_session(2);
    assert_eq!(
        hello.runs.iter().map(|run| run.run).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(hello.cluster, "c");
    let status = master.wait_end(1);
    assert_eq!(
        (status.state, status.exit_code),
        (TaskState::Failed, Some(3))
    );
    assert!(
        pids[1..].iter().all(|pid| is_alive(*pid)),
        "the others were not touched"
    );
    // Shims of the spawner before can be waited for, signalled and read.
    let end =
        |run: u64| std::fs::write(agent.run_folder(run).join("sandbox/end"), "").expect("writable");
    end(2);
    assert_eq!(master.wait_end(2).exit_code, Some(3));
    master.kill(3, 5_000);
    assert_eq!(master.wait_end(3).state, TaskState::Killed);
    assert_eq!(
        master
            .states(3)
            .iter()
            .filter(|state| **state == TaskState::Killed)
            .count(),
        1
    );
}

#[test]
fn a_status_is_said_until_it_is_acknowledged() {
    let master = Master::start();
    let mut agent = Agent::start(&master);
    master.wait_session(1);
    master.acknowledge_none(true);
    master.launch(1, &shell("exit 4"), &[]);
    master.launch(2, &program_task(&["/no/such"]), &[]);
    master.wait_end(1);
    master.wait_end(2);
    // A broken line, then a killed agent: the same words again.
    master.change(|told| told.updates.clear());
    master.hang_up();
    master.wait_session(2);
    assert_eq!(master.wait_end(1).exit_code, Some(4));
    agent.kill();
    master.change(|told| told.updates.clear());
    master.acknowledge_none(false);
    agent.restart();
    master.wait_session(3);
    assert_eq!(master.wait_end(1).exit_code, Some(4));
    let status = master.wait_end(2);
    assert_eq!(status.reason, Reason::StartFailed, "{}", status.message);
    until("both to be put away", || {
        (!agent.run_folder(1).exists() && !agent.run_folder(2).exists()).then_some(())
    });
    agent.kill();
    agent.restart();
    assert!(master.wait_session(4).runs.is_empty());
}

#[test]
fn a_lost_shim_is_reported_and_leaves_nothing() {
    let master = Master::start();
    let agent = Agent::start(&master);
    let script =
        "setsid sh -c 'trap \"\" TERM; echo child $$; while :; do sleep 0.05; done' & wait";
    master.launch(1, &shell(script), &[]);
    let child = number_after(&master.wait_output(1, "child"), "child");
    kill_9(agent.shim(1));
    let status = master.wait_end(1);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Reason::ShimLost),
        "{}",
        status.message
    );
    until("the orphan to end", || (!is_alive(child)).then_some(()));
    // The next one is not harmed.
    master.launch(2, &shell("true"), &[]);
    assert_eq!(master.wait_end(2).state, TaskState::Finished);
}

#[test]
fn a_shim_that_is_lost_after_its_spawner_leaves_nothing_either() {
    let master = Master::start();
    let mut agent = Agent::start(&master);
    let script =
        "setsid sh -c 'trap \"\" TERM; echo child $$; while :; do sleep 0.05; done' & wait";
    for run in [1, 2] {
        master.launch(run, &shell(script), &[]);
    }
    let child = |run: u64| number_after(&master.wait_output(run, "child"), "child");
    let children = [child(1), child(2)];
    let shims = [agent.shim(1), agent.shim(2)];
    agent.kill();
    // One while no agent is there, one under the next agent.
    kill_9(shims[0]);
    agent.restart();
    assert_eq!(master.wait_end(1).reason, Reason::ShimLost);
    assert!(!is_alive(children[0]) && is_alive(children[1]));
    kill_9(shims[1]);
    assert_eq!(master.wait_end(2).reason, Reason::ShimLost);
    assert!(!is_alive(children[1]));
}

#[test]
fn a_lost_spawner_is_replaced() {
    let master = Master::start();
    let agent = Agent::start(&master);
    master.launch(
        1,
        &shell("echo pid $$; while [ ! -e end ]; do sleep 0.01; done; exit 5"),
        &[],
    );
    let pid = number_after(&master.wait_output(1, "pid"), "pid");
    let spawner = agent.spawner();
    kill_9(spawner);
    until("another spawner", || {
        support::children(agent.child.id())
            .into_iter()
            .find(|pid| *pid != spawner && is_alive(*pid))
    });
    assert!(is_alive(pid), "its tasks are not touched");
    master.launch(2, &shell("true"), &[]);
    assert_eq!(master.wait_end(2).state, TaskState::Finished);
    std::fs::write(agent.run_folder(1).join("sandbox/end"), "").expect("writable");
    assert_eq!(
        master.wait_end(1).exit_code,
        Some(5),
        "the end of a run of the dead spawner is noticed"
    );
}

#[test]
fn a_kill_of_an_unknown_run_is_remembered() {
    let master = Master::start();
    let agent = Agent::start(&master);
    master.kill(9, 0);
    master.wait("the answer", |told| told.unknown.contains(&9).then_some(()));
    master.launch(9, &shell("true"), &[]);
    master.wait("the answer again", |told| {
        (told.unknown.len() == 2).then_some(())
    });
    assert!(!agent.run_folder(9).exists() && master.states(9).is_empty());
}

#[test]
fn a_folder_has_one_agent() {
    let master = Master::start();
    let agent = Agent::start(&master);
    master.wait_session(1);
    let second = agent.second();
    assert!(!second.status.success());
    let words = String::from_utf8_lossy(&second.stderr);
    assert!(
        words.contains("in use") && words.contains(&agent.child.id().to_string()),
        "{words}"
    );
}

#[test]
fn a_refused_agent_ends_and_says_why() {
    let master = Master::start();
    master.change(|told| told.refuse_all("the folder is of another cluster"));
    let mut agent = Agent::start(&master);
    let status = agent.child.wait().expect("it ends");
    assert!(!status.success());
}

#[test]
fn a_machine_that_was_started_anew_has_lost_its_runs() {
    let master = Master::start();
    let mut agent = Agent::start(&master);
    let lost = shell("while [ ! -e end ]; do sleep 0.01; done");
    for run in [1, 2] {
        master.launch(run, &lost, &[]);
        master.wait_state(run, TaskState::Running);
    }
    agent.kill();
    let mut other = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .expect("a process");
    // Both end, and what their shims wrote down is lost.
    for run in [1, 2] {
        std::fs::write(agent.run_folder(run).join("sandbox/end"), "").expect("writable");
        until("its shim to end", || agent.trace(run).outcome);
        // As if another process had the shim's number by now: it is neither adopted nor signalled.
        let shim = format!("pid {}\n", other.id());
        std::fs::write(agent.run_folder(run).join(mezzo_shim::SHIM), shim).expect("writable");
    }
    // Nobody acknowledges the first, so that it is there after the next restart.
    master.acknowledge_none(true);
    agent.restart();
    master.wait_session(2);
    let status = master.wait_end(1);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Reason::ShimLost),
        "{}",
        status.message
    );
    agent.kill();
    master.acknowledge_none(false);
    master.change(|told| told.updates.clear());
    agent.reboot();
    agent.restart();
    let status = master.wait_end(2);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Reason::Rebooted),
        "{}",
        status.message
    );
    let ended = other.try_wait().expect("it can be asked");
    assert!(ended.is_none(), "the other process was signalled");
    drop(agent);
    other.kill().expect("it can be killed");
    other.wait().expect("it ends");
}

#[test]
fn a_task_that_cannot_be_read_fails_alone() {
    let master = Master::start();
    let _agent = Agent::start(&master);
    master.launch_unreadable(1, 2, &shell("exit 0"));
    let status = master.wait_end(1);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Reason::Unsupported)
    );
    assert!(status.message.contains("upgrade"), "{}", status.message);
    assert_eq!(master.wait_end(2).state, TaskState::Finished);
    assert_eq!(
        master.change(|told| told.hellos.len()),
        1,
        "the session goes on"
    );
}

/// What an agent asked its spawner for is still done when the agent is gone; the next one must not say
/// of such a run that it was never started.
#[test]
fn no_run_that_is_over_before_its_start_is_started_by_the_spawner_of_before() {
    let master = Master::start();
    let mut agent = Agent::start(&master);
    master.wait_session(1);
    let runs = 1..=60;
    for run in runs.clone() {
        master.launch(
            run,
            &shell("echo ran >> ../../../ran-$MEZZO_RUN; exec sleep 1000"),
            &[],
        );
        master.kill(run, 1);
    }
    until("the first to be kept", || {
        agent.run_folder(1).is_dir().then_some(())
    });
    agent.kill();
    agent.restart();
    master.wait_session(2);
    // Those that never came to the first agent come now.
    for run in runs.clone() {
        master.launch(
            run,
            &shell("echo ran >> ../../../ran-$MEZZO_RUN; exec sleep 1000"),
            &[],
        );
        master.kill(run, 1);
    }
    let folder = agent.run_folder(1).join("../..");
    for run in runs {
        let status = master.wait_end(run);
        assert_eq!(status.state, TaskState::Killed, "{run}: {}", status.message);
        let ran = std::fs::read_to_string(folder.join(format!("ran-{run}"))).unwrap_or_default();
        let times = ran.lines().count();
        match status.reason {
            Reason::KilledBeforeStart => assert_eq!(times, 0, "{run}"),
            _ => assert!(times <= 1, "{run}: {times}"),
        }
    }
}

#[test]
fn a_spawner_that_hangs_is_replaced_and_its_tasks_run_on() {
    let master = Master::start();
    let agent = Agent::start(&master);
    master.launch(1, &shell("while [ ! -e end ]; do sleep 0.01; done"), &[]);
    master.wait_state(1, TaskState::Running);
    let spawner = agent.spawner();
    // SAFETY: signalling touches no memory.
    unsafe { libc::kill(spawner, libc::SIGSTOP) };
    // Its socket takes small requests for a while: large ones fill it.
    let mut large = shell("exit 0");
    large.env = vec![mezzo_types::EnvVar {
        name: "LARGE".into(),
        value: "x".repeat(100 << 10),
    }];
    for run in 2..=12 {
        master.launch(run, &large, &[]);
    }
    for run in 2..=12 {
        assert_eq!(master.wait_end(run).state, TaskState::Finished, "{run}");
    }
    std::fs::write(agent.run_folder(1).join("sandbox/end"), "").expect("writable");
    assert_eq!(master.wait_end(1).state, TaskState::Finished);
}

/// A task runs as the agent's user: what it puts in the place of files in its folder stops nobody,
/// forges nothing, and shows nothing of others.
#[test]
fn a_task_that_tampers_with_its_folder_hurts_itself_alone() {
    let master = Master::start();
    let agent = Agent::start(&master);
    let runs = agent.run_folder(1);
    let secret = runs.ancestors().nth(2).expect("the agent's").join("secret");
    master.launch(1, &shell("mkfifo ../outcome; exit 3"), &[]);
    let status = master.wait_end(1);
    assert_eq!((status.reason, status.exit_code), (Reason::Exited, Some(3)));
    master.launch(
        2,
        &shell(r"printf 'exited\nforged\n' > ../outcome; exit 4"),
        &[],
    );
    assert_eq!(master.wait_end(2).exit_code, Some(4));
    master.launch(3, &shell("rm ../shim; mkfifo ../shim"), &[]);
    assert_eq!(master.wait_end(3).state, TaskState::Failed);
    std::fs::write(&secret, "secret").expect("writable");
    // Read while it lives: afterwards the folder is elsewhere.
    for (run, trick) in [(4, "ln -s ../../secret ../stdout"), (5, "mkfifo ../stdout")] {
        master.launch(run, &shell(&format!("{trick}; sleep 1000")), &[]);
        master.wait_state(run, TaskState::Running);
        until("the trick", || {
            agent.run_folder(run).join("stdout").symlink_metadata().ok()
        });
        let answer = master.read(run, 0, 0);
        assert!(!answer.error.is_empty(), "{answer:?}");
        assert!(answer.data.is_empty());
        master.kill(run, 0);
        master.wait_end(run);
    }
}
