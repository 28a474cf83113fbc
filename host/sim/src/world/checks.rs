//! What must hold besides the core's own invariants: what is promised to roles (guarantees:
//! `guarantees.rs`), and to operators who take machines out. Preemption: `preemption.rs`.
//!
//! All of it is reckoned anew from the records, from what turns were offered and from what the master
//! has said; not from the sums that the core keeps.

use super::World;
use super::operators::Standing;
use mezzo_agent_core::Volume;
use mezzo_core::State;
use mezzo_core::state::AgentState;
use mezzo_core::turn::Task;
use mezzo_types::Resources;
use std::sync::Arc;

/// So long after its deadline, and after the last fault, a drained machine is empty, in milliseconds: a
/// status may be said again only after a minute, and messages are late.
const DRAIN_MS_MAX: u64 = 120_000;

impl World {
    /// After each event.
    pub(super) fn check_step(&mut self) -> Result<(), String> {
        let Some(master) = self.master.as_ref().filter(|_| self.operators.quota) else {
            return Ok(());
        };
        limits_hold(master.cluster.state())
    }

    /// What takes time to check; see [`super::Play::check_every`].
    pub(super) fn check_all(&self) -> Result<(), String> {
        let Some(master) = &self.master else {
            return Ok(());
        };
        if let Err(violation) = master.cluster.check() {
            return Err(violation.to_string());
        }
        let state = master.cluster.state();
        limits_hold(state)?;
        if self.operators.gone > 0 {
            nothing_lives_on_gone_agents(state)?;
        }
        self.drained_machines_are_empty(state)
    }

    fn drained_machines_are_empty(&self, state: &State) -> Result<(), String> {
        let quiet_ms = self.play.faults.until_ms;
        for (machine, standing) in self.operators.machines.iter().enumerate() {
            let Standing::Drained(at_ms) = *standing else {
                continue;
            };
            if self.now < at_ms.max(quiet_ms) + DRAIN_MS_MAX {
                continue;
            }
            let agent = self.operators.agents[machine].and_then(|id| state.agents.get(&id));
            if let Some(task) = agent.and_then(|agent| alive(state, agent).next()) {
                return Err(format!(
                    "machine {machine} was to be empty from {at_ms} ms on, and run {} is {} there",
                    task.record.run,
                    task.status.state.as_str()
                ));
            }
        }
        Ok(())
    }

    /// When everything has finished, nothing may be left over.
    pub(super) fn check_nothing_is_left(&self) -> Result<(), String> {
        if let Some(master) = &self.master {
            let state = master.cluster.state();
            if let Some(known) = self.kept(state).next() {
                return Err(format!("reservation {} is left over", known.record.id));
            }
            for (id, agent) in &state.agents {
                // All that there is are the whole reservations of components.
                let known = agent.reservations.iter();
                let known = known.filter_map(|id| state.reservation(*id));
                let mut kept = Resources::NONE;
                for known in known.filter(|known| known.record.within.is_none()) {
                    kept.add(&known.record.amount);
                }
                if agent.used != kept {
                    return Err(format!(
                        "agent {id} still has {:?} in use, of which {kept:?} is reserved",
                        agent.used
                    ));
                }
            }
            self.check_no_volume_is_left(state)?;
            if let Some(run) = state.runs.keys().next() {
                return Err(format!("run {run} is left over"));
            }
        }
        match self.machines.iter().position(|it| it.running() > 0) {
            Some(n) => Err(format!("machine {n} runs programs that nobody knows")),
            None => Ok(()),
        }
    }

    /// Machines have the volumes that the master knows, and no others.
    fn check_no_volume_is_left(&self, state: &State) -> Result<(), String> {
        for (n, machine) in self.machines.iter().enumerate() {
            let is_known = |volume: &&Volume| {
                let known = state.reservation(volume.reservation);
                known.is_some_and(|it| it.record.volume(&volume.name).is_some())
            };
            if let Some(volume) = machine.volumes().find(|volume| !is_known(volume)) {
                return Err(format!("machine {n} has {volume:?}, which nobody knows"));
            }
        }
        Ok(())
    }
}

/// The tasks of an agent that have not ended.
fn alive<'a>(state: &'a State, agent: &'a AgentState) -> impl Iterator<Item = &'a Arc<Task>> {
    let tasks = agent.runs.iter().filter_map(|run| state.task(*run));
    tasks.filter(|task| !task.status.state.is_final())
}

/// No role uses more than its limit.
fn limits_hold(state: &State) -> Result<(), String> {
    for (name, role) in &state.roles {
        let Some(quota) = &role.quota else { continue };
        let mut both = role.used.plain().into_iter().zip(quota.limit());
        if both.any(|(used, limit)| used > limit) {
            return Err(format!(
                "role {name} uses {:?}, more than its limit {:?}",
                role.used,
                quota.limit()
            ));
        }
    }
    Ok(())
}

/// The tasks of an agent that is gone have ended.
fn nothing_lives_on_gone_agents(state: &State) -> Result<(), String> {
    for (id, agent) in state.agents.iter().filter(|(_, it)| it.record.is_gone()) {
        if let Some(task) = alive(state, agent).next() {
            return Err(format!(
                "agent {id} is gone, and run {} on it is {}",
                task.record.run,
                task.status.state.as_str()
            ));
        }
    }
    Ok(())
}
