//! Drives turns of one component without a master: how long it takes to compile and start, what an empty turn and one
//! with offers cost, and what memory it has then. It measures CPU time, each several times, and takes the median.

use super::Given;
use mezzo_core::turn::{GuestEvent, Offer, Setup, View};
use mezzo_core::{Call, Effects, FrameworkLimits, Turn};
use mezzo_types::{
    AgentFacts, AgentId, AgentInfo, Demand, Digest, FrameworkId, InstanceId, Instant as Now,
    OfferId, PortSet, ReservationId, Resources, Run, Runtime, TaskLimits, TurnId,
};
use mezzo_wasm::{Level, LogSink, Sandbox, SandboxConfig, SandboxLimits, digest_of};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Offers of one turn: as many as the default limit lets a turn have.
const OFFERS: u64 = 1_000;
/// How often a start and a turn with offers are measured.
const STARTS: usize = 5;
/// How often an empty turn is.
const EMPTY_TURNS: usize = 200;
/// Log lines that are kept.
const LOG_MAX: usize = 20;
/// The first instant that the framework sees: 2027, like a clock's.
const BEGINNING: u64 = 1_800_000_000_000;

/// The figures, as far as it came.
#[derive(Debug, Default)]
pub struct Measured {
    pub compile_us: Option<u64>,
    pub start_us: Option<u64>,
    pub memory_start: Option<u64>,
    pub empty_us: Option<u64>,
    pub offers_us: Option<u64>,
    pub launched: Option<u64>,
    pub memory_offers: Option<u64>,
    pub log: Vec<String>,
    /// What was refused, or the fault that ended it.
    pub problem: Option<String>,
}

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl LogSink for Log {
    fn line(&self, _: FrameworkId, level: Level, text: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{}: {text}", format!("{level:?}").to_lowercase());
        // Every start and every round says the same.
        if lines.len() < LOG_MAX && !lines.contains(&line) {
            lines.push(line);
        }
    }
}

/// An error is one of the sandbox or of this program; what is wrong with the component is a problem.
pub fn measure(
    component: &[u8],
    given: &Given,
    limits: SandboxLimits,
    folder: &Path,
) -> Result<Measured, String> {
    let log = Arc::new(Log::default());
    let sandbox = Sandbox::open(SandboxConfig {
        source: None,
        cache_dir: folder.join("compiled"),
        compile: given.compile.clone(),
        limits,
        log: Arc::clone(&log) as Arc<dyn LogSink>,
    });
    let sandbox = sandbox.map_err(|error| error.to_string())?;
    let mut trial = Trial::new(sandbox, given, digest_of(component));
    let mut measured = Measured::default();
    measured.problem = trial.run(component, &mut measured).err();
    measured.log = log.0.lock().map(|lines| lines.clone()).unwrap_or_default();
    Ok(measured)
}

struct Trial {
    sandbox: Sandbox,
    component: Digest,
    name: Arc<str>,
    options: Arc<str>,
    limits: Arc<FrameworkLimits>,
    /// Numbers for turns, instances and runs, none used twice.
    next: u64,
    instance: InstanceId,
    view: View,
}

impl Trial {
    fn new(sandbox: Sandbox, given: &Given, component: Digest) -> Trial {
        Trial {
            sandbox,
            component,
            name: Arc::from(given.name.as_str()),
            options: Arc::from(given.options.as_str()),
            limits: Arc::new(given.limits.clone()),
            next: 1,
            instance: InstanceId(0),
            view: View::default(),
        }
    }

    fn run(&mut self, component: &[u8], measured: &mut Measured) -> Result<(), String> {
        let began = Instant::now();
        let prepared = self.sandbox.prepare(self.component, component);
        prepared.map_err(|refused| refused.to_string())?;
        let took = u64::try_from(began.elapsed().as_micros());
        measured.compile_us = took.ok();

        let mut starts = Vec::new();
        for _ in 0..STARTS {
            starts.push(self.start()?.1);
        }
        measured.start_us = median(starts);
        measured.memory_start = self.sandbox.memory_bytes(self.instance);

        let mut empty = Vec::new();
        for _ in 0..EMPTY_TURNS {
            empty.push(self.turn(vec![Call::Handle(Vec::new())], &[])?.1);
        }
        measured.empty_us = median(empty);
        self.offers(measured)
    }

