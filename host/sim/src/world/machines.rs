//! What machines do: statuses that are said, programs that begin and end.

use super::{Bug, Happens, World};
use crate::job;
use crate::machine::Deed;
use mezzo_agent_core::{Ending, Exit, Volume};
use mezzo_core::Event;
use mezzo_types::{Instant, Run, Status};

/// A program of a guest that does not say how long it takes runs for at most so long, in milliseconds.
const PROGRAM_MS_MAX: u64 = 20_000;

impl World {
    pub(super) fn hear(&mut self, machine: usize, event: mezzo_agent_core::Event) {
        let deeds = self.machines[machine].step(Instant(self.now), event);
        self.perform(machine, deeds);
    }

    pub(super) fn agent_tick(&mut self, machine: usize) {
        self.agent_ticks[machine] = u64::MAX;
        let due = self
            .agent_deadline(machine)
            .is_some_and(|at| at <= self.now);
        if due {
            self.hear(machine, mezzo_agent_core::Event::Tick);
        } else {
            self.await_agent_tick(machine);
        }
    }

    fn agent_deadline(&self, machine: usize) -> Option<u64> {
        let agent = self.machines[machine].agent.as_ref()?;
        agent.next_deadline().map(|at| at.0)
    }

    fn await_agent_tick(&mut self, machine: usize) {
        let Some(at) = self.agent_deadline(machine) else {
            return;
        };
        let at = at.max(self.now + 1);
        if at < self.agent_ticks[machine] {
            self.agent_ticks[machine] = at;
            let life = self.machines[machine].life;
            self.at(at, Happens::AgentTick(machine, life));
        }
    }

    pub(super) fn start_agent(&mut self, machine: usize, life: u64) {
        if self.machines[machine].life != life {
            return;
        }
        let mut deeds = self.machines[machine].start(Instant(self.now));
        self.agent_ticks[machine] = u64::MAX;
        if self.play.bug == Some(Bug::ExecutesTwice) {
            let executed = self.machines[machine].executed.first().copied();
            deeds.extend(executed.map(Deed::Executed));
        }
        self.perform(machine, deeds);
        let life = self.machines[machine].life;
        self.after(10, 1_000, Happens::Dial(machine, life));
    }

    pub(super) fn perform(&mut self, machine: usize, deeds: Vec<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Say(run, sequence, status) => {
                    self.report_status(machine, run, sequence, status)
                }
                Deed::SayUnknown(run) => {
                    if let Some(link) = self.links[machine] {
                        self.up(machine, Event::KillUnknown(link.session, run));
                    }
                }
                Deed::Executed(run) => self.execute(machine, run),
                Deed::Signalled(run) => {
                    let end = Happens::ProgramEnds(machine, run, Exit::Signal(15));
                    self.after(1, 500, end);
                }
                Deed::SayVolume(volume, exists) => self.say_volume(machine, volume, exists),
            }
        }
        self.await_agent_tick(machine);
    }

    /// A machine has made or destroyed a volume, and says so some time; that it has may be forgotten
    /// before, with its agent.
    fn say_volume(&mut self, machine: usize, volume: Volume, exists: bool) {
        let life = self.machines[machine].life;
        let said = Happens::VolumeSaid(machine, life, Box::new(volume), exists);
        self.after(0, self.play.pace.message_ms_max, said);
    }

    pub(super) fn volume_said(&mut self, machine: usize, volume: Volume, exists: bool) {
        if let Some(link) = self.links[machine] {
            let event = Event::VolumeReported {
                session: link.session,
                reservation: volume.reservation,
                volume: volume.name,
                exists,
            };
            self.up(machine, event);
        }
    }

    fn execute(&mut self, machine: usize, run: Run) {
        let new = self.executed.insert(run);
        assert!(new, "run {run} is executed twice");
        let it = &self.machines[machine];
        let (needs, has) = (it.used(), &it.facts.total);
        assert!(
            has.contains(&needs),
            "machine {machine} has {has:?}, and its programs need {needs:?}"
        );
        let life = it.life;
        let launch = it.launch_of(run);
        let told = launch.and_then(|launch| job::told(&launch.spec));
        let workload = &self.play.workload;
        let framework = launch.and_then(|launch| {
            let mut all = workload.frameworks.iter();
            all.position(|framework| framework.name == launch.framework)
        });
        let started = Box::new(mezzo_agent_core::Event::Started(run));
        self.after(1, 20, Happens::AgentHears(machine, life, started));
        let fails = framework.map_or(0, |n| self.play.workload.framework(n).fails_per_mille);
        let takes_ms = match told {
            Some((_, takes_ms)) => takes_ms.max(1),
            None => self.rng.between(1, PROGRAM_MS_MAX),
        };
        let exit = Exit::Code(i32::from(self.rng.chance(fails)));
        let at = self.now + takes_ms;
        self.at(at, Happens::ProgramEnds(machine, run, exit));
        if let (Some(n), Some((number, _))) = (framework, told)
            && let Some(arrived) = self.people.first_start(n, number)
        {
            self.meter.started(n, self.now - arrived);
        }
    }

    pub(super) fn end_program(&mut self, machine: usize, run: Run, exit: Exit) {
        if self.machines[machine].end(run, exit) {
            let life = self.machines[machine].life;
            let ended = Box::new(mezzo_agent_core::Event::Ended(run, Ending::Exit(exit)));
            self.after(0, 20, Happens::AgentHears(machine, life, ended));
        }
    }

    fn report_status(&mut self, machine: usize, run: Run, sequence: u64, status: Status) {
        let Some(link) = self.links[machine] else {
            return;
        };
        let ends = status.state.is_final();
        self.up(
            machine,
            Event::StatusReported {
                session: link.session,
                run,
                sequence,
                status,
            },
        );
        if ends && self.play.bug == Some(Bug::AcknowledgesTooEarly) {
            let acknowledged = Box::new(mezzo_agent_core::Event::Acknowledged(run, sequence));
            let life = self.machines[machine].life;
            self.after(0, 0, Happens::AgentHears(machine, life, acknowledged));
        }
    }
}
