//! A simulated machine: the real agent core, the files that it keeps, and the programs that run.
//!
//! Programs outlive their agent, files and volumes outlive both, and a reboot ends all programs. What
//! must hold of volumes is checked where programs begin and volumes go: a program finds what it mounts,
//! has it for itself, and keeps it until its end.

use mezzo_agent_core::{Action, Agent, Ending, Event, Exit, Found, Kill, Launch, Trace, Volume};
use mezzo_types::{AgentFacts, Instant, Reason, Resources, Run, Runtime, Status, Term};
use std::collections::{BTreeMap, BTreeSet};

/// What lies in a run's folder.
#[derive(Clone, Debug)]
struct Folder {
    launch: Launch,
    kill: Option<Kill>,
    /// When its program was executed, in which boot.
    started: Option<(Instant, u64)>,
    ended: Option<Exit>,
}

impl Folder {
    fn runs(&self, boot: u64) -> bool {
        self.ended.is_none() && self.started.is_some_and(|(_, began)| began == boot)
    }

    fn mounts(&self, volume: &Volume) -> bool {
        self.launch.volumes().any(|(mounted, _)| mounted == *volume)
    }
}

/// What a machine does that others see, or that takes time.
#[derive(Clone, Debug)]
pub enum Deed {
    /// A status for the master.
    Say(Run, u64, Status),
    /// The agent never had this run.
    SayUnknown(Run),
    /// A program was executed: the agent hears of it, and it ends some time.
    Executed(Run),
    /// A program was signalled: it ends soon.
    Signalled(Run),
    /// A volume was made, or it is there no more.
    SayVolume(Volume, bool),
}

/// See the module.
#[derive(Debug)]
pub struct Machine {
    /// What it says of itself.
    pub facts: AgentFacts,
    /// The agent, while it runs.
    pub agent: Option<Agent>,
    /// Counts the agent's lives: what was meant for an earlier one is lost.
    pub life: u64,
    boot: u64,
    replaced: u64,
    term: Term,
    folders: BTreeMap<Run, Folder>,
    /// On its disk.
    volumes: BTreeSet<Volume>,
    /// Every run whose program was ever executed here.
    pub executed: BTreeSet<Run>,
}

impl Machine {
    /// One that is switched on, with its agent.
    #[must_use]
    pub fn new(n: usize, total: Resources, zone: Option<String>) -> Machine {
        let facts = AgentFacts {
            identity: format!("machine-{n}"),
            hostname: format!("machine-{n}"),
            address: "10.0.0.1".into(),
            region: None,
            zone,
            attributes: vec![],
            total,
            port_set: Default::default(),
            runtimes: vec![Runtime::Process],
            version: String::new(),
            reserved: vec![],
        };
        let mut machine = Machine {
            facts,
            agent: None,
            life: 0,
            boot: 1,
            replaced: 0,
            term: Term(0),
            folders: BTreeMap::new(),
            volumes: BTreeSet::new(),
            executed: BTreeSet::new(),
        };
        machine.start(Instant(0));
        machine
    }

    /// Starts the agent on the files that there are.
    pub fn start(&mut self, now: Instant) -> Vec<Deed> {
        let boot = self.boot;
        let found = self.folders.values().map(|folder| Found {
            launch: folder.launch.clone(),
            kill: folder.kill.clone(),
            trace: match (folder.started, folder.ended) {
                (_, Some(exit)) => Trace::Ended(Ending::Exit(exit)),
                (None, None) if folder.kill.is_some() => {
                    Trace::Ended(Ending::Failed(Reason::KilledBeforeStart, "sealed".into()))
                }
                (None, None) => Trace::NotStarted,
                (Some((_, began)), None) if began != boot => Trace::Ended(Ending::Failed(
                    Reason::Rebooted,
                    "the machine was started anew".into(),
                )),
                (Some((at, _)), None) => Trace::Running(at.0),
            },
        });
        let found = found.collect();
        let mut actions = Vec::new();
        let agent = Agent::restore(now, self.term, vec![Runtime::Process], found, &mut actions);
        self.agent = Some(agent);
        self.life += 1;
        self.perform(now, actions)
    }

    /// `kill -9` of the agent.
    pub fn kill_agent(&mut self) {
        self.agent = None;
        self.life += 1;
    }

    /// The power fails: the agent and all programs end.
    pub fn reboot(&mut self) {
        self.kill_agent();
        self.boot += 1;
    }

