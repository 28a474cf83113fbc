//! What a turn costs: an empty one, an offer, a launch, a restart of the instance, and the memory of
//! a live idle framework. The framework is `batch`, on one thread, without core and registry.

use crate::Size;
use crate::report::{Report, median, us};
use anyhow::{Context, bail};
use mezzo_core::turn::{Offer, Setup, View, WebRequest};
use mezzo_core::{Call, Effects, FrameworkLimits, Turn, turn::GuestEvent};
use mezzo_types::{
    AgentFacts, AgentId, AgentInfo, Digest, FrameworkId, InstanceId, Instant as Now, OfferId,
    PortSet, RequestId, ReservationId, Resources, Run, Runtime, TaskLimits, TurnId,
};
use mezzo_wasm::{CompileCommand, Level, LogSink, Sandbox, SandboxConfig, SandboxLimits};
use std::sync::Arc;
use std::time::Instant;

/// Turns of one measurement.
const TURNS: usize = 2_000;
/// Offers of one turn, where offers are measured.
const OFFERS: u64 = 1_000;
/// Instances, where their memory is measured.
const IDLE: u64 = 100;
/// A thread like the sandbox's own: the guest's stack and a megabyte for the host.
const STACK_BYTES: usize = 4 << 20;

struct Quiet;

impl LogSink for Quiet {
    fn line(&self, _: FrameworkId, _: Level, _: &str) {}
}

/// A sandbox of its own, with its compiler in a process of this program.
pub fn sandbox(folder: &std::path::Path) -> anyhow::Result<Sandbox> {
    Ok(Sandbox::open(SandboxConfig {
        source: None,
        cache_dir: folder.join("compiled"),
        compile: CompileCommand {
            program: std::env::current_exe()?,
            args: vec!["compile-child".into()],
        },
        limits: SandboxLimits::default(),
        log: Arc::new(Quiet),
    })?)
}

/// The digest of `batch`, compiled and ready.
pub fn prepare_batch(sandbox: &Sandbox) -> anyhow::Result<Digest> {
    let folder = tempfile::tempdir()?;
    let blobs = mezzo_registry::FileBlobs::open(folder.path())?;
    let (digest, _) = mezzo_registry::Blobs::put(&blobs, &mut &mezzo_bundle::BATCH[..], 64 << 20)?;
    let digest = Digest(digest);
    sandbox.prepare(digest, mezzo_bundle::BATCH)?;
    Ok(digest)
}

/// See the module.
pub fn run(size: Size, report: &mut Report) -> anyhow::Result<()> {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let (rows, error) = std::thread::scope(|scope| {
        let work = thread.spawn_scoped(scope, || {
            let mut rows = Vec::new();
            let error = measure(size, &mut rows).err();
            (rows, error)
        })?;
        work.join()
            .map_err(|_| anyhow::anyhow!("the measuring thread panicked"))
    })?;
    for (case, figures) in rows {
        report.row(case, &figures);
    }
    error.map_or(Ok(()), Err)
}

type Rows = Vec<(&'static str, Vec<(&'static str, f64)>)>;

fn measure(size: Size, rows: &mut Rows) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let opened = Instant::now();
    let sandbox = sandbox(folder.path())?;
    let open_us = us(opened.elapsed());
    let compiled = Instant::now();
    let component = prepare_batch(&sandbox)?;
    rows.push((
        "open",
        vec![
            ("sandbox_us", open_us),
            ("compile_ms", us(compiled.elapsed()) / 1e3),
        ],
    ));
    let mut bench = Bench {
        sandbox,
        component,
        next: 1,
        instance: InstanceId(0),
        limits: Arc::new(FrameworkLimits::default()),
        view: View::default(),
    };
    rows.push(("start", vec![("p50_us", bench.starts(size.runs)?)]));
    rows.push((
        "empty-turn",
        vec![(
            "p50_us",
            bench.turns(size.count.unwrap_or(TURNS), &[], &[])?,
        )],
    ));
    let (offers, agents) = offers();
    bench.view.agents = agents.iter().map(|a| (a.id, Arc::clone(a))).fold(
        mezzo_core::map::Map::default(),
        |mut map, (id, agent)| {
            map.insert(id, agent);
            map
        },
    );
    let told = vec![GuestEvent::Agents(agents)];
    bench.turns(1, &told, &[])?;
    let unused = bench.turns(size.runs * 4, &[GuestEvent::Offers], &offers)?;
    rows.push(("offer-unused", vec![("us", unused / OFFERS as f64)]));
    let (launch_us, launched) = bench.launches(size.runs, &offers)?;
    rows.push((
        "launch",
        vec![("us", launch_us), ("launches_count", launched)],
    ));
    rows.push(("idle-instance", vec![("memory_kib", bench.idle()?)]));
    Ok(())
}

struct Bench {
    sandbox: Sandbox,
    component: Digest,
    next: u64,
    instance: InstanceId,
    limits: Arc<FrameworkLimits>,
    view: View,
}

