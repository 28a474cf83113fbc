//! What a task is asked to be.

use crate::{Digest, Resources, Runtime, TaskId, check_name};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What a task runs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// A native program and its arguments, without a shell.
    Process {
        /// The program first.
        argv: Vec<String>,
    },
    /// A program from an OCI image.
    Container {
        /// By tag or digest.
        image: String,
        /// Replaces the image's own command where it is not empty.
        argv: Vec<String>,
    },
    /// A `wasi:cli/command` component from the master's store.
    Module {
        /// Which.
        component: Digest,
        /// The name that it sees itself under first.
        argv: Vec<String>,
    },
}

impl Workload {
    /// What an agent must have to run it.
    #[must_use]
    pub fn runtime(&self) -> Runtime {
        match self {
            Workload::Process { .. } => Runtime::Process,
            Workload::Container { .. } => Runtime::Container,
            Workload::Module { .. } => Runtime::Module,
        }
    }

    /// The arguments, the program's name first.
    #[must_use]
    pub fn argv(&self) -> &[String] {
        match self {
            Workload::Process { argv }
            | Workload::Container { argv, .. }
            | Workload::Module { argv, .. } => argv,
        }
    }
}

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EnvVar {
    /// Not empty, without `=` and NUL.
    pub name: String,
    /// Without NUL.
    pub value: String,
}

/// A note that the master does not look at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Label {
    /// Unique on one task.
    pub key: String,
    /// Free text.
    pub value: String,
}

/// Written into the sandbox before the task starts.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct File {
    /// Relative, without `..`.
    pub path: String,
    /// The whole of it.
    pub content: Vec<u8>,
    /// Whether it may be executed.
    pub executable: bool,
}

/// A port that the task wants.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PortRequest {
    /// The task sees the number as `PORT_<NAME>`.
    pub name: String,
    /// Exactly this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<u16>,
}

/// A port that the task has.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AssignedPort {
    /// As it was asked for.
    pub name: String,
    /// On the agent.
    pub number: u16,
}

/// One thing to run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TaskSpec {
    /// The framework's name for it.
    pub id: TaskId,
    /// For people; the id if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What runs.
    pub workload: Workload,
    /// What it is charged for; `ports` equals the number of `ports` below.
    pub resources: Resources,
    /// Set over what the agent sets itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Kept with the task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// In the order in which they are handed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortRequest>,
    /// Put into its sandbox.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// From the first signal to the last, in milliseconds.
    pub kill_grace_ms: u64,
    /// Longer, and it is killed as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_max_ms: Option<u64>,
    /// Volumes of the reservation that it is launched on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// May be asked to end so that others get what they were promised, or what is more urgent.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub preemptible: bool,
}

/// Where a task sees a volume.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mount {
    /// By its name in the reservation.
    pub volume: String,
    /// Relative to the sandbox folder, without `..`.
    pub path: String,
}

/// How large a task's description may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskLimits {
    /// All texts of one task together, in bytes, without `files`.
    pub text_bytes_max: usize,
    /// The contents of `files` together, in bytes.
    pub files_bytes_max: usize,
    /// Arguments, variables, labels, ports or files, each.
    pub items_max: usize,
    /// Longest grace, in milliseconds.
    pub kill_grace_ms_max: u64,
}

impl Default for TaskLimits {
    fn default() -> TaskLimits {
        TaskLimits {
            text_bytes_max: 256 << 10,
            files_bytes_max: 1 << 20,
            items_max: 4096,
            kill_grace_ms_max: 24 * 3600 * 1000,
        }
    }
}

/// What is wrong with a task, with the field named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTask {
    /// Such as `env[2].name`.
    pub field: String,
    /// What was expected.
    pub expected: String,
}

impl fmt::Display for InvalidTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.expected)
    }
}

impl core::error::Error for InvalidTask {}

fn invalid(field: impl Into<String>, expected: impl Into<String>) -> InvalidTask {
    InvalidTask {
        field: field.into(),
        expected: expected.into(),
    }
}

impl TaskSpec {
    /// Checks every rule that does not need the cluster. Master and agent both call it: neither
    /// trusts the other to have done so.
    pub fn check(&self, limits: &TaskLimits) -> Result<(), InvalidTask> {
        self.check_sizes(limits)?;
        self.check_workload()?;
        if let Some(kind) = self.resources.invalid() {
            return Err(invalid(
                format!("resources.{kind}"),
                "an amount from 0 to 2^53-1, of a resource with a valid name",
            ));
        }
        if self.resources.ports != self.ports.len() as u64 {
            return Err(invalid(
                "resources.ports",
                format!("{}, the number of `ports`", self.ports.len()),
            ));
        }
        self.check_env()?;
        self.check_ports()?;
        self.check_files()?;
        self.check_mounts()?;
        if self.kill_grace_ms > limits.kill_grace_ms_max {
            return Err(invalid(
                "kill-grace-ms",
                format!("at most {}", limits.kill_grace_ms_max),
            ));
        }
        if self.runtime_max_ms == Some(0) {
            return Err(invalid(
                "runtime-max-ms",
                "at least 1, or none for no limit",
            ));
        }
        Ok(())
    }

