//! What agents and tasks of the fake cluster do, on the test's command.

use super::Cluster;
use super::world::{FakeAgent, FakeTask, World};
use crate::framework::Framework;
use crate::types::*;

impl<F: Framework> Cluster<F> {
    /// Adds an agent that runs processes and modules. It gets 1,000 ports unless `total` names a number.
    pub fn add_agent(&mut self, total: Resources) -> AgentId {
        self.add_agent_with(total, Vec::new())
    }

    /// Adds an agent with attributes.
    pub fn add_agent_with(&mut self, mut total: Resources, attributes: Vec<Attribute>) -> AgentId {
        if total.ports == 0 {
            total.ports = 1_000;
        }
        let id = self.world.fresh_id();
        let info = Agent {
            id,
            hostname: format!("agent-{id}"),
            address: "127.0.0.1".to_owned(),
            region: None,
            zone: None,
            attributes,
            total: total.clone(),
            runtimes: vec!["process".to_owned(), "module".to_owned()],
            leaving_at: None,
        };
        let agent = FakeAgent {
            info,
            free: total,
            fixed_used: Default::default(),
            told: false,
            seen: false,
            silent: false,
        };
        self.world.agents.insert(id, agent);
        id
    }

    /// The agent leaves for good; its tasks are lost.
    pub fn lose_agent(&mut self, agent: AgentId) {
        for id in self.world.tasks_on(agent) {
            self.world.end(&id, TaskState::Lost, "agent-gone", None);
        }
        if self.world.agents.remove(&agent).is_some() {
            self.world.gone.push(agent);
        }
        let world = &mut self.world;
        world
            .reservations
            .retain(|_, known| known.view.agent != agent);
    }

    /// The agent falls silent: its tasks are unreachable and obey nothing, and it is not offered.
    pub fn silence_agent(&mut self, agent: AgentId) {
        if let Some(agent) = self.world.agents.get_mut(&agent) {
            agent.silent = true;
        }
        for id in self.world.tasks_on(agent) {
            self.world
                .change(&id, TaskState::Unreachable, "agent-silent");
        }
    }

    /// The agent is back, and its tasks ran on.
    pub fn wake_agent(&mut self, agent: AgentId) {
        if let Some(agent) = self.world.agents.get_mut(&agent) {
            (agent.silent, agent.seen) = (false, false);
        }
        for known in self.world.reservations.values_mut() {
            known.seen &= known.view.agent != agent;
        }
        for id in self.world.tasks_on(agent) {
            self.world.change(&id, TaskState::Running, "agent-returned");
        }
    }

    /// All tasks that the master still keeps, by id.
    pub fn tasks(&self) -> impl Iterator<Item = &FakeTask> {
        self.world.tasks.values()
    }

    /// One of them; panics when there is none.
    pub fn task(&self, id: &str) -> &FakeTask {
        match self.world.tasks.get(id) {
            Some(task) => task,
            None => panic!("there is no task `{id}`"),
        }
    }

    /// The ids of those that have not ended.
    pub fn live(&self) -> Vec<TaskId> {
        let live = self.tasks().filter(|task| !task.status.state.is_final());
        live.map(|task| task.task.id.clone()).collect()
    }

    /// Every task that was ever launched, in order.
    pub fn history(&self) -> &[Task] {
        &self.world.history
    }

    /// The task begins to run.
    pub fn run(&mut self, id: &str) {
        self.world.change(id, TaskState::Running, "");
    }

    /// The task ends by itself.
    pub fn finish(&mut self, id: &str, exit_code: i32) {
        let state = if exit_code == 0 {
            TaskState::Finished
        } else {
            TaskState::Failed
        };
        self.world.end(id, state, "exited", Some(exit_code));
    }

    /// The task could not be started.
    pub fn fail_to_start(&mut self, id: &str) {
        self.world.end(id, TaskState::Failed, "start-failed", None);
    }

    /// The task is lost.
    pub fn lose(&mut self, id: &str) {
        self.world.end(id, TaskState::Lost, "agent-forgot", None);
    }

    /// Somebody else kills the task.
    pub fn kill(&mut self, id: &str) {
        self.world
            .end(id, TaskState::Killed, "kill-requested", Some(137));
    }

