//! Tasks, those that have ended included, and their end on request.

use super::ask;
use super::auth::Principal;
use super::dto::{Task, TaskPage};
use super::error::{ApiError, Result};
use super::json::{self, Path, Query, limit};
use crate::master::Shared;
use crate::view::Inner;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use mezzo_core::Request;
use mezzo_core::turn;
use mezzo_types::{AgentId, Run, TaskState};
use serde::Deserialize;
use std::ops::Bound;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which tasks.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Of this framework.
    framework: Option<String>,
    /// On this agent.
    agent: Option<u64>,
    /// In one of these states, comma-separated.
    state: Option<String>,
    /// Of this name.
    task: Option<String>,
    /// Those that have ended and were handled as well.
    ended: Option<bool>,
    /// `next` of the page before.
    after: Option<u64>,
    /// At most so many.
    limit: Option<usize>,
}

/// [`Which`], checked.
struct Filter {
    framework: Option<String>,
    agent: Option<AgentId>,
    states: Vec<TaskState>,
    task: Option<String>,
    ended: bool,
    after: Run,
}

/// A task with its framework's name.
type Named = (Arc<str>, Arc<turn::Task>);

/// Tasks, in the order of their runs: a page's end stays where it is, whatever happens meanwhile.
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", params(Which), responses((status = 200, body = TaskPage), (status = 400, body = super::error::ErrorBody)))]
pub async fn list(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
) -> Result<Json<TaskPage>> {
    let limit = limit(which.limit)?;
    let filter = Filter::of(which)?;
    let lead = shared.lead()?;
    // The view is left before anything is written: a writer waits for it.
    let (page, more) = {
        let inner = lead.view.read();
        let (found, more) = filter.find(&inner, limit);
        let with_host = found.into_iter().map(|(name, task)| {
            let host = hostname(&inner, task.record.agent);
            (name, task, host)
        });
        (with_host.collect::<Vec<_>>(), more)
    };
    let tasks: Vec<Task> = page
        .iter()
        .map(|(name, task, host)| Task::of(name, task, host))
        .collect();
    let last = tasks.last().map(|task| task.run.to_string());
    Ok(Json(TaskPage {
        next: last.filter(|_| more),
        tasks,
    }))
}

fn hostname(inner: &Inner, agent: AgentId) -> String {
    let agent = inner.state.agents.get(&agent);
    agent.map_or_else(String::new, |a| a.record.info.facts.hostname.clone())
}

impl Filter {
    fn of(which: Which) -> Result<Filter> {
        for (field, value) in [("framework", &which.framework), ("task", &which.task)] {
            if let Some(value) = value {
                json::name(field, value)?;
            }
        }
        let states = which.state.as_deref().unwrap_or_default().split(',');
        let states = states.filter(|word| !word.is_empty()).map(|word| {
            let state = TaskState::ALL.iter().find(|state| state.as_str() == word);
            state.copied().ok_or_else(|| {
                let all: Vec<&str> = TaskState::ALL.iter().map(|s| s.as_str()).collect();
                ApiError::invalid(
                    "state",
                    format_args!("{word:?} is no state, expected one of {}", all.join(", ")),
                )
            })
        });
        Ok(Filter {
            framework: which.framework,
            agent: which.agent.map(AgentId),
            states: states.collect::<Result<_>>()?,
            task: which.task,
            ended: which.ended.unwrap_or(false),
            after: Run(which.after.unwrap_or(0)),
        })
    }

    fn passes(&self, framework: &str, task: &turn::Task) -> bool {
        task.record.run > self.after
            && self.framework.as_deref().is_none_or(|f| f == framework)
            && self.agent.is_none_or(|agent| agent == task.record.agent)
            && (self.states.is_empty() || self.states.contains(&task.status.state))
            && self
                .task
                .as_deref()
                .is_none_or(|id| id == task.record.id().as_str())
    }