    /// A turn with agents and an offer of each, in a new instance every time: it then does the same every time.
    fn offers(&mut self, measured: &mut Measured) -> Result<(), String> {
        let agents = agents();
        let offers: Vec<Offer> = agents.iter().map(|agent| offer(agent)).collect();
        let mut took = Vec::new();
        for _ in 0..STARTS {
            self.view = View::default();
            let (effects, _) = self.start()?;
            self.view.demands = Arc::new(demands(effects));
            for agent in &agents {
                self.view.agents.insert(agent.id, Arc::clone(agent));
            }
            let told = vec![GuestEvent::Agents(agents.clone())];
            self.turn(vec![Call::Handle(told)], &[])?;
            let offered = vec![Call::Handle(vec![GuestEvent::Offers])];
            let (effects, cpu_us) = self.turn(offered, &offers)?;
            took.push(cpu_us);
            measured.launched = Some(effects.launches.len() as u64);
        }
        measured.offers_us = median(took);
        measured.memory_offers = self.sandbox.memory_bytes(self.instance);
        Ok(())
    }

    /// A new instance and its first turn; the old one is dropped.
    fn start(&mut self) -> Result<(Effects, u64), String> {
        self.sandbox.drop_instance(self.instance);
        self.next += 1;
        self.instance = InstanceId(self.next);
        let setup = Setup {
            name: Arc::clone(&self.name),
            role: Arc::clone(&self.name),
            options: Arc::clone(&self.options),
            upgraded_from: None,
        };
        self.turn(vec![Call::Start(setup)], &[])
    }

    fn turn(&mut self, calls: Vec<Call>, offers: &[Offer]) -> Result<(Effects, u64), String> {
        self.next += 20_000;
        let turn = Turn {
            id: TurnId(self.next),
            framework: FrameworkId(1),
            name: Arc::clone(&self.name),
            role: Arc::clone(&self.name),
            instance: self.instance,
            component: self.component,
            limits: Arc::clone(&self.limits),
            task_limits: TaskLimits::default(),
            now: Now(BEGINNING + self.next),
            seed: self.next,
            calls,
            offers: offers.to_vec(),
            view: self.view.clone(),
            first_run: Run(self.next),
            first_reservation: ReservationId(self.next),
        };
        let outcome = self.sandbox.run(turn);
        match outcome.result {
            Ok(effects) => Ok((effects, outcome.cpu_us)),
            Err(fault) => Err(format!(
                "{} in `{}`: {}",
                fault.kind.as_str(),
                fault.call,
                fault.message
            )),
        }
    }
}

fn demands(effects: Effects) -> Vec<Demand> {
    effects.want.unwrap_or_default()
}

fn median(mut figures: Vec<u64>) -> Option<u64> {
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied()
}

fn agents() -> Vec<Arc<AgentInfo>> {
    let agent = |n| AgentInfo {
        id: AgentId(n),
        facts: AgentFacts {
            identity: format!("agent-{n}"),
            hostname: format!("host-{n}"),
            address: "10.0.0.1".into(),
            region: None,
            zone: Some(format!("zone-{}", n % 3)),
            attributes: Vec::new(),
            total: Resources {
                cpu_milli: 24_000,
                memory_bytes: 64 << 30,
                disk_bytes: 1 << 40,
                ports: 1_001,
                ..Resources::NONE
            },
            port_set: PortSet::range(31_000, 32_000),
            runtimes: vec![Runtime::Process],
            version: "check".into(),
            reserved: Vec::new(),
        },
        leaving_at: None,
    };
    (1..=OFFERS).map(|n| Arc::new(agent(n))).collect()
}

/// All of an agent.
fn offer(agent: &AgentInfo) -> Offer {
    Offer {
        id: OfferId(agent.id.0),
        agent: agent.id,
        free: agent.facts.total.clone(),
        port_set: agent.facts.port_set.clone(),
        reservation: None,
        volumes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_nothing_is_nothing() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![9, 1, 5]), Some(5));
    }

    #[test]
    fn as_many_are_offered_as_the_default_limit_allows() {
        assert_eq!(OFFERS, FrameworkLimits::default().offers_per_turn_max);
        let log = Log::default();
        for n in 0..=LOG_MAX {
            log.line(FrameworkId(1), Level::Info, &format!("said {n}"));
            log.line(FrameworkId(1), Level::Info, "said 0");
        }
        let lines = log.0.into_inner().expect("nobody panicked");
        assert_eq!((lines.len(), lines[0].as_str()), (LOG_MAX, "info: said 0"));
    }
}
