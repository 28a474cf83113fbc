//! Why demands wait, asked on a large cluster in which agents differ.

use super::*;
use mezzo_core::event::AgentChange;
use mezzo_types::{Attribute, AttributeValue, Comparison, Condition};

/// Racks over which the agents are spread.
const RACKS: u64 = 40;

/// What one question costs.
#[derive(Clone, Copy, Debug)]
pub struct Explained {
    /// All demands of one framework, one call.
    pub took: Duration,
    /// How many those are.
    pub demands: u64,
}

impl Grid {
    /// Agents with attributes, filled but for a third, of which some have left; one framework with ten
    /// demands that wait for ten reasons.
    pub fn explain(agents: u64) -> Explained {
        let size = Size {
            agents,
            frameworks: 1,
            roles: 1,
        };
        let mut grid = Grid::new(size);
        for n in 1..=agents {
            grid.connect(n, differing(n));
        }
        grid.fill(1);
        for n in 0..agents / 3 {
            let run = grid.filled[n as usize * 3];
            let task = grid.cluster.state().task(run).expect("it runs");
            let agent = task.record.agent;
            grid.report(agent, run, 2, TaskState::Finished);
        }
        grid.decline_all();
        for n in (1..=agents).step_by(10) {
            grid.step(Event::AgentDisconnected(SessionId(n)));
        }
        for n in (2..=agents).step_by(10) {
            grid.ask(Request::ChangeAgent {
                agent: AgentId(n),
                change: AgentChange::Deactivate,
                principal: Arc::from("bench"),
            });
        }
        grid.install_all();
        let start = grid.turns.pop().expect("its start");
        let framework = start.framework;
        let demands = demands();
        grid.answer(start, |ledger| {
            ledger.want(demands.clone()).expect("good demands");
        });
        grid.decline_all();
        let begun = Clock::now();
        let explanation = grid.cluster.explain(framework, None);
        let took = begun.elapsed();
        let explanation = explanation.expect("it is installed");
        for demand in &explanation.demands {
            let not_fit: u64 = demand.reasons.iter().map(|reason| reason.agents).sum();
            assert_eq!(demand.agents_fit + not_fit, agents, "all are counted");
        }
        Explained {
            took,
            demands: explanation.demands.len() as u64,
        }
    }
}

fn differing(n: u64) -> AgentFacts {
    let text = |name: &str, value: String| Attribute {
        name: name.into(),
        value: AttributeValue::Text(value),
    };
    AgentFacts {
        region: Some(format!("region-{}", n % 4)),
        zone: Some(format!("zone-{}", n % 12)),
        attributes: vec![
            Attribute {
                name: "ghz".into(),
                value: AttributeValue::NumberMilli(2_000 + 100 * (n % 20) as i64),
            },
            text("model", format!("m{}", n % 7)),
            text("rack", format!("r{}", n % RACKS)),
        ],
        ..facts(n)
    }
}

/// Each waits for another reason.
fn demands() -> Vec<Demand> {
    let amount = |cpu_milli: u64, memory_bytes: u64| Resources {
        cpu_milli,
        memory_bytes,
        ..Resources::NONE
    };
    let little = amount(1_000, 1 << 20);
    let whole = amount(CPU_MILLI, MEMORY_BYTES);
    let when = |attribute: &str, test: Comparison, value: &str| Condition {
        attribute: attribute.into(),
        test,
        value: value.into(),
    };
    let rows: Vec<(Resources, Vec<Condition>)> = vec![
        (little.clone(), vec![]),
        (whole.clone(), vec![]),
        (amount(CPU_MILLI + 1, 0), vec![]),
        (amount(1_000, MEMORY_BYTES + 1), vec![]),
        (whole.clone(), vec![when("rack", Comparison::Equals, "r7")]),
        (
            little.clone(),
            vec![when("rack", Comparison::Matches, "r[0-3]?9")],
        ),
        (whole.clone(), vec![when("ghz", Comparison::AtLeast, "3.2")]),
        (
            little.clone(),
            vec![
                when("@zone", Comparison::Equals, "zone-3"),
                when("model", Comparison::Differs, "m2"),
            ],
        ),
        (little, vec![when("ssd", Comparison::Present, "")]),
        (whole, vec![when("@runtime", Comparison::Equals, "process")]),
    ];
    let numbered = rows.into_iter().enumerate();
    numbered
        .map(|(i, (each, conditions))| Demand {
            name: format!("d{i}"),
            conditions,
            ..demand(&each, 10)
        })
        .collect()
}
