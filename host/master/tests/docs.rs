//! The guide lists every limit of the master with its default.

use mezzo_master::Limits;

#[test]
fn every_limit_of_the_master_is_listed_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/limits.md");
    let page = std::fs::read_to_string(path).expect("the guide");
    let limits = serde_json::to_value(Limits::default()).expect("limits are numbers");
    let limits = limits.as_object().expect("limits have names");
    assert!(limits.len() > 10, "{limits:?}");
    for (name, value) in limits {
        let row = format!("| `{name}` | {value} |");
        assert!(page.contains(&row), "limits.md lacks {row}");
    }
}
