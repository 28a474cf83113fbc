//! What the machine has and is.

use crate::{Config, Error, io};
use mezzo_types::{AgentFacts, Attribute, AttributeValue, Resources, Runtime};
use std::collections::BTreeMap;
use std::path::Path;

/// What the agent says of itself: found out, then overridden by its configuration.
pub fn facts(config: &Config, identity: &str) -> Result<AgentFacts, Error> {
    let port_set = config.port_set()?;
    let uname = rustix::system::uname();
    let mut total = Resources {
        cpu_milli: std::thread::available_parallelism().map_or(1, |n| n.get() as u64) * 1_000,
        memory_bytes: memory_bytes()?,
        disk_bytes: disk_bytes(&config.folder)?,
        ports: port_set.len(),
        ..Resources::NONE
    };
    for (name, amount) in &config.resources {
        match name.as_str() {
            "cpu_milli" => total.cpu_milli = *amount,
            "memory_bytes" => total.memory_bytes = *amount,
            "disk_bytes" => total.disk_bytes = *amount,
            _ => total.gpus = *amount,
        }
    }
    total.custom.extend(
        config
            .custom
            .iter()
            .filter(|(_, n)| **n > 0)
            .map(|(name, n)| (name.clone(), *n)),
    );
    let reserved = config.reserved(&total)?;
    let text = |value: &str| AttributeValue::Text(value.to_string());
    let mut attributes: BTreeMap<String, AttributeValue> = BTreeMap::from([
        (
            "os".into(),
            text(&uname.sysname().to_string_lossy().to_lowercase()),
        ),
        ("kernel".into(), text(&uname.release().to_string_lossy())),
        ("arch".into(), text(&uname.machine().to_string_lossy())),
        ("cgroup".into(), text(cgroup())),
        // Said plainly: a process task may use more than it asked for.
        ("process-limits".into(), text("none")),
    ]);
    attributes.extend(
        config
            .attribute_list()
            .map(|attribute| (attribute.name, attribute.value)),
    );
    let module = config.runner.is_some();
    Ok(AgentFacts {
        identity: identity.to_string(),
        hostname: config
            .hostname
            .clone()
            .unwrap_or_else(|| uname.nodename().to_string_lossy().into_owned()),
        address: config.address.clone(),
        region: config.region.clone(),
        zone: config.zone.clone(),
        attributes: attributes
            .into_iter()
            .map(|(name, value)| Attribute { name, value })
            .collect(),
        total,
        port_set,
        runtimes: [Runtime::Process]
            .into_iter()
            .chain(module.then_some(Runtime::Module))
            .collect(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        reserved,
    })
}

fn memory_bytes() -> Result<u64, Error> {
    let text = std::fs::read_to_string("/proc/meminfo").map_err(io("read /proc/meminfo"))?;
    let total = text.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse::<u64>()
            .ok()
    });
    Ok(total.unwrap_or(0) * 1024)
}

fn disk_bytes(folder: &Path) -> Result<u64, Error> {
    let stat = rustix::fs::statvfs(folder)
        .map_err(|e| io(format!("look at {}", folder.display()))(e.into()))?;
    Ok(stat.f_bavail * stat.f_frsize)
}

/// Which control groups the kernel offers.
fn cgroup() -> &'static str {
    let v1 =
        Path::new("/sys/fs/cgroup/memory").exists() || Path::new("/sys/fs/cgroup/cpu").exists();
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let hybrid = Path::new("/sys/fs/cgroup/unified/cgroup.controllers").exists();
    match (v1, v2, hybrid) {
        (true, _, true) => "hybrid",
        (true, ..) => "v1",
        (false, true, _) => "v2",
        _ => "none",
    }
}
