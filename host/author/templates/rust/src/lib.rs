//! Launches one task that greets, once, and logs how that went.

use mezzo_sdk::prelude::*;

struct Greeter {
    /// Durable: it outlives this instance, upgrades and the master.
    greeted: Value<bool>,
}

fn greeting() -> Task {
    Task::process("greeting", ["echo", "hello from a task"])
}

impl Framework for Greeter {
    fn start(cx: &mut Cx<'_>, _setup: Setup) -> Result<Self, String> {
        let greeted: Value<bool> = Value::load(cx, "greeted")?;
        if !*greeted.get() {
            cx.want(&[Demand::for_task("greeting", &greeting(), 1)])?;
        }
        Ok(Greeter { greeted })
    }

    fn offers(&mut self, cx: &mut Cx<'_>, offers: Vec<Offer>) {
        if let Some(offer) = offers.first().filter(|_| !*self.greeted.get()) {
            if let Err(refusal) = cx.launch(&[greeting().on(offer, "greeting")]) {
                return cx.error(&format!("the greeting was refused: {refusal}"));
            }
            self.greeted.set(true);
        }
    }

    fn statuses(&mut self, cx: &mut Cx<'_>, statuses: Vec<TaskStatus>) {
        for status in statuses {
            cx.info(&format!("{} is {}", status.task, status.state.name()));
        }
    }
}

mezzo_sdk::export!(Greeter);

#[cfg(test)]
mod tests;
