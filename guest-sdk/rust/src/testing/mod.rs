//! A fake cluster for unit tests: it plays the master and the agents for one framework, natively, without WebAssembly,
//! processes or waiting. Time is virtual and moves only when the test says so.
//!
//! It keeps the rules that a framework can notice: offers come only while there is demand that fits, are cut to the
//! demand, and are not repeated until something improved; launches are all or nothing; reservations that a framework
//! made are offered only to demands that name them, and gangs all at once or not at all; a turn commits as a whole; a
//! panic, or a fault that the test asked for, undoes the turn and starts a new instance from the durable state.
//!
//! ```
//! use mezzo_sdk::prelude::*;
//! use mezzo_sdk::testing::Cluster;
//!
//! struct One;
//! impl Framework for One {
//!     fn start(cx: &mut Cx<'_>, _: Setup) -> Result<Self, String> {
//!         cx.want(&[Demand::new("one", Resources::new(100, MIB), 1)])?;
//!         Ok(One)
//!     }
//!     fn offers(&mut self, cx: &mut Cx<'_>, offers: Vec<Offer>) {
//!         let task = Task::process("only", ["true"]).resources(Resources::new(100, MIB));
//!         cx.launch(&[task.on(&offers[0], "one")]).unwrap();
//!     }
//! }
//!
//! let mut cluster = Cluster::<One>::new();
//! cluster.add_agent(Resources::new(1_000, GIB));
//! cluster.settle();
//! assert_eq!(cluster.task("only").status.state, TaskState::Pending);
//! cluster.finish("only", 0);
//! cluster.settle();
//! assert_eq!(cluster.tasks().count(), 0, "its final status has been handled");
//! ```

mod agents;
mod http;
mod keep;
mod launch;
mod offers;
mod reservations;
mod task;
#[cfg(test)]
mod tests;
mod turn;
mod world;

pub use http::{Answer, StreamView};
pub use world::{FakeTask, Limits};

use crate::framework::{Framework, Instance};
use crate::host::Calls;
use crate::types::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use turn::{Effects, InjectedFault, TurnHost};
use world::{Told, World};

/// Turns that one call of [`Cluster::settle`] runs at most: a framework that never comes to rest fails its test.
const SETTLE_TURNS_MAX: usize = 100_000;

/// Faults in a row that are a bug of the framework rather than of the weather.
const FAULTS_IN_A_ROW_MAX: usize = 5;

/// How a turn is to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// When the framework makes its n-th call of the turn (from 0), or at the turn's end if it makes fewer.
    AtCall(u64),
}

/// One framework and all that it can see of a cluster.
pub struct Cluster<F: Framework> {
    world: World,
    instance: Option<Instance<F>>,
    router: Option<crate::web::Router<F>>,
    setup: Setup,
    new_options: bool,
    fault: Option<Fault>,
    faults: Vec<String>,
    faults_in_a_row: usize,
}

impl<F: Framework> Default for Cluster<F> {
    fn default() -> Self {
        Cluster::new()
    }
}

impl<F: Framework> Cluster<F> {
    /// A cluster without agents and a framework with no options, not started yet: [`Cluster::settle`] starts it.
    pub fn new() -> Cluster<F> {
        Cluster::with_options("{}")
    }

    /// The same with options, a JSON object.
    pub fn with_options(options: &str) -> Cluster<F> {
        let setup = Setup {
            name: "framework".to_owned(),
            role: "test".to_owned(),
            options: options.to_owned(),
            upgraded_from: None,
        };
        Cluster {
            world: World::new(),
            instance: None,
            router: None,
            setup,
            new_options: false,
            fault: None,
            faults: Vec::new(),
            faults_in_a_row: 0,
        }
    }

    /// The limits that it enforces; may be changed between turns.
    pub fn limits(&mut self) -> &mut Limits {
        &mut self.world.limits
    }

    /// Starts the framework, once; the error is what `start` returned.
    pub fn start(&mut self) -> Result<(), String> {
        match self.instance {
            Some(_) => Ok(()),
            None => self.start_instance().unwrap_or_else(Err),
        }
    }

    /// Runs turns until nothing is waiting for the framework. Starts it if need be; panics if it refuses to start.
    pub fn settle(&mut self) {
        for _ in 0..SETTLE_TURNS_MAX {
            if !self.turn() {
                return;
            }
        }
        panic!("after {SETTLE_TURNS_MAX} turns the framework still has not come to rest");
    }

    /// Runs one turn, if something is waiting. Returns whether it did.
    pub fn turn(&mut self) -> bool {
        self.world.agents_act();
        if self.instance.is_none() {
            if let Ok(Err(refusal)) = self.start_instance() {
                panic!("the framework refuses to start: {refusal}");
            }
            return true;
        }
        let (events, told) = self.gather();
        if events.is_empty() {
            return false;
        }
        // A fault is noted down; the next turn starts a new instance, which is told the same again.
        let _ = self.one_turn(told, |instance, calls, now| {
            instance.handle(calls, now, events)
        });
        true
    }

