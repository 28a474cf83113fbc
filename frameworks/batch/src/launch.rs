//! Deciding what is launched on a turn's offers and what is wanted after it, and keeping the master's list of demands
//! equal to that.

use crate::job::Job;
use crate::limits::*;
use crate::spec::{Slot, Spec};
use crate::store::ArgsReader;
use mezzo_sdk::types::*;
use mezzo_sdk::{Cx, Plan};
use std::collections::{BTreeMap, BTreeSet};

/// One placement and what it is for.
struct Planned {
    job: u64,
    index: u32,
    placement: Placement,
}

/// An index whose launch was taken in, or will never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whose.
    pub job: u64,
    /// Which.
    pub index: u32,
    /// Whether it was launched; else the master refuses the task as such.
    pub launched: bool,
}

/// What is known beyond the jobs: agents, and the list that the master has.
#[derive(Debug, Default)]
pub struct Launcher {
    agents: BTreeMap<AgentId, Agent>,
    args: ArgsReader,
    /// Name and count of each demand that the master has; none if it is not known.
    wanted: Option<BTreeMap<u64, u32>>,
    /// Whether offers were left that are still wanted.
    more: bool,
}

impl Launcher {
    /// Agents that are new or have changed.
    pub fn agents(&mut self, agents: Vec<Agent>) {
        self.agents
            .extend(agents.into_iter().map(|agent| (agent.id, agent)));
    }

    /// Agents that have left.
    pub fn agents_gone(&mut self, agents: &[AgentId]) {
        for agent in agents {
            self.agents.remove(agent);
        }
    }

    /// Whether offers were left that are still wanted; asked once.
    pub fn take_more(&mut self) -> bool {
        std::mem::take(&mut self.more)
    }

    /// Launches what fits on the offers in one call: the most urgent job first, then the oldest. What was
    /// taken back for an urgent one would else go to those that it was taken from.
    pub fn launch(
        &mut self,
        cx: &mut Cx<'_>,
        jobs: &mut BTreeMap<u64, Job>,
        offers: Vec<Offer>,
    ) -> Vec<Outcome> {
        let needs = needs(jobs);
        // A job that wants something only since this turn has no demand yet that a launch could serve.
        let listed = |wanted: &BTreeMap<u64, u32>| needs.keys().all(|job| wanted.contains_key(job));
        if !self.wanted.as_ref().is_some_and(listed) {
            self.want(cx, jobs);
        }
        let mut plan = Plan::new(offers);
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        let mut room = Room {
            launches: LAUNCHES_PER_TURN_MAX,
            bytes: LAUNCH_BYTES_MAX,
        };
        let mut short = false;
        let priority = |number: &u64| {
            let spec = jobs.get(number).and_then(|job| job.spec.as_ref());
            spec.map_or(0, |spec| spec.priority)
        };
        let mut order: Vec<(u64, u32)> = needs.iter().map(|(job, n)| (*job, *n)).collect();
        order.sort_by_key(|(number, _)| (std::cmp::Reverse(priority(number)), *number));
        for (number, count) in &order {
            let Some(job) = jobs.get_mut(number) else {
                continue;
            };
            let fixed_ports = job
                .spec
                .as_ref()
                .is_some_and(|spec| spec.fixed_ports().next().is_some());
            // Whether a fixed port is free is for the master to say, so such a task is launched by itself.
            let to = if fixed_ports {
                &mut alone
            } else {
                &mut together
            };
            let before = to.len();
            self.plan_job(cx, job, *count, &mut plan, &mut room, to);
            // It got its share of the turn, and would have launched more.
            let planned = u32::try_from(to.len() - before).unwrap_or(u32::MAX);
            short |= planned == *count && job.launchable() > *count;
        }
        if short || room.is_short() {
            // What is left of the offers is wanted, but not in this turn.
            cx.revive();
            // The master takes one a second: ask again then, should this have been one too many.
            self.more = true;
        }
        let outcomes = commit(cx, together, alone);
        if let Some(wanted) = &mut self.wanted {
            for outcome in outcomes.iter().filter(|outcome| outcome.launched) {
                if let Some(count) = wanted.get_mut(&outcome.job) {
                    *count = count.saturating_sub(1);
                }
            }
            wanted.retain(|_, count| *count > 0);
        }
        outcomes
    }

