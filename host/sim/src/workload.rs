//! What is to be done in a simulated cluster: its machines, its roles, its frameworks and the tasks
//! that people give them, and what operators do.
//!
//! Plain data. `workload/file.rs` reads it from a file, `workload/generate.rs` makes it from a few
//! numbers. When a task arrives, how large it is and how long it takes follows from the seed and its
//! number alone, whatever else happens in the cluster.

mod acts;
mod fields;
mod file;
mod frameworks;
mod generate;
mod short;
mod units;

pub use generate::Generate;

use crate::draw::Draw;
use crate::rng::Rng;
use mezzo_core::record::Quota;
use mezzo_types::Resources;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Machines of one kind each.
    pub machines: Vec<Machines>,
    /// Roles that an operator speaks of before anything else happens.
    pub roles: Vec<Role>,
    /// One entry each.
    pub frameworks: Vec<Framework>,
    /// What operators do, in the order of time.
    pub acts: Vec<Act>,
    /// Tasks arrive for so long, in milliseconds.
    pub duration_ms: u64,
    /// When the play is over.
    pub ends: Ends,
}

/// When a play is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// When its time is up, whatever still runs.
    WithTheTime,
    /// When every task has finished; nothing may be left over.
    WhenAllIsDone,
}

/// Machines that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machines {
    /// How many.
    pub count: usize,
    /// What each has.
    pub total: Resources,
    /// Their fault domain.
    pub zone: Option<String>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Such as `prod/web`.
    pub name: String,
    /// At least 1.
    pub weight: u32,
    /// What it is promised and held to.
    pub quota: Option<Quota>,
}

/// A framework and the tasks that it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framework {
    /// Its installed name.
    pub name: String,
    /// Who is charged.
    pub role: String,
    /// Tasks that are there from the start.
    pub tasks: u64,
    /// Time between two more, in microseconds; none: no more.
    pub every_us: Option<u64>,
    /// When the first of those may arrive, in milliseconds.
    pub from_ms: u64,
    /// When the last of those may arrive, in milliseconds.
    pub to_ms: u64,
    /// Sizes of tasks.
    pub shapes: Vec<Shape>,
    /// So many of a thousand runs fail, and are run again.
    pub fails_per_mille: u64,
    /// Its tasks arrive in gangs of so many, all of one size, each of which is launched in one launch;
    /// 1: they arrive singly. What is run again is run singly.
    pub together: u64,
    /// Of its demands, within its role.
    pub priority: i32,
    /// Whether its tasks may be preempted; those are run again.
    pub preemptible: bool,
    /// In so many of a thousand turns with offers it keeps a part of one, with a volume for its tasks'
    /// disk.
    pub keeps_per_mille: u64,
    /// How a task is asked for, if not by the simulator's own framework.
    pub submit: Option<Submit>,
    /// Its options, JSON.
    pub options: String,
    /// Its limit of that name, if not the default. Whoever has small demands needs few offers, and a
    /// turn with many is dear.
    pub offers_per_turn_max: Option<u64>,
}

/// A size of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// So many of all the weights together.
    pub weight: u64,
    /// What a task needs.
    pub each: Resources,
    /// How many times of that: what is drawn, rounded down to a power of two.
    pub times: Draw,
    /// How long it takes, in milliseconds.
    pub takes_ms: Draw,
}

/// An HTTP request to a framework that asks for one task. In the body `{number}`, `{cpu_milli}`,
/// `{memory_bytes}` and `{takes_ms}` stand for the task's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Such as `/jobs`; it is a `POST`.
    pub path: String,
    /// See the type.
    pub body: String,
}

/// Something that an operator does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// What.
    pub what: What,
}

/// What an operator does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Drains a machine: its tasks are asked to end after so long, in milliseconds.
    Drain(usize, u64),
    /// Takes a machine out.
    Deactivate(usize),
    /// Takes it back in.
    Activate(usize),
    /// Says that a machine never comes back; another one stands in its place a while later.
    Gone(usize),
    /// Keeps a part of a machine for a role.
    Reserve(Keep),
    /// Makes a volume in what operators keep of a machine; so many bytes of it.
    Volume(usize, u64),
    /// Gives back what operators keep of a machine, and destroys the volumes there.
    GiveBack(usize),
    /// Sets a role's weight and quota.
    Role(Role),
}

