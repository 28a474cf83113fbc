//! `kill -9` and a full disk, for real: what was acknowledged is there afterwards, and nothing else.

use mezzo_registry::suite::{batch, contents, put};
use mezzo_registry::{CommitError, Embedded, EmbeddedLimits, Registry};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

fn open(path: &Path) -> Embedded {
    Embedded::open(path, EmbeddedLimits::default()).expect("it opens")
}

/// The child: commits as fast as it can and says each version once it is durable.
fn commit_for_ever(path: &Path) {
    use std::io::Write;
    let mut registry = open(path);
    let mut version = contents(&mut registry).0;
    let mut out = std::io::stdout();
    loop {
        let value = vec![version as u8; 300];
        let writes = (0..50)
            .map(|i| put(&format!("k/{version:08}/{i}"), &value))
            .collect();
        version = registry
            .commit(version, &[batch(writes)])
            .expect("it commits");
        writeln!(out, "{version}")
            .and_then(|()| out.flush())
            .expect("the parent listens");
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    if let Some(path) = std::env::var_os("MEZZO_TEST_COMMIT_IN") {
        return commit_for_ever(Path::new(&path));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("registry");
    for round in 1..=12_u64 {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args([
                "nothing_acknowledged_is_lost_by_kill_9",
                "--exact",
                "--nocapture",
            ])
            .env("MEZZO_TEST_COMMIT_IN", &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let numbers = lines
            .map_while(Result::ok)
            .filter_map(|line| line.trim().parse::<u64>().ok());
        // A different moment each time: after some commits, while the next is under way.
        let acknowledged = numbers
            .take(3 + (round as usize * 5) % 17)
            .last()
            .expect("it committed");
        child.kill().expect("kill -9");
        child.wait().expect("it is gone");
        let mut registry = open(&path);
        let (version, live) = contents(&mut registry);
        assert!(
            version >= acknowledged,
            "round {round}: {acknowledged} was acknowledged, {version} is there"
        );
        assert_eq!(
            live.len() as u64,
            version * 50,
            "each batch is there as a whole"
        );
    }
}

/// Mounts a small file system; needs root or a user namespace, as every Linux has it by default.
fn in_small_file_system(test: &str) -> bool {
    if std::env::var_os("MEZZO_TEST_MOUNTED").is_some() {
        return true;
    }
    let exe = std::env::current_exe().expect("a path");
    let script = "mkdir -p \"$1\" && mount -t tmpfs -o size=6m none \"$1\" && MEZZO_TEST_MOUNTED=\"$1\" exec \"$2\" \"$3\" --exact --nocapture";
    let folder = tempfile::tempdir().expect("a folder");
    let root = unsafe { libc::geteuid() } == 0;
    let flags: &[&str] = if root { &["-m"] } else { &["-r", "-m"] };
    let status = Command::new("unshare")
        .args(flags)
        .args(["sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(exe)
        .arg(test)
        .status()
        .expect("`unshare` (util-linux) is needed to make a small file system");
    assert!(
        status.success(),
        "in the small file system: {status}; it needs root, or user namespaces switched on"
    );
    false
}

#[test]
fn a_full_disk_refuses_and_then_goes_on() {
    if !in_small_file_system("a_full_disk_refuses_and_then_goes_on") {
        return;
    }
    let folder = std::env::var_os("MEZZO_TEST_MOUNTED").expect("the folder");
    let folder = Path::new(&folder);
    let ballast = folder.join("ballast");
    let mut registry = open(&folder.join("registry"));
    let mut version = registry
        .commit(0, &[batch(vec![put("first", b"1")])])
        .expect("there is room");
    std::fs::write(&ballast, vec![0; 2 << 20]).expect("there is room");
    let mut refused = 0;
    for i in 0..200 {
        match registry.commit(
            version,
            &[batch(vec![put(&format!("{i}"), &vec![1; 100_000])])],
        ) {
            Ok(new) => version = new,
            Err(CommitError::Full(_)) => {
                refused += 1;
                let before = contents(&mut registry);
                assert_eq!(before.0, version, "nothing of a refused batch is there");
                if refused == 3 {
                    break;
                }
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(refused, 3, "the disk was never full");
    let before = contents(&mut registry);
    std::fs::remove_file(&ballast).expect("room is made");
    version = registry
        .commit(version, &[batch(vec![put("after", b"2")])])
        .expect("it goes on by itself");
    let after = contents(&mut registry);
    assert_eq!(after.0, version);
    assert_eq!(after.1.len(), before.1.len() + 1);
    drop(registry);
    assert_eq!(
        contents(&mut open(&folder.join("registry"))),
        after,
        "all of it is there after a restart"
    );
}
