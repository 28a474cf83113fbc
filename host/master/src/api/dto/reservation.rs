//! Reservations, their volumes, and what is said to make them.

use super::Resources;
use crate::events::volume_word;
use crate::view::Inner;
use mezzo_core::record::Maker;
use mezzo_core::state;
use mezzo_types::{Instant, Label, ReservationId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A page of reservations.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationPage {
    /// By number.
    pub reservations: Vec<Reservation>,
    /// The `after` of the next page.
    pub next: Option<String>,
}

/// A part of an agent that is kept for a role.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reservation {
    /// Never reused.
    pub id: u64,
    /// Of which agent.
    pub agent: u64,
    /// That agent's machine.
    pub hostname: String,
    /// For whom.
    pub role: String,
    /// The larger reservation that it is a part of.
    pub within: Option<u64>,
    /// A principal, `framework/NAME` or `agent-configuration`. One that a framework made is offered
    /// only to demands that name it.
    pub made_by: String,
    /// When.
    pub made_ms: u64,
    /// As it was made.
    pub labels: BTreeMap<String, String>,
    /// When it ends if nothing uses it then.
    pub until_ms: Option<u64>,
    /// It was given back, and is gone as soon as nothing uses it.
    pub ending: bool,
    /// How much it is, used or not.
    pub amount: Resources,
    /// By its tasks that have not ended.
    pub used: Resources,
    /// What of it no task, volume or smaller reservation uses.
    pub free: Resources,
    /// The smaller reservations within it.
    pub parts: Vec<u64>,
    /// Its tasks that have not ended.
    pub tasks: Vec<User>,
    /// By name.
    pub volumes: Vec<Volume>,
}

/// A task on a reservation.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    /// Whose.
    pub framework: String,
    /// The framework's name for it.
    pub task: String,
    /// The launch.
    pub run: u64,
}

/// Data that outlives tasks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Volume {
    /// Unique in its reservation.
    pub name: String,
    /// Of the reservation's disk.
    pub size_bytes: u64,
    /// When it was asked for.
    pub made_ms: u64,
    /// `making` until its agent has said that it is there, `ready`, or `destroying`.
    pub state: &'static str,
    /// How many tasks have it mounted.
    pub tasks: u32,
}

impl Reservation {
    /// A reservation as it is seen.
    pub fn of(inner: &Inner, reservation: &state::Reservation) -> Reservation {
        let record = &reservation.record;
        let agent = inner.state.agents.get(&record.agent);
        let labels = record.labels.iter();
        let users = reservation.users.iter().filter_map(|run| {
            let (framework, task) = inner.state.runs.get(run)?;
            Some(User {
                framework: inner
                    .state
                    .frameworks
                    .get(framework)?
                    .record
                    .name
                    .to_string(),
                task: task.to_string(),
                run: run.0,
            })
        });
        Reservation {
            id: record.id.0,
            agent: record.agent.0,
            hostname: agent
                .map_or("", |agent| &agent.record.info.facts.hostname)
                .to_string(),
            role: record.role.to_string(),
            within: record.within.map(|whole| whole.0),
            made_by: match &record.made_by {
                Maker::Framework(name) => format!("framework/{name}"),
                Maker::Principal(name) => name.to_string(),
                Maker::AgentConfiguration => "agent-configuration".to_string(),
            },
            made_ms: record.made.0,
            labels: labels
                .map(|label| (label.key.clone(), label.value.clone()))
                .collect(),
            until_ms: record.until.map(|until| until.0),
            ending: record.ending,
            amount: (&record.amount).into(),
            used: (&reservation.used).into(),
            free: (&reservation.free()).into(),
            parts: reservation.parts.iter().map(|part| part.0).collect(),
            tasks: users.collect(),
            volumes: record
                .volumes
                .iter()
                .map(|volume| Volume {
                    name: volume.name.to_string(),
                    size_bytes: volume.size_bytes,
                    made_ms: volume.made.0,
                    state: volume_word(volume.state),
                    tasks: reservation.mounted.get(&volume.name).copied().unwrap_or(0),
                })
                .collect(),
        }
    }
}

/// What is to be kept for a role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReservation {
    /// Of which agent.
    pub agent: u64,
    /// For whom, such as `prod/db`.
    pub role: String,
    /// How much.
    pub amount: Amount,
    /// The reservation of which it is to be a part; none: of what is unreserved.
    #[serde(default)]
    pub within: Option<u64>,
    /// For people and frameworks.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it ends if nothing uses it then.
    #[serde(default)]
    pub until_ms: Option<u64>,
}

/// How much; what is left out is nothing. Ports cannot be reserved.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Amount {
    /// Thousandths of one processor.
    pub cpu_milli: u64,
    /// Main memory.
    pub memory_bytes: u64,
    /// Space below the agent's work folder.
    pub disk_bytes: u64,
    /// Whole devices.
    pub gpus: u64,
    /// Thousandths of what else the cluster names.
    pub custom: BTreeMap<String, u64>,
}

impl NewReservation {
    /// What the core is asked for.
    pub fn asked(self, principal: std::sync::Arc<str>) -> mezzo_core::event::Reserve {
        let labels = self.labels.into_iter();
        let amount = self.amount;
        mezzo_core::event::Reserve {
            agent: mezzo_types::AgentId(self.agent),
            role: self.role,
            amount: mezzo_types::Resources {
                cpu_milli: amount.cpu_milli,
                memory_bytes: amount.memory_bytes,
                disk_bytes: amount.disk_bytes,
                gpus: amount.gpus,
                custom: amount.custom.into_iter().filter(|(_, n)| *n > 0).collect(),
                ..mezzo_types::Resources::NONE
            },
            within: self.within.map(ReservationId),
            labels: labels.map(|(key, value)| Label { key, value }).collect(),
            until: self.until_ms.map(Instant),
            principal,
        }
    }
}

/// A volume to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVolume {
    /// Unique in its reservation.
    pub name: String,
    /// Of the reservation's disk.
    pub size_bytes: u64,
}
