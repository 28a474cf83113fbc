//! [`Plan`]: which tasks go on which offers of one turn, and what is left of each.

use crate::types::*;

/// Collects placements and keeps count of what each offer still holds, so that the whole turn needs one `launch`.
///
/// First fit. A search for the shape of the search before goes on where that one ended, so that placing many equal
/// tasks looks at each offer once.
pub struct Plan {
    offers: Vec<Offer>,
    placements: Vec<Placement>,
    cursor: usize,
    shape: Option<Resources>,
}

impl Plan {
    /// All offers of a turn.
    pub fn new(offers: Vec<Offer>) -> Plan {
        Plan {
            offers,
            placements: Vec::new(),
            cursor: 0,
            shape: None,
        }
    }

    /// The offers, with what is left of them.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// Where `shape` still fits, on an offer that `accept` agrees to. Calls for one shape in a row must come with the
    /// same `accept`, or [`Plan::rewind`] in between.
    pub fn fit(
        &mut self,
        shape: &Resources,
        mut accept: impl FnMut(&Offer) -> bool,
    ) -> Option<usize> {
        if self.shape.as_ref() != Some(shape) {
            self.shape = Some(shape.clone());
            self.cursor = 0;
        }
        while let Some(offer) = self.offers.get(self.cursor) {
            if offer.free.holds(shape) && accept(offer) {
                return Some(self.cursor);
            }
            self.cursor += 1;
        }
        None
    }

    /// Lets the next [`Plan::fit`] look at every offer again.
    pub fn rewind(&mut self) {
        self.shape = None;
    }

    /// Takes `shape` out of the offer that [`Plan::fit`] found, for a placement that the caller makes itself.
    pub fn take(&mut self, offer: usize, shape: &Resources) -> Option<OfferId> {
        let offer = self.offers.get_mut(offer)?;
        offer.free.take(shape);
        Some(offer.id)
    }

    /// Puts a task on the offer that [`Plan::fit`] found. `shape` is what it takes away: the task's resources and as
    /// many ports as it lists.
    pub fn put(&mut self, offer: usize, shape: &Resources, demand: Option<String>, task: Task) {
        if let Some(offer) = self.take(offer, shape) {
            self.placements.push(Placement {
                offer,
                demand,
                task,
            });
        }
    }

    /// Both at once, on whichever offer fits first. The task comes back when none does.
    pub fn place(&mut self, demand: &str, task: Task) -> Result<(), Box<Task>> {
        let mut shape = task.resources.clone();
        shape.ports = shape
            .ports
            .max(u32::try_from(task.ports.len()).unwrap_or(u32::MAX));
        match self.fit(&shape, |_| true) {
            Some(offer) => {
                self.put(offer, &shape, Some(demand.to_owned()), task);
                Ok(())
            }
            None => Err(Box::new(task)),
        }
    }

    /// What has been planned so far.
    pub fn placements(&self) -> &[Placement] {
        &self.placements
    }

    /// Launches everything in one call; without placements there is no call.
    pub fn launch(self, cx: &mut crate::Cx<'_>) -> Result<Vec<Launched>, Refusal> {
        if self.placements.is_empty() {
            Ok(Vec::new())
        } else {
            cx.launch(&self.placements)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_fill_up_one_after_the_other() {
        let offer = |id, cpu| Offer {
            id,
            agent: id,
            free: Resources::new(cpu, 64 * MIB),
            reservation: None,
            volumes: Vec::new(),
        };
        let mut plan = Plan::new(vec![offer(1, 250), offer(2, 100)]);
        for index in 0..2 {
            assert!(
                plan.place("d", Task::process(format!("t{index}"), ["true"]))
                    .is_ok()
            );
        }
        // The third needs the second offer, the fourth finds none, a smaller one finds the rest of the first's cpu
        // but no memory.
        assert!(plan.place("d", Task::process("t2", ["true"])).is_ok());
        assert!(plan.place("d", Task::process("t3", ["true"])).is_err());
        assert!(
            plan.place(
                "d",
                Task::process("t4", ["true"]).resources(Resources::new(50, 1))
            )
            .is_err()
        );
        assert!(
            plan.place(
                "d",
                Task::process("t5", ["true"]).resources(Resources::new(50, 0))
            )
            .is_ok()
        );
        let used: Vec<_> = plan
            .placements()
            .iter()
            .map(|p| (p.offer, p.task.id.as_str()))
            .collect();
        assert_eq!(used, [(1, "t0"), (1, "t1"), (2, "t2"), (1, "t5")]);
    }
}
