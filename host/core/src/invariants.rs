//! What must always hold, checked from scratch against the sums that are kept along the way. Tests
//! and the simulator check after every step.

use crate::claims::Takes;
use crate::cluster::{Cluster, Deadline};
use crate::state::{Reservation, State};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use mezzo_types::{AgentId, FrameworkId, PortSet, ReservationId, Resources, Run};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// Where, and with which values.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {} is broken: {}", self.invariant, self.found)
    }
}

impl core::error::Error for Violation {}

fn holds(
    condition: bool,
    invariant: &'static str,
    found: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if condition {
        Ok(())
    } else {
        Err(Violation {
            invariant,
            found: found(),
        })
    }
}

impl Cluster {
    /// Every invariant.
    pub fn check(&self) -> Result<(), Violation> {
        self.check_sums()?;
        self.check_agents()?;
        self.check_runs()?;
        self.check_reservations()?;
        self.check_leases()?;
        self.check_turns()?;
        self.check_claims()?;
        self.check_queues()
    }

    /// What agents, frameworks and roles are said to use is what their tasks use.
    fn check_sums(&self) -> Result<(), Violation> {
        let mut agents: BTreeMap<AgentId, Resources> = BTreeMap::new();
        let mut roles: BTreeMap<&str, Resources> = BTreeMap::new();
        for (id, framework) in &self.state.frameworks {
            let mut used = Resources::NONE;
            for task in framework
                .tasks
                .values()
                .filter(|task| !task.status.state.is_final())
            {
                let charged = task.record.charged();
                used.add(&charged);
                agents.entry(task.record.agent).or_default().add(&charged);
                for role in State::roles_above(&framework.record.role) {
                    roles.entry(role).or_default().add(&charged);
                }
            }
            holds(used == framework.used, "framework-used", || {
                format!("framework {id}: {used:?}, kept {:?}", framework.used)
            })?;
            let bytes: u64 = framework
                .tasks
                .values()
                .map(|task| task.record.spec.bytes())
                .sum();
            holds(bytes == framework.tasks_bytes, "tasks-bytes", || {
                format!("framework {id}: {bytes}, kept {}", framework.tasks_bytes)
            })?;
            let bytes: u64 = framework
                .state
                .iter()
                .map(|(k, v)| (k.len() + v.len()) as u64)
                .sum();
            holds(bytes == framework.state_bytes, "state-bytes", || {
                format!("framework {id}: {bytes}, kept {}", framework.state_bytes)
            })?;
        }
        for known in self.reservations() {
            let record = &known.record;
            let whole = record.within.and_then(|id| self.state.reservation(id));
            if whole.is_none() {
                let agent = agents.entry(record.agent).or_default();
                agent.add(&record.amount);
            }
            let above = whole.map(|whole| &*whole.record.role);
            let charged = State::roles_above(&record.role).take_while(|role| Some(*role) != above);
            for role in charged {
                roles.entry(role).or_default().add(&record.amount);
            }
        }
        for (id, agent) in &self.state.agents {
            let used = agents.remove(id).unwrap_or_default();
            holds(used == agent.used, "agent-used", || {
                format!("agent {id}: {used:?}, kept {:?}", agent.used)
            })?;
        }
        for (name, role) in &self.state.roles {
            let used = roles.remove(&**name).unwrap_or_default();
            holds(used == role.used, "role-used", || {
                format!("role {name}: {used:?}, kept {:?}", role.used)
            })?;
        }
        Ok(())
    }