    /// An operator drains the task's agent.
    pub fn drain(&mut self, id: &str) {
        self.world
            .end(id, TaskState::Killed, "agent-draining", Some(143));
    }

    /// The master takes back what the task uses, for a role below its guarantee or for a demand of a higher priority.
    /// Here only on a test's command. Panics unless the task is preemptible.
    pub fn preempt(&mut self, id: &str) {
        assert!(self.task(id).task.preemptible, "{id} is not preemptible");
        self.world
            .end(id, TaskState::Killed, "preempted", Some(143));
    }

    /// Runs and ends every task, with the exit code that `exit_code` says, until nothing lives any more.
    pub fn run_to_end(&mut self, mut exit_code: impl FnMut(&Task) -> i32) {
        self.settle();
        loop {
            let live = self.live();
            if live.is_empty() {
                return;
            }
            for id in live {
                let code = exit_code(&self.task(&id).task);
                self.run(&id);
                self.finish(&id, code);
            }
            self.settle();
        }
    }
}

impl World {
    fn tasks_on(&self, agent: AgentId) -> Vec<TaskId> {
        let own = self
            .tasks
            .values()
            .filter(|task| task.status.agent == agent && !task.status.state.is_final());
        own.map(|task| task.task.id.clone()).collect()
    }

    fn change(&mut self, id: &str, state: TaskState, reason: &str) {
        let Some(task) = self
            .tasks
            .get_mut(id)
            .filter(|task| !task.status.state.is_final())
        else {
            panic!("there is no live task `{id}`");
        };
        if state == TaskState::Running && task.running_since.is_none() {
            task.running_since = Some(self.now);
        }
        task.status.state = state;
        task.status.reason = reason.to_owned();
        task.status.since = self.now;
        self.unhandled.insert(id.to_owned());
    }

    /// A final state; what the task held is free again.
    fn end(&mut self, id: &str, state: TaskState, reason: &str, exit_code: Option<i32>) {
        self.change(id, state, reason);
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        task.status.exit_code = exit_code;
        if let Some(agent) = self.agents.get_mut(&task.status.agent) {
            let mut charged = match task.reservation {
                None => task.task.resources.clone(),
                Some(_) => Resources::default(),
            };
            charged.ports = u32::try_from(task.task.ports.len()).unwrap_or(u32::MAX);
            agent.free.add(&charged);
            for port in task.task.ports.iter().filter_map(|port| port.fixed) {
                agent.fixed_used.remove(&port);
            }
            agent.seen = false;
        }
        let known = task
            .reservation
            .and_then(|id| self.reservations.get_mut(&id));
        if let Some(known) = known {
            known.leave(&task.task);
        }
        self.finish_reservations();
    }

    /// Agents that answer do what they were told to: kill tasks, destroy volumes.
    pub(super) fn agents_act(&mut self) {
        self.destroy_volumes();
        let killed = std::mem::take(&mut self.killed);
        for id in killed {
            let Some(task) = self
                .tasks
                .get(&id)
                .filter(|task| task.kill && !task.status.state.is_final())
            else {
                continue;
            };
            if self
                .agents
                .get(&task.status.agent)
                .is_some_and(|agent| agent.silent)
            {
                self.killed.push(id);
            } else {
                let exit_code = task.running_since.map(|_| 143);
                self.end(&id, TaskState::Killed, "kill-requested", exit_code);
            }
        }
    }

    pub(super) fn advance(&mut self, ms: u64) {
        let before = self.now;
        self.now += ms;
        self.reservations_due(before);
        let overdue = |task: &&FakeTask| {
            let deadline = task
                .running_since
                .zip(task.task.runtime_max_ms)
                .map(|(since, max)| since + max);
            !task.status.state.is_final() && deadline.is_some_and(|deadline| deadline <= self.now)
        };
        let overdue: Vec<TaskId> = self
            .tasks
            .values()
            .filter(overdue)
            .map(|task| task.task.id.clone())
            .collect();
        for id in overdue {
            self.end(&id, TaskState::Failed, "runtime-max", Some(143));
        }
    }
}
