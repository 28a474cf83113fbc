//! The contract's types as the host lowers them. `S` is the type of texts: borrowed where a call's
//! arguments are lowered out of the core's own values, owned in the answers of imports.
//!
//! What is lifted from guests has the generated types of `bindings`. That these here and the
//! contract agree is checked when a component is prepared, by the engine, field by field.

use crate::boundary::{Bytes, fields};
use wasmtime::component::{ComponentType, Lower};

/// `custom-amount`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct CustomAmount<S> {
    pub name: S,
    #[component(name = "amount-milli")]
    pub amount_milli: u64,
}

/// `resources`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Resources<S> {
    #[component(name = "cpu-milli")]
    pub cpu_milli: u64,
    #[component(name = "memory-bytes")]
    pub memory_bytes: u64,
    #[component(name = "disk-bytes")]
    pub disk_bytes: u64,
    pub gpus: u32,
    pub ports: u32,
    pub custom: Vec<CustomAmount<S>>,
}

/// `attribute-value`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(variant)]
pub enum AttributeValue<S> {
    #[component(name = "text")]
    Text(S),
    #[component(name = "number-milli")]
    NumberMilli(i64),
}

/// `attribute`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Attribute<S> {
    pub name: S,
    pub value: AttributeValue<S>,
}

/// `agent`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Agent<S> {
    pub id: u64,
    pub hostname: S,
    pub address: S,
    pub region: Option<S>,
    pub zone: Option<S>,
    pub attributes: Vec<Attribute<S>>,
    pub total: Resources<S>,
    pub runtimes: Vec<S>,
    #[component(name = "leaving-at")]
    pub leaving_at: Option<u64>,
}

/// `offer`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Offer<S> {
    pub id: u64,
    pub agent: u64,
    pub free: Resources<S>,
    pub reservation: Option<u64>,
    pub volumes: Vec<S>,
}

/// `volume`
#[derive(ComponentType, Lower, Clone, Debug, PartialEq, Eq)]
#[component(record)]
pub struct Volume<S> {
    pub name: S,
    #[component(name = "size-bytes")]
    pub size_bytes: u64,
    pub destroying: bool,
    #[component(name = "in-use")]
    pub in_use: bool,
}

/// `reservation`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Reservation<S> {
    pub id: u64,
    pub agent: u64,
    pub role: S,
    #[component(name = "made-by")]
    pub made_by: S,
    pub amount: Resources<S>,
    pub free: Resources<S>,
    pub volumes: Vec<Volume<S>>,
    pub labels: Vec<Label<S>>,
    pub until: Option<u64>,
    pub ending: bool,
}

/// `task-state`
#[derive(ComponentType, Lower, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub enum TaskState {
    #[component(name = "pending")]
    Pending,
    #[component(name = "starting")]
    Starting,
    #[component(name = "running")]
    Running,
    #[component(name = "stopping")]
    Stopping,
    #[component(name = "unreachable")]
    Unreachable,
    #[component(name = "finished")]
    Finished,
    #[component(name = "failed")]
    Failed,
    #[component(name = "killed")]
    Killed,
    #[component(name = "lost")]
    Lost,
}

/// `label`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Label<S> {
    pub key: S,
    pub value: S,
}

/// `assigned-port`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct AssignedPort<S> {
    pub name: S,
    pub number: u16,
}

/// `task-status`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct TaskStatus<S> {
    pub task: S,
    pub run: u64,
    pub group: Option<S>,
    pub labels: Vec<Label<S>>,
    pub agent: u64,
    pub state: TaskState,
    pub reason: S,
    pub message: S,
    #[component(name = "exit-code")]
    pub exit_code: Option<i32>,
    pub address: S,
    pub ports: Vec<AssignedPort<S>>,
    pub since: u64,
}

/// `setup`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Setup<S> {
    pub name: S,
    pub role: S,
    pub options: S,
    #[component(name = "upgraded-from")]
    pub upgraded_from: Option<S>,
}

/// `notice`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Notice<S> {
    pub kind: S,
    pub body: S,
}

/// `event`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(variant)]
pub enum Event<S> {
    #[component(name = "agents")]
    Agents(Vec<Agent<S>>),
    #[component(name = "agents-gone")]
    AgentsGone(Vec<u64>),
    #[component(name = "statuses")]
    Statuses(Vec<TaskStatus<S>>),
    #[component(name = "timer")]
    Timer(S),
    #[component(name = "options")]
    Options(S),
    #[component(name = "streams-closed")]
    StreamsClosed(Vec<u64>),
    // No component can ask for kinds of notices yet, so that none is sent.
    #[allow(dead_code)]
    #[component(name = "notice")]
    Notice(Notice<S>),
    // Owned, because the ledger takes the turn's offers before the call is made.
    #[component(name = "offers")]
    Offers(Vec<Offer<String>>),
}

/// `header`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Header<'a> {
    pub name: &'a str,
    pub value: &'a [u8],
}

/// `request`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Request<'a> {
    pub id: u64,
    pub method: &'a str,
    pub path: &'a str,
    pub headers: Vec<Header<'a>>,
    pub body: &'a [u8],
    pub principal: &'a str,
}

