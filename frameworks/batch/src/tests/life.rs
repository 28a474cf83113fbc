//! A job's life: launch, retries, limits, cancel, timeout.

use super::{check, cluster, job, submit, tasks};
use crate::Batch;
use crate::limits::{JOBS_ENDED_MAX, LOST_MAX};
use mezzo_sdk::testing::Cluster;
use mezzo_sdk::types::*;
use serde_json::json;

#[test]
fn a_job_runs_to_its_end() {
    let mut cluster = cluster();
    let id = submit(
        &mut cluster,
        json!({"name": "greet", "count": 2, "argv": ["true"]}),
    );
    check(&mut cluster, &id, "running", [0, 2, 0, 0, 0, 0]);
    cluster.run("j1.0.1");
    cluster.settle();
    check(&mut cluster, &id, "running", [0, 1, 1, 0, 0, 0]);
    cluster.finish("j1.0.1", 0);
    cluster.run_to_end(|_| 0);
    check(&mut cluster, &id, "finished", [0, 0, 0, 2, 0, 0]);
    let job = job(&mut cluster, &id);
    assert_eq!(
        (&job["exit_code"], &job["name"]),
        (&json!(0), &json!("greet"))
    );
    assert_eq!(job["ended_ms"], json!(cluster.now()));
    assert!(cluster.demands().is_empty(), "nothing is wanted any more");
    let left: Vec<_> = cluster.state().keys().map(String::as_str).collect();
    assert_eq!(
        left,
        [
            "job/0000000000000001",
            "next",
            "page/0000000000000001/000000"
        ]
    );
}

#[test]
fn a_task_sees_who_it_is_and_gets_what_was_asked_for() {
    let mut cluster = cluster();
    let body = json!({
        "tasks": [
            {"argv": ["wc", "${BATCH_JOB}-${BATCH_INDEX}-$X"], "env": {"B": "own"}},
            {"env": {"C": "attempt ${BATCH_ATTEMPT}"}},
        ],
        "argv": ["default"], "env": {"A": "1", "B": "2"}, "labels": {"team": "x"},
        "files": [{"path": "bin/run", "content_base64": "AP8=", "executable": true}],
        "ports": [{"name": "http"}], "cpu_milli": 250, "memory_bytes": 1048576, "disk_bytes": 5,
        "runtime_max_ms": 9, "kill_grace_ms": 7,
    });
    submit(&mut cluster, body);
    let first = &cluster.task("j1.0.1").task;
    assert_eq!(
        first.workload,
        Workload::Process(Process {
            argv: vec!["wc".into(), "j1-0-$X".into()]
        })
    );
    let env = |name: &str| cluster.task("j1.0.1").env(name).map(str::to_owned);
    assert_eq!(
        ["A", "B", "BATCH_JOB", "BATCH_INDEX", "BATCH_ATTEMPT"]
            .map(env)
            .map(Option::unwrap),
        ["1", "own", "j1", "0", "1"]
    );
    assert_eq!(
        (
            first.resources.cpu_milli,
            first.resources.memory_bytes,
            first.resources.disk_bytes
        ),
        (250, MIB, 5)
    );
    assert_eq!((first.runtime_max_ms, first.kill_grace_ms), (Some(9), 7));
    assert_eq!(
        first.files[0],
        File {
            path: "bin/run".into(),
            content: vec![0, 255],
            executable: true
        }
    );
    assert_eq!(first.labels[0].value, "x");
    assert_eq!(
        cluster.task("j1.1.1").task.workload,
        Workload::Process(Process {
            argv: vec!["default".into()]
        })
    );
    assert_eq!(cluster.task("j1.1.1").env("C"), Some("attempt 1"));
    assert_eq!(cluster.task("j1.1.1").status.ports.len(), 1);
}

#[test]
fn a_module_is_only_launched_where_modules_run() {
    let mut cluster = cluster();
    let digest = format!("sha256:{}", "0a".repeat(32));
    submit(&mut cluster, json!({"module": digest}));
    let Workload::Module(module) = &cluster.task("j1.0.1").task.workload else {
        panic!("no module")
    };
    assert_eq!(
        (module.component.as_str(), module.argv.len()),
        (digest.as_str(), 1)
    );
}

#[test]
fn failures_are_tried_again_as_often_as_asked() {
    let mut cluster = cluster();
    let id = submit(&mut cluster, json!({"argv": ["flaky"], "retries": 2}));
    cluster.finish("j1.0.1", 3);
    cluster.settle();
    check(&mut cluster, &id, "running", [0, 1, 0, 0, 0, 0]);
    assert_eq!(cluster.task("j1.0.2").env("BATCH_ATTEMPT"), Some("2"));
    cluster.fail_to_start("j1.0.2");
    cluster.settle();
    cluster.finish("j1.0.3", 4);
    cluster.settle();
    check(&mut cluster, &id, "failed", [0, 0, 0, 0, 1, 0]);
    assert_eq!(job(&mut cluster, &id)["exit_code"], 4);
    let expected = json!({"index": 0, "task": "j1.0.3", "attempt": 3, "state": "failed", "exit_code": 4, "reason": "exited"});
    assert_eq!(tasks(&mut cluster, &id), [expected]);
}

