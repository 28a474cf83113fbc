//! The life of a run: scenarios, and random events with what must always hold.

mod support;

use mezzo_agent_core::{Agent, Ending, Event, Exit, Found, Launch, Trace, Volume};
use mezzo_types::{
    Instant, Mount, Reason, ReservationId, Run, Runtime, TaskSpec, TaskState, Term, Workload,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{Play, kill, launch, words};

#[test]
fn from_launch_to_forgetting() {
    let mut play = Play::new();
    assert_eq!(
        play.step(Event::Launch(Term(1), vec![launch(1, vec![])])),
        ["keep 1", "start 1"]
    );
    assert_eq!(play.step(Event::Started(Run(1))), ["say 1 2 running"]);
    assert_eq!(
        play.step(Event::Ended(Run(1), Ending::Exit(Exit::Code(0)))),
        ["say 1 4 finished exited"]
    );
    assert_eq!(play.step(Event::Acknowledged(Run(1), 2)), [""; 0]);
    assert_eq!(play.step(Event::Acknowledged(Run(1), 4)), ["forget 1"]);
    assert_eq!(play.agent.next_deadline(), None);
}

#[test]
fn what_is_not_acknowledged_is_said_again_and_on_a_new_session() {
    let mut play = Play::new();
    play.step(Event::Launch(Term(1), vec![launch(1, vec![])]));
    play.step(Event::Started(Run(1)));
    assert_eq!(play.wait(999), [""; 0]);
    assert_eq!(play.wait(1), ["say 1 2 running"]);
    assert_eq!(play.wait(1_999), [""; 0]);
    assert_eq!(play.wait(1), ["say 1 2 running"]);
    play.step(Event::SessionClosed);
    assert_eq!(play.wait(100_000), [""; 0], "nobody listens");
    assert_eq!(
        play.step(Event::SessionOpened(Term(2))),
        ["say 1 2 running"]
    );
}

#[test]
fn a_launch_that_comes_again_is_answered_with_what_there_is() {
    let mut play = Play::new();
    play.step(Event::Launch(Term(1), vec![launch(1, vec![])]));
    play.step(Event::Started(Run(1)));
    assert_eq!(
        play.step(Event::Launch(Term(1), vec![launch(1, vec![])])),
        ["say 1 2 running"]
    );
}

#[test]
fn a_kill_before_the_launch_leaves_a_tombstone() {
    let mut play = Play::new();
    assert_eq!(
        play.step(Event::Kill(Term(1), Run(1), kill(100))),
        ["unknown 1"]
    );
    assert_eq!(
        play.step(Event::Launch(Term(1), vec![launch(1, vec![])])),
        ["unknown 1"]
    );
}

#[test]
fn grace_can_be_shortened_and_exit_0_after_a_kill_is_killed() {
    let mut play = Play::new();
    play.step(Event::Launch(Term(1), vec![launch(1, vec![])]));
    play.step(Event::Started(Run(1)));
    let first = play.step(Event::Kill(Term(1), Run(1), kill(10_000)));
    assert_eq!(first, ["keep-kill 1", "terminate 1", "say 1 3 stopping"]);
    assert_eq!(
        play.step(Event::Kill(Term(1), Run(1), kill(20_000))),
        [""; 0]
    );
    assert_eq!(
        play.step(Event::Kill(Term(1), Run(1), kill(100))),
        ["keep-kill 1"]
    );
    assert_eq!(play.wait(100), ["destroy 1"]);
    assert_eq!(play.wait(999), ["say 1 3 stopping"]);
    assert_eq!(play.wait(1), ["destroy 1"], "until it has ended");
    let ended = play.step(Event::Ended(Run(1), Ending::Exit(Exit::Code(0))));
    assert_eq!(ended, ["say 1 4 killed kill-requested"]);
}

#[test]
fn a_kill_while_it_starts_waits_for_the_start() {
    let mut play = Play::new();
    play.step(Event::Launch(Term(1), vec![launch(1, vec![])]));
    assert_eq!(
        play.step(Event::Kill(Term(1), Run(1), kill(100))),
        ["keep-kill 1"]
    );
    let started = play.step(Event::Started(Run(1)));
    assert_eq!(
        started,
        ["say 1 2 running", "terminate 1", "say 1 3 stopping"]
    );
}

#[test]
fn it_may_run_only_so_long() {
    let mut play = Play::new();
    let mut long = launch(1, vec![]);
    Arc::make_mut(&mut long.spec).runtime_max_ms = Some(5_000);
    play.step(Event::Launch(Term(1), vec![long]));
    play.step(Event::Started(Run(1)));
    play.step(Event::Acknowledged(Run(1), 2));
    assert_eq!(play.wait(4_999), [""; 0]);
    assert_eq!(
        play.wait(1),
        ["keep-kill 1", "terminate 1", "say 1 3 stopping"]
    );
    let ended = play.step(Event::Ended(Run(1), Ending::Exit(Exit::Signal(15))));
    assert_eq!(ended, ["say 1 4 failed runtime-max"]);
}

#[test]
fn ports_and_kinds_are_checked_here_too() {
    let mut play = Play::new();
    play.step(Event::Launch(Term(1), vec![launch(1, vec![80])]));
    assert_eq!(
        play.step(Event::Launch(Term(1), vec![launch(2, vec![80])])),
        ["keep 2", "say 2 4 failed port-taken"]
    );
    let mut module = launch(3, vec![]);
    Arc::make_mut(&mut module.spec).workload = Workload::Container {
        image: "x".into(),
        argv: vec![],
    };
    assert_eq!(
        play.step(Event::Launch(Term(1), vec![module])),
        ["keep 3", "say 3 4 failed unsupported"]
    );
}

#[test]
fn a_shorter_grace_that_comes_late_does_not_lengthen_the_wait() {
    let mut play = Play::new();
    play.step(Event::Launch(Term(1), vec![launch(1, vec![])]));
    play.step(Event::Started(Run(1)));
    play.step(Event::Kill(Term(1), Run(1), kill(30_000)));
    play.wait(25_000);
    play.step(Event::Kill(Term(1), Run(1), kill(20_000)));
    assert!(play.wait(5_000).contains(&"destroy 1".to_string()));
}

#[test]
fn a_master_of_the_past_is_not_obeyed() {
    let mut play = Play::new();
    play.step(Event::SessionOpened(Term(5)));
    assert_eq!(
        play.step(Event::Launch(Term(4), vec![launch(1, vec![])])),
        [""; 0]
    );
    assert_eq!(play.step(Event::Kill(Term(4), Run(1), kill(1))), [""; 0]);
}

#[test]
fn a_restart_goes_on_where_the_files_end() {
    let found = |run, trace, kill| Found {
        launch: launch(run, vec![]),
        kill,
        trace,
    };
    let mut out = Vec::new();
    let found = vec![
        found(1, Trace::NotStarted, None),
        found(2, Trace::Running(10), None),
        found(3, Trace::Ended(Ending::Exit(Exit::Code(3))), None),
        found(
            4,
            Trace::Ended(Ending::Failed(Reason::KilledBeforeStart, "sealed".into())),
            Some(kill(1)),
        ),
        found(5, Trace::Running(10), Some(kill(100))),
    ];
    let agent = Agent::restore(Instant(0), Term(1), vec![Runtime::Process], found, &mut out);
    assert_eq!(
        out.iter().map(words).collect::<Vec<_>>(),
        ["start 1", "terminate 5"]
    );
    let states: Vec<TaskState> = agent.runs().map(|(_, _, status)| status.state).collect();
    use TaskState::{Failed, Killed, Running, Starting, Stopping};
    assert_eq!(states, [Starting, Running, Failed, Killed, Stopping]);
}

#[derive(Clone, Debug)]
enum Chance {
    Event(u8, u64, u64),
    Wait(u64),
}

fn volume(name: &str) -> Volume {
    Volume {
        reservation: ReservationId(7),
        name: name.into(),
    }
}

/// On reservation 7, with its volumes.
fn mounting(run: u64, volumes: &[&str]) -> Launch {
    let mut launch = launch(run, vec![]);
    let mounts = volumes.iter().map(|volume| Mount {
        volume: (*volume).into(),
        path: (*volume).into(),
    });
    let mut spec = TaskSpec::clone(&launch.spec);
    spec.mounts = mounts.collect();
    launch.spec = Arc::new(spec);
    launch.reservation = Some(ReservationId(7));
    launch
}

#[test]
fn a_volume_is_destroyed_only_when_no_run_has_it_mounted() {
    let mut play = Play::new();
    let create = |name| Event::CreateVolume(Term(1), volume(name));
    let destroy = |name| Event::DestroyVolume(Term(1), volume(name));
    assert_eq!(play.step(create("a")), ["create 7/a"]);
    assert_eq!(play.step(create("a")), ["create 7/a"], "said again");
    assert_eq!(
        play.step(Event::Launch(
            Term(1),
            vec![mounting(1, &["a", "b"]), mounting(2, &["a"])]
        )),
        ["keep 1", "keep 2", "start 1", "start 2"]
    );
    assert_eq!(play.step(destroy("a")), [""; 0]);
    assert_eq!(play.step(destroy("c")), ["destroy 7/c"]);
    let mut other = volume("a");
    other.reservation = ReservationId(8);
    assert_eq!(
        play.step(Event::DestroyVolume(Term(1), other)),
        ["destroy 8/a"],
        "that of another reservation"
    );
    play.step(Event::Started(Run(1)));
    play.step(Event::Started(Run(2)));
    let end = |run| Event::Ended(Run(run), Ending::Exit(Exit::Code(0)));
    assert_eq!(play.step(end(1)), ["say 1 4 finished exited"]);
    assert_eq!(
        play.step(end(2)),
        ["say 2 4 finished exited", "destroy 7/a"],
        "the last one has ended"
    );
    assert_eq!(play.step(destroy("b")), ["destroy 7/b"]);
    // A master that no longer leads destroys nothing.
    play.step(Event::SessionOpened(Term(2)));
    assert_eq!(play.step(destroy("a")), [""; 0]);
    assert_eq!(play.step(create("a")), [""; 0]);
}

#[test]
fn what_mounts_without_a_reservation_fails() {
    let mut play = Play::new();
    let mut launch = mounting(1, &["a"]);
    launch.reservation = None;
    assert_eq!(
        play.step(Event::Launch(Term(1), vec![launch])),
        ["keep 1", "say 1 4 failed volume-failed"]
    );
}

proptest! {
    #[test]
    fn a_run_is_started_once_and_its_end_is_final(
        chances in proptest::collection::vec(
            prop_oneof![
                5 => (0..7_u8, 0..6_u64, 0..5_u64).prop_map(|(what, run, n)| Chance::Event(what, run, n)),
                1 => (0..5_000_u64).prop_map(Chance::Wait),
            ], 0..200,
        ),
    ) {
        let mut play = Play::new();
        let mut started: BTreeMap<u64, u32> = BTreeMap::new();
        let mut ended: BTreeMap<u64, String> = BTreeMap::new();
        let mut asked: std::collections::BTreeSet<u64> = Default::default();
        for chance in chances {
            let actions = match chance {
                Chance::Wait(ms) => play.wait(ms),
                Chance::Event(what, run, n) => {
                    let begun = started.contains_key(&run);
                    let event = match what {
                        // A master launches a run once, and may send it again until it is forgotten.
                        0 | 1 if asked.insert(run) || play.agent.launch_of(Run(run)).is_some() => {
                            Event::Launch(Term(1), vec![launch(run, vec![])])
                        }
                        2 => Event::Kill(Term(1), Run(run), kill(n * 100)),
                        3 if begun => Event::Started(Run(run)),
                        4 if begun => Event::Ended(Run(run), Ending::Exit(Exit::Code(n as i32))),
                        5 => Event::Acknowledged(Run(run), n),
                        6 if n == 0 => Event::SessionClosed,
                        6 => Event::SessionOpened(Term(1)),
                        _ => continue,
                    };
                    play.step(event)
                }
            };
            for action in actions {
                let words: Vec<&str> = action.split(' ').collect();
                match words[..] {
                    ["start", run] => {
                        let times = started.entry(run.parse().expect("a number")).or_default();
                        *times += 1;
                        prop_assert_eq!(*times, 1, "run {} is started again", run);
                    }
                    ["say", run, "4", ..] => {
                        let run = run.parse().expect("a number");
                        let first = ended.entry(run).or_insert_with(|| action.clone());
                        prop_assert_eq!(&*first, &action, "an end changes");
                    }
                    ["say", run, ..] => prop_assert!(!ended.contains_key(&run.parse().expect("a number")), "{}", action),
                    _ => {}
                }
            }
        }
    }
}