    fn check_sizes(&self, limits: &TaskLimits) -> Result<(), InvalidTask> {
        let lists = [
            ("argv", self.workload.argv().len()),
            ("env", self.env.len()),
            ("labels", self.labels.len()),
            ("ports", self.ports.len()),
            ("files", self.files.len()),
            ("mounts", self.mounts.len()),
        ];
        if let Some((field, n)) = lists.into_iter().find(|(_, n)| *n > limits.items_max) {
            return Err(invalid(
                field,
                format!("at most {} items, not {n}", limits.items_max),
            ));
        }
        let text = self.text_bytes();
        if text > limits.text_bytes_max {
            return Err(invalid(
                "task",
                format!(
                    "at most {} bytes of text in all, not {text}",
                    limits.text_bytes_max
                ),
            ));
        }
        let files: usize = self.files.iter().map(|file| file.content.len()).sum();
        if files > limits.files_bytes_max {
            return Err(invalid(
                "files",
                format!(
                    "at most {} bytes in all, not {files}",
                    limits.files_bytes_max
                ),
            ));
        }
        Ok(())
    }

    /// All that it holds, in bytes: texts and the contents of files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let files = self.files.iter().map(|file| file.content.len());
        files.sum::<usize>() as u64 + self.text_bytes() as u64
    }

    /// All texts together, in bytes.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.id.as_str().len()
            + self.name.len()
            + self.workload.argv().iter().map(String::len).sum::<usize>()
            + self
                .env
                .iter()
                .map(|v| v.name.len() + v.value.len())
                .sum::<usize>()
            + self
                .labels
                .iter()
                .map(|l| l.key.len() + l.value.len())
                .sum::<usize>()
            + self.ports.iter().map(|p| p.name.len()).sum::<usize>()
            + self.files.iter().map(|f| f.path.len()).sum::<usize>()
            + self
                .mounts
                .iter()
                .map(|m| m.volume.len() + m.path.len())
                .sum::<usize>()
    }

    fn check_workload(&self) -> Result<(), InvalidTask> {
        let argv = self.workload.argv();
        let needs_program = !matches!(self.workload, Workload::Container { .. });
        if needs_program && argv.first().is_none_or(String::is_empty) {
            return Err(invalid("argv[0]", "a program; it may not be empty"));
        }
        if let Some(i) = argv.iter().position(|a| a.contains('\0')) {
            return Err(invalid(format!("argv[{i}]"), "text without NUL"));
        }
        match &self.workload {
            Workload::Container { image, .. } if image.is_empty() || image.contains('\0') => {
                Err(invalid("image", "an OCI reference"))
            }
            _ => Ok(()),
        }
    }

    fn check_env(&self) -> Result<(), InvalidTask> {
        for (i, var) in self.env.iter().enumerate() {
            if var.name.is_empty() || var.name.contains(['=', '\0']) {
                return Err(invalid(
                    format!("env[{i}].name"),
                    "a name, not empty, without `=` and NUL",
                ));
            }
            if var.value.contains('\0') {
                return Err(invalid(format!("env[{i}].value"), "text without NUL"));
            }
        }
        Ok(())
    }

    fn check_ports(&self) -> Result<(), InvalidTask> {
        for (i, port) in self.ports.iter().enumerate() {
            check_name(&port.name)
                .map_err(|e| invalid(format!("ports[{i}].name"), format!("{e}")))?;
            if port.fixed == Some(0) {
                return Err(invalid(
                    format!("ports[{i}].fixed"),
                    "a port from 1 to 65535",
                ));
            }
            if self.ports[..i]
                .iter()
                .any(|p| p.name == port.name || (p.fixed.is_some() && p.fixed == port.fixed))
            {
                return Err(invalid(
                    format!("ports[{i}]"),
                    "a name and a number that no other port of the task has",
                ));
            }
        }
        Ok(())
    }

    fn check_files(&self) -> Result<(), InvalidTask> {
        for (i, file) in self.files.iter().enumerate() {
            if !inside_sandbox(&file.path) {
                return Err(invalid(
                    format!("files[{i}].path"),
                    "a relative path inside the sandbox, without `.` and `..`",
                ));
            }
            if self.files[..i].iter().any(|f| f.path == file.path) {
                return Err(invalid(
                    format!("files[{i}].path"),
                    "a path that no other file of the task has",
                ));
            }
        }
        Ok(())
    }

    fn check_mounts(&self) -> Result<(), InvalidTask> {
        for (i, mount) in self.mounts.iter().enumerate() {
            check_name(&mount.volume)
                .map_err(|e| invalid(format!("mounts[{i}].volume"), format!("{e}")))?;
            if !inside_sandbox(&mount.path) {
                return Err(invalid(
                    format!("mounts[{i}].path"),
                    "a relative path inside the sandbox, without `.` and `..`",
                ));
            }
            let below = |other: &str| {
                let inner = |outer: &str, path: &str| {
                    path.strip_prefix(outer)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                inner(other, &mount.path) || inner(&mount.path, other)
            };
            if self.mounts[..i]
                .iter()
                .any(|m| m.volume == mount.volume || below(&m.path))
                || self.files.iter().any(|f| below(&f.path))
            {
                return Err(invalid(
                    format!("mounts[{i}]"),
                    "a volume and a path that no other mount has, and that no file is in",
                ));
            }
        }
        Ok(())
    }
}

