//! [`Framework`] and [`Web`]: what a framework implements; and the order in which a turn's events reach it.

use crate::Cx;
use crate::host::Calls;
use crate::state::Journal;
use crate::types::*;
use crate::web::{Request, Response, Router};
use std::rc::Rc;

/// A scheduler. Only [`Framework::start`] must be there; override what else you need to hear about.
///
/// Each method runs within a turn: everything it asked for through [`Cx`] commits together when the turn returns, and
/// a panic undoes all of it. A new instance then begins with `start` and finds the durable state of the last commit.
#[allow(unused_variables)]
pub trait Framework: Sized + 'static {
    /// The first turn of every instance: read the durable state and say what is wanted. An error refuses the install,
    /// rolls an upgrade back, or counts as a fault.
    fn start(cx: &mut Cx<'_>, setup: Setup) -> Result<Self, String>;

    /// Agents that are new, or have changed.
    fn agents(&mut self, cx: &mut Cx<'_>, agents: Vec<Agent>) {}

    /// Agents that have left for good.
    fn agents_gone(&mut self, cx: &mut Cx<'_>, agents: Vec<AgentId>) {}

    /// The latest of each task whose status is not handled yet. States in between may be skipped, the final one never.
    fn statuses(&mut self, cx: &mut Cx<'_>, statuses: Vec<TaskStatus>) {}

    /// A timer has fired.
    fn timer(&mut self, cx: &mut Cx<'_>, name: String) {}

    /// The operator changed the options: a JSON object, see [`crate::options::parse`].
    fn options(&mut self, cx: &mut Cx<'_>, options: String) {}

    /// The clients of these response streams have gone.
    fn streams_closed(&mut self, cx: &mut Cx<'_>, streams: Vec<u64>) {}

    /// Something newer than this SDK.
    fn notice(&mut self, cx: &mut Cx<'_>, notice: Notice) {}

    /// What can be used in this turn; what is not used goes back. [`crate::Plan`] keeps count of what is left.
    fn offers(&mut self, cx: &mut Cx<'_>, offers: Vec<Offer>) {}

    /// The last call of every turn, after `start`, after all events, and after a request: the place to say anew what
    /// is wanted.
    fn turn_end(&mut self, cx: &mut Cx<'_>) {}
}

/// A framework that also serves HTTP below `/fw/<name>/`.
pub trait Web: Framework {
    /// Which requests there are. Asked for once an instance.
    fn routes() -> Router<Self>;

    /// One request; the response leaves when the turn has committed. The default asks the router.
    fn request(&mut self, cx: &mut Cx<'_>, router: &Router<Self>, request: Request) -> Response {
        router.handle(self, cx, &request)
    }
}

/// A live instance and what goes with it.
pub struct Instance<F> {
    framework: F,
    journal: Rc<Journal>,
}

impl<F: Framework> Instance<F> {
    /// The first turn.
    pub fn start(calls: Calls<'_>, now: InstantMs, setup: Setup) -> Result<Instance<F>, String> {
        let journal = Rc::new(Journal::default());
        let mut cx = Cx::new(calls, now, journal.clone());
        let mut framework = F::start(&mut cx, setup)?;
        framework.turn_end(&mut cx);
        journal.flush(calls.host);
        Ok(Instance { framework, journal })
    }

    /// One turn of events.
    pub fn handle(&mut self, calls: Calls<'_>, now: InstantMs, events: Vec<Event>) {
        let mut cx = Cx::new(calls, now, self.journal.clone());
        for event in events {
            self.tell(&mut cx, event);
        }
        self.framework.turn_end(&mut cx);
        self.journal.flush(calls.host);
    }

    fn tell(&mut self, cx: &mut Cx<'_>, event: Event) {
        let framework = &mut self.framework;
        match event {
            Event::Agents(agents) => framework.agents(cx, agents),
            Event::AgentsGone(agents) => framework.agents_gone(cx, agents),
            Event::Statuses(statuses) => framework.statuses(cx, statuses),
            Event::Timer(name) => framework.timer(cx, name),
            Event::Options(options) => framework.options(cx, options),
            Event::StreamsClosed(streams) => framework.streams_closed(cx, streams),
            Event::Notice(notice) => framework.notice(cx, notice),
            Event::Offers(offers) => framework.offers(cx, offers),
        }
    }

    /// The framework itself, for tests.
    pub fn framework(&self) -> &F {
        &self.framework
    }
}

impl<F: Web> Instance<F> {
    /// One request's turn.
    pub fn request(
        &mut self,
        calls: Calls<'_>,
        router: &Router<F>,
        now: InstantMs,
        request: Request,
    ) -> Response {
        let mut cx = Cx::new(calls, now, self.journal.clone());
        let response = self.framework.request(&mut cx, router, request);
        self.framework.turn_end(&mut cx);
        self.journal.flush(calls.host);
        response
    }
}
