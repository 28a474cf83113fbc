//! The environment variables of a task: the agent's own, then its ports, then the task's.

use mezzo_agent_core::Launch;
use std::path::Path;

/// Where programs are looked for, unless the task says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `NAME=value`, each name once, the task's own last word counting.
pub fn environment(launch: &Launch, sandbox: &Path, hostname: &str) -> Vec<String> {
    let spec = &launch.spec;
    let sandbox = sandbox.to_string_lossy();
    let mut all: Vec<(String, String)> = vec![
        (
            "PATH".into(),
            std::env::var("PATH").unwrap_or_else(|_| PATH.into()),
        ),
        ("HOME".into(), sandbox.to_string()),
        ("PWD".into(), sandbox.to_string()),
        ("MEZZO_TASK".into(), spec.id.to_string()),
        ("MEZZO_RUN".into(), launch.run.to_string()),
        ("MEZZO_FRAMEWORK".into(), launch.framework.clone()),
        ("MEZZO_AGENT".into(), hostname.to_string()),
    ];
    for (i, (port, number)) in spec.ports.iter().zip(&launch.ports).enumerate() {
        if i == 0 {
            all.push(("PORT".into(), number.to_string()));
        }
        all.push((port_name(&port.name), number.to_string()));
    }
    all.extend(
        spec.env
            .iter()
            .map(|var| (var.name.clone(), var.value.clone())),
    );
    let mut kept: Vec<(String, String)> = Vec::with_capacity(all.len());
    for (name, value) in all {
        match kept.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => kept.push((name, value)),
        }
    }
    kept.into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// `PORT_` and the port's name in capitals, with `_` for what cannot stand in a variable's name.
fn port_name(name: &str) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    format!("PORT_{}", name.chars().map(letter).collect::<String>())
}