impl Bench {
    fn turn(&mut self, calls: Vec<Call>, offers: &[Offer]) -> Turn {
        self.next += 20_000;
        Turn {
            id: TurnId(self.next),
            framework: FrameworkId(1),
            name: Arc::from("batch"),
            role: Arc::from("batch"),
            instance: self.instance,
            component: self.component,
            limits: Arc::clone(&self.limits),
            task_limits: TaskLimits::default(),
            now: Now(1_800_000_000_000 + self.next),
            seed: self.next,
            calls,
            offers: offers.to_vec(),
            view: self.view.clone(),
            first_run: Run(self.next),
            first_reservation: ReservationId(self.next),
        }
    }

    fn run(&mut self, calls: Vec<Call>, offers: &[Offer]) -> anyhow::Result<(Effects, f64)> {
        let turn = self.turn(calls, offers);
        let started = Instant::now();
        let outcome = self.sandbox.run(turn);
        let took = us(started.elapsed());
        match outcome.result {
            Ok(effects) => Ok((effects, took)),
            Err(fault) => bail!(
                "{} in {}: {}",
                fault.kind.as_str(),
                fault.call,
                fault.message
            ),
        }
    }

    fn start(&mut self) -> anyhow::Result<f64> {
        self.next += 1;
        self.instance = InstanceId(self.next);
        let setup = Setup {
            name: Arc::from("batch"),
            role: Arc::from("batch"),
            options: Arc::from("{}"),
            upgraded_from: None,
        };
        Ok(self.run(vec![Call::Start(setup)], &[])?.1)
    }

    /// A new instance and its first turn; the old one is dropped.
    fn starts(&mut self, runs: usize) -> anyhow::Result<f64> {
        let mut took = Vec::new();
        for _ in 0..runs * 4 {
            let old = self.instance;
            took.push(self.start()?);
            self.sandbox.drop_instance(old);
        }
        Ok(median(took))
    }

    fn turns(
        &mut self,
        count: usize,
        events: &[GuestEvent],
        offers: &[Offer],
    ) -> anyhow::Result<f64> {
        let mut took = Vec::new();
        for _ in 0..count {
            took.push(self.run(vec![Call::Handle(events.to_vec())], offers)?.1);
        }
        Ok(median(took))
    }

    /// A job of many tasks, placed on fresh offers; microseconds a launch, full record included.
    fn launches(&mut self, runs: usize, offers: &[Offer]) -> anyhow::Result<(f64, f64)> {
        let (mut each, mut launched) = (Vec::new(), 0);
        for _ in 0..runs {
            let old = self.instance;
            self.start()?;
            self.sandbox.drop_instance(old);
            let body = r#"{"count":10000,"argv":["sh","-c","exec work"],"env":{"A":"1"},"labels":{"team":"x"},"cpu_milli":100,"memory_bytes":1048576}"#;
            let request = WebRequest {
                id: RequestId(self.next),
                method: "POST".into(),
                path: "/jobs".into(),
                headers: Vec::new(),
                body: body.as_bytes().to_vec(),
                principal: "bench".into(),
            };
            let (effects, _) = self.run(vec![Call::Web(request)], &[])?;
            let demands = effects.want.context("the job wants nothing")?;
            self.view.demands = Arc::new(demands);
            let events = vec![GuestEvent::Offers];
            let (effects, took) = self.run(vec![Call::Handle(events)], offers)?;
            launched = effects.launches.len();
            if launched == 0 {
                bail!("nothing was launched");
            }
            each.push(took / launched as f64);
            self.view.demands = Arc::default();
        }
        Ok((median(each), launched as f64))
    }

    /// Resident memory of one more live instance.
    fn idle(&mut self) -> anyhow::Result<f64> {
        self.start()?;
        let before = resident_kib()?;
        for _ in 0..IDLE {
            self.start()?;
        }
        Ok((resident_kib()? - before) / IDLE as f64)
    }
}

fn resident_kib() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line
        .split_whitespace()
        .nth(1)
        .context("no figure in VmRSS")?
        .parse()?)
}

/// Agents for measurements.
pub fn facts(n: u64) -> AgentFacts {
    AgentFacts {
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
        version: "bench".into(),
        reserved: Vec::new(),
    }
}

fn offers() -> (Vec<Offer>, Vec<Arc<AgentInfo>>) {
    let agents: Vec<Arc<AgentInfo>> = (1..=OFFERS)
        .map(|n| {
            Arc::new(AgentInfo {
                id: AgentId(n),
                facts: facts(n),
                leaving_at: None,
            })
        })
        .collect();
    let offers = agents.iter().map(|agent| Offer {
        id: OfferId(agent.id.0),
        agent: agent.id,
        free: Resources {
            cpu_milli: 1_000,
            ..agent.facts.total.clone()
        },
        port_set: agent.facts.port_set.clone(),
        reservation: None,
        volumes: Vec::new(),
    });
    (offers.collect(), agents)
}