/// `launched`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Launched {
    pub task: String,
    pub run: u64,
    pub ports: Vec<AssignedPort<String>>,
}

/// `reserved`
#[derive(ComponentType, Lower, Clone, Copy, Debug)]
#[component(record)]
pub struct Reserved {
    pub reservation: u64,
    pub offer: u64,
}

/// `refusal`
#[derive(ComponentType, Lower, Clone, Debug)]
#[component(variant)]
pub enum Refusal {
    #[component(name = "unknown")]
    Unknown(String),
    #[component(name = "insufficient")]
    Insufficient(String),
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "forbidden")]
    Forbidden(String),
    #[component(name = "limit")]
    Limit(String),
    #[component(name = "other")]
    Other(String),
}

/// Numbers of a record's own, without its texts and lists.
const RESOURCES_BYTES: u64 = 40;

impl<S: Bytes> Bytes for Resources<S> {
    fn bytes(&self) -> u64 {
        RESOURCES_BYTES + self.custom.iter().map(|c| c.name.bytes() + 16).sum::<u64>()
    }
}

impl<S: Bytes> Bytes for Attribute<S> {
    fn bytes(&self) -> u64 {
        let value = match &self.value {
            AttributeValue::Text(text) => text.bytes(),
            AttributeValue::NumberMilli(_) => 0,
        };
        self.name.bytes() + value + 24
    }
}

impl<S: Bytes> Bytes for Label<S> {
    fn bytes(&self) -> u64 {
        self.key.bytes() + self.value.bytes()
    }
}

impl<S: Bytes> Bytes for AssignedPort<S> {
    fn bytes(&self) -> u64 {
        self.name.bytes() + 8
    }
}

impl<S: Bytes> Bytes for Agent<S> {
    fn bytes(&self) -> u64 {
        self.hostname.bytes()
            + self.address.bytes()
            + self.region.bytes()
            + self.zone.bytes()
            + self.attributes.bytes()
            + self.total.bytes()
            + self.runtimes.bytes()
            + 48
    }
}

impl<S: Bytes> Bytes for Offer<S> {
    fn bytes(&self) -> u64 {
        self.free.bytes() + self.reservation.bytes() + self.volumes.bytes() + 16
    }
}

impl<S: Bytes> Bytes for Volume<S> {
    fn bytes(&self) -> u64 {
        self.name.bytes() + 16
    }
}

impl<S: Bytes> Bytes for Reservation<S> {
    fn bytes(&self) -> u64 {
        self.role.bytes()
            + self.made_by.bytes()
            + self.amount.bytes()
            + self.free.bytes()
            + self.volumes.bytes()
            + self.labels.bytes()
            + 48
    }
}

impl<S: Bytes> Bytes for TaskStatus<S> {
    fn bytes(&self) -> u64 {
        self.task.bytes()
            + self.group.bytes()
            + self.labels.bytes()
            + self.reason.bytes()
            + self.message.bytes()
            + self.address.bytes()
            + self.ports.bytes()
            + 96
    }
}

impl<S: Bytes> Bytes for Event<S> {
    fn bytes(&self) -> u64 {
        match self {
            Event::Agents(agents) => agents.bytes(),
            Event::AgentsGone(ids) | Event::StreamsClosed(ids) => ids.bytes(),
            Event::Statuses(statuses) => statuses.bytes(),
            Event::Timer(text) | Event::Options(text) => text.bytes(),
            Event::Notice(notice) => notice.kind.bytes() + notice.body.bytes(),
            Event::Offers(offers) => offers.bytes(),
        }
    }
}

impl Bytes for Refusal {
    fn bytes(&self) -> u64 {
        match self {
            Refusal::Unknown(text)
            | Refusal::Insufficient(text)
            | Refusal::Invalid(text)
            | Refusal::Forbidden(text)
            | Refusal::Limit(text)
            | Refusal::Other(text) => text.bytes(),
        }
    }
}

fields! {
    Setup<&str>: name, role, options, upgraded_from;
    Header<'_>: name, value;
    Request<'_>: id, method, path, headers, body, principal;
    Launched: task, run, ports;
    Reserved: reservation, offer;
}

/// The host's types take as much room in a guest's memory as the contract's: a first, cheap check
/// when the host itself is compiled.
const _: () = {
    use crate::bindings::exports::mezzo::framework::{scheduler, web};
    use crate::bindings::mezzo::framework::{driver, types};
    const fn same<A: ComponentType, B: ComponentType>() {
        assert!(A::SIZE32 == B::SIZE32 && A::ALIGN32 == B::ALIGN32);
    }
    same::<Agent<String>, types::Agent>();
    same::<Offer<String>, types::Offer>();
    same::<Reservation<String>, types::Reservation>();
    same::<TaskStatus<String>, types::TaskStatus>();
    same::<Setup<String>, scheduler::Setup>();
    same::<Event<String>, scheduler::Event>();
    same::<Request<'static>, web::Request>();
    same::<Launched, driver::Launched>();
    same::<Reserved, driver::Reserved>();
    same::<Refusal, driver::Refusal>();
};