    /// At most `limit` tasks by their runs, and whether there are more.
    fn find(&self, inner: &Inner, limit: usize) -> (Vec<Named>, bool) {
        let mut found: Vec<Named> = Vec::new();
        if let Some(name) = &self.framework {
            // Mostly far fewer than all.
            if let Some(framework) = inner.state.framework_named(name) {
                let tasks = framework.tasks.values();
                let passing = tasks.filter(|task| self.passes(name, task));
                let named =
                    |task: &Arc<turn::Task>| (Arc::clone(&framework.record.name), Arc::clone(task));
                found.extend(passing.map(named));
            }
        } else {
            let runs = (Bound::Excluded(self.after), Bound::Unbounded);
            let all = inner
                .state
                .runs
                .range(runs)
                .filter_map(|(_, (framework, id))| {
                    let framework = inner.state.frameworks.get(framework)?;
                    let task = framework.tasks.get(id)?;
                    Some((&framework.record.name, task))
                });
            let passing = all.filter(|(name, task)| self.passes(name, task));
            let cloned = passing.map(|(name, task)| (Arc::clone(name), Arc::clone(task)));
            found.extend(cloned.take(limit + 1));
        }
        if self.ended {
            let ended = inner.ended.iter();
            let passing = ended.filter(|e| self.passes(&e.framework, &e.task));
            found.extend(passing.map(|e| (Arc::clone(&e.framework), Arc::clone(&e.task))));
        }
        found.sort_by_key(|(_, task)| task.record.run);
        let more = found.len() > limit;
        found.truncate(limit);
        (found, more)
    }
}

/// A task by its names.
pub fn find(inner: &Inner, framework: &str, task: &str) -> Result<Arc<turn::Task>> {
    json::name("framework", framework)?;
    json::name("task", task)?;
    inner.find_task(framework, task).ok_or_else(|| {
        ApiError::not_found(format!(
            "framework {framework:?} has no task {task:?}: it was never launched, or ended long ago; `mezzo task ls --framework {framework} --ended` lists those that are known"
        ))
    })
}

/// One task.
#[utoipa::path(get, path = "/api/v1/tasks/{framework}/{task}", tag = "tasks", params(("framework" = String, Path), ("task" = String, Path)), responses((status = 200, body = Task), (status = 404, body = super::error::ErrorBody)))]
pub async fn one(
    State(shared): State<Arc<Shared>>,
    Path((framework, task)): Path<(String, String)>,
) -> Result<Json<Task>> {
    let lead = shared.lead()?;
    let inner = lead.view.read();
    let task = find(&inner, &framework, &task)?;
    let host = hostname(&inner, task.record.agent);
    Ok(Json(Task::of(&framework, &task, &host)))
}

/// How it ends.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// From the first signal to the last; its own if left out.
    grace_ms: Option<u64>,
}

/// Asks for a task's end.
#[utoipa::path(delete, path = "/api/v1/tasks/{framework}/{task}", tag = "tasks", params(("framework" = String, Path), ("task" = String, Path), Kill), responses((status = 202), (status = 404, body = super::error::ErrorBody)))]
pub async fn kill(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    Path((framework, task)): Path<(String, String)>,
    Query(kill): Query<Kill>,
) -> Result<StatusCode> {
    json::name("framework", &framework)?;
    json::name("task", &task)?;
    let most = mezzo_types::TaskLimits::default().kill_grace_ms_max;
    if let Some(grace_ms) = kill.grace_ms.filter(|grace_ms| *grace_ms > most) {
        let problem = format_args!("kill_grace_ms_max is {most}, not {grace_ms}");
        return Err(ApiError::invalid("grace_ms", problem));
    }
    let request = Request::KillTask {
        framework,
        task,
        grace_ms: kill.grace_ms,
        principal,
    };
    ask(&shared, request).await?;
    Ok(StatusCode::ACCEPTED)
}
