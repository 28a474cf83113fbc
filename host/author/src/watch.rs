//! Whether a project's sources have changed since the last look. It owns what counts as a source; when to look is the
//! caller's business.
//!
//! It looks at names, sizes and times: the few hundred files of a framework are read in a millisecond, and this works
//! on every file system, which events of a kernel do not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What builds and tools leave in a project; nothing in there is a source.
const NO_SOURCES: [&str; 6] = [
    "target",
    "build",
    "node_modules",
    "__pycache__",
    "deps",
    "dist",
];

/// What a project's sources looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

/// Looks at the sources below a folder. What cannot be read counts as not there.
#[must_use]
pub fn look(folder: &Path) -> Sources {
    let mut found = BTreeMap::new();
    walk(folder, &mut found);
    Sources(found)
}

impl Sources {
    /// The files that came, went or changed since.
    #[must_use]
    pub fn changed_since(&self, before: &Sources) -> Vec<PathBuf> {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(before.0.keys()).collect();
        let changed = names
            .into_iter()
            .filter(|name| self.0.get(*name) != before.0.get(*name));
        changed.cloned().collect()
    }
}

fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, (u64, Option<SystemTime>)>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            if !name.starts_with('.') && !NO_SOURCES.contains(&name.as_ref()) {
                walk(&path, found);
            }
        } else if is_source(&name) {
            found.insert(path, (metadata.len(), metadata.modified().ok()));
        }
    }
}

/// Not what a build writes, nor what editors keep beside a file.
fn is_source(name: &str) -> bool {
    let made = [".wasm", ".wasm.new", ".swp", "~", ".tmp"];
    let locks = ["Cargo.lock", "package-lock.json", "go.sum"];
    !name.starts_with('.') && !made.iter().any(|end| name.ends_with(end)) && !locks.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_seen_to_come_change_and_go_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let put = |name: &str, text: &str| {
            std::fs::create_dir_all(at(name).parent().expect("it has one")).expect("a folder");
            std::fs::write(at(name), text).expect("it is written");
        };
        put("src/a.rs", "one");
        let first = look(folder.path());
        for made in [
            "a.wasm",
            "target/x.rs",
            ".mezzo/sdk/y.rs",
            "src/.a.rs.swp",
            "Cargo.lock",
        ] {
            put(made, "made");
        }
        assert_eq!(look(folder.path()), first);

        put("src/a.rs", "other");
        put("src/b.rs", "");
        let second = look(folder.path());
        assert_eq!(
            second.changed_since(&first),
            [at("src/a.rs"), at("src/b.rs")]
        );
        std::fs::remove_file(at("src/b.rs")).expect("it goes");
        assert_eq!(look(folder.path()).changed_since(&second), [at("src/b.rs")]);
    }
}
