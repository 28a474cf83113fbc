//! What `docs/mesos-behaviours.md` says is so: no promise is missing, and all that it names exists. And
//! those of them that no text scenario can show.

mod harness;

use harness::World;
use mezzo_core::Record;
use mezzo_core::record::{ClusterRecord, GoneRecord};
use mezzo_types::{AgentId, Instant};
use std::path::{Path, PathBuf};

/// Mesos' promises.
const PROMISES: usize = 105;
/// Those that Mesos has nothing like.
const OWN: usize = 9;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cells of the tables' rows, without the heads.
fn rows(page: &str) -> Vec<[String; 3]> {
    let cells = |line: &str| -> Option<[String; 3]> {
        let line = line.strip_prefix('|')?.strip_suffix('|')?;
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().into()).collect();
        cells.try_into().ok()
    };
    let is_row = |cells: &[String; 3]| cells[0] != "n" && cells[0] != "---";
    page.lines().filter_map(cells).filter(is_row).collect()
}

/// What is wrong with the places that a row names: scenarios, and files with the tests in them.
fn wrong(proof: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut file: Option<String> = None;
    let mut places = 0;
    for name in proof.split('`').skip(1).step_by(2) {
        if name.ends_with(".txt") {
            let scenario = root().join("host/core/tests/scenarios").join(name);
            if !scenario.is_file() {
                wrong.push(format!("there is no scenario {name}"));
            }
            places += 1;
        } else if name.ends_with(".rs") {
            file = std::fs::read_to_string(root().join(name)).ok();
            if file.is_none() {
                wrong.push(format!("there is no file {name}"));
            }
        } else if let Some(text) = &file {
            if !text.contains(&format!("fn {name}(")) {
                wrong.push(format!("there is no test {name} in the file before it"));
            }
            places += 1;
        }
    }
    let excused = proof.contains("cannot arise") || proof.contains("waits: ");
    if places == 0 && !excused {
        wrong.push("it is neither proved nor excused".into());
    }
    wrong
}

#[test]
fn no_promise_is_missing_and_each_place_exists() {
    let path = root().join("docs/mesos-behaviours.md");
    let page = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let rows = rows(&page);
    let numbers: Vec<&str> = rows.iter().map(|[n, ..]| n.as_str()).collect();
    let promises = (1..=PROMISES).map(|n| n.to_string());
    let expected: Vec<String> = promises.chain((1..=OWN).map(|n| format!("+{n}"))).collect();
    assert_eq!(numbers, expected);
    let wrong: Vec<String> = rows
        .iter()
        .flat_map(|[n, _, proof]| wrong(proof).into_iter().map(move |it| format!("{n}: {it}")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_wrong_with_a_row_is_found() {
    assert!(wrong("`drf.txt`").is_empty());
    assert_eq!(wrong("`no-such.txt`").len(), 1);
    assert_eq!(wrong("`host/core/no_such.rs`: `test`").len(), 2);
    let own = "`host/core/tests/behaviours.rs`";
    assert!(wrong(&format!("{own}: `what_is_wrong_with_a_row_is_found`")).is_empty());
    assert_eq!(wrong(&format!("{own}: `no_such`")).len(), 1);
    assert_eq!(wrong("somewhere").len(), 1);
    assert!(wrong("waits: better times").is_empty());
}

/// So many identities are remembered as gone.
const GONE_MAX: u64 = 100_000;

#[test]
fn the_oldest_of_the_gone_may_join_again_and_no_other() {
    let mut world = World::new();
    let gone = |n: u64| {
        let gone = GoneRecord {
            identity: format!("old{n}").into(),
            at: Instant(n),
        };
        Record::Gone(AgentId(n), Some(gone))
    };
    world.log.extend((1..=GONE_MAX - 1).map(gone));
    let cluster = ClusterRecord {
        last_agent: AgentId(GONE_MAX),
        ..world.cluster.state().cluster.clone()
    };
    world.log.push(Record::Cluster(cluster));
    world.lead();
    let is_refused = |answer: String| answer.starts_with("refuse (for good)");
    for (name, next) in [("a", "old1"), ("b", "old2")] {
        assert!(is_refused(world.command(&format!("agent {next} cpu=1000"))));
        world.command(&format!("agent {name} cpu=1000"));
        world.command(&format!("declare-gone {name}"));
        assert!(is_refused(world.command(&format!("agent {name} cpu=1000"))));
    }
    // The first was the hundred thousandth, the second had to push one out.
    let joins = |answer: String| answer.starts_with("welcome");
    assert!(joins(world.command("agent old1 cpu=1000")));
    assert!(is_refused(world.command("agent old2 cpu=1000")));
}
