//! What `POST /jobs` takes: the JSON's shape, and every rule that a job must keep. Nothing here changes anything.

use crate::base64;
use crate::limits::*;
use crate::spec::{Spec, TaskArgs};
use mezzo_sdk::types::*;
use mezzo_sdk::web::Error;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The body as it comes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    name: Option<String>,
    count: Option<u64>,
    #[serde(default)]
    argv: Vec<String>,
    module: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    tasks: Option<Vec<TaskRequest>>,
    cpu_milli: Option<u64>,
    memory_bytes: Option<u64>,
    disk_bytes: Option<u64>,
    gpus: Option<u64>,
    #[serde(default)]
    ports: Vec<PortRequest>,
    #[serde(default)]
    files: Vec<FileRequest>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    conditions: Vec<ConditionRequest>,
    #[serde(default)]
    prefer: PreferRequest,
    retries: Option<u64>,
    parallel_max: Option<u64>,
    runtime_max_ms: Option<u64>,
    timeout_ms: Option<u64>,
    kill_grace_ms: Option<u64>,
    #[serde(default)]
    priority: i32,
    #[serde(default)]
    preemptible: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskRequest {
    #[serde(default)]
    argv: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortRequest {
    name: String,
    fixed: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRequest {
    path: String,
    content: Option<String>,
    content_base64: Option<String>,
    #[serde(default)]
    executable: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionRequest {
    attribute: String,
    test: TestRequest,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TestRequest {
    Equals,
    Differs,
    Matches,
    AtLeast,
    AtMost,
    Present,
    Absent,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PreferRequest {
    #[default]
    Any,
    MostFree,
    LeastFree,
}

/// A request that keeps all rules.
#[derive(Debug)]
pub struct Accepted {
    /// If it was given.
    pub name: Option<String>,
    /// How many indexes.
    pub count: u32,
    /// What they run.
    pub spec: Spec,
    /// One for each index, if they differ.
    pub tasks: Vec<TaskArgs>,
}

impl JobRequest {
    /// Checks every rule; the first that is broken is named.
    pub fn check(self) -> Result<Accepted, Error> {
        let tasks = self.tasks.as_deref().unwrap_or(&[]);
        let count = self.count()?;
        let workload = self.workload(tasks)?;
        if let Some(name) = &self.name {
            let fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
            if !fits || name.chars().any(char::is_control) {
                let rule =
                    format!("1 to {NAME_CHARS_MAX} characters, none of them a control character");
                return Err(Error::invalid("name", rule));
            }
        }
        check_text("argv", "env", &self.argv, &self.env, TEXT_BYTES_MAX)?;
        for (index, task) in tasks.iter().enumerate() {
            let argv = format!("tasks[{index}].argv");
            let env = format!("tasks[{index}].env");
            check_text(&argv, &env, &task.argv, &task.env, TASK_TEXT_BYTES_MAX)?;
        }
        let mut resources = Resources::new(
            number("cpu_milli", self.cpu_milli, 1, CPU_MILLI_MAX)?.unwrap_or(100),
            number("memory_bytes", self.memory_bytes, 1, BYTES_MAX)?.unwrap_or(32 * MIB),
        );
        resources.disk_bytes = number("disk_bytes", self.disk_bytes, 0, BYTES_MAX)?.unwrap_or(0);
        resources.gpus = number("gpus", self.gpus, 0, GPUS_MAX)?.unwrap_or(0) as u32;
        let ports = self.ports()?;
        resources.ports = ports.len() as u32;
        let retries = number("retries", self.retries, 0, RETRIES_MAX.into())?.unwrap_or(0);
        let preemptible = self.preemptible()?;
        let parallel = number("parallel_max", self.parallel_max, 1, JOB_TASKS_MAX.into())?;
        let spec = Spec {
            workload,
            env: self
                .env
                .iter()
                .map(|(name, value)| EnvVar {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            resources,
            ports,
            labels: self.labels()?,
            conditions: self.conditions()?,
            prefer: match self.prefer {
                PreferRequest::Any => Preference::Any,
                PreferRequest::MostFree => Preference::MostFree,
                PreferRequest::LeastFree => Preference::LeastFree,
            },
            retries: retries as u8,
            parallel_max: parallel.map_or(u32::MAX, |parallel| parallel as u32),
            runtime_max_ms: number("runtime_max_ms", self.runtime_max_ms, 1, TIME_MS_MAX)?,
            timeout_ms: number("timeout_ms", self.timeout_ms, 1, TIME_MS_MAX)?,
            kill_grace_ms: number("kill_grace_ms", self.kill_grace_ms, 0, KILL_GRACE_MS_MAX)?
                .unwrap_or(mezzo_sdk::KILL_GRACE_MS_DEFAULT),
            files: files(self.files)?,
            priority: self.priority,
            preemptible,
            has_task_args: self.tasks.is_some(),
        };
        let tasks = self.tasks.unwrap_or_default().into_iter();
        let tasks = tasks
            .map(|task| TaskArgs {
                argv: task.argv,
                env: task.env,
            })
            .collect();
        Ok(Accepted {
            name: self.name,
            count,
            spec,
            tasks,
        })
    }

    fn count(&self) -> Result<u32, Error> {
        let given = number("count", self.count, 1, JOB_TASKS_MAX.into())?;
        let Some(tasks) = &self.tasks else {
            return Ok(given.unwrap_or(1) as u32);
        };
        let length =
            number("tasks", Some(tasks.len() as u64), 1, JOB_TASKS_MAX.into()).map_err(|_| {
                Error::invalid(
                    "tasks",
                    format_args!("{} entries, not 1 to {JOB_TASKS_MAX}", tasks.len()),
                )
            })?;
        match (given, length) {
            (Some(count), Some(length)) if count != length => Err(Error::invalid(
                "count",
                format_args!("{count} is not the length of `tasks`, {length}"),
            )),
            _ => Ok(tasks.len() as u32),
        }
    }

    /// Both together would be refused by the master, task by task.
    fn preemptible(&self) -> Result<bool, Error> {
        if self.preemptible && self.priority > 0 {
            let rule = format_args!(
                "not with priority {}: only what has priority 0 or below may be preemptible",
                self.priority
            );
            return Err(Error::invalid("preemptible", rule));
        }
        Ok(self.preemptible)
    }

    fn workload(&self, tasks: &[TaskRequest]) -> Result<Workload, Error> {
        let bad = |argv: &[String]| argv.first().is_some_and(String::is_empty);
        if bad(&self.argv) {
            return Err(Error::invalid("argv", "the program's name is empty"));
        }
        if let Some(index) = tasks.iter().position(|task| bad(&task.argv)) {
            return Err(Error::invalid(
                &format!("tasks[{index}].argv"),
                "the program's name is empty",
            ));
        }
        let Some(module) = &self.module else {
            let missing = tasks.iter().position(|task| task.argv.is_empty());
            if self.argv.is_empty() && (tasks.is_empty() || missing.is_some()) {
                let whose = missing.map_or(String::new(), |index| {
                    format!(" (tasks[{index}] has none of its own)")
                });
                return Err(Error::invalid(
                    "argv",
                    format_args!("missing: what is to run?{whose}"),
                ));
            }
            return Ok(Workload::Process(Process {
                argv: self.argv.clone(),
            }));
        };
        let digest = module.strip_prefix("sha256:").unwrap_or("");
        if digest.len() != 64
            || !digest
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(Error::invalid(
                "module",
                "not `sha256:` and 64 hexadecimal digits in lower case",
            ));
        }
        // A component sees its first argument as its own name, and must have one.
        let argv = if self.argv.is_empty() {
            vec!["module".to_owned()]
        } else {
            self.argv.clone()
        };
        Ok(Workload::Module(Module {
            component: module.clone(),
            argv,
        }))
    }

    fn ports(&self) -> Result<Vec<Port>, Error> {
        at_most("ports", self.ports.len(), PORTS_MAX)?;
        let mut ports: Vec<Port> = Vec::new();
        for (index, port) in self.ports.iter().enumerate() {
            let field = format!("ports[{index}]");
            if !is_name(&port.name) {
                let rule = "1 to 128 of a-z A-Z 0-9 . _ -, the first a letter or a digit";
                return Err(Error::invalid(&format!("{field}.name"), rule));
            }
            if port.fixed == Some(0) {
                return Err(Error::invalid(
                    &format!("{field}.fixed"),
                    "0 is not in 1 to 65535",
                ));
            }
            let same = |own: &Port| {
                own.name == port.name || (own.fixed.is_some() && own.fixed == port.fixed)
            };
            if ports.iter().any(same) {
                return Err(Error::invalid(
                    &field,
                    "the name or the number is there twice",
                ));
            }
            ports.push(Port {
                name: port.name.clone(),
                fixed: port.fixed,
            });
        }
        Ok(ports)
    }

    fn labels(&self) -> Result<Vec<Label>, Error> {
        at_most("labels", self.labels.len(), LABELS_MAX)?;
        let mut labels = Vec::new();
        for (key, value) in &self.labels {
            if key.is_empty() || key.len() > LABEL_BYTES_MAX || value.len() > LABEL_BYTES_MAX {
                let rule =
                    format!("keys of 1 to {LABEL_BYTES_MAX} bytes, values of at most as many");
                return Err(Error::invalid("labels", rule));
            }
            labels.push(Label {
                key: key.clone(),
                value: value.clone(),
            });
        }
        Ok(labels)
    }

    /// What only the master can judge (expressions, numbers) is left to it.
    fn conditions(&self) -> Result<Vec<Condition>, Error> {
        at_most("conditions", self.conditions.len(), LABELS_MAX)?;
        let condition = |own: &ConditionRequest| Condition {
            attribute: own.attribute.clone(),
            test: match own.test {
                TestRequest::Equals => Comparison::Equals,
                TestRequest::Differs => Comparison::Differs,
                TestRequest::Matches => Comparison::Matches,
                TestRequest::AtLeast => Comparison::AtLeast,
                TestRequest::AtMost => Comparison::AtMost,
                TestRequest::Present => Comparison::Present,
                TestRequest::Absent => Comparison::Absent,
            },
            value: own.value.clone(),
        };
        for (index, own) in self.conditions.iter().enumerate() {
            let fits = |text: &str, min| (min..=LABEL_BYTES_MAX).contains(&text.len());
            if !fits(&own.attribute, 1) || !fits(&own.value, 0) {
                let rule = format!(
                    "`attribute` of 1 to {LABEL_BYTES_MAX} bytes, `value` of at most as many"
                );
                return Err(Error::invalid(&format!("conditions[{index}]"), rule));
            }
        }
        Ok(self.conditions.iter().map(condition).collect())
    }
}

fn files(given: Vec<FileRequest>) -> Result<Vec<File>, Error> {
    at_most("files", given.len(), FILES_MAX)?;
    let mut files: Vec<File> = Vec::new();
    let mut bytes = 0;
    for (index, file) in given.into_iter().enumerate() {
        let field = format!("files[{index}]");
        let inside = |part: &str| !matches!(part, "" | "." | "..");
        let path_fits = file.path.len() <= PATH_BYTES_MAX && !file.path.contains('\0');
        if !path_fits || !file.path.split('/').all(inside) {
            let rule = "not a relative path inside the sandbox, without `.` and `..`";
            return Err(Error::invalid(&format!("{field}.path"), rule));
        }
        if files.iter().any(|own| own.path == file.path) {
            return Err(Error::invalid(&format!("{field}.path"), "there twice"));
        }
        let content = match (file.content, file.content_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => base64::decode(&text)
                .map_err(|rule| Error::invalid(&format!("{field}.content_base64"), rule))?,
            _ => {
                return Err(Error::invalid(
                    &field,
                    "either `content` or `content_base64`",
                ));
            }
        };
        bytes += content.len();
        files.push(File {
            path: file.path,
            content,
            executable: file.executable,
        });
    }
    at_most_bytes("files", bytes, FILES_BYTES_MAX)?;
    Ok(files)
}

fn check_text(
    argv_field: &str,
    env_field: &str,
    argv: &[String],
    env: &BTreeMap<String, String>,
    max: usize,
) -> Result<(), Error> {
    if let Some(index) = argv.iter().position(|arg| arg.contains('\0')) {
        return Err(Error::invalid(
            &format!("{argv_field}[{index}]"),
            "has a NUL",
        ));
    }
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            let rule = format_args!(
                "the name `{}` is empty or has `=` or NUL",
                name.escape_default()
            );
            return Err(Error::invalid(env_field, rule));
        }
        if value.contains('\0') {
            return Err(Error::invalid(
                env_field,
                format_args!("the value of `{name}` has a NUL"),
            ));
        }
    }
    // Two bytes more for each, as they are kept with quotes.
    let argv_bytes: usize = argv.iter().map(|arg| arg.len() + 2).sum();
    let env_bytes: usize = env
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    at_most_bytes(argv_field, argv_bytes + env_bytes, max)
}

fn at_most(field: &str, length: usize, max: usize) -> Result<(), Error> {
    if length <= max {
        Ok(())
    } else {
        Err(Error::invalid(
            field,
            format_args!("{length} entries, at most {max}"),
        ))
    }
}

fn at_most_bytes(field: &str, bytes: usize, max: usize) -> Result<(), Error> {
    if bytes <= max {
        Ok(())
    } else {
        Err(Error::invalid(
            field,
            format_args!("{bytes} bytes, at most {max}"),
        ))
    }
}

fn number(field: &str, given: Option<u64>, min: u64, max: u64) -> Result<Option<u64>, Error> {
    match given {
        Some(number) if !(min..=max).contains(&number) => Err(Error::invalid(
            field,
            format_args!("{number} is not in {min} to {max}"),
        )),
        given => Ok(given),
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(allowed)
}
