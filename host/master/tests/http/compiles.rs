//! A component that takes long to compile: others wait for the compiler only if they need it, and
//! only so many.

use crate::support::{Answer, COMPILER, PATIENCE, Running, variant};
use mezzo_test_guests::{COUNTER, HELLO};
use mezzo_wasm::CompileCommand;
use std::path::PathBuf;
use std::time::Duration;

/// A compiler that waits until it is let go on.
pub struct Gate(tempfile::TempDir);

impl Gate {
    pub fn new() -> Gate {
        Gate(tempfile::tempdir().expect("a folder"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn compiler(&self) -> CompileCommand {
        let script =
            r#"touch "$0/reached"; while ! test -e "$0/open"; do sleep 0.02; done; exec "$@""#;
        CompileCommand {
            program: "/bin/sh".into(),
            args: vec![
                "-c".into(),
                script.into(),
                self.0.path().into(),
                COMPILER.into(),
            ],
        }
    }

    /// Waits until something is being compiled.
    pub async fn reached(&self) {
        let look = async {
            while !self.file("reached").exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look)
            .await
            .expect("a compiler");
    }

    pub fn open(&self) {
        std::fs::write(self.file("open"), "").expect("a file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_compiled_before_does_not_wait_and_too_many_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let made = master.ask("POST", "/api/v1/frameworks?name=c", COUNTER);
    assert_eq!(made.await.status, 201);
    master.stop().await;

    let gate = Gate::new();
    let master = Running::with(folder.path(), |config, compile| {
        config.limits.compiles_waiting_max = 0;
        *compile = gate.compiler();
    })
    .await;
    let auth = master.auth();
    let slow = master
        .open("POST", "/api/v1/frameworks?name=h", &auth, HELLO)
        .await;
    gate.reached().await;

    // From the cache, and then from memory.
    for name in ["d", "e"] {
        let path = format!("/api/v1/frameworks?name={name}");
        let made = master.ask("POST", &path, COUNTER).await;
        assert_eq!(made.status, 201, "{}", made.words());
    }
    let other = variant(HELLO, 1);
    let refused = master
        .ask("POST", "/api/v1/frameworks?name=o", &other)
        .await;
    assert_eq!(refused.status, 503, "{}", refused.words());
    let words = refused.words();
    assert!(words.contains("compiles_waiting_max"), "{words}");

    gate.open();
    let slow = Answer::of(slow).await;
    assert_eq!(slow.status, 201, "{}", slow.words());
    let made = master
        .ask("POST", "/api/v1/frameworks?name=o", &other)
        .await;
    assert_eq!(made.status, 201, "{}", made.words());
    master.stop().await;
}
