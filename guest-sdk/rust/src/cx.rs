//! [`Cx`]: the handle on the turn that every method of a framework gets.

use crate::host::{Calls, Host, Streams};
use crate::state::Journal;
use crate::types::*;
use std::rc::Rc;

/// How many entries one call of `tasks`, `agents` or `scan` answers with at most.
const PAGE_MAX: u32 = 1_000;

/// One turn. What is asked for through it is checked at once, and becomes real when the turn commits or never: a
/// panic undoes the turn and the instance.
pub struct Cx<'a> {
    host: &'a dyn Host,
    streams: Option<&'a dyn Streams>,
    now: InstantMs,
    journal: Rc<Journal>,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(calls: Calls<'a>, now: InstantMs, journal: Rc<Journal>) -> Cx<'a> {
        Cx {
            host: calls.host,
            streams: calls.streams,
            now,
            journal,
        }
    }

    pub(crate) fn journal(&self) -> &Rc<Journal> {
        &self.journal
    }

    /// The turn's instant; it does not move within the turn.
    pub fn now(&self) -> InstantMs {
        self.now
    }

    /// Replaces the list of what is wanted. Durable: it outlives the instance.
    pub fn want(&mut self, demands: &[Demand]) -> Result<(), Refusal> {
        self.host.want(demands)
    }

    /// Asks to see again what was offered and left; at most once a second, more often does nothing.
    pub fn revive(&mut self) {
        self.host.revive();
    }

    /// Launches all of the placements or none. One call with many is far cheaper than many calls.
    pub fn launch(&mut self, placements: &[Placement]) -> Result<Vec<Launched>, Refusal> {
        self.host.launch(placements)
    }

    /// Like [`Cx::launch`], for tasks that share one agent and one fate.
    pub fn launch_group(
        &mut self,
        group: &str,
        placements: &[Placement],
    ) -> Result<Vec<Launched>, Refusal> {
        self.host.launch_group(group, placements)
    }

    /// Stops a task, with the grace that it was launched with.
    pub fn kill(&mut self, task: &str) -> Result<(), Refusal> {
        self.host.kill(task, None)
    }

    /// Stops a task; repeatable with a shorter grace.
    pub fn kill_within(&mut self, task: &str, grace_ms: u64) -> Result<(), Refusal> {
        self.host.kill(task, Some(grace_ms))
    }

    /// Keeps a part of an offer for the framework's role, until [`Cx::unreserve`]. The answer's offer is of this turn:
    /// volumes can be created and tasks launched on it at once.
    ///
    /// ```
    /// use mezzo_sdk::prelude::*;
    ///
    /// struct Database;
    ///
    /// impl Database {
    ///     fn launch(&mut self, cx: &mut Cx<'_>, offer: &Offer) -> Result<(), Refusal> {
    ///         let reserved = cx.reserve(offer, &Resources { disk_bytes: GIB, ..Resources::new(500, GIB) })?;
    ///         cx.create_volume(reserved.reservation, "data", GIB)?;
    ///         let task = Task::process("db-1", ["database"]).mount("data", "db"); // sees it as ./db
    ///         cx.launch(&[task.on_reserved(&reserved, "db")])?;
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn reserve(&mut self, offer: &Offer, amount: &Resources) -> Result<Reserved, Refusal> {
        self.reserve_with(offer.id, amount, &[], None)
    }

    /// The same on the offer of that number, with labels, and until an instant at which it ends by itself if nothing
    /// uses it then.
    pub fn reserve_with(
        &mut self,
        offer: OfferId,
        amount: &Resources,
        labels: &[Label],
        until: Option<InstantMs>,
    ) -> Result<Reserved, Refusal> {
        self.host.reserve(offer, amount, labels, until)
    }

    /// Gives a reservation back. Refused while a task, a volume or a smaller reservation uses it.
    pub fn unreserve(&mut self, reservation: ReservationId) -> Result<(), Refusal> {
        self.host.unreserve(reservation)
    }

    /// Makes an empty volume on a reservation that is offered in this turn; tasks of this turn may mount it.
    pub fn create_volume(
        &mut self,
        reservation: ReservationId,
        name: &str,
        size_bytes: u64,
    ) -> Result<(), Refusal> {
        self.host.create_volume(reservation, name, size_bytes)
    }

    /// Destroys a volume and its data. Refused while a task uses it.
    pub fn destroy_volume(
        &mut self,
        reservation: ReservationId,
        name: &str,
    ) -> Result<(), Refusal> {
        self.host.destroy_volume(reservation, name)
    }

    /// All reservations of the framework's role and of the roles above it, page by page, by id.
    pub fn all_reservations(&self) -> impl Iterator<Item = Reservation> + '_ {
        Pages::new(|after: Option<&Reservation>| {
            self.host
                .reservations(after.map(|reservation| reservation.id), PAGE_MAX)
        })
    }

    /// One of them.
    pub fn find_reservation(&self, id: ReservationId) -> Option<Reservation> {
        let page = self.host.reservations(id.checked_sub(1), 1);
        page.into_iter().find(|reservation| reservation.id == id)
    }

    /// One page of the master's record of this framework's tasks, by id.
    pub fn tasks(&self, after: Option<&str>, limit: u32) -> Vec<TaskStatus> {
        self.host.tasks(after, limit)
    }

    /// The whole of that record, page by page. Each page counts towards the turn's bytes.
    pub fn all_tasks(&self) -> impl Iterator<Item = TaskStatus> + '_ {
        Pages::new(|after: Option<&TaskStatus>| {
            self.host
                .tasks(after.map(|status| status.task.as_str()), PAGE_MAX)
        })
    }

    /// One task of the record.
    pub fn find_task(&self, task: &str) -> Option<TaskStatus> {
        self.host.find_task(task)
    }

    /// All agents that the framework has been told of.
    pub fn all_agents(&self) -> impl Iterator<Item = Agent> + '_ {
        Pages::new(|after: Option<&Agent>| self.host.agents(after.map(|agent| agent.id), PAGE_MAX))
    }

    /// One of them.
    pub fn find_agent(&self, agent: AgentId) -> Option<Agent> {
        self.host.find_agent(agent)
    }

    /// The raw value of a key. [`crate::Value`] and [`crate::Table`] are typed and cached.
    pub fn state_get(&self, key: &str) -> Option<Vec<u8>> {
        self.host.state_get(key)
    }

    /// Sets a raw value; fails when it is too large or the framework's quota is reached, and the key keeps its value.
    pub fn state_set(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        self.host.state_set(key, value)
    }

    /// Removes a key, if it is there.
    pub fn state_delete(&mut self, key: &str) {
        self.host.state_delete(key);
    }

    /// All keys that begin with `prefix`, in order, with their values.
    pub fn state_scan<'b>(
        &'b self,
        prefix: &'b str,
    ) -> impl Iterator<Item = (String, Vec<u8>)> + 'b {
        Pages::new(move |after: Option<&(String, Vec<u8>)>| {
            self.host
                .state_scan(prefix, after.map(|(key, _)| key.as_str()), PAGE_MAX)
        })
    }

    /// Sets a durable wake-up; one of the same name is replaced.
    pub fn set_timer(&mut self, name: &str, after_ms: u64) -> Result<(), String> {
        self.host.timer_set(name, after_ms)
    }

    /// Removes a wake-up, if it is there.
    pub fn cancel_timer(&mut self, name: &str) {
        self.host.timer_cancel(name);
    }

    /// Writes a line to the framework's log, for its author.
    pub fn debug(&self, message: &str) {
        self.host.log(Level::Debug, message);
    }

    /// Writes a line worth knowing.
    pub fn info(&self, message: &str) {
        self.host.log(Level::Info, message);
    }

    /// Writes a line worth a look.
    pub fn warn(&self, message: &str) {
        self.host.log(Level::Warn, message);
    }

    /// Writes a line about something wrong.
    pub fn error(&self, message: &str) {
        self.host.log(Level::Error, message);
    }

    /// Sends a piece of a response that [`crate::web::Response::stream`] began. False when the client has gone, and in a framework
    /// that is exported without an HTTP API.
    pub fn stream_write(&mut self, request: u64, chunk: &[u8]) -> bool {
        self.streams
            .is_some_and(|streams| streams.write(request, chunk))
    }

    /// Ends such a response.
    pub fn stream_close(&mut self, request: u64) {
        if let Some(streams) = self.streams {
            streams.close(request);
        }
    }
}

/// Reads on, page after page, until one comes back empty: pages may be cut short by bytes as well as by count.
struct Pages<T, F> {
    fetch: F,
    page: std::collections::VecDeque<T>,
    last: Option<T>,
    done: bool,
}

impl<T: Clone, F: FnMut(Option<&T>) -> Vec<T>> Pages<T, F> {
    fn new(fetch: F) -> Self {
        Pages {
            fetch,
            page: Default::default(),
            last: None,
            done: false,
        }
    }
}

impl<T: Clone, F: FnMut(Option<&T>) -> Vec<T>> Iterator for Pages<T, F> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.page.is_empty() && !self.done {
            self.page = (self.fetch)(self.last.as_ref()).into();
            self.last = self.page.back().cloned();
            self.done = self.page.is_empty();
        }
        self.page.pop_front()
    }
}
