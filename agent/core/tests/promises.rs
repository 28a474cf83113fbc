//! What an agent promises while masters, connections and it itself come and go: each status is said until
//! it is acknowledged, launches keep their order, and what has begun is not begun again.

mod support;

use mezzo_agent_core::{Agent, Ending, Event, Exit, Found, Trace};
use mezzo_types::{Instant, Reason, Run, Runtime, Term};
use support::{Play, kill, launch, words};

fn running(run: u64) -> Play {
    let mut play = Play::new();
    play.step(Event::Launch(Term(1), vec![launch(run, vec![])]));
    assert_eq!(play.step(Event::Started(Run(run))), ["say 1 2 running"]);
    play
}

fn ends(run: u64) -> Event {
    Event::Ended(Run(run), Ending::Exit(Exit::Code(0)))
}

#[test]
fn acknowledgements_that_come_twice_late_or_out_of_the_blue_change_nothing() {
    let mut play = running(1);
    assert_eq!(play.step(Event::Acknowledged(Run(7), 4)), [""; 0]);
    assert_eq!(play.step(Event::Acknowledged(Run(1), 2)), [""; 0]);
    assert_eq!(play.step(ends(1)), ["say 1 4 finished exited"]);
    assert_eq!(play.step(Event::Acknowledged(Run(1), 2)), [""; 0], "again");
    assert_eq!(play.wait(1_000), ["say 1 4 finished exited"]);
    assert_eq!(play.step(Event::Acknowledged(Run(1), 4)), ["forget 1"]);
    assert_eq!(play.step(Event::Acknowledged(Run(1), 4)), [""; 0], "again");
}

#[test]
fn what_was_never_said_cannot_be_acknowledged() {
    let mut play = running(1);
    assert_eq!(play.step(Event::Acknowledged(Run(1), 4)), [""; 0]);
    assert_eq!(play.step(ends(1)), ["say 1 4 finished exited"]);
    assert_eq!(play.wait(1_000), ["say 1 4 finished exited"]);
}

#[test]
fn only_the_newest_status_is_said_again() {
    let mut play = running(1);
    assert_eq!(play.wait(500), [""; 0]);
    assert_eq!(play.step(ends(1)), ["say 1 4 finished exited"]);
    assert_eq!(play.wait(999), [""; 0]);
    assert_eq!(play.wait(1), ["say 1 4 finished exited"]);
}

#[test]
fn a_task_that_stops_does_not_run_again() {
    let mut play = running(1);
    let stopping = play.step(Event::Kill(Term(1), Run(1), kill(5_000)));
    assert_eq!(stopping, ["keep-kill 1", "terminate 1", "say 1 3 stopping"]);
    assert_eq!(play.step(Event::Started(Run(1))), [""; 0]);
    assert_eq!(play.step(ends(1)), ["say 1 4 killed kill-requested"]);
    assert_eq!(play.step(Event::Started(Run(1))), [""; 0]);
    assert_eq!(play.step(ends(1)), [""; 0]);
}

#[test]
fn launches_keep_their_order_and_are_all_kept_before_the_first_is_started() {
    let mut play = Play::new();
    let three = vec![launch(3, vec![]), launch(1, vec![]), launch(2, vec![])];
    assert_eq!(
        play.step(Event::Launch(Term(1), three)),
        [
            "keep 3", "keep 1", "keep 2", "start 3", "start 1", "start 2"
        ]
    );
}

#[test]
fn one_of_a_group_that_cannot_be_started_is_said_beside_those_that_are() {
    let mut play = Play::new();
    play.step(Event::Launch(Term(1), vec![launch(1, vec![80])]));
    let group = vec![launch(2, vec![]), launch(3, vec![80])];
    assert_eq!(
        play.step(Event::Launch(Term(1), group)),
        ["keep 2", "keep 3", "start 2", "say 3 4 failed port-taken"]
    );
    // So the master asks for the other's end, which may come before its start.
    let killed = play.step(Event::Kill(Term(1), Run(2), kill(100)));
    assert_eq!(killed, ["keep-kill 2"]);
    let why = Ending::Failed(Reason::KilledBeforeStart, "sealed".into());
    assert_eq!(
        play.step(Event::Ended(Run(2), why)),
        ["say 2 4 killed killed-before-start"]
    );
}

#[test]
fn a_new_master_is_told_what_is_unsaid_and_is_obeyed_and_the_old_one_no_more() {
    let mut play = running(1);
    play.step(Event::Acknowledged(Run(1), 2));
    play.step(Event::Launch(Term(1), vec![launch(2, vec![])]));
    play.step(Event::Started(Run(2)));
    play.step(Event::SessionClosed);
    assert_eq!(
        play.step(Event::SessionOpened(Term(2))),
        ["say 2 2 running"],
        "the other is known"
    );
    assert_eq!(play.step(Event::Kill(Term(1), Run(1), kill(1))), [""; 0]);
    let stopping = play.step(Event::Kill(Term(2), Run(1), kill(1)));
    assert_eq!(stopping, ["keep-kill 1", "terminate 1", "say 1 3 stopping"]);
}

#[test]
fn after_a_restart_an_end_is_said_until_it_is_acknowledged_and_the_old_master_stays_old() {
    let found = |run, trace| Found {
        launch: launch(run, vec![]),
        kill: None,
        trace,
    };
    let found = vec![
        found(1, Trace::Ended(Ending::Exit(Exit::Code(3)))),
        found(2, Trace::NotStarted),
        found(3, Trace::Running(10)),
    ];
    let mut out = Vec::new();
    let runtimes = vec![Runtime::Process];
    let agent = Agent::restore(Instant(1_000), Term(5), runtimes, found, &mut out);
    let begun: Vec<String> = out.iter().map(words).collect();
    assert_eq!(begun, ["start 2"], "what had not begun, once");
    let mut play = Play { agent, now: 1_000 };
    let said = play.step(Event::SessionOpened(Term(5)));
    assert_eq!(
        said,
        [
            "say 1 4 failed exited",
            "say 2 1 starting",
            "say 3 2 running"
        ]
    );
    play.step(Event::Acknowledged(Run(2), 1));
    play.step(Event::Acknowledged(Run(3), 2));
    assert_eq!(play.wait(1_000), ["say 1 4 failed exited"]);
    assert_eq!(play.step(Event::Acknowledged(Run(1), 4)), ["forget 1"]);
    let late = play.step(Event::Launch(Term(4), vec![launch(9, vec![])]));
    assert_eq!(late, [""; 0]);
}