    /// No agent gives more than it has, and no port twice.
    fn check_agents(&self) -> Result<(), Violation> {
        let mut total = Resources::NONE;
        for (id, agent) in &self.state.agents {
            if !agent.record.is_gone() {
                total.add(&agent.record.info.facts.total);
            }
            let mut ports = PortSet::default();
            let tasks = agent.runs.iter().filter_map(|run| self.state.task(*run));
            for task in tasks.filter(|task| !task.status.state.is_final()) {
                for port in &task.record.ports {
                    holds(ports.insert(port.number), "port-once", || {
                        format!("agent {id}, port {}", port.number)
                    })?;
                }
            }
            holds(ports == agent.ports_used, "ports-used", || {
                format!("agent {id}: {ports}, kept {}", agent.ports_used)
            })?;
            let Some(link) = self.links.get(id) else {
                continue;
            };
            // An agent may come back with less than its tasks use; it is then offered to nobody.
            let mut given = agent.used.clone();
            given.add(&link.leased);
            let has = &agent.record.info.facts.total;
            let shrunk = !has.contains(&agent.used);
            holds(
                shrunk || link.leased.is_none() || has.contains(&given),
                "agent-total",
                || format!("agent {id} has {has:?}, gives {given:?}"),
            )?;
        }
        holds(total == self.state.total, "total", || {
            format!("{total:?}, kept {:?}", self.state.total)
        })
    }

    /// Every run is in the places where it is looked for, and in no other.
    fn check_runs(&self) -> Result<(), Violation> {
        let mut seen: BTreeSet<Run> = BTreeSet::new();
        for (id, framework) in &self.state.frameworks {
            for (name, task) in framework.tasks.iter() {
                let run = task.record.run;
                holds(seen.insert(run), "run-once", || format!("run {run}"))?;
                let indexed = self.state.runs.get(&run) == Some(&(*id, name.clone()));
                holds(indexed, "run-indexed", || {
                    format!("run {run} of framework {id}")
                })?;
                let reserved = task.record.reservation.is_none_or(|id| {
                    task.status.state.is_final() || self.state.reservations.contains_key(&id)
                });
                holds(reserved, "run-on-reservation", || {
                    format!("run {run} on {:?}", task.record.reservation)
                })?;
                let on_agent = self
                    .state
                    .agents
                    .get(&task.record.agent)
                    .is_some_and(|a| a.runs.contains(&run));
                holds(on_agent, "run-on-agent", || {
                    format!("run {run} on agent {}", task.record.agent)
                })?;
                let unhandled = framework.unhandled.contains(&run);
                holds(unhandled != task.handled, "unhandled", || {
                    format!("run {run}")
                })?;
                holds(run.0 < self.state.cluster.numbers_below, "numbers", || {
                    format!("run {run}")
                })?;
            }
        }
        holds(seen.len() == self.state.runs.len(), "runs", || {
            format!("{} of {}", seen.len(), self.state.runs.len())
        })
    }

    fn reservations(&self) -> impl Iterator<Item = &Arc<Reservation>> {
        let ids = self.state.reservations.keys();
        ids.filter_map(|id| self.state.reservation(*id))
    }

    /// What is said to be used of a reservation is what its tasks and parts use, and no more than it
    /// is; none is kept that was given back and that nothing uses.
    fn check_reservations(&self) -> Result<(), Violation> {
        let kept: usize = self
            .state
            .roles
            .values()
            .map(|r| r.reservations.len())
            .sum();
        holds(
            kept == self.state.reservations.len(),
            "reservations",
            || format!("{kept} of {}", self.state.reservations.len()),
        )?;
        for known in self.reservations() {
            let id = known.record.id;
            let mut fresh = Reservation::new(Arc::clone(&known.record));
            let agent = self.state.agents.get(&known.record.agent);
            for run in agent.into_iter().flat_map(|agent| &agent.runs) {
                let task = self.state.task(*run);
                let alive = task.filter(|t| !t.status.state.is_final());
                if let Some(task) = alive.filter(|t| t.record.reservation == Some(id)) {
                    fresh.users.insert(*run);
                    fresh.launch(&task.record.spec);
                }
            }
            for part in self.reservations() {
                if part.record.within == Some(id) {
                    fresh.parts.insert(part.record.id);
                    fresh.refined.add(&part.record.amount);
                }
            }
            holds(fresh == **known, "reservation-used", || {
                format!("reservation {id}: {fresh:?}, kept {known:?}")
            })?;
            let mut used = known.used.clone();
            used.add(&known.refined);
            for volume in &known.record.volumes {
                used.disk_bytes += volume.size_bytes;
            }
            holds(known.record.amount.contains(&used), "reserved", || {
                format!(
                    "reservation {id} is {:?}, gives {used:?}",
                    known.record.amount
                )
            })?;
            let over = known.record.ending && known.is_unused() && !self.lent.contains_key(&id);
            holds(!over, "given-back", || format!("reservation {id}"))?;
            let on_agent = agent.is_some_and(|agent| agent.reservations.contains(&id));
            holds(on_agent, "reservation-on-agent", || {
                format!("reservation {id} on agent {}", known.record.agent)
            })?;
        }
        Ok(())
    }

