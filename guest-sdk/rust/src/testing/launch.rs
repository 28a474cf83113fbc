//! Launches in a turn of the fake cluster: each placement is checked against its offer, all of a call are taken or
//! none.

use super::reservations::{FakeReservation, without_ports};
use super::task::{check_task, pending, runtime, task_bytes};
use super::turn::{Launch, TurnHost};
use crate::types::*;
use std::collections::{BTreeMap, BTreeSet};

impl TurnHost<'_> {
    pub(super) fn launch_all(
        &self,
        placements: &[Placement],
        group: Option<&str>,
    ) -> Result<Vec<Launched>, Refusal> {
        self.call(
            placements
                .iter()
                .map(|placement| task_bytes(&placement.task))
                .sum(),
        );
        let limits = &self.world.limits;
        let in_turn = self.effects.borrow().launches.len() + placements.len();
        if in_turn > limits.launches_per_turn_max {
            return Err(Refusal::Limit(format!(
                "launches-per-turn-max: {}",
                limits.launches_per_turn_max
            )));
        }
        if in_turn + self.world.tasks.len() > limits.tasks_max {
            return Err(Refusal::Limit(format!("tasks-max: {}", limits.tasks_max)));
        }
        // All or none: work on copies, keep them at the end.
        let mut scratch = Scratch {
            left: self.left.borrow().clone(),
            reservations: self.reservations.borrow().clone(),
        };
        let mut ids = BTreeSet::new();
        let mut launches: Vec<Launch> = Vec::with_capacity(placements.len());
        for placement in placements {
            if !ids.insert(placement.task.id.as_str()) {
                return Err(Refusal::Invalid(format!(
                    "task {}: the id is in use",
                    placement.task.id
                )));
            }
            let launch = self.check(placement, group, &mut scratch, &launches)?;
            launches.push(launch);
        }
        let answer = launches.iter().map(launched).collect();
        *self.left.borrow_mut() = scratch.left;
        *self.reservations.borrow_mut() = scratch.reservations;
        let mut effects = self.effects.borrow_mut();
        let wanted = effects
            .want
            .get_or_insert_with(|| self.world.demands.clone());
        for launch in &launches {
            let demand = launch.demand.as_ref();
            if let Some(demand) = wanted.iter_mut().find(|own| Some(&own.name) == demand) {
                demand.count = demand.count.saturating_sub(1);
            }
        }
        for launch in launches {
            self.launched
                .borrow_mut()
                .insert(launch.task.id.clone(), effects.launches.len());
            effects.launches.push(launch);
        }
        Ok(answer)
    }

    fn check(
        &self,
        placement: &Placement,
        group: Option<&str>,
        scratch: &mut Scratch,
        before: &[Launch],
    ) -> Result<Launch, Refusal> {
        let task = &placement.task;
        check_task(task)?;
        if self.world.tasks.contains_key(&task.id) || self.launched.borrow().contains_key(&task.id)
        {
            return Err(Refusal::Invalid(format!(
                "task {}: the id is in use",
                task.id
            )));
        }
        let priority = self.priority(placement.demand.as_deref())?;
        if task.preemptible && priority > 0 {
            return Err(Refusal::Invalid(format!(
                "task {}: it may not be preemptible, because its demand has priority {priority}, above 0",
                task.id
            )));
        }
        let unknown = |offer| Refusal::Unknown(format!("offer {offer} is not one of this turn"));
        let offer_id = placement.offer;
        let offer = scratch.left.get(&offer_id);
        let offer = offer.ok_or_else(|| unknown(offer_id))?;
        let reservation = offer.reservation;
        let known = reservation.and_then(|id| scratch.reservations.get(&id));
        let effects = self.effects.borrow();
        let in_group =
            |launch: &&Launch| group.is_some() && launch.status.group.as_deref() == group;
        let mounts = |name: &str| {
            let own = effects.launches.iter().chain(before);
            let own = own
                .filter(in_group)
                .filter(|l| l.reservation == reservation);
            own.filter(|launch| launch.task.mounts.iter().any(|m| m.volume == name))
                .count()
        };
        self.check_mounts(task, offer, known, mounts)?;
        let agent = self
            .world
            .agents
            .get(&offer.agent)
            .ok_or_else(|| Refusal::Unknown(format!("agent {} has left", offer.agent)))?;
        let runtime = runtime(&task.workload);
        if !agent.info.runtimes.iter().any(|own| own == runtime) {
            return Err(Refusal::Invalid(format!(
                "task {}: the agent does not run `{runtime}`",
                task.id
            )));
        }
        let short = |offer| {
            Refusal::Insufficient(format!(
                "task {}: offer {offer} has too little left",
                task.id
            ))
        };
        let ports_of = self.ports_of.borrow().get(&offer_id).copied();
        let ports_of = ports_of.unwrap_or(offer_id);
        let ports = u32::try_from(task.ports.len()).unwrap_or(u32::MAX);
        let charged = without_ports(task);
        if !offer.free.holds(&charged)
            || scratch
                .left
                .get(&ports_of)
                .is_none_or(|offer| offer.free.ports < ports)
        {
            return Err(short(offer_id));
        }
        let fixed: Vec<u16> = task.ports.iter().filter_map(|port| port.fixed).collect();
        // Nearly no task names a port, and a turn may launch thousands.
        let taken = if fixed.is_empty() {
            BTreeSet::new()
        } else {
            fixed_ports(effects.launches.iter().chain(before), offer.agent)
        };
        let is_taken = |port: &&u16| agent.fixed_used.contains(*port) || taken.contains(*port);
        if let Some(port) = fixed.iter().find(is_taken) {
            return Err(Refusal::Insufficient(format!(
                "task {}: port {port} is taken",
                task.id
            )));
        }
        if let Some(offer) = scratch.left.get_mut(&offer_id) {
            offer.free.take(&charged);
            let mounted = |volume: &String| task.mounts.iter().any(|m| m.volume == *volume);
            offer.volumes.retain(|volume| !mounted(volume));
        }
        if let Some(offer) = scratch.left.get_mut(&ports_of) {
            offer.free.ports -= ports;
        }
        if let Some(known) = reservation.and_then(|id| scratch.reservations.get_mut(&id)) {
            known.launch(task);
        }
        let run = self.world.next_run + (effects.launches.len() + before.len()) as u64;
        Ok(Launch {
            status: pending(task, run, group, &agent.info, self.world.now),
            task: task.clone(),
            demand: placement.demand.clone(),
            charged: Resources { ports, ..charged },
            reservation,
        })
    }

    /// That of the demand which a launch serves; without one it is 0.
    fn priority(&self, demand: Option<&str>) -> Result<i32, Refusal> {
        let Some(name) = demand else { return Ok(0) };
        let effects = self.effects.borrow();
        let wanted = effects.want.as_ref().unwrap_or(&self.world.demands);
        let demand = wanted.iter().find(|own| own.name == name);
        let demand =
            demand.ok_or_else(|| Refusal::Unknown(format!("demand {name}: no such demand")))?;
        Ok(demand.priority)
    }
}

/// What a call works on until all of it is accepted.
struct Scratch {
    left: BTreeMap<OfferId, Offer>,
    reservations: BTreeMap<ReservationId, FakeReservation>,
}

/// Ports that a turn's launches take by number.
fn fixed_ports<'l>(launches: impl Iterator<Item = &'l Launch>, agent: AgentId) -> BTreeSet<u16> {
    let own = launches.filter(|launch| launch.status.agent == agent);
    own.flat_map(|launch| launch.task.ports.iter().filter_map(|port| port.fixed))
        .collect()
}

fn launched(launch: &Launch) -> Launched {
    Launched {
        task: launch.task.id.clone(),
        run: launch.status.run,
        ports: launch.status.ports.clone(),
    }
}
