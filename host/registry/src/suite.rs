//! What every registry and every blob store must do: one public suite, run on each implementation.
//! Each check gets a fresh one and panics with what is wrong.

use crate::{Batch, BlobError, Blobs, CommitError, Registry, Version, Write};
use std::collections::BTreeMap;

/// Runs every check of a registry; `fresh` makes an empty one.
pub fn registry(fresh: &mut dyn FnMut() -> Box<dyn Registry>) {
    empty_is_at_zero(fresh());
    batches_apply_in_order(fresh());
    a_wrong_version_changes_nothing(fresh());
    headers_are_kept(fresh());
    values_of_any_size(fresh());
    empty_batches_count(fresh());
}

/// Runs every check of a blob store; `fresh` makes an empty one.
pub fn blobs(fresh: &mut dyn FnMut() -> Box<dyn Blobs>) {
    let blobs = fresh();
    let (digest, size) = blobs.put(&mut &b"abc"[..], 3).expect("three bytes fit");
    assert_eq!(size, 3);
    assert_eq!(
        digest[..4],
        [0xba, 0x78, 0x16, 0xbf],
        "the digest is the SHA-256"
    );
    assert_eq!(blobs.put(&mut &b"abc"[..], 3).expect("again").0, digest);
    assert!(matches!(
        blobs.put(&mut &b"abcd"[..], 3),
        Err(BlobError::TooLarge(3))
    ));
    assert_eq!(
        blobs.get(&digest).expect("readable").as_deref(),
        Some(&b"abc"[..])
    );
    assert_eq!(blobs.get(&[7; 32]).expect("readable"), None);
    assert_eq!(
        blobs.list().expect("readable"),
        [(digest, 3)],
        "what was refused left nothing behind"
    );
    assert!(blobs.delete(&digest).expect("writable"));
    assert!(!blobs.delete(&digest).expect("writable"));
    assert_eq!(blobs.list().expect("readable"), []);
}

/// Sets a key.
#[must_use]
pub fn put(key: &str, value: &[u8]) -> Write {
    Write {
        key: key.into(),
        value: Some(value.to_vec()),
    }
}

/// Takes a key away.
#[must_use]
pub fn delete(key: &str) -> Write {
    Write {
        key: key.into(),
        value: None,
    }
}

/// A batch with a short header.
#[must_use]
pub fn batch(writes: Vec<Write>) -> Batch {
    Batch {
        header: b"header".to_vec(),
        writes,
    }
}

/// Everything in it, and its version.
pub fn contents(registry: &mut dyn Registry) -> (Version, BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut live = BTreeMap::new();
    let mut last: Option<Vec<u8>> = None;
    let version = registry
        .load(&mut |key, value| {
            assert!(
                last.as_deref().is_none_or(|last| last < key),
                "keys come in order, each once"
            );
            last = Some(key.to_vec());
            live.insert(key.to_vec(), value.to_vec());
        })
        .expect("it can be read");
    (version, live)
}

fn empty_is_at_zero(mut registry: Box<dyn Registry>) {
    assert_eq!(contents(&mut *registry), (0, BTreeMap::new()));
    assert_eq!(registry.log(0, 10).expect("readable"), []);
    registry.close().expect("it closes");
}

fn batches_apply_in_order(mut registry: Box<dyn Registry>) {
    let first = batch(vec![put("a", b"1"), put("b", b"1"), put("a", b"2")]);
    let second = batch(vec![put("c", b"3"), delete("b"), delete("never")]);
    assert_eq!(registry.commit(0, &[first, second]).expect("it commits"), 2);
    let (version, live) = contents(&mut *registry);
    assert_eq!(version, 2);
    let live: Vec<(&[u8], &[u8])> = live.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(live, [(&b"a"[..], &b"2"[..]), (b"c", b"3")]);
}

fn a_wrong_version_changes_nothing(mut registry: Box<dyn Registry>) {
    registry
        .commit(0, &[batch(vec![put("a", b"1")])])
        .expect("it commits");
    let error = registry
        .commit(0, &[batch(vec![put("a", b"2")])])
        .expect_err("the version is wrong");
    assert!(
        matches!(
            error,
            CommitError::Conflict {
                expected: 0,
                found: 1
            }
        ),
        "{error}"
    );
    assert_eq!(contents(&mut *registry).1[&b"a"[..]], b"1");
    assert_eq!(registry.commit(1, &[]).expect("nothing is fine"), 1);
}

fn headers_are_kept(mut registry: Box<dyn Registry>) {
    for i in 0..5_u8 {
        let batch = Batch {
            header: vec![i],
            writes: vec![],
        };
        registry.commit(u64::from(i), &[batch]).expect("it commits");
    }
    assert_eq!(
        registry.log(2, 2).expect("readable"),
        [(3, vec![2]), (4, vec![3])]
    );
    assert_eq!(registry.log(5, 2).expect("readable"), []);
}

fn values_of_any_size(mut registry: Box<dyn Registry>) {
    let large = vec![7; 3 << 20];
    registry
        .commit(0, &[batch(vec![put("empty", b""), put("large", &large)])])
        .expect("it commits");
    let (_, live) = contents(&mut *registry);
    assert_eq!(live[&b"empty"[..]], b"");
    assert!(live[&b"large"[..]] == large);
}

fn empty_batches_count(mut registry: Box<dyn Registry>) {
    assert_eq!(
        registry
            .commit(0, &[Batch::default(), Batch::default()])
            .expect("it commits"),
        2
    );
    assert_eq!(contents(&mut *registry).0, 2);
}