/// A part of a machine that operators keep for a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Which machine.
    pub machine: usize,
    /// For whom.
    pub role: String,
    /// How much.
    pub amount: Resources,
    /// It ends by itself after so long, in milliseconds, if nothing uses it then.
    pub for_ms: Option<u64>,
}

/// One task of a framework, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Which of the framework's sizes ([`Framework::sizes`]).
    pub size: usize,
    /// How long it takes, in milliseconds.
    pub takes_ms: u64,
}

/// Sizes that one shape can have: powers of two.
const TIMES_MAX: usize = 32;

impl Framework {
    /// Every size that a task of it can have.
    #[must_use]
    pub fn sizes(&self) -> Vec<Resources> {
        let sizes = self.shapes.iter().flat_map(|shape| {
            let (least, most) = shape.powers();
            (least..=most).map(|power| shape.each.times(1 << power))
        });
        sizes.collect()
    }

    /// The task of that number: the same whenever it is asked for.
    #[must_use]
    pub fn task(&self, seed: u64, number: u64) -> Task {
        let (size, shape) = self.draw_size(&mut self.rng(seed, self.first(number)));
        let mut rng = self.rng(seed, number);
        self.draw_size(&mut rng);
        Task {
            size,
            takes_ms: shape.takes_ms.draw(&mut rng),
        }
    }

    /// The size of that task: less work, where that is all that is asked.
    #[must_use]
    pub fn size(&self, seed: u64, number: u64) -> usize {
        self.draw_size(&mut self.rng(seed, self.first(number))).0
    }

    /// The first task of that task's gang: all of a gang are of its size.
    fn first(&self, number: u64) -> u64 {
        number - number % self.together.max(1)
    }

    /// A size, by its place among all ([`Framework::sizes`]), and its shape.
    fn draw_size(&self, rng: &mut Rng) -> (usize, &Shape) {
        let weights: u64 = self.shapes.iter().map(|shape| shape.weight).sum();
        let mut at = rng.between(0, weights.max(1) - 1);
        let mut before = 0;
        for shape in &self.shapes {
            let (least, most) = shape.powers();
            if at < shape.weight {
                let times = shape.times.draw(rng).max(1);
                let power = (times.ilog2() as usize).clamp(least, most);
                return (before + power - least, shape);
            }
            at -= shape.weight;
            before += most - least + 1;
        }
        unreachable!("what is drawn is less than all weights")
    }

    /// Chance that depends on nothing but the seed, the framework's name and a number.
    #[must_use]
    pub fn rng(&self, seed: u64, number: u64) -> Rng {
        let mut of = Rng::new(seed ^ 0x6d65_7a7a_6f00_0000);
        let mut mixed = of.draw();
        for byte in self.name.bytes() {
            mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Rng::new(mixed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

impl Shape {
    /// The powers of two of its least and its largest size.
    fn powers(&self) -> (usize, usize) {
        let power = |times: u64| (times.max(1).ilog2() as usize).min(TIMES_MAX - 1);
        let (least, most) = self.times.bounds();
        (power(least), power(most))
    }
}

impl Workload {
    /// All machines.
    #[must_use]
    pub fn machine_count(&self) -> usize {
        self.machines.iter().map(|machines| machines.count).sum()
    }

    /// A framework by its place in the list.
    #[must_use]
    pub fn framework(&self, n: usize) -> &Framework {
        &self.frameworks[n]
    }

    /// Whether any role has quota at some time.
    #[must_use]
    pub fn has_quota(&self) -> bool {
        let has = |role: &Role| role.quota.is_some();
        let sets = |act: &Act| matches!(&act.what, What::Role(role) if has(role));
        self.roles.iter().any(has) || self.acts.iter().any(sets)
    }

    /// Every top-level role that somebody is charged to, by name.
    #[must_use]
    pub fn top_roles(&self) -> Vec<String> {
        let top = |role: &str| role.split('/').next().unwrap_or(role).to_string();
        let mut roles: Vec<String> = self.frameworks.iter().map(|it| top(&it.role)).collect();
        roles.sort();
        roles.dedup();
        roles
    }
}
