//! Traps, restarts and losses in the middle of jobs: whatever happens, each index ends exactly once.

use super::{check, cluster, submit, tasks};
use crate::Batch;
use crate::limits::LOST_MAX;
use mezzo_sdk::testing::Cluster;
use mezzo_sdk::types::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn a_trap_in_a_launching_turn_launches_nothing_and_a_later_turn_all() {
    for call in 0..12 {
        let mut cluster = cluster();
        cluster.post("/jobs", &json!({"argv": ["true"], "count": 4}));
        cluster.fault_at_call(call);
        cluster.turn();
        assert_eq!(
            (cluster.faults().len(), cluster.history().len()),
            (1, 0),
            "call {call}"
        );
        cluster.settle();
        check(&mut cluster, "j1", "running", [0, 4, 0, 0, 0, 0]);
        cluster.run_to_end(|_| 0);
        check(&mut cluster, "j1", "finished", [0, 0, 0, 4, 0, 0]);
        assert_eq!(cluster.history().len(), 4);
    }
}

#[test]
fn a_trap_in_a_submit_submits_nothing() {
    for call in 0..12 {
        let mut cluster = cluster();
        let before = cluster.state().clone();
        cluster.fault_at_call(call);
        assert_eq!(
            cluster.post("/jobs", &json!({"argv": ["true"]})).status,
            500
        );
        assert_eq!(cluster.state(), &before);
        cluster.settle();
        assert_eq!(submit(&mut cluster, json!({"argv": ["true"]})), "j1");
    }
}

#[test]
fn a_restart_in_the_middle_neither_repeats_nor_forgets() {
    let mut cluster = cluster();
    let id = submit(
        &mut cluster,
        json!({"argv": ["true"], "count": 300, "retries": 1}),
    );
    let mut first_failed = BTreeSet::new();
    for round in 0.. {
        let live = cluster.live();
        let Some(first) = live.first().cloned() else {
            break;
        };
        cluster.run(&first);
        let code = i32::from(round % 5 == 0 && first_failed.insert(first.clone()));
        cluster.finish(&first, code);
        if round % 3 == 0 {
            cluster.restart();
        }
        if round % 7 == 0 {
            cluster.fault_at_call(round % 9);
        }
        cluster.settle();
    }
    let failed = tasks(&mut cluster, &id)
        .iter()
        .filter(|task| task["state"] == "failed")
        .count();
    assert_eq!(
        cluster.get(&format!("/jobs/{id}")).json()["counts"]["finished"]
            .as_u64()
            .unwrap() as usize
            + failed,
        300
    );
    let ids: BTreeSet<&str> = cluster
        .history()
        .iter()
        .map(|task| task.id.as_str())
        .collect();
    assert_eq!(ids.len(), cluster.history().len(), "no id twice");
}

#[test]
fn an_agent_that_is_gone_has_its_tasks_elsewhere() {
    let mut cluster = cluster();
    let id = submit(&mut cluster, json!({"argv": ["true"], "count": 4}));
    let agent = cluster.task("j1.0.1").status.agent;
    cluster.run("j1.0.1");
    cluster.add_agent(Resources::new(1_000, GIB));
    cluster.lose_agent(agent);
    cluster.settle();
    check(&mut cluster, &id, "running", [0, 4, 0, 0, 0, 0]);
    cluster.run_to_end(|_| 0);
    check(&mut cluster, &id, "finished", [0, 0, 0, 4, 0, 0]);
    assert_eq!(cluster.history().len(), 8);
}

#[test]
fn a_task_of_a_drained_agent_is_run_elsewhere_without_counting_as_a_failure() {
    let mut cluster = cluster();
    let id = submit(&mut cluster, json!({"argv": ["true"], "retries": 0}));
    cluster.run("j1.0.1");
    cluster.drain("j1.0.1");
    cluster.run_to_end(|_| 0);
    check(&mut cluster, &id, "finished", [0, 0, 0, 1, 0, 0]);
    assert_eq!(cluster.history().len(), 2);
}

