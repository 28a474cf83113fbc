//! What is kept for a role is nobody else's, and data on it outlives tasks, agents, masters and
//! frameworks.

use crate::cluster::Cluster;
use serde_json::{Value, json};
use std::path::PathBuf;

fn run(cluster: &Cluster, args: &[&str]) -> (Option<i32>, String) {
    let output = cluster.mezzo(args).output().expect("mezzo");
    let all = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&all).into_owned(),
    )
}

#[track_caller]
fn done(cluster: &Cluster, args: &[&str]) -> String {
    let (code, said) = run(cluster, args);
    assert_eq!(code, Some(0), "{args:?}: {said}");
    said
}

#[track_caller]
fn refused(cluster: &Cluster, args: &[&str], words: &str) {
    let (code, said) = run(cluster, args);
    assert_eq!(code, Some(1), "{args:?}: {said}");
    assert!(said.contains(words), "{args:?}: {said}");
}

fn reservation(cluster: &Cluster, id: &str) -> Value {
    cluster.get(&format!("/api/v1/reservations/{id}"))
}

fn wait_volume(cluster: &Cluster, id: &str, state: &Value) {
    cluster.wait_for(&format!("the volume is {state}"), |c| {
        let known = reservation(c, id);
        known["id"].is_u64() && known["volumes"][0]["state"] == *state
    });
}

/// All of the only agent, for the role of `batch`.
fn reserve_all(cluster: &Cluster) -> String {
    let args = [
        "reserve",
        "1",
        "--role",
        "batch",
        "--cpus",
        "8",
        "--memory",
        "8GiB",
        "--disk",
        "64MiB",
        "--label",
        "for=tests",
        "-o",
        "json",
    ];
    let made: Value = serde_json::from_str(&done(cluster, &args)).expect("JSON");
    made["id"].to_string()
}

#[test]
fn a_roles_part_of_an_agent_and_its_volumes_outlive_everything_above() {
    let mut cluster = Cluster::start(1, "");
    let id = reserve_all(&cluster);
    let args = [
        "framework",
        "install",
        "other",
        "builtin:batch",
        "--role",
        "else/other",
    ];
    done(&cluster, &args);
    let other = json!({"argv": ["true"], "cpu_milli": 100}).to_string();
    let (status, job) = cluster
        .ask("POST", "/fw/other/jobs", other.as_bytes())
        .expect("an answer");
    assert_eq!(status, 201);
    let job: Value = serde_json::from_slice(&job).expect("a job");
    let waiting = format!("/fw/other/jobs/{}", job["id"].as_str().expect("an id"));

    // A task of the role runs on it, and writes into its volume; another role's waits.
    done(
        &cluster,
        &["volume", "create", &id, "data", "--size", "16MiB"],
    );
    refused(
        &cluster,
        &["volume", "create", &id, "more", "--size", "1GiB"],
        "disk",
    );
    wait_volume(&cluster, &id, &json!("ready"));
    let file = cluster
        .folder()
        .join("agent-0/volumes")
        .join(&id)
        .join("data/file");
    let script = format!("echo precious >> {}", file.display());
    let writer = cluster.submit(&json!({"argv": ["sh", "-c", script], "cpu_milli": 100}));
    assert_eq!(cluster.wait_ended(&writer)["state"], "finished");
    let task = cluster.get(&format!(
        "/api/v1/tasks?framework=batch&task={writer}.0.1&ended=true"
    ));
    assert_eq!(task["tasks"][0]["reservation"].to_string(), id, "{task}");
    assert_eq!(cluster.get(&waiting)["state"], "waiting");

    cluster.kill_agent(0);
    cluster.start_agent(0);
    cluster.kill_master();
    cluster.start_master();
    cluster.wait_for("the agent", |c| {
        c.get("/api/v1/status")["agents"]["connected"] == 1
    });
    done(&cluster, &["framework", "remove", "batch", "--wait"]);
    let kept = |file: &PathBuf| std::fs::read_to_string(file).expect("the data");
    assert_eq!(kept(&file), "precious\n");
    let said = done(&cluster, &["reservation", "ls"]);
    assert!(said.contains(&id) && said.contains("admin"), "{said}");
    assert_eq!(reservation(&cluster, &id)["volumes"][0]["state"], "ready");
    assert_eq!(cluster.get(&waiting)["state"], "waiting");

    refused(&cluster, &["reservation", "rm", &id], "volume");
    refused(&cluster, &["volume", "destroy", &id, "data"], "--yes");
    assert_eq!(kept(&file), "precious\n");
    done(&cluster, &["volume", "destroy", &id, "data", "--yes"]);
    wait_volume(&cluster, &id, &Value::Null);
    assert!(!file.exists());
    done(&cluster, &["reservation", "rm", &id]);
    cluster.wait_for("the other role's turn has come", |c| {
        c.get(&waiting)["state"] == "finished"
    });
}

/// How often a task of `keeper` has found the volume of its reservation, by what it left there.
fn starts(cluster: &Cluster, id: &str) -> usize {
    let file = format!("agent-0/volumes/{id}/store/starts");
    let text = std::fs::read_to_string(cluster.folder().join(file));
    text.map_or(0, |text| text.lines().count())
}

