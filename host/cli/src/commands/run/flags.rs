//! The flags of `mezzo run`, and the job that they describe.

use crate::cli::Shown;
use crate::client::Client;
use crate::commands::framework::upload;
use crate::units::{self, pair, whole};
use anyhow::Context;
use hyper::Method;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What a condition can ask of an attribute.
const TESTS: [&str; 7] = [
    "equals", "differs", "matches", "at-least", "at-most", "present", "absent",
];
/// Those of them that need no value.
const ALONE: [&str; 2] = ["present", "absent"];

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each run is a job: `mezzo job ls` lists them, `mezzo job inspect|logs|wait|cancel JOB` looks at one,\n\
shows its output, waits for its end, ends it.")]
pub struct Run {
    /// How many tasks; each sees its own BATCH_INDEX, from 0
    #[arg(long, default_value_t = 1, value_parser = whole::<u32>)]
    pub count: u32,
    /// Processors for one task, such as 0.5
    #[arg(long, value_parser = units::cpus)]
    cpus: Option<u64>,
    /// Memory for one task, such as 64MiB
    #[arg(long, value_parser = units::bytes)]
    memory: Option<u64>,
    /// Disk for one task
    #[arg(long, value_parser = units::bytes)]
    disk: Option<u64>,
    /// Print the job's id and do not wait; `mezzo job` looks at it, waits for it and ends it
    #[arg(long, short = 'd')]
    pub detach: bool,
    /// Stop the job if it has not ended by then, such as 5m
    #[arg(long, value_parser = units::millis)]
    timeout: Option<u64>,
    /// How often a task that fails is tried again
    #[arg(long, value_parser = whole::<u32>)]
    retries: Option<u32>,
    /// How many run at once
    #[arg(long, value_parser = whole::<u32>)]
    parallel: Option<u32>,
    /// A variable for the tasks: NAME=VALUE
    #[arg(long, short = 'e', value_parser = pair)]
    env: Vec<(String, String)>,
    /// The job's name
    #[arg(long)]
    name: Option<String>,
    /// What an agent must be: 'ATTRIBUTE TEST [VALUE]', such as 'rack equals r7'
    #[arg(long, value_parser = condition)]
    condition: Vec<Value>,
    /// How urgent it is within its role; above 0 it may take back what preemptible tasks of less urgent jobs use
    #[arg(long, value_parser = whole_signed, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Its tasks may be asked to end, and run again later, so that others get what they were promised or is more urgent
    #[arg(long)]
    preemptible: bool,
    /// Which framework runs it
    #[arg(long, default_value = "batch")]
    pub framework: String,
    /// Run a WebAssembly component: a `.wasm` file, or the digest of one that was uploaded
    #[arg(long)]
    module: Option<String>,
    #[command(flatten)]
    pub shown: Shown,
    /// The program and its arguments; with --module, the component's arguments
    #[arg(
        trailing_var_arg = true,
        required_unless_present = "module",
        value_name = "PROGRAM"
    )]
    argv: Vec<String>,
}

impl Run {
    /// How long the job may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_millis)
    }
}

/// The job's description.
pub async fn spec(client: &Client, args: &Run) -> anyhow::Result<Value> {
    let mut spec = Map::new();
    spec.insert("count".into(), args.count.into());
    spec.insert("argv".into(), args.argv.clone().into());
    let numbers = [
        ("cpu_milli", args.cpus),
        ("memory_bytes", args.memory),
        ("disk_bytes", args.disk),
        ("timeout_ms", args.timeout),
        ("retries", args.retries.map(u64::from)),
        ("parallel_max", args.parallel.map(u64::from)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            spec.insert(name.into(), number.into());
        }
    }
    if let Some(name) = &args.name {
        spec.insert("name".into(), name.clone().into());
    }
    if let Some(priority) = args.priority {
        spec.insert("priority".into(), priority.into());
    }
    if args.preemptible {
        spec.insert("preemptible".into(), true.into());
    }
    if !args.env.is_empty() {
        let env = args.env.iter().map(|(n, v)| (n.clone(), v.clone().into()));
        spec.insert("env".into(), Value::Object(env.collect()));
    }
    if !args.condition.is_empty() {
        spec.insert("conditions".into(), args.condition.clone().into());
    }
    if let Some(module) = &args.module {
        spec.insert("module".into(), digest(client, module).await?.into());
        if args.argv.is_empty() {
            spec.insert("argv".into(), json!([module]));
        }
    }
    Ok(Value::Object(spec))
}

fn whole_signed(text: &str) -> Result<i32, String> {
    text.parse()
        .map_err(|_| format!("expected a whole number, not {text:?}"))
}

fn condition(text: &str) -> Result<Value, String> {
    let expected = "expected 'ATTRIBUTE TEST [VALUE]', such as 'rack equals r7'";
    let mut words = text.splitn(3, ' ');
    let (attribute, test) = match (words.next(), words.next()) {
        (Some(attribute), Some(test)) if !attribute.is_empty() => (attribute, test),
        _ => return Err(format!("{text:?}: {expected}")),
    };
    let value = words.next().unwrap_or_default();
    if !TESTS.contains(&test) {
        return Err(format!(
            "{test:?} is no test, expected one of {}; {expected}",
            TESTS.join(", ")
        ));
    }
    match (ALONE.contains(&test), value.is_empty()) {
        (true, false) => Err(format!("{test} takes no value, not {value:?}")),
        (false, true) => Err(format!("{test} needs a value; {expected}")),
        _ => Ok(json!({ "attribute": attribute, "test": test, "value": value })),
    }
}

async fn digest(client: &Client, module: &str) -> anyhow::Result<String> {
    if module.starts_with("sha256:") {
        return Ok(module.to_string());
    }
    let bytes = std::fs::read(module).with_context(|| module.to_string())?;
    let made = upload(client, Method::POST, "/api/v1/components", bytes)
        .await
        .with_context(|| format!("upload {module}"))?;
    Ok(made["digest"].as_str().unwrap_or_default().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_checked_before_it_is_sent() {
        assert!(condition("rack equals r7 b").is_ok_and(|c| c["value"] == "r7 b"));
        assert!(condition("gpu present").is_ok());
        for (text, word) in [
            ("rack", "ATTRIBUTE"),
            ("rack is r7", "at-least"),
            ("rack equals", "needs a value"),
            ("rack absent r7", "takes no value"),
        ] {
            let error = condition(text).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
