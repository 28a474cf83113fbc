//! What machines do: statuses that are said, programs that begin and end.

use super::{Bug, Happens, PROGRAM_MS_MAX, World};
use crate::job;
use crate::machine::Deed;
use mezzo_agent_core::Exit;
use mezzo_core::Event;
use mezzo_types::{Instant, Run, Status};

impl World {
    pub(super) fn hear(&mut self, machine: usize, event: mezzo_agent_core::Event) {
        let deeds = self.machines[machine].step(Instant(self.now), event);
        self.perform(machine, deeds);
    }

    pub(super) fn perform(&mut self, machine: usize, deeds: Vec<Deed>) {
        let life = self.machines[machine].life;
        for deed in deeds {
            match deed {
                Deed::Say(run, sequence, status) => self.report(machine, run, sequence, status),
                Deed::SayUnknown(run) => {
                    if let Some((session, _)) = self.links[machine] {
                        self.up(machine, Event::KillUnknown(session, run));
                    }
                }
                Deed::Executed(run) => {
                    let new = self.executed.insert(run);
                    assert!(new, "run {run} is executed twice");
                    let needs = self.machines[machine].running() * job::CPU_MILLI;
                    let has = self.machines[machine].facts.total.cpu_milli;
                    assert!(
                        needs <= has,
                        "machine {machine} has {has} thousandths of a cpu, and its programs need {needs}"
                    );
                    let started = mezzo_agent_core::Event::Started(run);
                    self.after(1, 20, Happens::AgentHears(machine, life, started));
                    let exit = Exit::Code(i32::from(self.rng.chance(100)));
                    let end = Happens::ProgramEnds(machine, run, exit);
                    self.after(1, PROGRAM_MS_MAX, end);
                }
                Deed::Signalled(run) => {
                    let end = Happens::ProgramEnds(machine, run, Exit::Signal(15));
                    self.after(1, 500, end);
                }
            }
        }
        let deadline = self.machines[machine]
            .agent
            .as_ref()
            .and_then(mezzo_agent_core::Agent::next_deadline);
        if let Some(at) = deadline {
            let at = at.0.max(self.now + 1);
            self.at(at, Happens::AgentTick(machine, life));
        }
    }

    pub(super) fn report(&mut self, machine: usize, run: Run, sequence: u64, status: Status) {
        let Some((session, _)) = self.links[machine] else {
            return;
        };
        let ends = status.state.is_final();
        self.up(
            machine,
            Event::StatusReported {
                session,
                run,
                sequence,
                status,
            },
        );
        if ends && self.play.bug == Some(Bug::AcknowledgesTooEarly) {
            let acknowledged = mezzo_agent_core::Event::Acknowledged(run, sequence);
            let life = self.machines[machine].life;
            self.after(0, 0, Happens::AgentHears(machine, life, acknowledged));
        }
    }
}
