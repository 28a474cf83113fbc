//! One framework with every kind of misbehaviour that Rust can express, chosen by its options, for the tests of the
//! sandbox. What each does is in [`misbehave`]; when, is here.
//!
//! ```json
//! {"misbehave": "loop-in-handle", "task": ["sleep", "1000"], "spin_ms": 200}
//! ```
//!
//! It wakes itself with a timer, so that `handle` is called without anybody's help. With `task` it first launches that
//! program as the task `hostage`, waits until it runs, and only then misbehaves: a test can see that the task lives on.
//! A fault undoes the turn, the timer stays due, and the next instance misbehaves again, until it is quarantined.

mod allocator;
mod misbehave;
mod probe;

use crate::misbehave::{Kind, Options};
use mezzo_sdk::prelude::*;
use serde_json::json;

/// The task that it launches when it is asked to.
pub const HOSTAGE: &str = "hostage";

/// The timer that makes it misbehave.
const GO: &str = "go";

/// The framework.
pub struct Hostile {
    options: Options,
    launched: Value<bool>,
    turns: Value<u64>,
}

impl Framework for Hostile {
    fn start(cx: &mut Cx<'_>, setup: Setup) -> Result<Self, String> {
        let options: Options = setup.options_as()?;
        misbehave::in_start(&options, setup.upgraded_from.is_some())?;
        let launched: Value<bool> = Value::load(cx, "launched")?;
        let hostile = Hostile {
            launched,
            turns: Value::load(cx, "turns")?,
            options,
        };
        match hostile.hostage() {
            Some(task) if !*hostile.launched.get() => {
                cx.want(&[Demand::for_task(HOSTAGE, &task, 1)])?
            }
            Some(_) if !runs(cx.find_task(HOSTAGE)) => {}
            _ => cx.set_timer(GO, 0)?,
        }
        Ok(hostile)
    }

    fn offers(&mut self, cx: &mut Cx<'_>, offers: Vec<Offer>) {
        let (Some(task), Some(offer)) = (self.hostage(), offers.first()) else {
            return;
        };
        if !*self.launched.get() && cx.launch(&[task.on(offer, HOSTAGE)]).is_ok() {
            self.launched.set(true);
        }
    }

    fn statuses(&mut self, cx: &mut Cx<'_>, statuses: Vec<TaskStatus>) {
        if statuses
            .into_iter()
            .any(|status| status.task == HOSTAGE && runs(Some(status)))
        {
            let _ = cx.set_timer(GO, 0);
        }
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _name: String) {
        self.turns.edit(|turns| *turns += 1);
        if let Some(again_ms) = misbehave::in_handle(&self.options, cx) {
            let _ = cx.set_timer(GO, again_ms);
        }
    }

    fn turn_end(&mut self, _cx: &mut Cx<'_>) {
        // Last of all: from here on the allocator does not return, and the next to call it lowers arguments.
        allocator::arm(self.options.misbehave);
    }
}

impl Web for Hostile {
    fn routes() -> Router<Self> {
        Router::new()
            .get("/", Hostile::show)
            .post("/", Hostile::show)
    }
}

impl Hostile {
    fn hostage(&self) -> Option<Task> {
        let argv = self.options.task.as_ref()?;
        Some(Task::process(HOSTAGE, argv.iter().cloned()))
    }

    fn show(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Reply {
        if let Some(answer) = misbehave::in_web(&self.options, cx, call) {
            return Ok(answer);
        }
        Ok(Response::json(
            200,
            &json!({ "misbehave": self.options.misbehave, "turns": *self.turns.get() }),
        ))
    }
}

fn runs(status: Option<TaskStatus>) -> bool {
    status.is_some_and(|status| status.state == TaskState::Running)
}

/// Every kind, as the options spell it.
pub fn kinds() -> Vec<String> {
    let name = |kind: &Kind| {
        serde_json::to_value(kind)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    Kind::ALL.iter().filter_map(name).collect()
}

mezzo_sdk::export_web!(Hostile);

#[cfg(test)]
mod tests;
