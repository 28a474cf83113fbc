//! From the core's values to the contract's: what guests are told.

use crate::contract::{
    Agent, AssignedPort, Attribute, AttributeValue, CustomAmount, Event, Header, Label, Launched,
    Offer, Refusal, Request, Reservation, Reserved, Resources, Setup, TaskState, TaskStatus,
    Volume,
};
use mezzo_core::ledger;
use mezzo_core::record::{Maker, VolumeState};
use mezzo_core::state;
use mezzo_core::turn;
use mezzo_types::{self as types, AgentInfo};

/// A number for a field of 32 bits; more than that fits is shown as the most that fits.
fn narrow(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// `resources`
pub fn resources<'a, S: From<&'a str>>(of: &'a types::Resources) -> Resources<S> {
    Resources {
        cpu_milli: of.cpu_milli,
        memory_bytes: of.memory_bytes,
        disk_bytes: of.disk_bytes,
        gpus: narrow(of.gpus),
        ports: narrow(of.ports),
        custom: of
            .custom
            .iter()
            .map(|(name, amount)| CustomAmount {
                name: S::from(name),
                amount_milli: *amount,
            })
            .collect(),
    }
}

/// `agent`
pub fn agent<'a, S: From<&'a str>>(of: &'a AgentInfo) -> Agent<S> {
    let facts = &of.facts;
    Agent {
        id: of.id.0,
        hostname: S::from(&facts.hostname),
        address: S::from(&facts.address),
        region: facts.region.as_deref().map(S::from),
        zone: facts.zone.as_deref().map(S::from),
        attributes: facts
            .attributes
            .iter()
            .map(|attribute| Attribute {
                name: S::from(&attribute.name),
                value: match &attribute.value {
                    types::AttributeValue::Text(text) => AttributeValue::Text(S::from(text)),
                    types::AttributeValue::NumberMilli(n) => AttributeValue::NumberMilli(*n),
                },
            })
            .collect(),
        total: resources(&facts.total),
        runtimes: facts.runtimes.iter().map(|r| S::from(r.as_str())).collect(),
        leaving_at: of.leaving_at.map(|at| at.0),
    }
}

/// `offer`
pub fn offer(of: &turn::Offer) -> Offer<String> {
    Offer {
        id: of.id.0,
        agent: of.agent.0,
        free: resources(&of.free),
        reservation: of.reservation.map(|id| id.0),
        volumes: of.volumes.iter().map(|name| (**name).to_owned()).collect(),
    }
}

/// `reservation`
pub fn reservation(of: &state::Reservation) -> Reservation<String> {
    let record = &of.record;
    Reservation {
        id: record.id.0,
        agent: record.agent.0,
        role: (*record.role).to_owned(),
        made_by: match &record.made_by {
            Maker::Framework(name) => format!("framework/{name}"),
            Maker::Principal(name) => (**name).to_owned(),
            Maker::AgentConfiguration => "agent-configuration".to_owned(),
        },
        amount: resources(&record.amount),
        free: resources(&of.free()),
        volumes: record
            .volumes
            .iter()
            .map(|volume| Volume {
                name: (*volume.name).to_owned(),
                size_bytes: volume.size_bytes,
                destroying: volume.state == VolumeState::Destroying,
                in_use: of.is_mounted(&volume.name),
            })
            .collect(),
        labels: labels(&record.labels),
        until: record.until.map(|until| until.0),
        ending: record.ending,
    }
}

fn labels<'a, S: From<&'a str>>(of: &'a [types::Label]) -> Vec<Label<S>> {
    of.iter()
        .map(|label| Label {
            key: S::from(&label.key),
            value: S::from(&label.value),
        })
        .collect()
}

fn task_state(of: types::TaskState) -> TaskState {
    match of {
        types::TaskState::Pending => TaskState::Pending,
        types::TaskState::Starting => TaskState::Starting,
        types::TaskState::Running => TaskState::Running,
        types::TaskState::Stopping => TaskState::Stopping,
        types::TaskState::Unreachable => TaskState::Unreachable,
        types::TaskState::Finished => TaskState::Finished,
        types::TaskState::Failed => TaskState::Failed,
        types::TaskState::Killed => TaskState::Killed,
        types::TaskState::Lost => TaskState::Lost,
    }
}

fn ports<'a, S: From<&'a str>>(of: &'a [types::AssignedPort]) -> Vec<AssignedPort<S>> {
    of.iter()
        .map(|port| AssignedPort {
            name: S::from(&port.name),
            number: port.number,
        })
        .collect()
}

/// `task-status`
pub fn task_status<'a, S: From<&'a str>>(of: &'a turn::Task) -> TaskStatus<S> {
    TaskStatus {
        task: S::from(of.record.spec.id.as_str()),
        run: of.record.run.0,
        group: of.record.group.as_deref().map(S::from),
        labels: labels(&of.record.spec.labels),
        agent: of.record.agent.0,
        state: task_state(of.status.state),
        reason: S::from(of.status.reason.as_str()),
        message: S::from(&of.status.message),
        exit_code: of.status.exit_code,
        address: S::from(&of.address),
        ports: ports(&of.record.ports),
        since: of.status.since.0,
    }
}

/// `setup`; the digest's text is made by the caller, who keeps it.
pub fn setup<'a>(of: &'a turn::Setup, upgraded_from: Option<&'a str>) -> Setup<&'a str> {
    Setup {
        name: &of.name,
        role: &of.role,
        options: &of.options,
        upgraded_from,
    }
}

/// `event`; the offers are the turn's, and belong to the one event that tells them.
pub fn event<'a>(of: &'a turn::GuestEvent, offers: &mut Vec<Offer<String>>) -> Event<&'a str> {
    use turn::GuestEvent;
    match of {
        GuestEvent::Agents(agents) => Event::Agents(agents.iter().map(|a| agent(a)).collect()),
        GuestEvent::AgentsGone(ids) => Event::AgentsGone(ids.iter().map(|id| id.0).collect()),
        GuestEvent::Statuses(tasks) => {
            Event::Statuses(tasks.iter().map(|t| task_status(t)).collect())
        }
        GuestEvent::Timer(name) => Event::Timer(name),
        GuestEvent::Options(json) => Event::Options(json),
        GuestEvent::StreamsClosed(ids) => Event::StreamsClosed(ids.iter().map(|id| id.0).collect()),
        GuestEvent::Offers => Event::Offers(std::mem::take(offers)),
    }
}

