//! Launches: each placement is checked against its offer, all of a call take effect or none.

use super::{Launched, Ledger, Placement, Refusal};
use crate::state::Reservation;
use crate::turn::{Launch, Offer, Task, Turn};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use mezzo_types::{
    AgentId, AssignedPort, Demand, OfferId, ReservationId, Run, Status, TaskId, TaskSpec,
    TaskState, check_name,
};

impl Ledger {
    /// `driver.launch`
    pub fn launch(&mut self, placements: Vec<Placement>) -> Result<Vec<Launched>, Refusal> {
        self.launch_all(placements, None)
    }

    /// `driver.launch-group`
    pub fn launch_group(
        &mut self,
        group: &str,
        placements: Vec<Placement>,
    ) -> Result<Vec<Launched>, Refusal> {
        check_name(group).map_err(|e| Refusal::Invalid(format!("group: {e}")))?;
        let group: Arc<str> = Arc::from(group);
        let known = |task: &Arc<Task>| task.record.group.as_ref() == Some(&group);
        if self.groups.contains(&group) || self.turn.view.tasks.values().any(known) {
            return Err(Refusal::Invalid(format!(
                "group {group}: the name is in use"
            )));
        }
        let agents: BTreeSet<AgentId> = placements
            .iter()
            .filter_map(|p| self.left.get(&p.offer))
            .map(|offer| offer.agent)
            .collect();
        if agents.len() > 1 {
            return Err(Refusal::Invalid(format!(
                "group {group}: its tasks must be on one agent"
            )));
        }
        let launched = self.launch_all(placements, Some(Arc::clone(&group)))?;
        self.groups.insert(group);
        Ok(launched)
    }

    /// All or none: what was taken from offers for the first ones goes back if a later one is refused.
    fn launch_all(
        &mut self,
        placements: Vec<Placement>,
        group: Option<Arc<str>>,
    ) -> Result<Vec<Launched>, Refusal> {
        let limits = Arc::clone(&self.turn.limits);
        let in_turn = (self.effects.launches.len() + placements.len()) as u64;
        if in_turn > limits.launches_per_turn_max {
            return Err(Refusal::Limit(format!(
                "launches-per-turn-max: at most {} launches in a turn, not {in_turn}",
                limits.launches_per_turn_max
            )));
        }
        let tasks = in_turn + self.turn.view.tasks.len() as u64;
        if tasks > limits.tasks_max {
            return Err(Refusal::Limit(format!(
                "tasks-max: at most {} tasks, not {tasks}",
                limits.tasks_max
            )));
        }
        let more: u64 = placements.iter().map(|p| p.task.bytes()).sum();
        let tasks_bytes = self.tasks_bytes.saturating_add(more);
        if tasks_bytes > limits.tasks_bytes_max {
            return Err(Refusal::Limit(format!(
                "tasks-bytes-max: the descriptions of all tasks together may have {} bytes, not {tasks_bytes}; wait until some have ended",
                limits.tasks_bytes_max
            )));
        }
        let mut undo = Undo {
            launches: self.effects.launches.len(),
            offers: BTreeMap::new(),
            reservations: BTreeMap::new(),
            tasks: Vec::new(),
            demands: placements
                .iter()
                .any(|p| p.demand.is_some())
                .then(|| self.demands.clone()),
        };
        let mut answer = Vec::with_capacity(placements.len());
        for placement in placements {
            match self.launch_one(placement, group.as_ref(), &mut undo) {
                Ok(launched) => answer.push(launched),
                Err(refusal) => {
                    self.undo(undo);
                    return Err(refusal);
                }
            }
        }
        self.tasks_bytes = tasks_bytes;
        Ok(answer)
    }

    fn undo(&mut self, undo: Undo) {
        self.effects.launches.truncate(undo.launches);
        self.left.extend(undo.offers);
        self.reserved.extend(undo.reservations);
        for task in undo.tasks {
            self.launched.remove(&task);
        }
        if let Some(demands) = undo.demands {
            self.demands = demands;
            self.served = None;
        }
    }

