//! Which task is meant.

use crate::client::{Client, refused};
use crate::commands::job;
use crate::commands::values::{entries, text};
use crate::query::{encode, with};
use anyhow::anyhow;
use serde_json::Value;

/// The task of that name: `FRAMEWORK/ID`, or an id that only one framework has.
pub async fn find(client: &Client, name: &str) -> anyhow::Result<Value> {
    if let Some((framework, task)) = name.split_once('/') {
        let path = format!("/api/v1/tasks/{}/{}", encode(framework), encode(task));
        let found = client.get(&path).await;
        return match found {
            Err(error) if refused(&error) == Some(404) && is_job(client, framework, task).await => {
                Err(a_job(framework, task))
            }
            found => found,
        };
    }
    let path = with(
        "/api/v1/tasks",
        &[("task", Some(name.into())), ("ended", Some("true".into()))],
    );
    let found = client.list(&path, "tasks").await?;
    match entries(&found, "tasks") {
        [one] => Ok(one.clone()),
        [] => Err(match is_job(client, "batch", name).await {
            true => a_job("batch", name),
            false => {
                anyhow!("there is no task {name:?}; `mezzo task ls --ended` lists those there are")
            }
        }),
        [first, ..] => Err(anyhow!(
            "several frameworks have a task {name:?}: say which, such as {}/{name}",
            text(&first["framework"])
        )),
    }
}

async fn is_job(client: &Client, framework: &str, id: &str) -> bool {
    job::is_id(id) && client.get(&job::path(framework, id)).await.is_ok()
}

fn a_job(framework: &str, id: &str) -> anyhow::Error {
    let of = match framework {
        "batch" => String::new(),
        other => format!(" --framework {other}"),
    };
    anyhow!(
        "{id} is a job, not a task: use `mezzo job inspect|logs|cancel {id}{of}`, or name one of its tasks, such as {id}.0.1"
    )
}

/// Its path in the API.
pub fn path(task: &Value) -> String {
    format!(
        "/api/v1/tasks/{}/{}",
        encode(&text(&task["framework"])),
        encode(&text(&task["task"]))
    )
}
