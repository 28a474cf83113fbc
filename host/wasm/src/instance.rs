//! One live copy of a component: how it is made, and how it runs turns, one after another.

use crate::bindings::exports::mezzo::framework::web::Response;
use crate::boundary::{Boundary, Bytes as _};
use crate::contract::{Event, Request, Setup};
use crate::convert;
use crate::deadline::Deadline;
use crate::fault::{FAULT_MESSAGE_BYTES_MAX, classify, printable};
use crate::guest::Guest;
use crate::lift;
use crate::linker::PACKAGE;
use crate::random::Random;
use mezzo_core::ledger::{Ledger, Refusal};
use mezzo_core::turn::{self, WebRequest, WebResponse};
use mezzo_core::{Call, Effects, Fault, FaultKind, FrameworkLimits, Turn};
use mezzo_types::RequestId;
use std::mem;
use wasmtime::component::{Component, ComponentExportIndex, Func, InstancePre, Linker, TypedFunc};
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

type StartIn<'a> = (u64, Setup<&'a str>);
type StartOut = (Result<(), String>,);
type HandleIn<'a> = (u64, &'a [Event<&'a str>]);
type WebIn<'a> = (u64, Request<'a>);
type WebOut = (Response,);

/// A compiled component, ready to be instantiated.
pub struct Ready {
    pre: InstancePre<Guest>,
    start: ComponentExportIndex,
    handle: ComponentExportIndex,
    web: Option<ComponentExportIndex>,
}

impl Ready {
    /// Links a component. The text says which import or export does not fit.
    pub fn new(component: &Component, linker: &Linker<Guest>) -> Result<Ready, String> {
        let pre = linker
            .instantiate_pre(component)
            .map_err(|e| printable(&format!("{e:#}"), FAULT_MESSAGE_BYTES_MAX))?;
        let scheduler = interface(component, "scheduler")
            .ok_or_else(|| format!("there is no export `{PACKAGE}/scheduler`"))?;
        let web = interface(component, "web");
        Ok(Ready {
            start: function(component, &scheduler, "start")?,
            handle: function(component, &scheduler, "handle")?,
            web: web
                .map(|web| function(component, &web, "handle"))
                .transpose()?,
            pre,
        })
    }

    /// Whether it exports `web`.
    pub fn has_web(&self) -> bool {
        self.web.is_some()
    }
}

/// The name of the export that is an interface of the contract, in whichever version it has.
fn interface(component: &Component, name: &str) -> Option<String> {
    let prefix = format!("{PACKAGE}/{name}@0.1.");
    let ty = component.component_type();
    ty.exports(component.engine())
        .find(|(name, _)| name.starts_with(&prefix))
        .map(|(name, _)| name.to_owned())
}

fn function(
    component: &Component,
    interface: &str,
    name: &str,
) -> Result<ComponentExportIndex, String> {
    let instance = component.get_export_index(None, interface);
    instance
        .and_then(|instance| component.get_export_index(Some(&instance), name))
        .ok_or_else(|| format!("the export `{interface}` has no function `{name}`"))
}

/// Why no instance could be made.
pub enum MakeError {
    /// An export has another type.
    Signature(String),
    /// The guest or the engine failed.
    Failed(FaultKind, String),
}

/// A live copy. After a fault it is in an unknown state and must be dropped.
pub struct Instance {
    store: Store<Guest>,
    start: Func,
    handle: Func,
    web: Option<Func>,
}

impl Guest {
    /// Sets everything that belongs to one turn.
    pub fn begin_turn(&mut self, turn: &Turn) {
        let limits = &turn.limits;
        self.clock.begin_turn(turn.now.0);
        self.random = Random::new(turn.seed);
        self.boundary = Boundary::new(limits.boundary_bytes_max);
        self.growth.memory_bytes_max = limits.memory_bytes;
        self.growth.refused = None;
        self.log.begin_turn(turn.now.0, limits.log_bytes_per_s);
    }
}