    /// What agents are said to have leased is what running turns hold.
    fn check_leases(&self) -> Result<(), Violation> {
        let mut leased: BTreeMap<AgentId, Resources> = BTreeMap::new();
        for (agent, part) in self.claims.iter().flat_map(|claim| &claim.parts) {
            leased.entry(*agent).or_default().add(&part.amount);
        }
        let mut lent: BTreeSet<ReservationId> = BTreeSet::new();
        for lease in self.turns.values().flat_map(|turn| &turn.leases) {
            leased.entry(lease.agent).or_default().add(&lease.charged());
            if let Some(id) = lease.reservation {
                holds(lent.insert(id), "lent-once", || format!("reservation {id}"))?;
            }
        }
        holds(self.lent.keys().eq(&lent), "lent", || {
            format!("{lent:?}, kept {:?}", self.lent)
        })?;
        for (id, link) in &self.links {
            let sum = leased.remove(id).unwrap_or_default();
            holds(sum == link.leased, "leased", || {
                format!("agent {id}: {sum:?}, kept {:?}", link.leased)
            })?;
        }
        holds(leased.is_empty(), "leased", || {
            format!("on unknown agents: {leased:?}")
        })
    }

    /// One claim a framework, and one gang's in all; none holds more than it takes.
    fn check_claims(&self) -> Result<(), Violation> {
        let gangs = self.claims.iter().filter(|claim| claim.is_gang()).count();
        holds(gangs <= 1, "one-gang", || format!("{gangs} gangs claim"))?;
        let mut whose: BTreeSet<FrameworkId> = BTreeSet::new();
        for claim in &self.claims {
            let framework = claim.framework;
            holds(whose.insert(framework), "one-claim", || {
                format!("framework {framework}")
            })?;
            let most = match &claim.takes {
                Takes::Pieces(pieces) => claim.pieces() <= *pieces,
                Takes::Of(wanted) => claim.parts.iter().all(|(agent, part)| {
                    wanted
                        .get(agent)
                        .is_some_and(|wanted| wanted.contains(&part.amount))
                }),
            };
            holds(most, "claims-no-more", || format!("{claim:?}"))?;
            let due = self
                .deadlines
                .contains(&(claim.until, Deadline::Claim(framework)));
            holds(due, "claim-ends", || format!("{claim:?}"))?;
        }
        Ok(())
    }

    /// One turn a framework, and no more than there are workers.
    fn check_turns(&self) -> Result<(), Violation> {
        holds(
            self.turns.len() <= self.limits.turns_max,
            "turns-max",
            || format!("{} turns", self.turns.len()),
        )?;
        let heavy = self.turns.values().filter(|turn| turn.heavy).count();
        holds(heavy == self.turns_heavy, "turns-heavy", || {
            format!("{heavy}, kept {}", self.turns_heavy)
        })?;
        let running = self.turns.values().filter(|turn| turn.is_install());
        let waiting = self.installs.iter().map(|(_, record)| &record.name);
        let trials: BTreeSet<_> = running.map(|turn| &turn.name).chain(waiting).collect();
        holds(trials.into_iter().eq(&self.in_trial), "in-trial", || {
            format!("kept {:?}", self.in_trial)
        })?;
        let mut busy: BTreeSet<FrameworkId> = BTreeSet::new();
        for (id, turn) in &self.turns {
            holds(busy.insert(turn.framework), "one-turn", || {
                format!("framework {}", turn.framework)
            })?;
            let host = self.hosts.get(&turn.framework);
            let knows = turn.is_install() || host.is_some_and(|host| host.turn == Some(*id));
            holds(knows, "turn-known", || {
                format!("turn {id} of framework {}", turn.framework)
            })?;
        }
        Ok(())
    }

