//! What operators do to a cluster that runs: quota, drains, machines that are taken out and machines
//! that are gone; by the workload's plan, or by chance among the faults. What they keep of machines for
//! roles is in `keeping.rs`.

use super::people::{AGAIN_MS, Ask};
use super::{BEGIN_MS, Happens, World};
use crate::workload::{Role, What};
use mezzo_core::Request;
use mezzo_core::event::{AgentChange, RoleChange};
use mezzo_core::record::Quota;
use mezzo_types::{AgentId, Resources};
use std::sync::Arc;

/// What an operator is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// What.
    pub what: What,
    /// Even if it is refused otherwise.
    pub force: bool,
}

/// What an act asks for.
#[derive(Debug)]
pub enum Todo {
    /// This.
    Ask(Box<Request>),
    /// It is not to be had now: a machine is not known yet, or something is on its way.
    Later,
    /// Nothing: there is none of what it is about.
    Nothing,
}

impl Todo {
    pub(super) fn ask(request: Request) -> Todo {
        Todo::Ask(Box::new(request))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Operators {
    /// Of the workload's plan.
    next_act: usize,
    /// Acts that are not answered yet.
    pending: usize,
    /// Each machine's agent, as it was last welcomed.
    pub agents: Vec<Option<AgentId>>,
    /// What was done to each machine.
    pub machines: Vec<Standing>,
    /// Whether any role has quota, or may come to have it.
    pub quota: bool,
    /// Machines that were declared gone.
    pub gone: u64,
    /// Acts that the master refused.
    pub refused: u64,
}

/// What operators have done to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    In,
    /// It gets nothing new.
    Out,
    /// Its tasks are to have ended some time after this instant, in milliseconds.
    Drained(u64),
    /// Another one will stand in its place.
    Gone,
}

impl Operators {
    /// Of a cluster of so many machines.
    pub fn new(machines: usize, quota: bool) -> Operators {
        Operators {
            next_act: 0,
            pending: 0,
            agents: vec![None; machines],
            machines: vec![Standing::In; machines],
            quota,
            gone: 0,
            refused: 0,
        }
    }

    /// Whether nothing that was begun is still to be done.
    pub fn are_done(&self) -> bool {
        self.pending == 0 && !self.machines.contains(&Standing::Gone)
    }

    /// What is still to be done, in words.
    pub fn unfinished(&self) -> String {
        format!(
            "operators wait for {} answers, and machines stand {:?}",
            self.pending, self.machines
        )
    }
}

impl World {
    /// What the workload's plan says.
    pub(super) fn act_next(&mut self) {
        let workload = Arc::clone(&self.play.workload);
        while let Some(act) = workload.acts.get(self.operators.next_act) {
            let at = act.at_ms.max(BEGIN_MS);
            if at > self.now {
                return self.at(at, Happens::Acts);
            }
            self.operators.next_act += 1;
            self.begin(act.what.clone());
        }
    }

    pub(super) fn begin(&mut self, what: What) {
        self.operators.pending += 1;
        let acting = Acting { what, force: false };
        self.ask_soon(Ask::Act(Box::new(acting)));
    }

    /// Something that an operator might do.
    pub(super) fn meddle(&mut self, machine: usize) {
        if self.operators.machines[machine] != Standing::In {
            let back = matches!(
                self.operators.machines[machine],
                Standing::Out | Standing::Drained(_)
            );
            if back {
                self.begin(What::Activate(machine));
            }
            return;
        }
        match self.rng.between(0, 12) {
            0..3 => {
                let after_ms = self.rng.between(0, 10_000);
                self.begin(What::Drain(machine, after_ms));
            }
            3 => self.begin(What::Deactivate(machine)),
            4 => {
                // Whoever says so may be wrong: then it is there, and is refused.
                if self.rng.chance(700) {
                    self.say(format_args!("machine {machine} loses its power for good"));
                    self.machines[machine].reboot();
                    self.cut(machine);
                }
                self.begin(What::Gone(machine));
            }
            5..8 => {
                let role = self.some_quota();
                self.begin(What::Role(role));
            }
            _ => self.keep_something(machine),
        }
    }