    fn plan_job(
        &mut self,
        cx: &Cx<'_>,
        job: &mut Job,
        count: u32,
        plan: &mut Plan,
        room: &mut Room,
        to: &mut Vec<Planned>,
    ) {
        let indexes = job.next(count as usize);
        let (job, id) = (&*job, job.id());
        let Some(spec) = &job.spec else { return };
        let agents = &self.agents;
        let fixed_ports = spec.fixed_ports().next().is_some();
        let mut used: BTreeSet<AgentId> = BTreeSet::new();
        let mut last: Option<(OfferId, bool)> = None;
        plan.rewind();
        for index in indexes {
            let own = spec
                .has_task_args
                .then(|| self.args.get(cx, job.number, index));
            let bytes = spec.launch_bytes() + own.as_ref().map_or(0, args_bytes);
            let fits = |offer: &Offer| {
                if fixed_ports && used.contains(&offer.agent) {
                    return false;
                }
                // The same offer is asked about again and again while equal tasks fill it.
                match last {
                    Some((id, answer)) if id == offer.id => answer,
                    _ => {
                        let answer = accepts(cx, agents, spec, offer.agent);
                        last = Some((offer.id, answer));
                        answer
                    }
                }
            };
            let Some(at) = plan.fit(&spec.resources, fits) else {
                return;
            };
            if !room.take(bytes) {
                return;
            }
            let offer = plan.offers().get(at);
            used.extend(offer.map(|offer| offer.agent));
            let reserved = offer.is_some_and(|offer| offer.reservation.is_some());
            let Some(offer) = plan.take(at, &spec.resources) else {
                return;
            };
            let attempt = job.next_attempt(index);
            let slot = Slot {
                job: &id,
                index,
                attempt,
            };
            let mut task = spec.task(job.task_id(index, attempt), slot, own.as_ref());
            // What is kept for the role is not taken back for others, and the master says no to such a task.
            task.preemptible &= !reserved;
            to.push(Planned {
                job: job.number,
                index,
                placement: Placement {
                    offer,
                    demand: Some(id.clone()),
                    task,
                },
            });
        }
    }

    /// Says anew what is wanted, if the master's list differs.
    pub fn want(&mut self, cx: &mut Cx<'_>, jobs: &BTreeMap<u64, Job>) {
        let needs = needs(jobs);
        if self.wanted.as_ref() == Some(&needs) {
            return;
        }
        match cx.want(&demands(jobs, &needs)) {
            Ok(()) => self.wanted = Some(needs),
            Err(refusal) => cx.error(&format!("what is wanted was refused: {refusal}")),
        }
    }

    /// Whether the master would take a job's demand: it alone judges expressions and numbers. What is wanted is said
    /// anew at the turn's end.
    pub fn try_want(&mut self, cx: &mut Cx<'_>, id: &str, spec: &Spec) -> Result<(), Refusal> {
        self.wanted = None;
        cx.want(&[spec.demand(id.to_owned(), 1)])
    }
}

/// What a turn may still launch.
struct Room {
    launches: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> bool {
        if self.launches == 0 || self.bytes < bytes {
            self.launches = 0;
            return false;
        }
        self.launches -= 1;
        self.bytes -= bytes;
        true
    }

    fn is_short(&self) -> bool {
        self.launches == 0
    }
}

