//! The public suite on every implementation, and random commits against a model.

use mezzo_registry::suite::{batch, blobs, contents, delete, put, registry};
use mezzo_registry::{Embedded, EmbeddedLimits, FileBlobs, Memory, MemoryBlobs, Registry};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn memory() {
    registry(&mut || Box::new(Memory::default()));
    blobs(&mut || Box::new(MemoryBlobs::default()));
}

#[test]
fn embedded() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut n = 0;
    registry(&mut || {
        n += 1;
        let path = folder.path().join(n.to_string());
        Box::new(Embedded::open(&path, EmbeddedLimits::default()).expect("it opens"))
    });
    blobs(&mut || Box::new(FileBlobs::open(&folder.path().join("blobs")).expect("it opens")));
}

#[test]
fn a_commit_may_be_as_large_as_the_limit_and_no_larger() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = EmbeddedLimits {
        batch_bytes_max: 107,
        ..EmbeddedLimits::default()
    };
    let mut registry = Embedded::open(folder.path(), limits).expect("it opens");
    let error = registry
        .commit(0, &[batch(vec![put("k", &[0; 101])])])
        .expect_err("108 bytes");
    assert!(
        error
            .to_string()
            .contains("batch-bytes-max: at most 107 bytes"),
        "{error}"
    );
    registry
        .commit(0, &[batch(vec![put("k", &[0; 100])])])
        .expect("107 bytes");
}

#[test]
fn the_log_forgets_the_oldest() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = EmbeddedLimits {
        log_entries_max: 3,
        ..EmbeddedLimits::default()
    };
    let mut registry = Embedded::open(folder.path(), limits).expect("it opens");
    for version in 0..10 {
        registry
            .commit(version, &[batch(vec![])])
            .expect("it commits");
    }
    let kept: Vec<u64> = registry
        .log(0, 100)
        .expect("readable")
        .into_iter()
        .map(|(version, _)| version)
        .collect();
    assert_eq!(kept, [8, 9, 10]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn it_is_a_map_over_restarts(
        steps in proptest::collection::vec(
            (proptest::collection::vec((0..20_u8, proptest::option::of(0..5_000_usize)), 0..20), any::<bool>()), 1..12,
        ),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Embedded::open(folder.path(), EmbeddedLimits::default()).expect("it opens");
        let mut registry = open();
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for (version, (writes, restart)) in (0_u64..).zip(steps) {
            let mut changes = Vec::new();
            for (key, size) in writes {
                let key = format!("key-{key}");
                match size {
                    Some(size) => {
                        let value = vec![key.len() as u8; size];
                        changes.push(put(&key, &value));
                        model.insert(key.into_bytes(), value);
                    }
                    None => {
                        changes.push(delete(&key));
                        model.remove(key.as_bytes());
                    }
                }
            }
            registry.commit(version, &[batch(changes)]).expect("it commits");
            if restart {
                drop(registry);
                registry = open();
            }
        }
        prop_assert_eq!(contents(&mut registry).1, model);
    }
}