#[test]
fn lost_tasks_do_not_count_until_there_are_too_many() {
    let mut cluster = cluster();
    let id = submit(&mut cluster, json!({"argv": ["true"]}));
    for attempt in 1..=LOST_MAX + 1 {
        cluster.lose(&format!("j1.0.{attempt}"));
        cluster.settle();
    }
    check(&mut cluster, &id, "failed", [0, 0, 0, 0, 1, 0]);
    assert_eq!(tasks(&mut cluster, &id)[0]["reason"], "lost-too-often");
    assert_eq!(job(&mut cluster, &id)["exit_code"], json!(null));
}

#[test]
fn a_task_that_somebody_kills_is_not_tried_again() {
    let mut cluster = cluster();
    let id = submit(&mut cluster, json!({"argv": ["sleep"], "retries": 5}));
    cluster.run("j1.0.1");
    cluster.kill("j1.0.1");
    cluster.settle();
    check(&mut cluster, &id, "failed", [0, 0, 0, 0, 1, 0]);
    assert_eq!(job(&mut cluster, &id)["exit_code"], 137);
}

#[test]
fn parallel_max_bounds_what_lives_and_what_is_wanted() {
    let mut cluster = cluster();
    let id = submit(
        &mut cluster,
        json!({"argv": ["true"], "count": 7, "parallel_max": 3}),
    );
    let mut most = 0;
    for _ in 0..7 {
        most = most.max(cluster.live().len());
        let wanted: u32 = cluster.demands().iter().map(|demand| demand.count).sum();
        assert!(cluster.live().len() + wanted as usize <= 3);
        let first = cluster.live()[0].clone();
        cluster.finish(&first, 0);
        cluster.settle();
    }
    assert_eq!(most, 3);
    check(&mut cluster, &id, "finished", [0, 0, 0, 7, 0, 0]);
}

#[test]
fn what_does_not_fit_waits_and_holds_up_no_other() {
    let mut cluster = cluster();
    let rack = json!([{"attribute": "rack", "test": "equals", "value": "r7"}]);
    let stuck = submit(
        &mut cluster,
        json!({"argv": ["true"], "count": 100000, "conditions": rack}),
    );
    let big = submit(&mut cluster, json!({"argv": ["true"], "cpu_milli": 5000}));
    let other = submit(&mut cluster, json!({"argv": ["true"], "count": 20}));
    cluster.run_to_end(|_| 0);
    check(&mut cluster, &other, "finished", [0, 0, 0, 20, 0, 0]);
    check(&mut cluster, &stuck, "waiting", [100_000, 0, 0, 0, 0, 0]);
    check(&mut cluster, &big, "waiting", [1, 0, 0, 0, 0, 0]);

    let rack = Attribute {
        name: "rack".into(),
        value: AttributeValue::Text("r7".into()),
    };
    cluster.add_agent_with(Resources::new(400, GIB), vec![rack]);
    cluster.settle();
    check(&mut cluster, &stuck, "running", [99_996, 4, 0, 0, 0, 0]);
}

#[test]
fn a_fixed_port_is_used_once_an_agent() {
    let mut cluster = cluster();
    cluster.add_agent(Resources::new(1_000, GIB));
    let body = json!({"argv": ["serve"], "count": 3, "ports": [{"name": "http", "fixed": 8080}]});
    let id = submit(&mut cluster, body);
    check(&mut cluster, &id, "running", [1, 2, 0, 0, 0, 0]);
    let first = cluster.live()[0].clone();
    cluster.finish(&first, 0);
    cluster.settle();
    check(&mut cluster, &id, "running", [0, 2, 0, 1, 0, 0]);
}

#[test]
fn cancel_kills_what_runs_and_launches_nothing_more() {
    let mut cluster = cluster();
    let id = submit(
        &mut cluster,
        json!({"argv": ["sleep"], "count": 12, "retries": 3}),
    );
    cluster.run("j1.0.1");
    cluster.settle();
    let answer = cluster.delete("/jobs/j1");
    assert_eq!(
        (answer.status, &answer.json()["stopping"]),
        (200, &json!(true))
    );
    check(&mut cluster, &id, "running", [0, 9, 1, 0, 0, 2]);
    cluster.settle();
    check(&mut cluster, &id, "cancelled", [0, 0, 0, 0, 0, 12]);
    assert_eq!(cluster.history().len(), 10);
    assert!(cluster.demands().is_empty());

    let again = cluster.delete("/jobs/j1");
    assert_eq!(
        (again.status, &again.json()["state"]),
        (200, &json!("cancelled"))
    );
}