#[test]
fn a_framework_comes_back_to_its_data_on_its_own_reservation() {
    let mut cluster = Cluster::start(1, "");
    let (status, answer) = cluster.install("keeper", "", mezzo_test_guests::KEEPER);
    assert_eq!(status, 201, "{answer}");
    let known: Value = cluster.until("its reservation", |c| {
        let all = c.get("/api/v1/reservations");
        let known = all["reservations"].get(0)?.clone();
        (known["volumes"][0]["state"] == "ready").then_some(known)
    });
    assert_eq!(known["made_by"], "framework/keeper");
    let id = known["id"].to_string();
    cluster.wait_for("a task has found its volume", |c| starts(c, &id) == 1);
    let task = |n: u32| format!("keeper/store-{n}");
    let running = |c: &Cluster, n: u32| {
        let task = c.get(&format!("/api/v1/tasks/{}", task(n)));
        task["state"] == "running" && task["mounts"][0]["path"] == "data"
    };
    cluster.wait_for("it runs", |c| running(c, 1));

    // Agent and master die; the task runs on, and its end is followed by another one there.
    cluster.kill_agent(0);
    cluster.kill_master();
    cluster.start_master();
    cluster.start_agent(0);
    cluster.wait_for("it runs still", |c| running(c, 1));
    done(&cluster, &["task", "kill", &task(1), "--grace", "100ms"]);
    cluster.wait_for("the next one has found the data", |c| starts(c, &id) == 2);
    cluster.wait_for("it runs", |c| running(c, 2));
    let known = reservation(&cluster, &id);
    assert_eq!(known["volumes"][0]["tasks"], 1, "{known}");
    assert_eq!(known["tasks"][0]["task"], "store-2", "{known}");

    // Neither while a task uses it, nor with its framework.
    refused(
        &cluster,
        &["volume", "destroy", &id, "store", "--yes"],
        "in use",
    );
    refused(&cluster, &["reservation", "rm", &id], "in use");
    assert_eq!(starts(&cluster, &id), 2);
    done(&cluster, &["framework", "remove", "keeper", "--wait"]);
    assert_eq!(starts(&cluster, &id), 2);
    assert_eq!(reservation(&cluster, &id)["tasks"], json!([]));
    done(&cluster, &["volume", "destroy", &id, "store", "--yes"]);
    wait_volume(&cluster, &id, &Value::Null);
    assert_eq!(starts(&cluster, &id), 0);
    done(&cluster, &["reservation", "rm", &id]);
}

/// Asked for while nobody could do it; no word of it is lost.
#[test]
fn a_volume_is_made_and_destroyed_over_killed_agents_and_masters() {
    let mut cluster = Cluster::start(1, "");
    let id = reserve_all(&cluster);
    let folder = cluster
        .folder()
        .join("agent-0/volumes")
        .join(&id)
        .join("data");
    cluster.kill_agent(0);
    done(
        &cluster,
        &["volume", "create", &id, "data", "--size", "1MiB"],
    );
    wait_volume(&cluster, &id, &json!("making"));
    assert!(!folder.exists());
    cluster.kill_master();
    cluster.start_master();
    cluster.start_agent(0);
    wait_volume(&cluster, &id, &json!("ready"));
    std::fs::write(folder.join("file"), "data").expect("writable");

    cluster.kill_agent(0);
    done(&cluster, &["volume", "destroy", &id, "data", "--yes"]);
    cluster.kill_master();
    cluster.start_master();
    wait_volume(&cluster, &id, &json!("destroying"));
    assert!(folder.join("file").exists());
    cluster.start_agent(0);
    wait_volume(&cluster, &id, &Value::Null);
    assert!(!folder.exists());
}

#[test]
fn what_an_agents_configuration_keeps_comes_and_goes_with_it() {
    let mut cluster = Cluster::start(1, "");
    let all = |c: &Cluster| c.get("/api/v1/reservations")["reservations"].clone();
    assert_eq!(all(&cluster), json!([]));
    let restart = |cluster: &mut Cluster, flags: &[&str]| {
        cluster.agent_flags = flags.iter().map(|flag| (*flag).to_string()).collect();
        cluster.kill_agent(0);
        cluster.start_agent(0);
    };
    restart(&mut cluster, &["--reserve", "prod/db:cpus=3,memory=1GiB"]);
    cluster.wait_for("the reservation", |c| all(c)[0]["role"] == "prod/db");
    let made = all(&cluster)[0].clone();
    assert_eq!(
        (&made["made_by"], &made["amount"]["cpu_milli"]),
        (&json!("agent-configuration"), &json!(3_000)),
        "{made}"
    );
    let id = made["id"].to_string();
    refused(&cluster, &["reservation", "rm", &id], "configuration");

    // The same again is the same; another role's is another.
    restart(
        &mut cluster,
        &[
            "--reserve",
            "prod/db:cpus=3,memory=1GiB",
            "--reserve",
            "ml:cpus=1",
        ],
    );
    cluster.wait_for("both", |c| all(c)[1]["role"] == "ml");
    assert_eq!(all(&cluster)[0]["id"].to_string(), id);
    restart(&mut cluster, &["--reserve", "ml:cpus=1"]);
    cluster.wait_for("one of them", |c| {
        all(c)[0]["role"] == "ml" && all(c)[1].is_null()
    });
    restart(&mut cluster, &[]);
    cluster.wait_for("none", |c| all(c) == json!([]));
}

/// Refused before it asks any master: more than it has is a mistake in the configuration.
#[test]
fn an_agent_that_keeps_more_than_it_has_does_not_start() {
    let mut cluster = Cluster::start(0, "");
    cluster.agent_flags = vec!["--reserve".into(), "prod:cpus=9".into()];
    cluster.add_agent();
    cluster.wait_agent_ends();
    let log = cluster.folder().join("agent-0.log");
    let said = std::fs::read_to_string(log).expect("its words");
    assert!(
        said.contains("`reserve`") && said.contains("9000"),
        "{said}"
    );
}