impl Instance {
    /// Makes one. The guest's deadline counts from before: instantiating may run guest code.
    pub fn make(ready: &Ready, guest: Guest) -> Result<Instance, MakeError> {
        let mut store = Store::new(ready.pre.engine(), guest);
        store.limiter(|guest| &mut guest.growth);
        store.epoch_deadline_callback(|store: StoreContextMut<'_, Guest>| {
            store.data().deadline.check()?;
            Ok(UpdateDeadline::Continue(1))
        });
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(store.data().boundary.fuel());
        let instance = match ready.pre.instantiate(&mut store) {
            Ok(instance) => instance,
            Err(error) => {
                let refused = store.data_mut().growth.refused.take();
                return Err(not_made(&error, refused.as_deref()));
            }
        };
        let mut find = |index: &ComponentExportIndex| {
            instance
                .get_func(&mut store, index)
                .ok_or_else(|| MakeError::Signature("an export is no function".to_owned()))
        };
        let start = find(&ready.start)?;
        let handle = find(&ready.handle)?;
        let web = ready.web.as_ref().map(&mut find).transpose()?;
        let of = |name: &str, result: wasmtime::Result<()>| {
            result.map_err(|e| MakeError::Signature(format!("the export `{name}`: {e:#}")))
        };
        of(
            "scheduler.start",
            start.typed::<StartIn, StartOut>(&store).map(drop),
        )?;
        of(
            "scheduler.handle",
            handle.typed::<HandleIn, ()>(&store).map(drop),
        )?;
        if let Some(web) = &web {
            of("web.handle", web.typed::<WebIn, WebOut>(&store).map(drop))?;
        }
        Ok(Instance {
            store,
            start,
            handle,
            web,
        })
    }

    /// What the host keeps beside it.
    pub fn guest(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    /// Runs the calls of a turn that [`Guest::begin_turn`] was told of. `deadline` is the one under
    /// which the instance was just made, if it was: `start` goes on under it.
    pub fn run(&mut self, mut turn: Turn, deadline: Option<Deadline>) -> Result<Effects, Fault> {
        let calls = take_calls(&mut turn);
        let mut offers = Vec::new();
        if tells_offers(&calls) {
            offers = turn.offers.iter().map(convert::offer).collect();
        }
        let limits = std::sync::Arc::clone(&turn.limits);
        let now = turn.now.0;
        self.guest().ledger = Some(Ledger::new(turn));
        for call in &calls {
            self.begin_call(call, &limits, deadline);
            match call {
                Call::Start(setup) => self.start(now, setup)?,
                Call::Handle(events) => {
                    let events: Vec<Event<&str>> = events
                        .iter()
                        .map(|event| convert::event(event, &mut offers))
                        .collect();
                    self.handle(now, &events)?;
                }
                Call::Web(request) => self.web(now, request)?,
            }
        }
        match self.guest().ledger.take() {
            Some(ledger) => Ok(ledger.finish()),
            None => Err(fault(
                FaultKind::Host,
                "handle",
                "the turn has lost its ledger",
            )),
        }
    }

    fn begin_call(&mut self, call: &Call, limits: &FrameworkLimits, made: Option<Deadline>) {
        self.guest().deadline = match (call, made) {
            (Call::Start(_), Some(deadline)) => deadline,
            (Call::Start(_), None) => Deadline::of_start(limits.start_ms),
            _ => Deadline::of_call(limits.turn_cpu_ms, limits.turn_wall_ms),
        };
        self.store.set_epoch_deadline(1);
        let fuel = self.guest().boundary.fuel();
        self.store.set_hostcall_fuel(fuel);
    }

    fn start(&mut self, now: u64, setup: &turn::Setup) -> Result<(), Fault> {
        let upgraded_from = setup.upgraded_from.map(|digest| digest.to_string());
        let setup = convert::setup(setup, upgraded_from.as_deref());
        self.lowered(setup.bytes(), "start")?;
        // SAFETY: `make` has checked that the function has exactly these types; only lifetimes
        // differ.
        let start = unsafe { TypedFunc::<StartIn, StartOut>::new_unchecked(self.start) };
        let (result,) = start
            .call(&mut self.store, (now, setup))
            .map_err(|e| self.failed(&e, "start"))?;
        result.map_err(|why| {
            let why = printable(&why, FAULT_MESSAGE_BYTES_MAX);
            fault(FaultKind::StartRefused, "start", &why)
        })
    }

    fn handle(&mut self, now: u64, events: &[Event<&str>]) -> Result<(), Fault> {
        self.lowered(events.bytes(), "handle")?;
        // SAFETY: as in `start`.
        let handle = unsafe { TypedFunc::<HandleIn, ()>::new_unchecked(self.handle) };
        handle
            .call(&mut self.store, (now, events))
            .map_err(|e| self.failed(&e, "handle"))
    }

    fn web(&mut self, now: u64, request: &WebRequest) -> Result<(), Fault> {
        let Some(web) = self.web else {
            let why = "a request came for a component that does not export `web`";
            return Err(fault(FaultKind::Host, "web", why));
        };
        let lowered = convert::request(request);
        self.lowered(lowered.bytes(), "web")?;
        // SAFETY: as in `start`.
        let handle = unsafe { TypedFunc::<WebIn, WebOut>::new_unchecked(web) };
        let (response,) = handle
            .call(&mut self.store, (now, lowered))
            .map_err(|e| self.failed(&e, "web"))?;
        let lifted = self.guest().boundary.lifted(response.bytes());
        lifted.map_err(|stop| self.failed(&stop.into(), "web"))?;
        self.respond(request.id, lift::response(response))
    }

    fn respond(&mut self, request: RequestId, response: WebResponse) -> Result<(), Fault> {
        let Some(ledger) = self.guest().ledger.as_mut() else {
            return Err(fault(
                FaultKind::Host,
                "web",
                "the turn has lost its ledger",
            ));
        };
        let refused = match ledger.respond(request, response) {
            Ok(()) => return Ok(()),
            // Clients open streams: that there are too many is no fault of the framework's.
            Err(Refusal::Limit(why)) => ledger.respond(request, unavailable(&why)),
            Err(refusal) => Err(refusal),
        };
        refused.map_err(|refusal| {
            fault(
                FaultKind::Malformed,
                "web",
                &format!("the response is refused: {refusal:?}"),
            )
        })
    }

    fn lowered(&mut self, bytes: u64, call: &str) -> Result<(), Fault> {
        let lowered = self.guest().boundary.lowered(bytes);
        lowered.map_err(|stop| self.failed(&stop.into(), call))
    }

    fn failed(&mut self, error: &wasmtime::Error, call: &str) -> Fault {
        let (kind, message) = classify(error, self.guest().growth.refused.as_deref());
        let words = self.guest().log.last_words();
        if words.is_empty() || !matches!(kind, FaultKind::Trap | FaultKind::MemoryLimit) {
            return fault(kind, call, &message);
        }
        // The guest's own words first: they say why, the engine says only where.
        let message = format!("{words} ({message})");
        fault(kind, call, &printable(&message, FAULT_MESSAGE_BYTES_MAX))
    }
}

