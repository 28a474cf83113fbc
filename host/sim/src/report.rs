//! How a play went: what was in use, how long tasks waited, how fair it was, how tasks ended.
//!
//! `Meter` takes figures while the play runs, [`Report`] sums them up; `fair.rs` says what each role
//! would ideally have, `svg.rs` draws. Figures are parts of a whole as floats, made by the four basic
//! operations alone, which are alike on every machine.

mod fair;
mod svg;
mod text;

use crate::workload::Workload;
use fair::Claim;
use mezzo_core::{Batch, Record, State};
use mezzo_types::FrameworkId;
use std::collections::BTreeMap;

/// The code of the reason with which tasks end that were preempted.
const PREEMPTED: &str = "preempted";

/// Takes figures while a play runs.
#[derive(Debug)]
pub(crate) struct Meter {
    every_ms: u64,
    next_ms: u64,
    /// Of each framework, by its place in the workload.
    role_of: Vec<usize>,
    roles: Vec<RoleMeter>,
    samples: Vec<Sample>,
    launches: u64,
    /// Ends by state, and by reason.
    states: BTreeMap<&'static str, u64>,
    reasons: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct RoleMeter {
    name: String,
    arrived: u64,
    /// In milliseconds.
    waits: Vec<u32>,
}

/// At one instant.
#[derive(Clone, Debug)]
struct Sample {
    at_ms: u64,
    /// In the order of the roles.
    roles: Vec<RoleSample>,
}

/// What a role had; parts of the whole cluster.
#[derive(Clone, Debug, Default)]
struct RoleSample {
    weight: u32,
    cpu: f64,
    memory: f64,
    /// How much less than its ideal share it had, while it wanted more.
    gap: Option<f64>,
}

impl Meter {
    pub(crate) fn new(workload: &Workload, every_ms: u64) -> Meter {
        let names = workload.top_roles();
        let top = |role: &str| role.split('/').next().unwrap_or(role).to_string();
        let place = |role: &str| names.iter().position(|name| *name == top(role));
        let frameworks = workload.frameworks.iter();
        Meter {
            every_ms,
            next_ms: every_ms,
            role_of: frameworks.map(|it| place(&it.role).unwrap_or(0)).collect(),
            roles: names
                .into_iter()
                .map(|name| RoleMeter {
                    name,
                    arrived: 0,
                    waits: Vec::new(),
                })
                .collect(),
            samples: Vec::new(),
            launches: 0,
            states: BTreeMap::new(),
            reasons: BTreeMap::new(),
        }
    }

    /// When the next figures are to be taken.
    pub(crate) fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// So many tasks have arrived for a framework.
    pub(crate) fn arrived(&mut self, framework: usize, tasks: u64) {
        self.roles[self.role_of[framework]].arrived += tasks;
    }

    /// A task was started for the first time, so long after it had arrived.
    pub(crate) fn started(&mut self, framework: usize, waited_ms: u64) {
        let waited = u32::try_from(waited_ms).unwrap_or(u32::MAX);
        self.roles[self.role_of[framework]].waits.push(waited);
    }

    /// A batch is durable.
    pub(crate) fn written(&mut self, batch: &Batch) {
        for record in &batch.records {
            match record {
                Record::Task(_) => self.launches += 1,
                Record::Status(_, status) if !status.handled && status.status.state.is_final() => {
                    let (state, reason) = (status.status.state, status.status.reason);
                    *self.states.entry(state.as_str()).or_default() += 1;
                    *self.reasons.entry(reason.as_str()).or_default() += 1;
                }
                _ => {}
            }
        }
    }

    /// Takes figures, if a master leads.
    pub(crate) fn sample(&mut self, state: Option<&State>) {
        let at_ms = self.next_ms;
        self.next_ms += self.every_ms;
        let Some(state) = state else { return };
        let roles = self.role_samples(state);
        self.samples.push(Sample { at_ms, roles });
    }

    fn role_samples(&self, state: &State) -> Vec<RoleSample> {
        let total = state.total.plain();
        let mut claims: Vec<Claim> = self.roles.iter().map(|_| Claim::default()).collect();
        for (claim, role) in claims.iter_mut().zip(&self.roles) {
            let Some(known) = state.roles.get(role.name.as_str()) else {
                continue;
            };
            claim.weight = known.weight;
            claim.used = known.used.plain();
            claim.wants = claim.used;
            if let Some(quota) = &known.quota {
                claim.guarantee = quota.guarantee.plain();
                claim.limit = Some(quota.limit());
            }
        }
        for id in state.frameworks.keys() {
            self.add_demands(state, *id, &mut claims);
        }
        let ideal = fair::ideal(&total, &claims);
        let part = |n: u64, of: u64| if of == 0 { 0.0 } else { n as f64 / of as f64 };
        let with_ideal = claims.iter().zip(ideal);
        let samples = with_ideal.map(|(claim, ideal)| {
            let used = claim.used.iter().zip(&total);
            let has = used.map(|(n, of)| part(*n, *of)).fold(0.0, f64::max);
            let wants_more = claim.wants != claim.used;
            RoleSample {
                weight: claim.weight,
                cpu: part(claim.used[0], total[0]),
                memory: part(claim.used[1], total[1]),
                gap: wants_more.then(|| (ideal - has).max(0.0)),
            }
        });
        samples.collect()
    }

    fn add_demands(&self, state: &State, id: FrameworkId, claims: &mut [Claim]) {
        let Some(framework) = state.frameworks.get(&id) else {
            return;
        };
        let role = framework.record.role.split('/').next();
        let Some(place) = self.roles.iter().position(|it| Some(&*it.name) == role) else {
            return;
        };
        for demand in framework.demands.iter() {
            let all = demand
                .each
                .plain()
                .map(|n| n.saturating_mul(demand.count.into()));
            for (wants, more) in claims[place].wants.iter_mut().zip(all) {
                *wants = wants.saturating_add(more);
            }
        }
    }