    fn launch_one(
        &mut self,
        placement: Placement,
        group: Option<&Arc<str>>,
        undo: &mut Undo,
    ) -> Result<Launched, Refusal> {
        let Placement {
            offer: offer_id,
            demand,
            mut task,
        } = placement;
        task.resources.ports = task.ports.len() as u64;
        task.check(&self.turn.task_limits)
            .map_err(|e| Refusal::Invalid(format!("task {}: {e}", task.id)))?;
        if self.turn.view.tasks.contains_key(&task.id) || self.launched.contains_key(&task.id) {
            return Err(Refusal::Invalid(format!(
                "task {}: the id is in use until the task has ended and its final status is handled",
                task.id
            )));
        }
        let demand = demand.map(|name| self.known_demand(&name)).transpose()?;
        let priority = self.priority(demand.is_some());
        if task.preemptible && priority > 0 {
            return Err(Refusal::Invalid(format!(
                "task {}: it may not be preemptible, because its demand has priority {priority}, above 0",
                task.id
            )));
        }
        let reservation = self.left.get(&offer_id).and_then(|offer| offer.reservation);
        self.check_mounts(&task, reservation, group)?;
        let offer = self
            .left
            .get_mut(&offer_id)
            .ok_or_else(|| Refusal::Unknown(format!("offer {offer_id} is not one of this turn")))?;
        let agent = self
            .turn
            .view
            .agents
            .get(&offer.agent)
            .map(Arc::clone)
            .ok_or_else(|| Refusal::Unknown(format!("agent {} has left", offer.agent)))?;
        let runtime = task.workload.runtime();
        if !agent.facts.runtimes.contains(&runtime) {
            return Err(Refusal::Invalid(format!(
                "task {}: agent {} does not run workloads of the kind `{}`",
                task.id,
                agent.facts.hostname,
                runtime.as_str()
            )));
        }
        let ports_of = self.ports_of.get(&offer_id).copied().unwrap_or(offer_id);
        let mut need = task.resources.clone();
        if ports_of != offer_id {
            need.ports = 0;
        }
        if let Some(kind) = offer.free.short_of(&need) {
            return Err(Refusal::Insufficient(format!(
                "task {}: needs {} of {kind}, offer {offer_id} has {} left",
                task.id,
                need.amount(&kind),
                offer.free.amount(&kind)
            )));
        }
        undo.offers.entry(offer_id).or_insert_with(|| offer.clone());
        offer.free.take(&need);
        let ports = self.take_ports(&task, ports_of, need.ports == 0, undo)?;
        if let Some(id) = reservation
            && let Some(changed) = self.reservation_mut(id)
        {
            undo.reservations
                .entry(id)
                .or_insert_with(|| changed.clone());
            changed.launch(&task);
        }
        if demand.is_some() {
            self.serve_demand();
        }
        let run = Run(self.turn.first_run.0 + self.effects.launches.len() as u64);
        let launched = Launched {
            task: task.id.clone(),
            run,
            ports: ports.clone(),
        };
        let launch = Launch {
            run,
            offer: offer_id,
            agent: agent.id,
            demand,
            priority,
            reservation,
            group: group.cloned(),
            ports,
            spec: Arc::new(task),
        };
        undo.tasks.push(launched.task.clone());
        self.launched.insert(
            launched.task.clone(),
            Arc::new(pending(&self.turn, &launch, &agent.facts.address)),
        );
        self.effects.launches.push(launch);
        Ok(launched)
    }

    /// Ports of an offer for a task; `charge` says that they are not charged yet.
    fn take_ports(
        &mut self,
        task: &TaskSpec,
        of: OfferId,
        charge: bool,
        undo: &mut Undo,
    ) -> Result<Vec<AssignedPort>, Refusal> {
        let Some(offer) = self.left.get_mut(&of) else {
            return Ok(Vec::new());
        };
        undo.offers.entry(of).or_insert_with(|| offer.clone());
        let ports = assign_ports(task, &mut offer.port_set)?;
        if charge {
            offer.free.ports = offer.free.ports.saturating_sub(ports.len() as u64);
        }
        Ok(ports)
    }

    /// Where in the list the demand is. A demand whose count is used up stays until the turn ends.
    fn known_demand(&mut self, name: &str) -> Result<Arc<str>, Refusal> {
        if let Some((_, served)) = self.served.as_ref().filter(|(_, served)| &**served == name) {
            return Ok(Arc::clone(served));
        }
        let demands = self
            .demands
            .get_or_insert_with(|| Vec::clone(&self.turn.view.demands));
        let at = demands.iter().position(|d| d.name == name);
        let at = at.ok_or_else(|| Refusal::Unknown(format!("demand {name}: no such demand")))?;
        let name: Arc<str> = Arc::from(name);
        self.served = Some((at, Arc::clone(&name)));
        Ok(name)
    }

    /// The priority of the demand that was found last; without one it is 0.
    fn priority(&self, for_a_demand: bool) -> i32 {
        let demand = self.served.as_ref().filter(|_| for_a_demand);
        demand
            .and_then(|(at, _)| Some(self.demands.as_ref()?.get(*at)?.priority))
            .unwrap_or(0)
    }

    /// One piece of the demand that [`Ledger::known_demand`] found last is served.
    fn serve_demand(&mut self) {
        let Some((at, _)) = self.served else { return };
        if let Some(demand) = self
            .demands
            .as_mut()
            .and_then(|demands| demands.get_mut(at))
        {
            demand.count = demand.count.saturating_sub(1);
        }
    }
}

/// What to put back when one of several launches is refused.
struct Undo {
    launches: usize,
    offers: BTreeMap<OfferId, Offer>,
    reservations: BTreeMap<ReservationId, Reservation>,
    tasks: Vec<TaskId>,
    /// The list before, if a launch may have changed it.
    demands: Option<Option<Vec<Demand>>>,
}

fn assign_ports(
    task: &TaskSpec,
    free: &mut mezzo_types::PortSet,
) -> Result<Vec<AssignedPort>, Refusal> {
    // By number first, so that a picked port is never one that the task itself names.
    for fixed in task.ports.iter().filter_map(|p| p.fixed) {
        if !free.remove(fixed) {
            return Err(Refusal::Insufficient(format!(
                "task {}: port {fixed} is not in the offer",
                task.id
            )));
        }
    }
    let picked = task.ports.iter().filter(|p| p.fixed.is_none()).count();
    let mut picked = free
        .take_first(picked)
        .ok_or_else(|| {
            Refusal::Insufficient(format!(
                "task {}: the offer has too few ports left",
                task.id
            ))
        })?
        .into_iter();
    Ok(task
        .ports
        .iter()
        .filter_map(|p| {
            Some(AssignedPort {
                name: p.name.clone(),
                number: p.fixed.or_else(|| picked.next())?,
            })
        })
        .collect())
}

fn pending(turn: &Turn, launch: &Launch, address: &str) -> Task {
    Task {
        record: Arc::new(crate::record::TaskRecord {
            run: launch.run,
            framework: turn.framework,
            agent: launch.agent,
            ports: launch.ports.clone(),
            group: launch.group.clone(),
            launched: turn.now,
            spec: Arc::clone(&launch.spec),
            reservation: launch.reservation,
            priority: launch.priority,
        }),
        address: Arc::from(address),
        status: Status::new(TaskState::Pending, turn.now),
        sequence: 0,
        handled: true,
        kill: None,
    }
}
