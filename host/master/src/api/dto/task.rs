//! Tasks.

use super::Resources;
use mezzo_types::Workload;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A page of tasks.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskPage {
    /// By run.
    pub tasks: Vec<Task>,
    /// The `after` of the next page.
    pub next: Option<String>,
}

/// A task, or one that was.
#[derive(Debug, Serialize, ToSchema)]
pub struct Task {
    /// The launch.
    pub run: u64,
    /// Whose.
    pub framework: String,
    /// The framework's name for it.
    pub task: String,
    /// For people.
    pub name: String,
    /// The group that it was launched in.
    pub group: Option<String>,
    /// Where it runs.
    pub agent: u64,
    /// That agent's machine.
    pub hostname: String,
    /// Where it can be reached.
    pub address: String,
    /// Such as `running`.
    pub state: &'static str,
    /// A stable code; empty if there is nothing to say.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Its own, or 128 and the signal's number.
    pub exit_code: Option<i32>,
    /// When it came to this state.
    pub since_ms: u64,
    /// When it was launched.
    pub launched_ms: u64,
    /// Whether somebody asked for its end.
    pub kill_requested: bool,
    /// What it is charged for.
    pub resources: Resources,
    /// That it was given.
    pub ports: Vec<Port>,
    /// Notes of the framework.
    pub labels: BTreeMap<String, String>,
    /// What runs.
    pub workload: Ran,
    /// Set over what the agent sets.
    pub env: BTreeMap<String, String>,
    /// Longer, and it is killed.
    pub runtime_max_ms: Option<u64>,
    /// From the first signal to the last.
    pub kill_grace_ms: u64,
    /// The reservation that it runs on.
    pub reservation: Option<u64>,
    /// Volumes of that reservation.
    pub mounts: Vec<Mount>,
    /// Of the demand that it was launched for; 0 for what is not urgent.
    pub priority: i32,
    /// Whether it may be asked to end so that others get what they were promised.
    pub preemptible: bool,
}

/// A volume that a task has mounted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Mount {
    /// By its name in the reservation.
    pub volume: String,
    /// In the sandbox.
    pub path: String,
}

/// A port that a task was given.
#[derive(Debug, Serialize, ToSchema)]
pub struct Port {
    /// As it was asked for.
    pub name: String,
    /// On the agent.
    pub number: u16,
}

/// What a task runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ran {
    /// `process`, `container` or `module`.
    pub kind: &'static str,
    /// The program first.
    pub argv: Vec<String>,
    /// Of a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Of a module: its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
}

impl Task {
    /// A task of a framework on an agent's machine.
    pub fn of(framework: &str, task: &mezzo_core::turn::Task, hostname: &str) -> Task {
        let (record, spec, status) = (&task.record, &task.record.spec, &task.status);
        let name = if spec.name.is_empty() {
            spec.id.as_str()
        } else {
            &spec.name
        };
        Task {
            run: record.run.0,
            framework: framework.to_string(),
            task: spec.id.to_string(),
            name: name.to_string(),
            group: record.group.as_deref().map(str::to_string),
            agent: record.agent.0,
            hostname: hostname.to_string(),
            address: task.address.to_string(),
            state: status.state.as_str(),
            reason: status.reason.as_str(),
            message: status.message.clone(),
            exit_code: status.exit_code,
            since_ms: status.since.0,
            launched_ms: record.launched.0,
            kill_requested: task.kill.is_some(),
            resources: (&spec.resources).into(),
            ports: record
                .ports
                .iter()
                .map(|port| Port {
                    name: port.name.clone(),
                    number: port.number,
                })
                .collect(),
            labels: spec
                .labels
                .iter()
                .map(|label| (label.key.clone(), label.value.clone()))
                .collect(),
            workload: ran(&spec.workload),
            env: spec
                .env
                .iter()
                .map(|var| (var.name.clone(), var.value.clone()))
                .collect(),
            runtime_max_ms: spec.runtime_max_ms,
            kill_grace_ms: spec.kill_grace_ms,
            reservation: record.reservation.map(|id| id.0),
            mounts: spec
                .mounts
                .iter()
                .map(|mount| Mount {
                    volume: mount.volume.clone(),
                    path: mount.path.clone(),
                })
                .collect(),
            priority: record.priority,
            preemptible: spec.preemptible,
        }
    }
}

fn ran(workload: &Workload) -> Ran {
    let (image, component) = match workload {
        Workload::Process { .. } => (None, None),
        Workload::Container { image, .. } => (Some(image.clone()), None),
        Workload::Module { component, .. } => (None, Some(component.to_string())),
    };
    Ran {
        kind: workload.runtime().as_str(),
        argv: workload.argv().to_vec(),
        image,
        component,
    }
}
