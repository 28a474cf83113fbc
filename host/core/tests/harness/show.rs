//! Commands that change nothing: what the cluster knows, and the limits that come next.

use super::World;
use mezzo_types::Run;
use std::fmt::Write as _;

impl World {
    /// `limit NAME N`: of frameworks that are installed, or masters that lead, from now on.
    pub(super) fn set_limit(&mut self, name: &str, n: u64) {
        match name {
            "requests-queued-max" => self.framework_limits.requests_queued_max = n,
            "tasks-max" => self.framework_limits.tasks_max = n,
            "launches-per-turn-max" => self.framework_limits.launches_per_turn_max = n,
            "agents-silent-per-minute-max" => self.limits.agents_silent_per_minute_max = n,
            other => panic!("{other:?} is no limit that scenarios change"),
        }
    }

    /// A framework's tasks as a turn would find them now.
    pub(super) fn show_tasks(&self, framework: &str) -> String {
        let mut text = String::new();
        let known = self.cluster.state().framework_named(framework);
        for task in known.iter().flat_map(|known| known.tasks.values()) {
            let status = &task.status;
            let _ = write!(text, "  {} {}", task.record.id(), status.state.as_str());
            if !status.reason.as_str().is_empty() {
                let _ = write!(text, "({})", status.reason.as_str());
            }
            let agent = self.agent_name(task.record.agent);
            let _ = writeln!(text, " on {agent} since {}", status.since.0);
        }
        format!("tasks of {framework}\n{text}")
    }

    /// A framework's durable state.
    pub(super) fn show_state(&self, framework: &str) -> String {
        let mut text = String::new();
        let known = self.cluster.state().framework_named(framework);
        for (key, value) in known.iter().flat_map(|known| known.state.iter()) {
            let _ = writeln!(text, "  {key} = {}", String::from_utf8_lossy(value));
        }
        format!("state of {framework}\n{text}")
    }

    /// Runs that an agent keeps and the master does not know.
    pub(super) fn show_foreign(&self, agent: &str) -> String {
        let foreign = self.cluster.foreign_runs(self.agents[agent].1);
        let name = |run: &Run| self.run_name(*run);
        let names: Vec<String> = foreign
            .iter()
            .flat_map(|runs| runs.keys().map(name))
            .collect();
        format!("foreign on {agent}: {}\n", names.join(" "))
    }

    /// What a role's tasks use.
    pub(super) fn show_use(&self, role: &str) -> String {
        match self.cluster.state().roles.get(role) {
            Some(known) => format!("{role} uses cpu={}\n", known.used.cpu_milli),
            None => format!("there is no role {role}\n"),
        }
    }
}