    /// Nobody waits who could be served, and everybody who waits is in a queue.
    fn check_queues(&self) -> Result<(), Violation> {
        for (id, host) in &self.hosts {
            let Some(framework) = self.state.frameworks.get(id) else {
                return Err(Violation {
                    invariant: "host-known",
                    found: format!("framework {id}"),
                });
            };
            let queued = host
                .ready
                .is_some_and(|cpu| self.queue.ready.contains(&(cpu, *id)));
            holds(queued == host.ready.is_some(), "ready-indexed", || {
                format!("framework {id}")
            })?;
            let wants = self.wants(*id, framework);
            holds(wants == self.shares.wants(*id), "wanting", || {
                format!("framework {id}")
            })?;
            let (held, room) = (self.held.get(id), self.room(*id));
            let held_for_nothing = framework.demands.iter().find(|demand| {
                let needed = demand.each.times(crate::quota::needed(demand));
                let mut free = self.free_total.iter().zip(needed.plain());
                held.is_some_and(|held| held.contains(&demand.name))
                    && room.pieces(&demand.each) >= crate::quota::needed(demand)
                    && free.all(|(free, each)| *free >= each)
            });
            holds(held_for_nothing.is_none(), "held", || {
                format!("framework {id}: {held_for_nothing:?}, room {room:?}")
            })?;
            let mut charged = framework.used.clone();
            let turns = self.turns.values().filter(|turn| turn.framework == *id);
            for lease in turns.flat_map(|turn| &turn.leases) {
                charged.add(&lease.charged());
            }
            let claims = self.claims.iter().filter(|claim| claim.framework == *id);
            for part in claims.flat_map(|claim| claim.parts.values()) {
                charged.add(&part.amount);
            }
            holds(
                self.shares.charged(*id) == Some(&charged),
                "charged",
                || {
                    format!(
                        "framework {id}: {charged:?}, kept {:?}",
                        self.shares.charged(*id)
                    )
                },
            )?;
        }
        let mut lacking = [0; 5];
        for (name, role) in &self.state.roles {
            let Some(quota) = &role.quota else { continue };
            let charged = self
                .shares
                .of_role(name)
                .map_or([0; 5], |charged| charged.plain());
            for (i, lacking) in lacking.iter_mut().enumerate() {
                *lacking += quota.guarantee.plain()[i].saturating_sub(charged[i]);
            }
        }
        holds(lacking == *self.shares.lacking(), "lacking", || {
            format!("{lacking:?}, kept {:?}", self.shares.lacking())
        })?;
        let mut free_total = [0; 5];
        for id in self.links.keys() {
            let free = self.free(*id).unwrap_or_default();
            for (total, free) in free_total.iter_mut().zip(free.plain()) {
                *total += free;
            }
        }
        holds(free_total == self.free_total, "free-total", || {
            format!("{free_total:?}, kept {:?}", self.free_total)
        })?;
        for (id, link) in &self.links {
            let shown = self.offerable.get(&link.shown) == Some(id);
            let gives = self.free(*id).is_some_and(|free| !free.runs_nothing());
            holds(shown == gives, "offerable", || {
                format!("agent {id}: shown {shown}, gives {gives}")
            })?;
        }
        Ok(())
    }
}