    pub(crate) fn report(&self, workload: &Workload, now_ms: u64, events: u64) -> Report {
        let roles: Vec<RoleReport> = (0..self.roles.len()).map(|n| self.role(n)).collect();
        let sum = |of: fn(&RoleSample) -> f64| -> Vec<f64> {
            let samples = self.samples.iter();
            samples
                .map(|sample| sample.roles.iter().map(of).sum())
                .collect()
        };
        let all_waits = self
            .roles
            .iter()
            .flat_map(|role| role.waits.iter().copied());
        Report {
            machines: workload.machine_count(),
            frameworks: workload.frameworks.len(),
            virtual_ms: now_ms,
            events,
            arrived: self.roles.iter().map(|role| role.arrived).sum(),
            started: self.roles.iter().map(|role| role.waits.len() as u64).sum(),
            launches: self.launches,
            ended: self.states.iter().map(|(state, n)| (*state, *n)).collect(),
            reasons: self
                .reasons
                .iter()
                .map(|(reason, n)| (*reason, *n))
                .collect(),
            preempted: self.reasons.get(PREEMPTED).copied().unwrap_or(0),
            cpu: Use::of(&sum(|role| role.cpu)),
            memory: Use::of(&sum(|role| role.memory)),
            waiting: Waiting::of(all_waits.collect()),
            roles,
            samples: self.samples.clone(),
            waits: self.roles.iter().map(|role| sorted(&role.waits)).collect(),
        }
    }

    fn role(&self, n: usize) -> RoleReport {
        let role = &self.roles[n];
        let samples = || self.samples.iter().map(|sample| &sample.roles[n]);
        let gaps: Vec<f64> = samples().filter_map(|sample| sample.gap).collect();
        RoleReport {
            name: role.name.clone(),
            weight: samples().next_back().map_or(1, |sample| sample.weight),
            arrived: role.arrived,
            started: role.waits.len() as u64,
            cpu: Use::of(&samples().map(|sample| sample.cpu).collect::<Vec<_>>()),
            memory: Use::of(&samples().map(|sample| sample.memory).collect::<Vec<_>>()),
            waiting: Waiting::of(role.waits.clone()),
            gap: Use::of(&gaps),
        }
    }
}

fn sorted(waits: &[u32]) -> Vec<u32> {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    waits
}

/// How a play went.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// How large the cluster was.
    pub machines: usize,
    /// How many shared it.
    pub frameworks: usize,
    /// How long it was played, in virtual milliseconds.
    pub virtual_ms: u64,
    /// Events that were played.
    pub events: u64,
    /// Tasks that people gave to frameworks.
    pub arrived: u64,
    /// Of them, those whose program was started.
    pub started: u64,
    /// Launches, those of tasks that had failed included.
    pub launches: u64,
    /// Runs that ended, by the state in which they did.
    pub ended: BTreeMap<&'static str, u64>,
    /// Runs that ended, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Runs that ended for the reason `preempted`.
    pub preempted: u64,
    /// Processors in use.
    pub cpu: Use,
    /// Memory in use.
    pub memory: Use,
    /// From a task's arrival to the start of its program.
    pub waiting: Waiting,
    /// Top-level roles.
    pub roles: Vec<RoleReport>,
    #[serde(skip)]
    samples: Vec<Sample>,
    /// Of each role, sorted.
    #[serde(skip)]
    waits: Vec<Vec<u32>>,
}

/// A top-level role and all below it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RoleReport {
    /// Which.
    pub name: String,
    /// At the end.
    pub weight: u32,
    /// Tasks that people gave to its frameworks.
    pub arrived: u64,
    /// Of them, those whose program was started.
    pub started: u64,
    /// Processors in use.
    pub cpu: Use,
    /// Memory in use.
    pub memory: Use,
    /// From a task's arrival to the start of its program.
    pub waiting: Waiting,
    /// By how much its dominant share was below the ideal one, while it wanted more.
    pub gap: Use,
}

/// Parts of the whole cluster over the play.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Use {
    /// On average.
    pub mean: f64,
    /// At most.
    pub largest: f64,
}

impl Use {
    fn of(parts: &[f64]) -> Use {
        // Four digits are what there is to say.
        let short = |part: f64| (part * 10_000.0).round() / 10_000.0;
        let sum: f64 = parts.iter().sum();
        Use {
            mean: short(sum / parts.len().max(1) as f64),
            largest: short(parts.iter().copied().fold(0.0, f64::max)),
        }
    }
}

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Waiting {
    /// Half waited at most so long.
    pub p50_ms: u32,
    /// Nine of ten.
    pub p90_ms: u32,
    /// All but one of a hundred.
    pub p99_ms: u32,
    /// All.
    pub max_ms: u32,
}

impl Waiting {
    fn of(mut waits: Vec<u32>) -> Waiting {
        waits.sort_unstable();
        let at = |per_cent: usize| {
            let rank = (waits.len() * per_cent).div_ceil(100).max(1);
            waits.get(rank - 1).copied().unwrap_or(0)
        };
        Waiting {
            p50_ms: at(50),
            p90_ms: at(90),
            p99_ms: at(99),
            max_ms: at(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let waiting = Waiting::of((1..=200).rev().collect());
        let expected = Waiting {
            p50_ms: 100,
            p90_ms: 180,
            p99_ms: 198,
            max_ms: 200,
        };
        assert_eq!(waiting, expected);
        assert_eq!(Waiting::of(vec![7]).p50_ms, 7);
        assert_eq!(Waiting::of(vec![]).max_ms, 0);
    }
}