    /// Lets time pass. Timers that come due fire in the next turn; tasks that outlive their limit are killed.
    pub fn advance(&mut self, ms: u64) {
        self.world.advance(ms);
    }

    /// The virtual clock.
    pub fn now(&self) -> InstantMs {
        self.world.now
    }

    /// Changes the options; the framework hears of it in its next turn.
    pub fn set_options(&mut self, options: &str) {
        self.setup.options = options.to_owned();
        self.new_options = true;
    }

    /// Drops the instance between two turns, as a restart of the master does: memory and streams are gone, all that
    /// was committed stays.
    pub fn restart(&mut self) {
        self.drop_instance();
    }

    /// Makes the next turn trap at the framework's n-th call (from 0), or at its end if it makes fewer calls: the turn
    /// is undone and the instance dropped.
    pub fn fault_at_call(&mut self, call: u64) {
        self.fault = Some(Fault::AtCall(call));
    }

    /// Takes back a fault that has not struck yet.
    pub fn calm(&mut self) {
        self.fault = None;
    }

    /// What has gone wrong so far: panics, overruns and injected faults.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// The framework itself, if an instance lives.
    pub fn framework(&self) -> Option<&F> {
        self.instance.as_ref().map(Instance::framework)
    }

    /// What it wants, with the counts as they are now.
    pub fn demands(&self) -> &[Demand] {
        &self.world.demands
    }

    /// What it has logged.
    pub fn log(&self) -> Vec<String> {
        self.world
            .log
            .borrow()
            .iter()
            .map(|(_, line)| line.clone())
            .collect()
    }

    /// Its durable state.
    pub fn state(&self) -> &std::collections::BTreeMap<String, Vec<u8>> {
        &self.world.state
    }

    /// Overwrites a key behind the framework's back, as a bug or a bad disk would.
    pub fn damage_state(&mut self, key: &str, value: &[u8]) {
        self.world.state.insert(key.to_owned(), value.to_vec());
    }

    fn start_instance(&mut self) -> Result<Result<(), String>, String> {
        let setup = self.setup.clone();
        self.world.new_instance();
        self.new_options = false;
        let mut started = None;
        let (outcome, effects) = self.guarded(&[], |calls, now| Instance::start(calls, now, setup));
        match outcome {
            Ok(Ok(instance)) => {
                self.world.commit(effects);
                self.faults_in_a_row = 0;
                started = Some(instance);
            }
            Ok(Err(refusal)) => return Ok(Err(refusal)),
            Err(fault) => self.note_fault(fault),
        }
        self.instance = started;
        Ok(Ok(()))
    }

    /// Runs one turn of the live instance and commits it, or undoes it and drops the instance.
    fn one_turn<R>(
        &mut self,
        told: Told,
        call: impl FnOnce(&mut Instance<F>, Calls<'_>, InstantMs) -> R,
    ) -> Result<R, String> {
        let Some(mut instance) = self.instance.take() else {
            return Err("no instance".to_owned());
        };
        let (outcome, effects) = self.guarded(&told.offers, |calls, now| {
            let result = call(&mut instance, calls, now);
            (instance, result)
        });
        match outcome {
            Ok((instance, result)) => {
                self.instance = Some(instance);
                self.faults_in_a_row = 0;
                self.new_options &= !told.options;
                self.world.handled(told, &effects);
                self.world.commit(effects);
                Ok(result)
            }
            Err(fault) => {
                self.note_fault(fault.clone());
                Err(fault)
            }
        }
    }

    fn guarded<R>(
        &mut self,
        offers: &[crate::types::Offer],
        call: impl FnOnce(Calls<'_>, InstantMs) -> R,
    ) -> (Result<R, String>, Effects) {
        let fault = self.fault.take();
        let fault_at = fault.map(|Fault::AtCall(call)| call);
        let host = TurnHost::new(&self.world, &self.setup, offers, fault_at);
        let calls = Calls {
            host: &host,
            streams: Some(&host),
        };
        let now = self.world.now;
        let outcome = catch_unwind(AssertUnwindSafe(|| call(calls, now)));
        let outcome = match outcome {
            Ok(_) if fault.is_some() => Err("injected fault".to_owned()),
            Ok(result) => host.overrun().map_or(Ok(result), Err),
            Err(panic) if panic.is::<InjectedFault>() => Err("injected fault".to_owned()),
            Err(panic) => Err(panic_text(&*panic)),
        };
        (outcome, host.finish())
    }

    fn note_fault(&mut self, fault: String) {
        self.faults_in_a_row += 1;
        assert!(
            self.faults_in_a_row < FAULTS_IN_A_ROW_MAX,
            "{FAULTS_IN_A_ROW_MAX} faults in a row; the last: {fault}"
        );
        self.faults.push(fault);
        self.drop_instance();
    }

    fn drop_instance(&mut self) {
        self.instance = None;
        self.world.end_streams();
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