#[test]
fn a_preempted_task_is_run_again_however_often_without_counting_as_a_failure() {
    let mut cluster = cluster();
    let id = submit(
        &mut cluster,
        json!({"argv": ["true"], "retries": 0, "preemptible": true}),
    );
    for attempt in 1..=300 {
        let task = format!("j1.0.{attempt}");
        cluster.run(&task);
        cluster.preempt(&task);
        if attempt % 100 == 0 {
            cluster.restart();
        }
        cluster.settle();
    }
    let last = &tasks(&mut cluster, &id)[0];
    assert_eq!(
        (&last["attempt"], &last["reason"]),
        (&json!(301), &json!("preempted")),
        "{last}"
    );
    cluster.run_to_end(|_| 0);
    check(&mut cluster, &id, "finished", [0, 0, 0, 1, 0, 0]);
    assert_eq!(cluster.history().len(), 301);
}

#[test]
fn a_cancelled_job_does_not_run_a_preempted_task_again() {
    let mut cluster = cluster();
    let id = submit(&mut cluster, json!({"argv": ["true"], "preemptible": true}));
    cluster.run("j1.0.1");
    cluster.delete(&format!("/jobs/{id}"));
    cluster.preempt("j1.0.1");
    cluster.settle();
    check(&mut cluster, &id, "cancelled", [0, 0, 0, 0, 0, 1]);
}

#[test]
fn an_index_that_is_lost_twice_is_launched_once_at_a_time() {
    let mut cluster = cluster();
    let id = submit(&mut cluster, json!({"argv": ["true"], "count": 2}));
    cluster.lose("j1.0.1");
    cluster.settle();
    cluster.lose("j1.0.2");
    cluster.lose("j1.1.1");
    cluster.run_to_end(|_| 0);
    check(&mut cluster, &id, "finished", [0, 0, 0, 2, 0, 0]);
    assert_eq!(cluster.history().len(), 5);
}

#[test]
fn damaged_state_is_named_and_not_run_over() {
    for (key, value, expected) in [
        ("job/0000000000000001", &b"{"[..], "job/0000000000000001"),
        (
            "page/0000000000000001/000000",
            &[1, 2, 3],
            "page/0000000000000001/000000",
        ),
        ("page/0000000000000009/000000", &[1], "of no job"),
    ] {
        let mut cluster = cluster();
        submit(&mut cluster, json!({"argv": ["true"]}));
        cluster.restart();
        cluster.damage_state(key, value);
        let error = cluster.start().unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

/// What may happen between two turns.
#[derive(Debug, Clone)]
enum Step {
    Submit {
        count: u8,
        retries: u8,
        parallel: u8,
    },
    Run(usize),
    Finish(usize, bool),
    FailToStart(usize),
    Lose(usize),
    Kill(usize),
    LoseAgent,
    Silence,
    Wake,
    Restart,
    Fault(u64),
    Cancel(u64),
    Turn,
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1..30u8, 0..3u8, 0..6u8).prop_map(|(count, retries, parallel)| Step::Submit { count, retries, parallel }),
        4 => any::<usize>().prop_map(Step::Run),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(nth, good)| Step::Finish(nth, good)),
        1 => any::<usize>().prop_map(Step::FailToStart),
        2 => any::<usize>().prop_map(Step::Lose),
        1 => any::<usize>().prop_map(Step::Kill),
        1 => Just(Step::LoseAgent),
        1 => Just(Step::Silence),
        1 => Just(Step::Wake),
        2 => Just(Step::Restart),
        3 => (0..40u64).prop_map(Step::Fault),
        1 => (1..6u64).prop_map(Step::Cancel),
        4 => Just(Step::Turn),
        6 => Just(Step::Settle),
    ]
}

/// A cluster that is being disturbed, and what the agents know of how each index ended.
struct Storm {
    cluster: Cluster<Batch>,
    agents: Vec<AgentId>,
    silent: Option<AgentId>,
    /// Faults since the cluster was last seen to start: a master would quarantine it after too many.
    faults: usize,
}

/// Faults that may strike without a clean start between them.
const FAULTS_MAX: usize = 3;

impl Storm {
    fn fault_at_call(&mut self, call: u64) {
        if self.faults == FAULTS_MAX {
            self.cluster.calm();
            self.cluster.restart();
            self.cluster.settle();
            self.faults = 0;
        }
        self.faults += 1;
        self.cluster.fault_at_call(call);
    }

    fn nth_reachable(&self, nth: usize) -> Option<TaskId> {
        let live = self.cluster.live();
        let reachable = |id: &&TaskId| Some(self.cluster.task(id).status.agent) != self.silent;
        let ids: Vec<&TaskId> = live.iter().filter(reachable).collect();
        ids.get(nth.checked_rem(ids.len())?).map(|id| (*id).clone())
    }

