//! The layers of the workspace: who may depend on whom. What is not listed may not; a new package says here where it
//! belongs before it builds.

use crate::workspace;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Packages that decide. They are `no_std` and depend on plain data alone.
pub const CORES: [&str; 3] = ["mezzo-types", "mezzo-core", "mezzo-agent-core"];

/// What of the outside the cores may use.
const CORES_OUTSIDE: [&str; 2] = ["serde", "regex"];

/// A package, and the packages of this workspace that it may depend on, by itself and for its build.
const LAYERS: &[(&str, &[&str])] = &[
    // Plain data, and what keeps bytes.
    ("mezzo-types", &[]),
    ("mezzo-registry", &["mezzo-types"]),
    // What decides.
    ("mezzo-core", &["mezzo-types"]),
    ("mezzo-agent-core", &["mezzo-types"]),
    // What plays a cluster around what decides.
    (
        "mezzo-sim",
        &["mezzo-types", "mezzo-core", "mezzo-agent-core"],
    ),
    // What does.
    ("mezzo-wasm", &["mezzo-types", "mezzo-core"]),
    (
        "mezzo-proto",
        &["mezzo-types", "mezzo-core", "mezzo-agent-core"],
    ),
    ("mezzo-shim", &[]),
    ("mezzo-runner", &[]),
    (
        "mezzo-agent",
        &[
            "mezzo-types",
            "mezzo-agent-core",
            "mezzo-proto",
            "mezzo-shim",
            "mezzo-runner",
        ],
    ),
    (
        "mezzo-master",
        &[
            "mezzo-types",
            "mezzo-core",
            "mezzo-registry",
            "mezzo-wasm",
            "mezzo-proto",
        ],
    ),
    // It measures the master's own driver and committer, so it stands above it.
    (
        "mezzo-bench",
        &[
            "mezzo-types",
            "mezzo-core",
            "mezzo-registry",
            "mezzo-wasm",
            "mezzo-proto",
            "mezzo-master",
            "mezzo-bundle",
            "mezzo-guest-build",
            "mezzo-sim",
        ],
    ),
    // What authors of frameworks need: it builds, and tries what is built in the sandbox.
    ("mezzo-author", &["mezzo-types", "mezzo-core", "mezzo-wasm"]),
    (
        "mezzo-cli",
        &[
            "mezzo-types",
            "mezzo-core",
            "mezzo-registry",
            "mezzo-wasm",
            "mezzo-proto",
            "mezzo-agent-core",
            "mezzo-master",
            "mezzo-agent",
            "mezzo-shim",
            "mezzo-runner",
            "mezzo-bench",
            "mezzo-sim",
            "mezzo-author",
            "mezzo-bundle",
        ],
    ),
    // Guests. The contract is all that they share with the host.
    ("mezzo-sdk", &[]),
    ("mezzo-batch", &["mezzo-sdk"]),
    ("mezzo-hello", &["mezzo-sdk"]),
    ("mezzo-keeper", &["mezzo-sdk"]),
    ("mezzo-counter", &["mezzo-sdk"]),
    ("mezzo-hostile", &["mezzo-sdk"]),
    ("mezzo-evil", &["mezzo-sdk"]),
    ("mezzo-command", &[]),
    // What builds guests.
    ("mezzo-guest-build", &[]),
    ("mezzo-bundle", &["mezzo-guest-build"]),
    ("mezzo-test-guests", &["mezzo-guest-build"]),
    // What runs the Go SDK in the sandbox, for its tests alone.
    (
        "mezzo-go-host-test",
        &["mezzo-types", "mezzo-core", "mezzo-wasm"],
    ),
    ("xtask", &[]),
];

/// Packages that only tests may use, wherever they are.
const FOR_TESTS: [&str; 2] = ["mezzo-test-guests", "mezzo-bundle"];

/// One dependency as `cargo metadata` tells it.
#[derive(Debug)]
struct Edge {
    from: String,
    to: String,
    in_workspace: bool,
    for_tests: bool,
}

