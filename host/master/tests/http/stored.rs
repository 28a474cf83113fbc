//! The store of components: what is no component does not come in, and all of them together stay
//! within their limit.

use crate::support::{Running, variant};
use mezzo_test_guests::{COMMAND, COUNTER, core_module, truncated};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, SystemTime};

async fn add(master: &Running, component: &[u8]) -> String {
    let added = master.ask("POST", "/api/v1/components", component).await;
    assert_eq!(added.status, 201, "{}", added.words());
    let digest = added.json()["digest"].as_str().map(str::to_string);
    digest.expect("a digest")
}

async fn stored(master: &Running) -> Vec<String> {
    let all = master.get("/api/v1/components").await;
    let digest = |component: &Value| component["digest"].as_str().map(str::to_string);
    let all = all["components"].as_array().expect("a list").iter();
    all.filter_map(digest).collect()
}

/// As if it had been stored so many minutes ago.
fn age(data: &Path, digest: &str, minutes: u64) {
    let name = digest.trim_start_matches("sha256:");
    let file = std::fs::File::open(data.join("components").join(name)).expect("it is stored");
    let then = SystemTime::now() - Duration::from_secs(60 * minutes);
    file.set_modified(then).expect("its time is set");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_component_is_not_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    for (bytes, cause) in [
        (b"\0asm\x0d\0\x01\0garbage".to_vec(), "not valid"),
        (b"\0asm".to_vec(), "not valid"),
        (truncated(), "not valid"),
        (core_module(), "core module"),
        (b"hello".to_vec(), "\\\\0asm"),
    ] {
        let refused = master.ask("POST", "/api/v1/components", &bytes).await;
        let words = refused.words();
        assert_eq!(refused.status, 422, "{words}");
        assert!(words.contains(cause), "{cause:?} in {words}");
    }
    assert!(stored(&master).await.is_empty());
    add(&master, COMMAND).await;
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_that_nothing_uses_make_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = variant(COMMAND, 0).len();
    let master = Running::with(folder.path(), |config, _| {
        config.limits.component_bytes_max = COUNTER.len();
        config.limits.components_bytes_max = (COUNTER.len() + 2 * one) as u64;
    })
    .await;
    let made = master.ask("POST", "/api/v1/frameworks?name=c", COUNTER);
    let used = made.await.json()["component"].as_str().map(str::to_string);
    let used = used.expect("it is installed");
    let first = add(&master, &variant(COMMAND, 1)).await;
    let second = add(&master, &variant(COMMAND, 2)).await;
    // The one that is in use is the oldest of all.
    for (digest, minutes) in [(&used, 30), (&second, 20), (&first, 10)] {
        age(folder.path(), digest, minutes);
    }
    assert_eq!(add(&master, &variant(COMMAND, 1)).await, first);
    assert_eq!(stored(&master).await.len(), 3, "it was there already");

    let third = add(&master, &variant(COMMAND, 3)).await;
    let mut left = [used.clone(), first.clone(), third.clone()];
    left.sort_unstable();
    assert_eq!(stored(&master).await, left, "{second} was the oldest");
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_takes_the_room_of_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let max = COUNTER.len() + COMMAND.len() / 2;
    let master = Running::with(folder.path(), |config, _| {
        config.limits.component_bytes_max = COUNTER.len();
        config.limits.components_bytes_max = max as u64;
    })
    .await;
    let old = add(&master, COMMAND).await;
    let made = master.ask("POST", "/api/v1/frameworks?name=c", COUNTER);
    assert_eq!(made.await.status, 201, "it takes the room of {old}");
    let refused = master.ask("POST", "/api/v1/components", COMMAND).await;
    let words = refused.words();
    assert_eq!(refused.status, 429, "{words}");
    assert!(words.contains("components_bytes_max"), "{words}");
    assert_eq!(stored(&master).await.len(), 1);
    master.stop().await;
}
