//! The guide lists every limit with its default and every reason: neither may lag behind the code.

use mezzo_core::{ClusterLimits, FrameworkLimits};
use mezzo_types::Reason;
use std::path::Path;

fn guide(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/guide")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The names that `Debug` shows of a flat struct, and the values: numbers and empty lists.
fn fields(debug: &str) -> Vec<(String, String)> {
    debug
        .lines()
        .filter_map(|line| line.trim().trim_end_matches(',').split_once(": "))
        .filter(|(_, value)| value.bytes().all(|b| b.is_ascii_digit()) || *value == "[]")
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

#[test]
fn every_framework_limit_is_listed_with_its_default() {
    let page = guide("limits.md");
    let limits = fields(&format!("{:#?}", FrameworkLimits::default()));
    assert!(limits.len() > 20, "{limits:?}");
    for (name, value) in limits {
        assert!(
            page.contains(&format!("| `{name}` | {value} |")),
            "limits.md lacks {name} = {value}"
        );
    }
}

#[test]
fn every_cluster_limit_is_listed() {
    let page = guide("limits.md");
    for (name, _) in fields(&format!("{:#?}", ClusterLimits::default())) {
        assert!(
            page.contains(&format!("| `{name}` |")),
            "limits.md lacks {name}"
        );
    }
}

#[test]
fn every_reason_is_listed_and_no_other() {
    let page = guide("reasons.md");
    for reason in Reason::ALL.iter().filter(|reason| **reason != Reason::None) {
        assert!(
            page.contains(&format!("| `{}` |", reason.as_str())),
            "reasons.md lacks {}",
            reason.as_str()
        );
    }
}
