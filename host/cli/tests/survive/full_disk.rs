//! A full disk below the registry: the master stops acknowledging and says so, goes on by itself once
//! there is room, and nothing acknowledged is lost.

use crate::cluster::Cluster;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

/// Set where the test runs again, in a mount namespace of its own: the small file system.
pub const MOUNTED: &str = "MEZZO_TEST_SMALL_DISK";

/// Runs the named test once more on a file system of a few megabytes. False where that was done.
fn on_a_small_disk(test: &str) -> bool {
    if std::env::var_os(MOUNTED).is_some() {
        return true;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!(
        "mount -t tmpfs -o size=24m none \"$1\" && {MOUNTED}=\"$1\" exec \"$2\" \"$3\" --exact --nocapture"
    );
    // SAFETY: asks for a number.
    let root = unsafe { libc::geteuid() } == 0;
    let flags: &[&str] = if root { &["-m"] } else { &["-r", "-m"] };
    let status = Command::new("unshare")
        .args(flags)
        .args(["sh", "-c", &script, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().expect("a path"))
        .arg(test)
        .status()
        .expect("`unshare` (util-linux) is needed to make a small file system");
    assert!(
        status.success(),
        "in the small file system: {status}; it needs root, or user namespaces switched on"
    );
    false
}

/// Writes until there is no room.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).expect("a file");
    let mut piece = 1 << 20;
    while piece > 0 {
        if file.write_all(&vec![1; piece]).is_err() {
            piece /= 4;
        }
    }
}

#[test]
fn a_full_disk_is_waited_out_and_nothing_acknowledged_is_lost() {
    if !on_a_small_disk("full_disk::a_full_disk_is_waited_out_and_nothing_acknowledged_is_lost") {
        return;
    }
    let mut cluster = Cluster::start(0, "");
    let ready = |c: &Cluster| {
        let answer = c.ask("GET", "/readyz", b"");
        answer.map(|(status, body)| (status, String::from_utf8_lossy(&body).into_owned()))
    };
    let filler = cluster.data().with_file_name("filler");
    fill(&filler);
    let job = json!({"argv": ["true"], "env": {"X": "x".repeat(60 << 10)}}).to_string();
    let (acknowledged, tell) = mpsc::channel();
    std::thread::scope(|scope| {
        let shared = &cluster;
        scope.spawn(move || {
            // As long as there is room in the registry's file it goes on; then one of them waits.
            for _ in 0..60 {
                if let Some((201, body)) = shared.ask("POST", "/fw/batch/jobs", job.as_bytes()) {
                    let body: serde_json::Value = serde_json::from_slice(&body).expect("a job");
                    let id = body["id"].as_str().expect("an id").to_string();
                    acknowledged.send(id).expect("a listener");
                }
            }
        });
        shared.wait_for("the master says that there is no space", |c| {
            ready(c).is_some_and(|(status, words)| status == 503 && words.contains("space"))
        });
        // People can still look.
        assert!(shared.get("/api/v1/status")["registry"]["state"] == "full");
        std::fs::remove_file(&filler).expect("removed");
        shared.wait_for("the master goes on by itself", |c| {
            ready(c).is_some_and(|(status, _)| status == 200)
        });
    });
    let ids: Vec<String> = tell.iter().collect();
    assert!(!ids.is_empty());
    cluster.kill_master();
    cluster.start_master();
    for id in &ids {
        cluster.wait_for("an acknowledged job is there", |c| c.job(id)["id"] == **id);
        cluster.ask("DELETE", &format!("/fw/batch/jobs/{id}"), b"");
    }
}