/// Dependencies that point upward or sideways, and cores that could do more than decide.
pub fn check(_files: &[PathBuf]) -> Result<Vec<String>> {
    let metadata = workspace::metadata()?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let mut problems = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("name")?;
        if allowed(name).is_none() {
            problems.push(format!(
                "{name} has no layer in xtask/src/structure/layers.rs"
            ));
        }
        problems.extend(edges(name, package).iter().filter_map(problem));
        if CORES.contains(&name) && !is_no_std(package) {
            problems.push(format!("{name} is not #![no_std]"));
        }
    }
    Ok(problems)
}

fn allowed(name: &str) -> Option<&'static [&'static str]> {
    LAYERS
        .iter()
        .find(|(package, _)| *package == name)
        .map(|(_, allowed)| *allowed)
}

fn edges(name: &str, package: &Value) -> Vec<Edge> {
    let dependencies = package["dependencies"].as_array();
    let edges = dependencies.into_iter().flatten().map(|dependency| Edge {
        from: name.to_owned(),
        to: dependency["name"].as_str().unwrap_or_default().to_owned(),
        in_workspace: dependency["path"].is_string(),
        for_tests: dependency["kind"] == "dev",
    });
    edges.collect()
}

fn problem(edge: &Edge) -> Option<String> {
    let Edge { from, to, .. } = edge;
    if !edge.in_workspace {
        let strict = CORES.contains(&from.as_str()) && !edge.for_tests;
        let refused = strict && !CORES_OUTSIDE.contains(&to.as_str());
        return refused
            .then(|| format!("{from} → {to}: a core depends on {CORES_OUTSIDE:?} alone"));
    }
    // A test may name what its package has only through others.
    let below = if edge.for_tests {
        reachable(from)
    } else {
        direct(from)
    };
    let test_help = edge.for_tests && FOR_TESTS.contains(&to.as_str());
    (!below.contains(to.as_str()) && !test_help).then(|| format!("{from} → {to} is not downward"))
}

fn direct(name: &str) -> BTreeSet<&'static str> {
    allowed(name).into_iter().flatten().copied().collect()
}

/// Everything below a package.
fn reachable(name: &str) -> BTreeSet<&'static str> {
    let mut found = direct(name);
    loop {
        let more: BTreeSet<_> = found.iter().flat_map(|name| direct(name)).collect();
        let before = found.len();
        found.extend(more);
        if found.len() == before {
            return found;
        }
    }
}

fn is_no_std(package: &Value) -> bool {
    let targets = package["targets"].as_array();
    let library = targets.into_iter().flatten().find(|target| {
        let kinds = target["kind"].as_array();
        kinds.into_iter().flatten().any(|kind| kind == "lib")
    });
    let source = library.and_then(|target| target["src_path"].as_str());
    let text = source.and_then(|path| std::fs::read_to_string(path).ok());
    text.is_some_and(|text| text.lines().any(|line| line.trim() == "#![no_std]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, to: &str, in_workspace: bool, for_tests: bool) -> bool {
        let edge = Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            in_workspace,
            for_tests,
        };
        problem(&edge).is_none()
    }

    #[test]
    fn downward_is_allowed_and_upward_is_not() {
        assert!(check("mezzo-cli", "mezzo-master", true, false));
        assert!(check("mezzo-core", "mezzo-types", true, false));
        assert!(!check("mezzo-types", "mezzo-core", true, false));
        assert!(!check("mezzo-core", "mezzo-master", true, true));
    }

    #[test]
    fn no_guest_depends_on_the_host() {
        for guest in ["mezzo-sdk", "mezzo-batch", "mezzo-hello", "mezzo-counter"] {
            assert!(!check(guest, "mezzo-types", true, false), "{guest}");
            assert!(!check(guest, "mezzo-types", true, true), "{guest}");
        }
    }

    #[test]
    fn a_core_uses_nothing_that_could_do() {
        assert!(check("mezzo-core", "regex", false, false));
        assert!(!check("mezzo-core", "tokio", false, false));
        assert!(check("mezzo-core", "proptest", false, true));
    }

    #[test]
    fn nothing_is_above_itself() {
        for (name, _) in LAYERS {
            assert!(!reachable(name).contains(name), "{name}");
        }
    }
}