#[test]
fn cancelling_what_has_not_begun_ends_it_at_once() {
    let mut cluster = cluster();
    let id = submit(&mut cluster, json!({"argv": ["true"], "cpu_milli": 9999}));
    let answer = cluster.delete(&format!("/jobs/{id}"));
    assert_eq!(
        (&answer.json()["state"], &answer.json()["stopping"]),
        (&json!("cancelled"), &json!(false))
    );
    cluster.settle();
    assert!(cluster.demands().is_empty());
}

#[test]
fn a_cancelled_job_waits_for_a_silent_agent() {
    let mut cluster = cluster();
    let id = submit(&mut cluster, json!({"argv": ["sleep"]}));
    cluster.run("j1.0.1");
    let agent = cluster.task("j1.0.1").status.agent;
    cluster.silence_agent(agent);
    cluster.settle();
    assert_eq!(tasks(&mut cluster, &id)[0]["state"], "unreachable");
    cluster.delete("/jobs/j1");
    cluster.settle();
    check(&mut cluster, &id, "running", [0, 0, 1, 0, 0, 0]);
    cluster.wake_agent(agent);
    cluster.settle();
    check(&mut cluster, &id, "cancelled", [0, 0, 0, 0, 0, 1]);
}

#[test]
fn a_job_out_of_time_is_stopped_and_one_out_of_memory_of_it_too() {
    let mut cluster = cluster();
    let late = submit(
        &mut cluster,
        json!({"argv": ["sleep"], "count": 20, "timeout_ms": 1000}),
    );
    let later = submit(&mut cluster, json!({"argv": ["sleep"], "timeout_ms": 5000}));
    cluster.run("j1.0.1");
    cluster.advance(999);
    cluster.settle();
    assert_eq!(job(&mut cluster, &late)["stopping"], json!(false));
    cluster.advance(1);
    cluster.settle();
    check(&mut cluster, &late, "timed-out", [0, 0, 0, 0, 0, 20]);
    // The timer goes on to the next deadline, and survives a restart.
    cluster.restart();
    cluster.advance(4_000);
    cluster.settle();
    check(&mut cluster, &later, "timed-out", [0, 0, 0, 0, 0, 1]);
}

#[test]
fn a_task_out_of_time_has_failed() {
    let mut cluster = cluster();
    let id = submit(
        &mut cluster,
        json!({"argv": ["sleep"], "runtime_max_ms": 50}),
    );
    cluster.run("j1.0.1");
    cluster.advance(50);
    cluster.settle();
    check(&mut cluster, &id, "failed", [0, 0, 0, 0, 1, 0]);
    assert_eq!(tasks(&mut cluster, &id)[0]["reason"], "runtime-max");
}

#[test]
fn old_jobs_are_forgotten_in_order() {
    let mut cluster = cluster();
    for _ in 0..=JOBS_ENDED_MAX {
        submit(&mut cluster, json!({"argv": ["true"]}));
        cluster.run_to_end(|_| 0);
    }
    let jobs = cluster.get("/jobs").json();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), JOBS_ENDED_MAX);
    assert_eq!(cluster.get("/jobs/j1").status, 404);
    assert_eq!(cluster.get("/jobs/j2").status, 200);
    assert!(
        !cluster
            .state()
            .keys()
            .any(|key| key.contains("/0000000000000001"))
    );
}

#[test]
fn what_is_urgent_and_what_gives_way_is_said_to_the_master() {
    let mut cluster = Cluster::<Batch>::new();
    let agent = cluster.add_agent(Resources::new(2_000, GIB));
    cluster.settle();
    let submit = |cluster: &mut Cluster<Batch>, body| {
        assert_eq!(cluster.post("/jobs", &body).status, 201);
    };
    let large = 9_000;
    submit(
        &mut cluster,
        json!({"argv": ["a"], "priority": 7, "cpu_milli": large}),
    );
    submit(&mut cluster, json!({"argv": ["b"], "cpu_milli": large}));
    let priorities: Vec<i32> = cluster.demands().iter().map(|d| d.priority).collect();
    assert_eq!(priorities, [7, 0]);

    let body = json!({"argv": ["c"], "priority": -1, "preemptible": true, "cpu_milli": 1_000});
    submit(&mut cluster, body.clone());
    cluster.settle();
    assert!(cluster.task("j3.0.1").task.preemptible);

    // What is kept for the role is for all its jobs, and is not taken back.
    let kept = cluster.reserve(agent, Resources::new(1_000, MIB * 64));
    submit(&mut cluster, body);
    cluster.settle();
    let task = cluster.task("j4.0.1");
    assert_eq!(
        (task.reservation, task.task.preemptible),
        (Some(kept), false)
    );
}