    /// Another machine stands in its place: it has no files, and an identity of its own.
    pub fn replace(&mut self) {
        self.reboot();
        self.replaced += 1;
        self.facts.identity = format!("{}-{}", self.facts.hostname, self.replaced);
        self.folders.clear();
        self.lose_volumes();
        self.term = Term(0);
    }

    /// Its disk for volumes is another one, with nothing on it.
    pub fn lose_volumes(&mut self) {
        self.volumes.clear();
    }

    /// Something happens to the agent, if it runs.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Deed> {
        if let Event::SessionOpened(term) = &event {
            self.term = self.term.max(*term);
        }
        let mut actions = Vec::new();
        if let Some(agent) = &mut self.agent {
            agent.step(now, event, &mut actions);
        }
        self.perform(now, actions)
    }

    /// A program ends, whether or not an agent is there. False if it does not run any more.
    pub fn end(&mut self, run: Run, exit: Exit) -> bool {
        let boot = self.boot;
        let Some(folder) = self.folders.get_mut(&run) else {
            return false;
        };
        if !folder.runs(boot) {
            return false;
        }
        folder.ended = Some(exit);
        true
    }

    /// What the programs that run now need.
    #[must_use]
    pub fn used(&self) -> Resources {
        let mut used = Resources::NONE;
        for folder in self.folders.values().filter(|it| it.runs(self.boot)) {
            used.add(&folder.launch.spec.resources);
        }
        used
    }

    /// Programs that run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.folders
            .values()
            .filter(|it| it.runs(self.boot))
            .count()
    }

    /// The volumes on its disk.
    pub fn volumes(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.iter()
    }

    /// The program that has a volume mounted, but for this one.
    fn mounted_by(&self, volume: &Volume, but: Option<Run>) -> Option<Run> {
        let mut running = self.folders.iter().filter(|(_, it)| it.runs(self.boot));
        let found = running.find(|(run, it)| Some(**run) != but && it.mounts(volume));
        found.map(|(run, _)| *run)
    }

    /// A program begins: it finds its volumes, and nobody else has them. Tasks of a simulation are in
    /// no group in which they could share one.
    fn check_mounts(&self, run: Run) {
        let launch = self.folders.get(&run).map(|folder| &folder.launch);
        for (volume, _) in launch.into_iter().flat_map(Launch::volumes) {
            assert!(
                self.volumes.contains(&volume),
                "run {run} mounts {volume:?}, which is not there"
            );
            let other = self.mounted_by(&volume, Some(run));
            assert!(
                other.is_none(),
                "run {run} mounts {volume:?}, which run {other:?} has"
            );
        }
    }

    /// What a run was asked to be, as its files say.
    #[must_use]
    pub fn launch_of(&self, run: Run) -> Option<&Launch> {
        self.folders.get(&run).map(|folder| &folder.launch)
    }

    fn perform(&mut self, now: Instant, actions: Vec<Action>) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for action in actions {
            match action {
                Action::Keep(launch) => {
                    let folder = Folder {
                        launch: launch.clone(),
                        kill: None,
                        started: None,
                        ended: None,
                    };
                    let before = self.folders.insert(launch.run, folder);
                    assert!(before.is_none(), "run {} is kept twice", launch.run);
                }
                Action::KeepKill(run, kill) => {
                    if let Some(folder) = self.folders.get_mut(&run) {
                        folder.kill = Some(kill);
                    }
                }
                Action::Start(run) => {
                    let boot = self.boot;
                    let Some(folder) = self.folders.get_mut(&run) else {
                        continue;
                    };
                    // The file that a shim makes decides: a run is executed once.
                    if folder.started.is_none() {
                        folder.started = Some((now, boot));
                        self.check_mounts(run);
                        self.executed.insert(run);
                        deeds.push(Deed::Executed(run));
                    }
                }
                Action::Terminate(run) | Action::Destroy(run) => deeds.push(Deed::Signalled(run)),
                Action::Say(run, number, status) => deeds.push(Deed::Say(run, number, status)),
                Action::SayUnknown(run) => deeds.push(Deed::SayUnknown(run)),
                Action::Forget(run) => drop(self.folders.remove(&run)),
                Action::CreateVolume(volume) => {
                    self.volumes.insert(volume.clone());
                    deeds.push(Deed::SayVolume(volume, true));
                }
                Action::DestroyVolume(volume) => {
                    let by = self.mounted_by(&volume, None);
                    assert!(by.is_none(), "{volume:?} is destroyed while {by:?} has it");
                    self.volumes.remove(&volume);
                    deeds.push(Deed::SayVolume(volume, false));
                }
            }
        }
        deeds
    }
}