    fn take(&mut self, step: &Step) {
        let task = match step {
            Step::Run(nth)
            | Step::Finish(nth, _)
            | Step::FailToStart(nth)
            | Step::Lose(nth)
            | Step::Kill(nth) => {
                let Some(task) = self.nth_reachable(*nth) else {
                    return;
                };
                task
            }
            _ => String::new(),
        };
        let cluster = &mut self.cluster;
        match step {
            Step::Submit {
                count,
                retries,
                parallel,
            } => {
                let mut body = json!({"argv": ["true"], "count": count, "retries": retries});
                if *parallel > 0 {
                    body["parallel_max"] = json!(parallel);
                }
                cluster.post("/jobs", &body);
            }
            Step::Run(_) => cluster.run(&task),
            Step::Finish(_, good) => cluster.finish(&task, i32::from(!good)),
            Step::FailToStart(_) => cluster.fail_to_start(&task),
            Step::Lose(_) => cluster.lose(&task),
            Step::Kill(_) => cluster.kill(&task),
            Step::LoseAgent => {
                let agent = self.agents.remove(0);
                self.silent = self.silent.filter(|silent| *silent != agent);
                cluster.lose_agent(agent);
                self.agents
                    .push(cluster.add_agent(Resources::new(700, GIB)));
            }
            Step::Silence => {
                if self.silent.is_none() {
                    self.silent = self.agents.last().copied();
                    self.agents
                        .last()
                        .into_iter()
                        .for_each(|agent| cluster.silence_agent(*agent));
                }
            }
            Step::Wake => self
                .silent
                .take()
                .into_iter()
                .for_each(|agent| cluster.wake_agent(agent)),
            Step::Restart => cluster.restart(),
            Step::Fault(call) => self.fault_at_call(*call),
            Step::Cancel(job) => drop(cluster.delete(&format!("/jobs/j{job}"))),
            Step::Turn => drop(cluster.turn()),
            Step::Settle => cluster.settle(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever happens, once the weather is fine again every job ends, each of its indexes exactly once, with as many
    /// attempts as it may have, and nothing is left over.
    #[test]
    fn every_index_ends_exactly_once(steps in prop::collection::vec(step(), 1..120)) {
        let mut cluster = Cluster::<Batch>::new();
        let agents = vec![cluster.add_agent(Resources::new(700, GIB)), cluster.add_agent(Resources::new(700, GIB))];
        let mut storm = Storm { cluster, agents, silent: None, faults: 0 };
        storm.cluster.settle();
        for step in &steps {
            storm.take(step);
        }
        storm.take(&Step::Wake);
        let mut cluster = storm.cluster;
        cluster.calm();
        cluster.run_to_end(|_| 0);

        let mut launches: BTreeMap<(u64, u32), Vec<u32>> = BTreeMap::new();
        for task in cluster.history() {
            let (job, index, attempt) = crate::job::parse_task_id(&task.id).unwrap();
            launches.entry((job, index)).or_default().push(attempt);
        }
        for ((job, index), attempts) in &launches {
            let in_order: Vec<u32> = (1..=attempts.len() as u32).collect();
            prop_assert_eq!(attempts, &in_order, "j{}.{}: each attempt is launched once", job, index);
        }
        let jobs = cluster.get("/jobs").json();
        for job in jobs["jobs"].as_array().unwrap() {
            let id = job["id"].as_str().unwrap();
            prop_assert!(!job["ended_ms"].is_null(), "{} has not ended: {}", id, job);
            let sum = ["finished", "failed", "cancelled"].map(|name| job["counts"][name].as_u64().unwrap()).iter().sum::<u64>();
            prop_assert_eq!(sum, job["count"].as_u64().unwrap());
            for task in tasks(&mut cluster, id) {
                let attempts = launches.get(&(id[1..].parse().unwrap(), task["index"].as_u64().unwrap() as u32));
                prop_assert_eq!(task["attempt"].as_u64().unwrap() as usize, attempts.map_or(0, Vec::len));
                prop_assert!(attempts.map_or(0, Vec::len) <= 3 + usize::from(LOST_MAX));
            }
        }
        prop_assert!(cluster.demands().is_empty());
        prop_assert!(cluster.tasks().next().is_none());
    }
}
