//! A role's limit holds, is explained, and outlives a killed master.

use crate::cluster::Cluster;
use serde_json::json;

fn run(cluster: &Cluster, args: &[&str]) -> (Option<i32>, String) {
    let output = cluster.mezzo(args).output().expect("mezzo");
    let all = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&all).into_owned(),
    )
}

fn running(cluster: &Cluster, job: &str) -> u64 {
    cluster.job(job)["counts"]["running"].as_u64().unwrap_or(0)
}

#[test]
fn a_limit_is_never_exceeded_and_says_so() {
    let mut cluster = Cluster::start(1, "");
    let (code, said) = run(&cluster, &["role", "set", "batch", "--limit", "cpu=2"]);
    assert_eq!(code, Some(0), "{said}");
    let job = cluster.submit(&json!({"argv": ["sleep", "1000"], "count": 5, "cpu_milli": 500}));
    cluster.wait_for("four run", |c| running(c, &job) == 4);
    cluster.wait_for("why the fifth waits", |c| {
        run(c, &["explain", "batch"])
            .1
            .contains("limit of role `batch` reached: 2 of 2 cpus")
    });
    cluster.kill_master();
    cluster.start_master();
    cluster.wait_for("the four again", |c| running(c, &job) == 4);

    let (code, said) = run(&cluster, &["role", "set", "batch", "--limit", "cpu=1"]);
    assert_eq!(code, Some(1), "below what it uses: {said}");
    let args = [
        "role",
        "set",
        "batch",
        "--limit",
        "cpu=3",
        "--guarantee",
        "cpu=1000",
    ];
    assert_eq!(run(&cluster, &args).0, Some(1), "more than its limit");
    let (code, said) = run(
        &cluster,
        &["role", "set", "batch", "--limit", "cpu=3", "--dry-run"],
    );
    assert_eq!((code, running(&cluster, &job)), (Some(0), 4), "{said}");
    let (code, said) = run(&cluster, &["role", "set", "batch", "--limit", "cpu=3"]);
    assert_eq!(code, Some(0), "{said}");
    cluster.wait_for("all run", |c| running(c, &job) == 5);
    let (_, said) = run(&cluster, &["role", "ls"]);
    assert!(said.contains("3 cpu"), "{said}");
}
