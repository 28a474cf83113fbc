//! The calls that a framework can make, behind one trait with two implementations: [`Imports`] (the master, in a
//! component) and the fake cluster of [`crate::testing`].

use crate::bindings::base::mezzo::framework::{driver, log, state, timers};
use crate::bindings::web::mezzo::framework::streams;
use crate::types::*;

/// The imported interfaces of the contract, one method a call.
pub trait Host {
    /// `driver.want`
    fn want(&self, demands: &[Demand]) -> Result<(), Refusal>;
    /// `driver.revive`
    fn revive(&self);
    /// `driver.launch`
    fn launch(&self, placements: &[Placement]) -> Result<Vec<Launched>, Refusal>;
    /// `driver.launch-group`
    fn launch_group(&self, group: &str, placements: &[Placement])
    -> Result<Vec<Launched>, Refusal>;
    /// `driver.kill`
    fn kill(&self, task: &str, grace_ms: Option<u64>) -> Result<(), Refusal>;
    /// `driver.reserve`
    fn reserve(
        &self,
        offer: OfferId,
        amount: &Resources,
        labels: &[Label],
        until: Option<InstantMs>,
    ) -> Result<Reserved, Refusal>;
    /// `driver.unreserve`
    fn unreserve(&self, reservation: ReservationId) -> Result<(), Refusal>;
    /// `driver.create-volume`
    fn create_volume(
        &self,
        reservation: ReservationId,
        name: &str,
        size_bytes: u64,
    ) -> Result<(), Refusal>;
    /// `driver.destroy-volume`
    fn destroy_volume(&self, reservation: ReservationId, name: &str) -> Result<(), Refusal>;
    /// `driver.reservations`
    fn reservations(&self, after: Option<ReservationId>, limit: u32) -> Vec<Reservation>;
    /// `driver.tasks`
    fn tasks(&self, after: Option<&str>, limit: u32) -> Vec<TaskStatus>;
    /// `driver.find-task`
    fn find_task(&self, task: &str) -> Option<TaskStatus>;
    /// `driver.agents`
    fn agents(&self, after: Option<AgentId>, limit: u32) -> Vec<Agent>;
    /// `driver.find-agent`
    fn find_agent(&self, agent: AgentId) -> Option<Agent>;
    /// `state.get`
    fn state_get(&self, key: &str) -> Option<Vec<u8>>;
    /// `state.set`
    fn state_set(&self, key: &str, value: &[u8]) -> Result<(), String>;
    /// `state.delete`
    fn state_delete(&self, key: &str);
    /// `state.scan`
    fn state_scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<(String, Vec<u8>)>;
    /// `timers.set`
    fn timer_set(&self, name: &str, after_ms: u64) -> Result<(), String>;
    /// `timers.cancel`
    fn timer_cancel(&self, name: &str);
    /// `log.write`
    fn log(&self, level: Level, message: &str);
}

/// The interface `streams`, apart from the rest: a framework without an HTTP API must not import it.
pub trait Streams {
    /// `streams.write`
    fn write(&self, request: u64, chunk: &[u8]) -> bool;
    /// `streams.close`
    fn close(&self, request: u64);
}

/// What one turn can call. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Calls<'a> {
    /// What every framework can call.
    pub host: &'a dyn Host,
    /// What only one with an HTTP API can call.
    pub streams: Option<&'a dyn Streams>,
}

/// The master itself. Outside of a component every call panics.
pub struct Imports;

impl Host for Imports {
    fn want(&self, demands: &[Demand]) -> Result<(), Refusal> {
        driver::want(demands)
    }
    fn revive(&self) {
        driver::revive();
    }
    fn launch(&self, placements: &[Placement]) -> Result<Vec<Launched>, Refusal> {
        driver::launch(placements)
    }
    fn launch_group(
        &self,
        group: &str,
        placements: &[Placement],
    ) -> Result<Vec<Launched>, Refusal> {
        driver::launch_group(group, placements)
    }
    fn kill(&self, task: &str, grace_ms: Option<u64>) -> Result<(), Refusal> {
        driver::kill(task, grace_ms)
    }
    fn reserve(
        &self,
        offer: OfferId,
        amount: &Resources,
        labels: &[Label],
        until: Option<InstantMs>,
    ) -> Result<Reserved, Refusal> {
        driver::reserve(offer, amount, labels, until)
    }
    fn unreserve(&self, reservation: ReservationId) -> Result<(), Refusal> {
        driver::unreserve(reservation)
    }
    fn create_volume(
        &self,
        reservation: ReservationId,
        name: &str,
        size_bytes: u64,
    ) -> Result<(), Refusal> {
        driver::create_volume(reservation, name, size_bytes)
    }
    fn destroy_volume(&self, reservation: ReservationId, name: &str) -> Result<(), Refusal> {
        driver::destroy_volume(reservation, name)
    }
    fn reservations(&self, after: Option<ReservationId>, limit: u32) -> Vec<Reservation> {
        driver::reservations(after, limit)
    }
    fn tasks(&self, after: Option<&str>, limit: u32) -> Vec<TaskStatus> {
        driver::tasks(after, limit)
    }
    fn find_task(&self, task: &str) -> Option<TaskStatus> {
        driver::find_task(task)
    }
    fn agents(&self, after: Option<AgentId>, limit: u32) -> Vec<Agent> {
        driver::agents(after, limit)
    }
    fn find_agent(&self, agent: AgentId) -> Option<Agent> {
        driver::find_agent(agent)
    }
    fn state_get(&self, key: &str) -> Option<Vec<u8>> {
        state::get(key)
    }
    fn state_set(&self, key: &str, value: &[u8]) -> Result<(), String> {
        state::set(key, value)
    }
    fn state_delete(&self, key: &str) {
        state::delete(key);
    }
    fn state_scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<(String, Vec<u8>)> {
        state::scan(prefix, after, limit)
    }
    fn timer_set(&self, name: &str, after_ms: u64) -> Result<(), String> {
        timers::set(name, after_ms)
    }
    fn timer_cancel(&self, name: &str) {
        timers::cancel(name);
    }
    fn log(&self, level: Level, message: &str) {
        log::write(level, message);
    }
}

impl Streams for Imports {
    fn write(&self, request: u64, chunk: &[u8]) -> bool {
        streams::write(request, chunk)
    }
    fn close(&self, request: u64) {
        streams::close(request);
    }
}