/// `request`
pub fn request(of: &turn::WebRequest) -> Request<'_> {
    Request {
        id: of.id.0,
        method: &of.method,
        path: &of.path,
        headers: of
            .headers
            .iter()
            .map(|(name, value)| Header { name, value })
            .collect(),
        body: &of.body,
        principal: &of.principal,
    }
}

/// `launched`
pub fn launched(of: ledger::Launched) -> Launched {
    Launched {
        task: of.task.as_str().to_owned(),
        run: of.run.0,
        ports: of
            .ports
            .into_iter()
            .map(|port| AssignedPort {
                name: port.name,
                number: port.number,
            })
            .collect(),
    }
}

/// `reserved`
pub fn reserved(of: ledger::Reserved) -> Reserved {
    Reserved {
        reservation: of.reservation.0,
        offer: of.offer.0,
    }
}

/// `refusal`
pub fn refusal(of: ledger::Refusal) -> Refusal {
    match of {
        ledger::Refusal::Unknown(text) => Refusal::Unknown(text),
        ledger::Refusal::Insufficient(text) => Refusal::Insufficient(text),
        ledger::Refusal::Invalid(text) => Refusal::Invalid(text),
        ledger::Refusal::Forbidden(text) => Refusal::Forbidden(text),
        ledger::Refusal::Limit(text) => Refusal::Limit(text),
        ledger::Refusal::Other(text) => Refusal::Other(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mezzo_core::record::{ReservationRecord, VolumeRecord};
    use mezzo_types::{AgentId, Instant, ReservationId};
    use std::sync::Arc;

    fn shown(made_by: Maker) -> Reservation<String> {
        let volume = |name: &str, state| VolumeRecord {
            name: name.into(),
            size_bytes: 10,
            made: Instant(1),
            state,
        };
        let mut of = state::Reservation::new(Arc::new(ReservationRecord {
            id: ReservationId(7),
            agent: AgentId(3),
            role: "prod".into(),
            amount: types::Resources {
                cpu_milli: 100,
                disk_bytes: 50,
                ..types::Resources::NONE
            },
            within: None,
            made_by,
            made: Instant(1),
            labels: Vec::new(),
            until: Some(Instant(9)),
            ending: true,
            volumes: vec![
                volume("a", VolumeState::Destroying),
                volume("b", VolumeState::Ready),
            ],
        }));
        of.mounted.insert("b".into(), 1);
        of.used.cpu_milli = 30;
        reservation(&of)
    }

    #[test]
    fn a_reservation_is_shown_with_who_made_it_and_what_of_it_is_free() {
        let of = shown(Maker::Framework("db".into()));
        assert_eq!((of.id, of.agent, &*of.role), (7, 3, "prod"));
        assert_eq!((of.until, of.ending), (Some(9), true));
        assert_eq!((of.amount.cpu_milli, of.amount.disk_bytes), (100, 50));
        assert_eq!((of.free.cpu_milli, of.free.disk_bytes), (70, 30));
        let volumes: Vec<_> = of
            .volumes
            .iter()
            .map(|v| (&*v.name, v.size_bytes, v.destroying, v.in_use))
            .collect();
        assert_eq!(volumes, [("a", 10, true, false), ("b", 10, false, true)]);
        assert_eq!(of.made_by, "framework/db");
        assert_eq!(shown(Maker::Principal("ann".into())).made_by, "ann");
        assert_eq!(
            shown(Maker::AgentConfiguration).made_by,
            "agent-configuration"
        );
    }
}