    /// Quota that leaves room for everyone: at most half of the cluster is guaranteed, and a limit is
    /// at least a quarter of it.
    fn some_quota(&mut self) -> Role {
        let workload = Arc::clone(&self.play.workload);
        let roles = workload.top_roles();
        let at = self.rng.between(0, roles.len() as u64 - 1);
        let cpus = workload
            .machines
            .iter()
            .map(|it| it.total.cpu_milli * it.count as u64);
        let total: u64 = cpus.sum();
        let limit = self.rng.between(total / 4, total);
        let most = (total / 2 / roles.len() as u64).min(limit);
        let guarantee = self.rng.between(0, most);
        Role {
            name: roles[usize::try_from(at).unwrap_or(0)].clone(),
            weight: u32::try_from(self.rng.between(1, 4)).unwrap_or(1),
            quota: Some(Quota {
                guarantee: Resources {
                    cpu_milli: guarantee,
                    ..Resources::NONE
                },
                limit_cpu_milli: self.rng.chance(700).then_some(limit),
                ..Quota::default()
            }),
        }
    }

    /// Faults are over: machines are taken back in, but for one that stays drained.
    pub(super) fn heal(&mut self) {
        let mut stays = None;
        for machine in 0..self.machines.len() {
            match self.operators.machines[machine] {
                Standing::Drained(_) if stays.is_none() && self.machines.len() > 2 => {
                    stays = Some(machine);
                }
                Standing::Drained(_) | Standing::Out => self.begin(What::Activate(machine)),
                Standing::In | Standing::Gone => {}
            }
        }
    }

    /// The request for an act.
    pub(super) fn act(&self, acting: &Acting) -> Todo {
        let principal = Arc::from("sim");
        let (machine, change) = match &acting.what {
            What::Role(role) => {
                return Todo::ask(Request::SetRole {
                    role: role.name.clone(),
                    change: RoleChange {
                        weight: Some(role.weight),
                        quota: role.quota.clone(),
                        force: acting.force,
                        dry_run: false,
                    },
                    principal,
                });
            }
            What::Drain(machine, after_ms) => {
                let drain = AgentChange::Drain {
                    after_ms: *after_ms,
                    grace_ms: None,
                };
                (*machine, drain)
            }
            What::Deactivate(machine) => (*machine, AgentChange::Deactivate),
            What::Activate(machine) => (*machine, AgentChange::Activate),
            What::Gone(machine) => (*machine, AgentChange::Gone),
            What::Reserve(keep) => return self.reserve(keep),
            What::Volume(machine, size_bytes) => return self.make_volume(*machine, *size_bytes),
            What::GiveBack(machine) => return self.give_back(*machine),
        };
        match self.operators.agents[machine] {
            Some(agent) => Todo::ask(Request::ChangeAgent {
                agent,
                change,
                principal,
            }),
            None => Todo::Later,
        }
    }

    /// An act was answered.
    pub(super) fn acted(&mut self, acting: &Acting, done: bool) {
        self.say(format_args!("operators hear that it is done: {done}"));
        if let What::GiveBack(machine) = &acting.what
            && !self.kept_on(*machine).is_empty()
        {
            let again = Happens::Asks(Ask::Act(Box::new(acting.clone())));
            return self.after(AGAIN_MS, AGAIN_MS, again);
        }
        let quiet = matches!(&acting.what, What::Role(_)) && acting.force;
        if !quiet {
            self.operators.pending -= 1;
        }
        if !done {
            self.operators.refused += 1;
        }
        let after_faults = self.now >= self.play.faults.until_ms;
        match &acting.what {
            What::Role(_) | What::Volume(..) | What::GiveBack(_) => {}
            // Nobody knows whether it was done before an answer was lost.
            What::Reserve(keep) => self.keep_no_longer(keep.machine),
            // Its agent may have been declared gone before the answer to that was lost.
            What::Gone(machine) => {
                self.operators.machines[*machine] = Standing::Gone;
                self.operators.gone += 1;
                self.after(1_000, 30_000, Happens::MachineReplaced(*machine));
            }
            _ if !done => {}
            What::Activate(machine) => self.operators.machines[*machine] = Standing::In,
            What::Drain(machine, after_ms) => {
                self.operators.machines[*machine] = Standing::Drained(self.now + after_ms);
                self.take_back(*machine, after_faults);
            }
            What::Deactivate(machine) => {
                self.operators.machines[*machine] = Standing::Out;
                self.take_back(*machine, after_faults);
            }
        }
    }

    /// What was taken out by chance comes back, if the answer came too late for [`World::heal`].
    fn take_back(&mut self, machine: usize, after_faults: bool) {
        if self.play.faults.operators && after_faults {
            self.begin(What::Activate(machine));
        }
    }

    pub(super) fn replace_machine(&mut self, machine: usize) {
        if self.operators.machines[machine] != Standing::Gone {
            return;
        }
        self.operators.machines[machine] = Standing::In;
        self.operators.agents[machine] = None;
        self.cut(machine);
        self.machines[machine].replace();
        let life = self.machines[machine].life;
        self.after(100, 1_000, Happens::AgentStarts(machine, life));
    }
}
