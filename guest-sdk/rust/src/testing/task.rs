//! The rules of a task that need no cluster, and its first status.

use crate::types::*;

/// The rules that need no cluster.
pub(super) fn check_task(task: &Task) -> Result<(), Refusal> {
    let invalid = |field: &str, rule: &str| {
        Err(Refusal::Invalid(format!(
            "task {}: {field}: {rule}",
            task.id
        )))
    };
    if !is_name(&task.id) {
        return invalid(
            "id",
            "1 to 128 of a-z A-Z 0-9 . _ -, the first a letter or a digit",
        );
    }
    let argv = match &task.workload {
        Workload::Process(process) => &process.argv,
        Workload::Module(module) => &module.argv,
        Workload::Container(_) => return Ok(()),
    };
    if argv.first().is_none_or(String::is_empty) {
        return invalid("argv[0]", "a program; it may not be empty");
    }
    if task
        .env
        .iter()
        .any(|var| var.name.is_empty() || var.name.contains(['=', '\0']))
    {
        return invalid("env", "a name, not empty, without `=` and NUL");
    }
    if task.runtime_max_ms == Some(0) {
        return invalid("runtime-max-ms", "at least 1");
    }
    check_mount_paths(task)?;
    if let Some(extra) = task.extra.first() {
        return invalid("extra", &format!("`{}` is not known", extra.key));
    }
    Ok(())
}

/// A mount is of a volume of its own, below the sandbox, and neither in another mount or file nor around one.
fn check_mount_paths(task: &Task) -> Result<(), Refusal> {
    let within = |outer: &str, path: &str| {
        path.strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for (nth, mount) in task.mounts.iter().enumerate() {
        let meets = |path: &str| within(path, &mount.path) || within(&mount.path, path);
        let inside = |part: &str| !matches!(part, "" | "." | "..");
        let before = task.mounts.iter().take(nth);
        let rule = if !is_name(&mount.volume) {
            "the volume has no valid name"
        } else if !mount.path.split('/').all(inside) {
            "the path is not a relative one inside the sandbox"
        } else if before
            .clone()
            .any(|other| other.volume == mount.volume || meets(&other.path))
            || task.files.iter().any(|file| meets(&file.path))
        {
            "the volume or the path is there twice"
        } else {
            continue;
        };
        return Err(Refusal::Invalid(format!(
            "task {}: mounts[{nth}]: {rule}",
            task.id
        )));
    }
    Ok(())
}

/// Whether a text may name a task, a demand or a group.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(allowed)
}

/// What an agent must have to run it.
pub(super) fn runtime(workload: &Workload) -> &'static str {
    match workload {
        Workload::Process(_) => "process",
        Workload::Container(_) => "container",
        Workload::Module(_) => "module",
    }
}

/// About what it takes to hand it over.
pub(super) fn task_bytes(task: &Task) -> usize {
    let argv = match &task.workload {
        Workload::Process(process) => &process.argv,
        Workload::Container(container) => &container.argv,
        Workload::Module(module) => &module.argv,
    };
    let env = task.env.iter().map(|var| var.name.len() + var.value.len());
    let labels = task
        .labels
        .iter()
        .map(|label| label.key.len() + label.value.len());
    let files = task
        .files
        .iter()
        .map(|file| file.path.len() + file.content.len());
    let mounts = task
        .mounts
        .iter()
        .map(|mount| mount.volume.len() + mount.path.len());
    size_of::<Placement>()
        + task.id.len()
        + task.name.len()
        + argv
            .iter()
            .map(String::len)
            .chain(env)
            .chain(labels)
            .chain(files)
            .chain(mounts)
            .sum::<usize>()
}

/// Its first status.
pub(super) fn pending(
    task: &Task,
    run: u64,
    group: Option<&str>,
    agent: &Agent,
    now: InstantMs,
) -> TaskStatus {
    let number =
        |nth: usize| 20_000 + u16::try_from((run as usize * 16 + nth) % 40_000).unwrap_or(0);
    let ports = task
        .ports
        .iter()
        .enumerate()
        .map(|(nth, port)| AssignedPort {
            name: port.name.clone(),
            number: port.fixed.unwrap_or_else(|| number(nth)),
        });
    TaskStatus {
        task: task.id.clone(),
        run,
        group: group.map(str::to_owned),
        labels: task.labels.clone(),
        agent: agent.id,
        state: TaskState::Pending,
        reason: String::new(),
        message: String::new(),
        exit_code: None,
        address: agent.address.clone(),
        ports: ports.collect(),
        since: now,
    }
}
