//! Every agent is counted once for every demand, whatever the cluster looks like, and every task that
//! waits is listed or counted.

mod harness;

use harness::World;
use mezzo_core::explain::{DemandExplanation, PENDING_SHOWN_MAX};
use mezzo_core::fit::Conditions;
use mezzo_core::ledger::Ledger;
use mezzo_core::turn::Task;
use mezzo_core::{Action, Cluster, ClusterLimits, Event, FrameworkLimits};
use mezzo_types::{
    AgentFacts, AgentId, Attribute, AttributeValue, BatchId, Comparison, Condition, Demand,
    Instant, PortSet, RequestId, Resources, Runtime, SessionId, TaskState,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What a turn launches in a line, if it is offered something.
const LAUNCH: &str = "launch TASK cpu=500 on AGENT;";

/// Commands of the harness.
fn line() -> impl Strategy<Value = String> {
    let agent = (0..8_u8, 1..4_u8, 0..3_u8, 0..3_u8).prop_map(|(n, cpu, rack, gpus)| {
        let rack = ["", "rack=r1", "rack=r2"][usize::from(rack)];
        let ports = ["", "ports=80-82"][usize::from(gpus % 2)];
        format!("agent a{n} cpu={cpu}000 gpus={gpus} {rack} {ports}")
    });
    let demand = || {
        (0..4_u8, 0..3_u8, 0..3_u8, 0..3_u8).prop_map(|(cpu, gpus, rack, port)| {
            let rack = ["", "rack=r1", "rack=r3"][usize::from(rack)];
            let port = ["", "port=80", "port=99"][usize::from(port)];
            format!("cpu={cpu}500 gpus={gpus} count=2 {rack} {port}")
        })
    };
    let end = (0..2_u8, demand(), demand(), any::<bool>()).prop_map(|(f, x, y, launch)| {
        let launch = if launch { LAUNCH } else { "" };
        format!("end f{f} {launch} want x {x} and y {y}")
    });
    let about = |command: &'static str| (0..8_u8).prop_map(move |n| format!("{command} a{n}"));
    prop_oneof![
        4 => agent,
        6 => end,
        1 => about("disconnect"),
        1 => about("reconnect"),
        1 => about("drain"),
        1 => about("deactivate"),
        1 => about("activate"),
        1 => (1..3_000_u32).prop_map(|ms| format!("advance {ms}")),
        1 => (1..9_u32).prop_map(|cpu| format!("role r limit={cpu}000")),
    ]
}

/// A cluster that is played at random.
struct Play {
    world: World,
    /// Agents without a session.
    away: BTreeSet<String>,
}

impl Play {
    fn new() -> Play {
        let mut world = World::new();
        for f in ["f0", "f1"] {
            world.command(&format!("install {f} role=r"));
        }
        Play {
            world,
            away: BTreeSet::new(),
        }
    }

    /// Plays a line if it makes sense now; what is launched goes to the first agent that is offered.
    fn play(&mut self, line: &str, number: usize) {
        let mut words = line.split_whitespace();
        let (command, name) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let known = self.world.agents.contains_key(name);
        let makes_sense = match command {
            "agent" => !known,
            "disconnect" => known && self.away.insert(name.into()),
            "reconnect" => known && self.away.remove(name),
            "drain" | "deactivate" | "activate" => known,
            "end" => self.world.turns.contains_key(name),
            _ => true,
        };
        if !makes_sense {
            return;
        }
        let offered = self
            .world
            .turns
            .get(name)
            .and_then(|turn| turn.offers.first());
        let agent = offered.and_then(|offer| {
            let mut agents = self.world.agents.iter();
            agents.find(|(_, (_, id))| *id == offer.agent)
        });
        let line = match agent {
            Some((agent, _)) => line.replace("AGENT", agent),
            None => line.replace(LAUNCH, ""),
        };
        self.world
            .command(&line.replace("TASK", &format!("t{number}")));
    }

    /// On how many agents a demand fits, but for what turns hold and the framework has left.
    fn fits(&self, demand: &Demand) -> u64 {
        let conditions = Conditions::compile(&demand.conditions).expect("good ones");
        let fits = |(name, (_, id)): &(&String, &(SessionId, AgentId))| {
            let agent = &self.world.cluster.state().agents[id];
            let facts = &agent.record.info.facts;
            let mut free = facts.total.clone();
            free.take(&agent.used);
            let has =
                |port: &u16| facts.port_set.contains(*port) && !agent.ports_used.contains(*port);
            !self.away.contains(*name)
                && agent.record.leaving.is_none()
                && free.contains(&demand.each)
                && conditions.hold(facts)
                && demand.fixed_ports.iter().all(has)
        };
        self.world.agents.iter().filter(fits).count() as u64
    }

    fn check_demand(&self, demand: &DemandExplanation) {
        let agents = self.world.cluster.state().agents.len() as u64;
        let of = |which: &dyn Fn(&str) -> bool| -> u64 {
            let reasons = demand.reasons.iter();
            reasons.filter(|r| which(&r.reason)).map(|r| r.agents).sum()
        };
        assert_eq!(demand.agents_fit + of(&|_| true), agents, "{demand:#?}");
        assert_eq!(demand.agents, agents);
        for reason in &demand.reasons {
            assert!(
                reason.agents > 0 && !reason.remedy.is_empty(),
                "{reason:#?}"
            );
        }
        assert!(!demand.hint.is_empty());
        assert_eq!(
            demand.agents_fit + of(&|reason| reason.contains("offered")),
            self.fits(&demand.demand),
            "{demand:#?}"
        );
    }

    /// Checks the answers for all frameworks.
    fn check(&self) {
        for (id, framework) in &self.world.cluster.state().frameworks {
            let explanation = self.world.cluster.explain(*id, None).expect("it is there");
            assert_eq!(explanation.demands.len(), framework.demands.len());
            for demand in &explanation.demands {
                self.check_demand(demand);
                let one = self.world.cluster.explain(*id, Some(&demand.demand.name));
                assert_eq!(one.expect("it is there").demands[0], *demand);
            }
            let waits = |task: &&Arc<Task>| {
                matches!(
                    task.status.state,
                    TaskState::Pending | TaskState::Unreachable
                )
            };
            let waiting = framework.tasks.values().filter(waits).count();
            let shown = explanation.pending.len();
            assert_eq!(shown as u64 + explanation.pending_more, waiting as u64);
            assert_eq!(shown, waiting.min(PENDING_SHOWN_MAX));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn counts_add_up(lines in proptest::collection::vec(line(), 0..60)) {
        let mut play = Play::new();
        for (number, line) in lines.iter().enumerate() {
            play.play(line, number);
            play.check();
        }
    }
}

#[test]
fn tasks_that_wait_are_listed_up_to_a_number() {
    let mut play = Play::new();
    play.world.command("agent a cpu=200000");
    play.world.command("end f1");
    play.world.command("end f0 want d cpu=1000 count=101");
    let tasks: String = (0..101).map(|n| format!("t{n} ")).collect();
    play.world
        .command(&format!("end f0 launch {tasks} cpu=1000 on a for d"));
    play.check();
    let id = play.world.cluster.state().names["f0"];
    let explanation = play.world.cluster.explain(id, None).expect("it is there");
    assert_eq!(
        (explanation.pending.len(), explanation.pending_more),
        (100, 1)
    );
}

/// Some agents of a large cluster: 200 racks, of seven sizes.
fn facts(n: u64) -> AgentFacts {
    let text = |name: &str, value: String| Attribute {
        name: name.into(),
        value: AttributeValue::Text(value),
    };
    let number = Attribute {
        name: "ghz".into(),
        value: AttributeValue::NumberMilli(2_000 + n as i64 % 20 * 100),
    };
    let port_set = PortSet::range(31_000, 32_000);
    AgentFacts {
        identity: format!("agent-{n}"),
        hostname: format!("host-{n}"),
        address: "10.0.0.1".into(),
        region: Some(format!("region-{}", n % 3)),
        zone: Some(format!("zone-{}", n % 9)),
        attributes: vec![
            text("arch", "x86_64".into()),
            number,
            text("rack", format!("r{}", n % 200)),
        ],
        total: Resources {
            cpu_milli: 24_000 + n % 7 * 1_000,
            memory_bytes: 4 << 30,
            ports: port_set.len(),
            ..Resources::NONE
        },
        port_set,
        runtimes: vec![Runtime::Process],
        version: String::new(),
        reserved: vec![],
    }
}

/// Ten demands of as many shapes, each with two conditions, one of them a pattern. One names a machine
/// by a pattern besides, and two want a port.
fn demands() -> Vec<Demand> {
    let condition = |attribute: &str, test, value: String| Condition {
        attribute: attribute.into(),
        test,
        value,
    };
    let demand = |n: u64| {
        let rack = format!("r[0-9]*{n}|r[0-9]*[13579]");
        let mut conditions = vec![
            condition("arch", Comparison::Equals, "x86_64".into()),
            condition("rack", Comparison::Matches, rack),
        ];
        if n == 0 {
            let host = "host-[0-9]*[0-8]".into();
            conditions.push(condition("@hostname", Comparison::Matches, host));
        }
        Demand {
            name: format!("d{n}"),
            each: Resources {
                cpu_milli: 20_000 + n * 1_000,
                memory_bytes: 1 << 30,
                ..Resources::NONE
            },
            count: 1,
            conditions,
            fixed_ports: if n < 2 { vec![31_005] } else { vec![] },
            ..Demand::default()
        }
    };
    (0..10).map(demand).collect()
}

/// `cargo test --release -p mezzo-core --test explain -- --ignored --nocapture`
#[test]
#[ignore = "it only says how long it takes"]
fn how_long_it_takes_over_fifty_thousand_agents() {
    let limits = ClusterLimits::default();
    let mut cluster = Cluster::restore(std::iter::empty(), limits).expect("nothing is sound");
    let mut out = Vec::new();
    let mut step = |cluster: &mut Cluster, event| {
        out.clear();
        cluster.step(Instant(1_000_000), event, &mut out);
        std::mem::take(&mut out)
    };
    let led = Event::Led {
        name: "test".into(),
        last_batch: BatchId(0),
    };
    step(&mut cluster, led);
    for n in 0..50_000 {
        let event = Event::AgentConnected {
            session: SessionId(n + 1),
            facts: facts(n),
            runs: vec![],
        };
        step(&mut cluster, event);
    }
    let install = harness::install("f", "r", FrameworkLimits::default());
    let out = step(&mut cluster, Event::Asked(RequestId(1), install));
    let turn = out.into_iter().find_map(|action| match action {
        Action::Turn(turn) => Some(turn),
        _ => None,
    });
    let turn = turn.expect("it starts");
    let id = turn.id;
    let mut ledger = Ledger::new(*turn);
    ledger.want(demands()).expect("good demands");
    let ended = Event::TurnEnded {
        turn: id,
        result: Ok(ledger.finish()),
        cpu_us: 1_000,
    };
    step(&mut cluster, ended);
    let id = cluster.state().names["f"];
    let mut took: Vec<Duration> = (0..9)
        .map(|_| {
            let begun = std::time::Instant::now();
            let explanation = cluster.explain(id, None).expect("it is there");
            assert_eq!(explanation.demands.len(), 10);
            begun.elapsed()
        })
        .collect();
    took.sort();
    println!(
        "{} us, the median of 9; from {} to {} us",
        took[4].as_micros(),
        took[0].as_micros(),
        took[8].as_micros()
    );
}
