//! What operators keep of machines for roles: reservations and the volumes in them, made by the
//! workload's plan or by chance, and given back in the end.
//!
//! An operator looks at what there is before giving it back, as a person would: an answer may have been
//! lost.

use super::World;
use super::operators::Todo;
use crate::workload::{Ends, Keep, What};
use mezzo_core::record::{Maker, VolumeState};
use mezzo_core::state::Reservation;
use mezzo_core::{Request, State, event};
use mezzo_types::{Instant, ReservationId, Resources};
use std::sync::Arc;

/// Who operators are.
const OPERATORS: &str = "sim";
const MIB: u64 = 1 << 20;

impl World {
    pub(super) fn reserve(&self, keep: &Keep) -> Todo {
        let Some(agent) = self.operators.agents[keep.machine] else {
            return Todo::Later;
        };
        Todo::ask(Request::Reserve(event::Reserve {
            agent,
            role: keep.role.clone(),
            amount: keep.amount.clone(),
            within: None,
            labels: Vec::new(),
            until: keep.for_ms.map(|ms| Instant(self.now + ms)),
            principal: Arc::from(OPERATORS),
        }))
    }

    /// A volume in what is kept of a machine, where there is room for it.
    pub(super) fn make_volume(&self, machine: usize, size_bytes: u64) -> Todo {
        let kept = self.kept_on(machine);
        let has_room = |known: &&Arc<Reservation>| {
            !known.record.ending && known.free().disk_bytes >= size_bytes
        };
        let Some(known) = kept.iter().find(has_room) else {
            return Todo::Nothing;
        };
        let name = (0..).map(|n| format!("v{n}"));
        let mut free = name.filter(|name| known.record.volume(name).is_none());
        Todo::ask(Request::CreateVolume {
            reservation: known.record.id,
            name: free.next().unwrap_or_default(),
            size_bytes,
            principal: Arc::from(OPERATORS),
        })
    }

    /// The next step of giving back all that is kept of a machine: a volume is destroyed, or what has
    /// none is given back.
    pub(super) fn give_back(&self, machine: usize) -> Todo {
        if self.master.is_none() {
            return Todo::Later;
        }
        let kept = self.kept_on(machine);
        let Some(known) = kept.first() else {
            return Todo::Nothing;
        };
        let (reservation, principal) = (known.record.id, Arc::from(OPERATORS));
        let volumes = &known.record.volumes;
        let there = |state| state != VolumeState::Destroying;
        match volumes.iter().find(|volume| there(volume.state)) {
            Some(volume) => Todo::ask(Request::DestroyVolume {
                reservation,
                name: volume.name.to_string(),
                principal,
            }),
            None if !volumes.is_empty() => Todo::Later,
            None => Todo::ask(Request::Unreserve {
                reservation,
                principal,
            }),
        }
    }

    /// What operators keep of a machine.
    pub(super) fn kept_on(&self, machine: usize) -> Vec<Arc<Reservation>> {
        let state = self.master.as_ref().map(|master| master.cluster.state());
        let agent = self.operators.agents[machine];
        let Some((state, agent)) = state.and_then(|it| Some((it, it.agents.get(&agent?)?))) else {
            return Vec::new();
        };
        let known = agent.reservations.iter();
        let known = known.filter_map(|id: &ReservationId| state.reservation(*id));
        let ours = |known: &&Arc<Reservation>| matches!(&known.record.made_by, Maker::Principal(name) if &**name == OPERATORS);
        known.filter(ours).cloned().collect()
    }

    /// Something that an operator might keep, make of what is kept, or give back.
    pub(super) fn keep_something(&mut self, machine: usize) {
        if self.kept_on(machine).is_empty() || self.rng.chance(300) {
            let frameworks = &self.play.workload.frameworks;
            let at = self.rng.draw() % frameworks.len() as u64;
            let role = frameworks[usize::try_from(at).unwrap_or(0)].role.clone();
            let cpus = self.rng.between(1, 2);
            let amount = Resources {
                cpu_milli: cpus * 1_000,
                memory_bytes: cpus * 512 * MIB,
                disk_bytes: cpus * 128 * MIB,
                ..Resources::NONE
            };
            let ends = self.rng.chance(500);
            let for_ms = ends.then(|| self.rng.between(1_000, 60_000));
            return self.begin(What::Reserve(Keep {
                machine,
                role,
                amount,
                for_ms,
            }));
        }
        if self.rng.chance(600) {
            self.begin(What::Volume(machine, 64 * MIB));
        } else {
            self.begin(What::GiveBack(machine));
        }
    }

    /// What was reserved too late for [`World::give_all_back`] is given back as well.
    pub(super) fn keep_no_longer(&mut self, machine: usize) {
        let over = self.now > self.play.last_ms();
        if over && self.play.workload.ends == Ends::WhenAllIsDone {
            self.begin(What::GiveBack(machine));
        }
    }

    /// It all comes to an end: so does what operators keep.
    pub(super) fn give_all_back(&mut self) {
        for machine in 0..self.machines.len() {
            self.begin(What::GiveBack(machine));
        }
    }

    /// The reservations that are to be given back in the end: all but those of components, which may
    /// keep what they have.
    pub(super) fn kept<'a>(
        &'a self,
        state: &'a State,
    ) -> impl Iterator<Item = &'a Arc<Reservation>> {
        let all = state.reservations.keys();
        let all = all.filter_map(|id| state.reservation(*id));
        all.filter(|known| !self.is_of_a_component(known))
    }

    fn is_of_a_component(&self, known: &Reservation) -> bool {
        let Maker::Framework(name) = &known.record.made_by else {
            return false;
        };
        let mut frameworks = self.play.workload.frameworks.iter();
        frameworks.any(|framework| framework.name == **name && framework.submit.is_some())
    }
}