fn accepts(cx: &Cx<'_>, agents: &BTreeMap<AgentId, Agent>, spec: &Spec, agent: AgentId) -> bool {
    match agents.get(&agent) {
        Some(agent) => spec.accepts(agent),
        None => cx
            .find_agent(agent)
            .is_some_and(|agent| spec.accepts(&agent)),
    }
}

fn args_bytes(args: &crate::spec::TaskArgs) -> usize {
    let env = args
        .env
        .iter()
        .map(|(name, value)| name.len() + value.len() + 16);
    args.argv.iter().map(|arg| arg.len() + 8).chain(env).sum()
}

/// How many tasks each job wants to launch now. What may live and what one turn can carry is shared out evenly, so
/// that a job that fits nowhere holds up no other.
fn needs(jobs: &BTreeMap<u64, Job>) -> BTreeMap<u64, u32> {
    let live: usize = jobs.values().map(|job| job.counts().live() as usize).sum();
    let room = IN_FLIGHT_MAX
        .saturating_sub(live)
        .min(LAUNCHES_PER_TURN_MAX);
    let launchable = jobs.iter().map(|(number, job)| (*number, job.launchable()));
    let mut needs: BTreeMap<u64, u32> = launchable.filter(|(_, count)| *count > 0).collect();
    if needs.is_empty() || room == 0 {
        return BTreeMap::new();
    }
    let share = u32::try_from(room / needs.len()).unwrap_or(u32::MAX).max(1);
    let bytes_share = LAUNCH_BYTES_MAX / needs.len();
    for (number, count) in &mut needs {
        let bytes = jobs.get(number).map_or(1, Job::launch_bytes).max(1);
        let carried = u32::try_from(bytes_share / bytes)
            .unwrap_or(u32::MAX)
            .max(1);
        *count = (*count).min(share).min(carried);
    }
    needs
}

fn demands(jobs: &BTreeMap<u64, Job>, counts: &BTreeMap<u64, u32>) -> Vec<Demand> {
    let demand = |(number, count): (&u64, &u32)| {
        let job = jobs.get(number)?;
        Some(job.spec.as_ref()?.demand(job.id(), *count))
    };
    counts.iter().filter_map(demand).collect()
}

/// Launches what was planned. All in one call; only if that is refused, one by one, so that one task that the master
/// does not take holds up no other.
fn commit(cx: &mut Cx<'_>, together: Vec<Planned>, alone: Vec<Planned>) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(together.len() + alone.len());
    let who: Vec<(u64, u32)> = together
        .iter()
        .map(|planned| (planned.job, planned.index))
        .collect();
    let placements: Vec<Placement> = together
        .into_iter()
        .map(|planned| planned.placement)
        .collect();
    let mut singly: Vec<Planned> = Vec::new();
    if !placements.is_empty() {
        match cx.launch(&placements) {
            Ok(_) => outcomes.extend(who.iter().map(|(job, index)| Outcome {
                job: *job,
                index: *index,
                launched: true,
            })),
            Err(refusal) => {
                cx.warn(&format!(
                    "{} launches were refused, trying one by one: {refusal}",
                    placements.len()
                ));
                let planned = who.into_iter().zip(placements);
                singly.extend(planned.map(|((job, index), placement)| Planned {
                    job,
                    index,
                    placement,
                }));
            }
        }
    }
    let mut told = false;
    for Planned {
        job,
        index,
        placement,
    } in singly.into_iter().chain(alone)
    {
        match cx.launch(std::slice::from_ref(&placement)) {
            Ok(_) => outcomes.push(Outcome {
                job,
                index,
                launched: true,
            }),
            Err(refusal) => {
                if !std::mem::replace(&mut told, true) {
                    cx.warn(&format!(
                        "{} was not launched: {refusal}",
                        placement.task.id
                    ));
                }
                if matches!(refusal, Refusal::Invalid(_)) {
                    outcomes.push(Outcome {
                        job,
                        index,
                        launched: false,
                    });
                }
            }
        }
    }
    outcomes
}