fn not_made(error: &wasmtime::Error, refused: Option<&str>) -> MakeError {
    let (kind, message) = classify(error, refused);
    match kind {
        // Not the words of a guest's call but of the engine.
        FaultKind::Malformed => match refused {
            Some(refused) => MakeError::Failed(FaultKind::MemoryLimit, refused.to_owned()),
            None => MakeError::Failed(
                FaultKind::Instantiate,
                printable(&format!("{error:#}"), FAULT_MESSAGE_BYTES_MAX),
            ),
        },
        kind => MakeError::Failed(kind, message),
    }
}

fn unavailable(why: &str) -> WebResponse {
    WebResponse {
        status: 503,
        headers: vec![(
            "content-type".to_owned(),
            b"text/plain; charset=utf-8".to_vec(),
        )],
        body: Some(why.as_bytes().to_vec()),
    }
}

/// The calls, whole; the turn keeps what the ledger asks it for: which requests it answers.
fn take_calls(turn: &mut Turn) -> Vec<Call> {
    let stubs = turn
        .calls
        .iter()
        .filter_map(|call| match call {
            Call::Web(request) => Some(Call::Web(WebRequest {
                id: request.id,
                method: String::new(),
                path: String::new(),
                headers: Vec::new(),
                body: Vec::new(),
                principal: String::new(),
            })),
            Call::Start(_) | Call::Handle(_) => None,
        })
        .collect();
    mem::replace(&mut turn.calls, stubs)
}

fn tells_offers(calls: &[Call]) -> bool {
    calls.iter().any(|call| {
        matches!(call, Call::Handle(events)
            if events.iter().any(|event| matches!(event, turn::GuestEvent::Offers)))
    })
}

/// A fault; the core fills in the rest.
pub fn fault(kind: FaultKind, call: &str, message: &str) -> Fault {
    Fault {
        kind,
        call: call.into(),
        message: message.into(),
        at: mezzo_types::Instant::default(),
        id: 0,
        events: "".into(),
    }
}