/// Whether a path stays below the folder that it is relative to.
fn inside_sandbox(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\0')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn task() -> TaskSpec {
        TaskSpec {
            id: TaskId::new("t").unwrap(),
            name: String::new(),
            workload: Workload::Process {
                argv: vec!["true".to_string()],
            },
            resources: Resources::NONE,
            env: vec![],
            labels: vec![],
            ports: vec![],
            files: vec![],
            kill_grace_ms: 0,
            runtime_max_ms: None,
            mounts: vec![],
            preemptible: false,
        }
    }

    fn field(change: impl FnOnce(&mut TaskSpec)) -> String {
        let mut task = task();
        change(&mut task);
        task.check(&TaskLimits::default())
            .err()
            .map(|e| e.field)
            .unwrap_or_default()
    }

    #[test]
    fn every_rule_names_its_field() {
        assert_eq!(field(|_| ()), "");
        assert_eq!(
            field(|t| t.workload = Workload::Process { argv: vec![] }),
            "argv[0]"
        );
        assert_eq!(
            field(|t| t.workload = Workload::Process {
                argv: vec!["a".into(), "\0".into()]
            }),
            "argv[1]"
        );
        assert_eq!(field(|t| t.resources.cpu_milli = u64::MAX), "resources.cpu");
        assert_eq!(field(|t| t.resources.ports = 1), "resources.ports");
        assert_eq!(
            field(|t| t.env = vec![EnvVar {
                name: "A=".into(),
                value: String::new()
            }]),
            "env[0].name"
        );
        for path in ["../x", "/etc/passwd", "a//b", "a/../b", "", "."] {
            let file = File {
                path: path.into(),
                content: vec![],
                executable: false,
            };
            assert_eq!(field(|t| t.files = vec![file]), "files[0].path", "{path}");
        }
        let mount = |volume: &str, path: &str| Mount {
            volume: volume.into(),
            path: path.into(),
        };
        assert_eq!(
            field(|t| t.mounts = vec![mount("", "data")]),
            "mounts[0].volume"
        );
        assert_eq!(
            field(|t| t.mounts = vec![mount("v", "../data")]),
            "mounts[0].path"
        );
        assert_eq!(
            field(|t| t.mounts = vec![mount("v", "data"), mount("w", "data/x")]),
            "mounts[1]"
        );
        assert_eq!(
            field(|t| t.mounts = vec![mount("v", "data"), mount("w", "data2")]),
            ""
        );
        assert_eq!(field(|t| t.kill_grace_ms = u64::MAX), "kill-grace-ms");
        assert_eq!(field(|t| t.runtime_max_ms = Some(0)), "runtime-max-ms");
        let port = PortRequest {
            name: "http".into(),
            fixed: Some(80),
        };
        assert_eq!(
            field(|t| (t.ports, t.resources.ports) = (vec![port.clone(), port], 2)),
            "ports[1]"
        );
    }

    #[test]
    fn sizes_are_limited_at_the_edge() {
        let limits = TaskLimits::default();
        let mut task = task();
        task.name = "x".repeat(limits.text_bytes_max - task.text_bytes());
        assert_eq!(task.check(&limits), Ok(()));
        task.name.push('x');
        assert_eq!(task.check(&limits).unwrap_err().field, "task");
    }
}
