//! What a job runs, and how that becomes a task, a demand, a shape.

use mezzo_sdk::types::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A job's description. Durable while the job lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// What every index runs, unless it has arguments of its own.
    pub workload: Workload,
    /// Of every index.
    pub env: Vec<EnvVar>,
    /// For one task, ports included.
    pub resources: Resources,
    /// For each task.
    pub ports: Vec<Port>,
    /// Kept with each task.
    pub labels: Vec<Label>,
    /// As the user gave them.
    pub conditions: Vec<Condition>,
    /// Which agents come first.
    pub prefer: Preference,
    /// How often an index may fail and be tried again.
    pub retries: u8,
    /// How many may live at a time.
    pub parallel_max: u32,
    /// Of one task.
    pub runtime_max_ms: Option<u64>,
    /// Of the job.
    pub timeout_ms: Option<u64>,
    /// Of a kill.
    pub kill_grace_ms: u64,
    /// For each task.
    #[serde(with = "crate::base64::serde")]
    pub files: Vec<File>,
    /// Of its demand.
    #[serde(default)]
    pub priority: i32,
    /// Whether its tasks may be asked to end for others.
    #[serde(default)]
    pub preemptible: bool,
    /// Whether each index has arguments of its own.
    pub has_task_args: bool,
}

/// What one index has of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskArgs {
    /// Instead of the job's, unless it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// Over the job's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// Which attempt of which index of which job.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    /// The job's id.
    pub job: &'a str,
    /// Its index.
    pub index: u32,
    /// From 1.
    pub attempt: u32,
}

impl Spec {
    /// The demand for `count` tasks.
    pub fn demand(&self, name: String, count: u32) -> Demand {
        let mut demand = Demand::new(name, self.resources.clone(), count)
            .prefer(self.prefer)
            .priority(self.priority);
        demand.conditions.clone_from(&self.conditions);
        demand.fixed_ports = self.fixed_ports().collect();
        demand.only_if("@runtime", Comparison::Equals, self.runtime())
    }

    /// The kind of workload, as agents list it.
    pub fn runtime(&self) -> &'static str {
        match self.workload {
            Workload::Process(_) => "process",
            Workload::Container(_) => "container",
            Workload::Module(_) => "module",
        }
    }

    /// Ports asked for by number.
    pub fn fixed_ports(&self) -> impl Iterator<Item = u16> + '_ {
        self.ports.iter().filter_map(|port| port.fixed)
    }

    /// Whether a task may run on the agent.
    pub fn accepts(&self, agent: &Agent) -> bool {
        agent
            .runtimes
            .iter()
            .any(|runtime| runtime == self.runtime())
            && mezzo_sdk::condition::all_hold(&self.conditions, agent)
    }

    /// About how many bytes one launch hands over, without the index's own arguments.
    pub fn launch_bytes(&self) -> usize {
        let argv: usize = argv(&self.workload).iter().map(String::len).sum();
        let env: usize = self
            .env
            .iter()
            .map(|var| var.name.len() + var.value.len() + 16)
            .sum();
        let labels: usize = self
            .labels
            .iter()
            .map(|label| label.key.len() + label.value.len() + 16)
            .sum();
        let files: usize = self
            .files
            .iter()
            .map(|file| file.path.len() + file.content.len())
            .sum();
        512 + argv + env + labels + files
    }

    /// The task of one attempt.
    pub fn task(&self, id: String, slot: Slot<'_>, own: Option<&TaskArgs>) -> Task {
        let mut workload = self.workload.clone();
        if let Some(own) = own.filter(|own| !own.argv.is_empty()) {
            argv_mut(&mut workload).clone_from(&own.argv);
        }
        for arg in argv_mut(&mut workload) {
            slot.fill(arg);
        }
        let mut env = Vec::with_capacity(self.env.len() + 3);
        env.clone_from(&self.env);
        for (name, value) in own.iter().flat_map(|own| &own.env) {
            env.retain(|var| var.name != *name);
            env.push(EnvVar {
                name: name.clone(),
                value: value.clone(),
            });
        }
        for var in &mut env {
            slot.fill(&mut var.value);
        }
        slot.set(&mut env);
        Task {
            id,
            name: String::new(),
            workload,
            resources: self.resources.clone(),
            env,
            labels: self.labels.clone(),
            ports: self.ports.clone(),
            files: self.files.clone(),
            kill_grace_ms: self.kill_grace_ms,
            runtime_max_ms: self.runtime_max_ms,
            mounts: Vec::new(),
            preemptible: self.preemptible,
            extra: Vec::new(),
        }
    }
}

impl Slot<'_> {
    /// Puts the three values in where they are asked for.
    fn fill(&self, text: &mut String) {
        // Nearly no text asks: look once before looking three times.
        if text.contains("${BATCH_") {
            *text = text
                .replace("${BATCH_JOB}", self.job)
                .replace("${BATCH_INDEX}", &self.index.to_string())
                .replace("${BATCH_ATTEMPT}", &self.attempt.to_string());
        }
    }

    fn set(&self, env: &mut Vec<EnvVar>) {
        let own = [
            ("BATCH_JOB", self.job.to_owned()),
            ("BATCH_INDEX", self.index.to_string()),
            ("BATCH_ATTEMPT", self.attempt.to_string()),
        ];
        for (name, value) in own {
            env.retain(|var| var.name != name);
            env.push(EnvVar {
                name: name.to_owned(),
                value,
            });
        }
    }
}

fn argv(workload: &Workload) -> &Vec<String> {
    match workload {
        Workload::Process(process) => &process.argv,
        Workload::Container(container) => &container.argv,
        Workload::Module(module) => &module.argv,
    }
}

fn argv_mut(workload: &mut Workload) -> &mut Vec<String> {
    match workload {
        Workload::Process(process) => &mut process.argv,
        Workload::Container(container) => &mut container.argv,
        Workload::Module(module) => &mut module.argv,
    }
}
