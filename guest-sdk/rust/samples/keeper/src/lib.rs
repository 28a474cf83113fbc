//! A framework that keeps data: one task with a volume on a reservation, to which it comes back whenever it has ended.
//! What is durable of it is the reservation itself, which it finds again by its label.

use mezzo_sdk::prelude::*;

/// Names what it wants, and its volume.
const STORE: &str = "store";

/// The label of its reservation; the value is the framework's name.
const KEPT_BY: &str = "kept-by";

/// Of the volume.
const DATA_BYTES: u64 = 48 * MIB;

struct Keeper {
    name: String,
    /// How many tasks it has launched.
    launched: Value<u32>,
}

impl Framework for Keeper {
    fn start(cx: &mut Cx<'_>, setup: Setup) -> Result<Self, String> {
        let mut keeper = Keeper {
            launched: Value::load(cx, "launched")?,
            name: setup.name,
        };
        let newest = cx.find_task(&keeper.newest());
        if newest.is_none_or(|status| status.state.is_final()) {
            keeper.want(cx)?;
        }
        Ok(keeper)
    }

    fn statuses(&mut self, cx: &mut Cx<'_>, statuses: Vec<TaskStatus>) {
        let ended = statuses.iter().any(|status| status.state.is_final());
        if ended && let Err(refusal) = self.want(cx) {
            cx.error(&format!("what is wanted was refused: {refusal}"));
        }
    }

    fn offers(&mut self, cx: &mut Cx<'_>, offers: Vec<Offer>) {
        for offer in offers {
            match self.launch(cx, &offer) {
                Ok(()) => return,
                Err(refusal) => cx.error(&format!("nothing was launched: {refusal}")),
            }
        }
    }
}

impl Keeper {
    fn newest(&self) -> TaskId {
        format!("{STORE}-{}", self.launched.get())
    }

    fn task(&self) -> Task {
        let script = "date >> data/starts; exec sleep 3600";
        let mut task = Task::process(self.newest(), ["sh", "-c", script]).mount(STORE, "data");
        task.resources.disk_bytes = 16 * MIB;
        task
    }

    /// Its reservation, as the master has it: whoever kept it, this instance or one long ago.
    fn home(&self, cx: &Cx<'_>) -> Option<Reservation> {
        let own = |label: &Label| label.key == KEPT_BY && label.value == self.name;
        cx.all_reservations()
            .find(|known| !known.ending && known.labels.iter().any(own))
    }

    /// To come back to its data, or to find a place for it first.
    fn want(&mut self, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let demand = Demand::for_task(STORE, &self.task(), 1);
        let demand = match self.home(cx) {
            Some(home) => demand.from_reservations([home.id]),
            None => Demand {
                each: self.amount(),
                ..demand
            },
        };
        cx.want(&[demand])
    }

    /// The task and its data.
    fn amount(&self) -> Resources {
        let mut amount = self.task().resources;
        amount.disk_bytes += DATA_BYTES;
        amount
    }

    fn launch(&mut self, cx: &mut Cx<'_>, offer: &Offer) -> Result<(), Refusal> {
        self.launched.edit(|launched| *launched += 1);
        let task = self.task();
        let placement = match self.home(cx) {
            Some(_) => task.on(offer, STORE),
            None => {
                let label = Label {
                    key: KEPT_BY.to_owned(),
                    value: self.name.clone(),
                };
                let reserved = cx.reserve_with(offer.id, &self.amount(), &[label], None)?;
                cx.create_volume(reserved.reservation, STORE, DATA_BYTES)?;
                task.on_reserved(&reserved, STORE)
            }
        };
        cx.launch(&[placement]).map(drop)
    }
}

mezzo_sdk::export!(Keeper);

#[cfg(test)]
mod tests;
