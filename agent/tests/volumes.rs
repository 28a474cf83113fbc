//! Volumes on real agents: they outlive tasks and the agent, and go only when they are told.

mod support;

use mezzo_test_guests::COMMAND;
use mezzo_types::{Reason, TaskState};
use std::path::PathBuf;
use support::{Agent, Master, module, shell, with_volume};

/// Of reservation 7, in the agent's folder.
fn volume(agent: &Agent, name: &str) -> PathBuf {
    agent.folder.join("volumes/7").join(name)
}

#[test]
fn data_outlives_the_task_and_the_agent() {
    let master = Master::start();
    let mut agent = Agent::start(&master);
    master.wait_session(1);
    // Of a master that no longer knows it: nobody's to remove.
    std::fs::create_dir_all(agent.folder.join("volumes/3/foreign")).expect("writable");
    master.create_volume(7, "data");
    master.wait_volume(7, "data", true);
    let script = "echo precious > deep/data/file; ls -d deep/data/";
    let spec = with_volume(shell(script), "data", "deep/data");
    master.launch_on(7, 1, &spec, &[]);
    assert_eq!(
        master.wait_end(1).state,
        TaskState::Finished,
        "{}",
        master.read_all(1, true)
    );
    let file = volume(&agent, "data").join("file");
    let text = || std::fs::read_to_string(&file).expect("readable");
    assert_eq!(text(), "precious\n");

    agent.kill();
    agent.restart();
    master.wait_session(2);
    master.create_volume(7, "data");
    let spec = with_volume(shell("cat v/file; echo more >> v/file"), "data", "v");
    master.launch_on(7, 2, &spec, &[]);
    assert_eq!(master.wait_end(2).state, TaskState::Finished);
    assert_eq!(master.read_all(2, false), "precious\n");

    assert_eq!(text(), "precious\nmore\n");
    assert!(agent.folder.join("volumes/3/foreign").is_dir());
}

#[test]
fn a_volume_that_is_not_there_is_never_replaced_by_an_empty_folder() {
    let master = Master::start();
    let agent = Agent::start(&master);
    master.wait_session(1);
    let executed = agent.folder.join("executed");
    let script = format!("touch {}", executed.display());
    let spec = with_volume(shell(&script), "data", "data");
    master.launch_on(7, 1, &spec, &[]);
    let status = master.wait_end(1);
    assert_eq!(
        (status.state, status.reason),
        (TaskState::Failed, Reason::VolumeFailed)
    );
    assert!(
        status.message.contains("volume data of reservation 7"),
        "{}",
        status.message
    );
    assert!(!executed.exists() && !volume(&agent, "data").exists());

    // Lost behind the agent's back: the same.
    master.create_volume(7, "data");
    master.wait_volume(7, "data", true);
    std::fs::remove_dir(volume(&agent, "data")).expect("it is empty");
    master.launch_on(7, 2, &spec, &[]);
    assert_eq!(master.wait_end(2).reason, Reason::VolumeFailed);
    assert!(!executed.exists() && !volume(&agent, "data").exists());
}

#[test]
fn a_volume_is_destroyed_once_nothing_has_it_mounted() {
    let master = Master::start();
    let agent = Agent::start(&master);
    master.wait_session(1);
    for name in ["data", "other"] {
        master.create_volume(7, name);
        master.wait_volume(7, name, true);
    }
    let spec = with_volume(
        shell("touch data/file; while [ ! -e end ]; do sleep 0.01; done"),
        "data",
        "data",
    );
    master.launch_on(7, 1, &spec, &[]);
    master.wait_state(1, TaskState::Running);
    master.destroy_volume(7, "data");
    master.destroy_volume(7, "other");
    // Asked for later, and answered: the first was not done.
    master.wait_volume(7, "other", false);
    assert!(volume(&agent, "data").is_dir() && !volume(&agent, "other").exists());
    std::fs::write(agent.run_folder(1).join("sandbox/end"), "").expect("writable");
    assert_eq!(master.wait_end(1).state, TaskState::Finished);
    master.wait_volume(7, "data", false);
    assert!(!volume(&agent, "data").exists());
    // What is gone is destroyed: a master that has not heard it asks again.
    master.change(|told| told.volumes.clear());
    master.destroy_volume(7, "data");
    master.wait_volume(7, "data", false);
}

#[test]
fn a_component_sees_its_volume_as_a_folder() {
    let master = Master::start();
    let agent = Agent::start_with(&master, &Agent::runner());
    let digest = master.keep_component(COMMAND);
    master.wait_session(1);
    master.create_volume(7, "data");
    master.wait_volume(7, "data", true);
    let write = module(
        digest,
        &["write", "deep/data/a", "text", "read", "/deep/data/a"],
    );
    master.launch_on(7, 1, &with_volume(write, "data", "deep/data"), &[]);
    let status = master.wait_end(1);
    assert_eq!(
        status.state,
        TaskState::Finished,
        "{} {}",
        status.message,
        master.read_all(1, true)
    );
    assert_eq!(master.read_all(1, false), "text");
    let text = std::fs::read_to_string(volume(&agent, "data").join("a"));
    assert_eq!(text.expect("readable"), "text");
    let spec = with_volume(module(digest, &["args"]), "lost", "data");
    master.launch_on(7, 2, &spec, &[]);
    assert_eq!(master.wait_end(2).reason, Reason::VolumeFailed);
}

#[test]
fn what_the_configuration_keeps_for_roles_is_told() {
    let master = Master::start();
    let agent = Agent::start_with(
        &master,
        "[resources]\ncpu_milli = 2000\n\
         [[reserve]]\nrole = \"prod/db\"\nresources = { cpu_milli = 1500 }\n",
    );
    let facts = mezzo_proto::decode_facts(&master.wait_session(1).facts).expect("good facts");
    assert_eq!(facts.reserved.len(), 1);
    assert_eq!(facts.reserved[0].role, "prod/db");
    assert_eq!(facts.reserved[0].amount.cpu_milli, 1_500);
    drop(agent);
}
