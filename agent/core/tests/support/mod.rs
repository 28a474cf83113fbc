//! An agent's core that is played by hand: events in, actions in words out.

use mezzo_agent_core::{Action, Agent, Event, Kill, Launch};
use mezzo_types::{
    Instant, PortRequest, Reason, Resources, Run, Runtime, TaskId, TaskSpec, Term, Workload,
};
use std::sync::Arc;

pub fn launch(run: u64, ports: Vec<u16>) -> Launch {
    let spec = TaskSpec {
        id: TaskId::new(&format!("t{run}")).expect("a good name"),
        name: String::new(),
        workload: Workload::Process {
            argv: vec!["true".into()],
        },
        resources: Resources {
            ports: ports.len() as u64,
            ..Resources::NONE
        },
        env: vec![],
        labels: vec![],
        ports: ports
            .iter()
            .map(|n| PortRequest {
                name: format!("p{n}"),
                fixed: None,
            })
            .collect(),
        files: vec![],
        kill_grace_ms: 500,
        runtime_max_ms: None,
        mounts: vec![],
        preemptible: false,
    };
    Launch {
        run: Run(run),
        framework: "f".into(),
        spec: Arc::new(spec),
        ports,
        reservation: None,
    }
}

pub struct Play {
    pub agent: Agent,
    pub now: u64,
}

impl Play {
    pub fn new() -> Play {
        let mut out = Vec::new();
        let agent = Agent::restore(
            Instant(0),
            Term(1),
            vec![Runtime::Process],
            vec![],
            &mut out,
        );
        let mut play = Play { agent, now: 1_000 };
        play.step(Event::SessionOpened(Term(1)));
        play
    }

    /// One event; the actions in words.
    pub fn step(&mut self, event: Event) -> Vec<String> {
        let mut out = Vec::new();
        self.agent.step(Instant(self.now), event, &mut out);
        out.iter().map(words).collect()
    }

    pub fn wait(&mut self, ms: u64) -> Vec<String> {
        self.now += ms;
        self.step(Event::Tick)
    }
}

pub fn words(action: &Action) -> String {
    match action {
        Action::Keep(launch) => format!("keep {}", launch.run),
        Action::KeepKill(run, _) => format!("keep-kill {run}"),
        Action::Start(run) => format!("start {run}"),
        Action::Terminate(run) => format!("terminate {run}"),
        Action::Destroy(run) => format!("destroy {run}"),
        Action::Say(run, number, status) => format!(
            "say {run} {number} {} {}",
            status.state.as_str(),
            status.reason.as_str()
        )
        .trim_end()
        .into(),
        Action::SayUnknown(run) => format!("unknown {run}"),
        Action::CreateVolume(volume) => format!("create {}/{}", volume.reservation, volume.name),
        Action::DestroyVolume(volume) => format!("destroy {}/{}", volume.reservation, volume.name),
        Action::Forget(run) => format!("forget {run}"),
    }
}

pub fn kill(grace_ms: u64) -> Kill {
    Kill {
        grace_ms,
        reason: Reason::KillRequested,
    }
}
