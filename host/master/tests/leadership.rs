//! A leadership ends whole: when one of its threads panics, nobody waits for it any more.

use mezzo_core::Request;
use mezzo_master::Config;
use mezzo_master::parts::take;
use mezzo_registry::{Batch, CommitError, LoadError, Memory, Registry, Version};
use mezzo_types::FrameworkId;
use mezzo_wasm::{CompileCommand, Level, LogSink, Sandbox, SandboxConfig, SandboxLimits};
use std::sync::Arc;

/// Takes so many commits and panics at the next one.
struct Panics {
    inner: Memory,
    commits: u32,
}

impl Registry for Panics {
    fn load(&mut self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<Version, LoadError> {
        self.inner.load(each)
    }

    fn commit(&mut self, expected: Version, batches: &[Batch]) -> Result<Version, CommitError> {
        assert!(self.commits > 0, "as it was told to");
        self.commits -= 1;
        self.inner.commit(expected, batches)
    }

    fn log(&mut self, after: Version, limit: usize) -> Result<Vec<(Version, Vec<u8>)>, LoadError> {
        self.inner.log(after, limit)
    }

    fn close(self: Box<Self>) -> Result<(), LoadError> {
        Ok(())
    }
}

struct Quiet;

impl LogSink for Quiet {
    fn line(&self, _: FrameworkId, _: Level, _: &str) {}
}

#[tokio::test]
async fn a_committer_that_panics_ends_the_leadership() {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = Sandbox::open(SandboxConfig {
        source: None,
        cache_dir: folder.path().join("compiled"),
        compile: CompileCommand {
            program: "/bin/false".into(),
            args: Vec::new(),
        },
        limits: SandboxLimits::default(),
        log: Arc::new(Quiet),
    })
    .expect("a sandbox");
    let registry = Panics {
        inner: Memory::default(),
        commits: 1,
    };
    let config = Config::new(folder.path().into());
    let (lead, threads) = take(
        &config,
        Box::new(registry),
        &Arc::new(sandbox),
        "test".into(),
    )
    .expect("the lead");
    let request = || Request::SetPrincipal {
        name: "somebody".into(),
        token_sha256: Some("0".repeat(64)),
        principal: Arc::from("test"),
    };
    // One of them meets the panic; whoever asked for what was never durable is told so.
    let mut over = false;
    for _ in 0..3 {
        over |= lead.ask(request()).await.is_err();
    }
    assert!(over, "a request was acknowledged that no registry took");
    let (ending, registry) = tokio::task::spawn_blocking(|| threads.join())
        .await
        .expect("both threads end");
    assert!(format!("{ending:?}").contains("panicked"), "{ending:?}");
    assert!(
        registry.is_none(),
        "a registry that panicked is not used again"
    );
    assert!(lead.ask(request()).await.is_err(), "nobody waits for ever");
}
