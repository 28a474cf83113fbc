//! Which components are taken and which refused, that a refusal names its cause and leaves nothing,
//! and that compiled code is used again only if it is whole and ours.

mod support;

use mezzo_core::FaultKind;
use mezzo_test_guests as guests;
use mezzo_wasm::{CompileCommand, Refused, Sandbox, SandboxConfig, SandboxLimits};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use support::{Host, Lines, check_fault, digest_of, limits};

/// That a component is refused with these words, that nothing of it is kept, and that the sandbox
/// takes another one afterwards.
#[track_caller]
fn check_refused(limits: SandboxLimits, component: &[u8], words: &[&str]) -> Refused {
    let host = Host::empty(limits);
    let refused = match host.prepare(component) {
        Err(refused) => refused,
        Ok(prepared) => panic!("it was taken: {prepared:?}"),
    };
    let text = refused.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} in {text:?}");
    }
    assert_eq!(host.files(), Vec::<PathBuf>::new(), "after: {text}");
    assert_eq!(host.sandbox.idle_instances(), 0);
    refused
}

/// A framework's exports, with functions of other types, around a core module.
fn shaped(module: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $tested {module})
            (core instance (instantiate $tested))
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $s (export "start" (func $f)) (export "handle" (func $f)))
            (export "mezzo:framework/scheduler@0.1.0" (instance $s)))"#
    );
    wat::parse_str(text).expect("the test's text is WebAssembly")
}

#[test]
fn what_is_no_component_is_refused() {
    for (bytes, word) in [
        (Vec::new(), "it is empty"),
        (guests::random_bytes(1 << 16, 7), "does not begin"),
        (guests::core_module(), "wasm-tools component new"),
        (guests::truncated(), "not valid"),
    ] {
        check_refused(limits(), &bytes, &[word]);
    }
}

#[test]
fn precompiled_code_is_refused() {
    let host = Host::new();
    let code = host
        .files()
        .into_iter()
        .find(|f| f.extension().is_some_and(|e| e == "code"));
    let code = fs::read(code.expect("compiled code")).expect("it is read");
    check_refused(limits(), &code, &["precompiled", "never accepted"]);
}

#[test]
fn another_world_is_refused_with_the_missing_export() {
    let missing = "does not export `mezzo:framework/scheduler@0.1.0`";
    check_refused(limits(), &guests::empty_component(), &[missing, "nothing"]);
    check_refused(
        limits(),
        guests::COMMAND,
        &[missing, "wasi:cli/run", "command"],
    );
}

#[test]
fn an_import_that_is_not_offered_is_refused_by_name() {
    check_refused(limits(), guests::EVIL, &["imports `evil:host/thing`"]);
}

#[test]
fn an_export_of_another_type_is_refused() {
    let refused = check_refused(limits(), &shaped(""), &["scheduler.start"]);
    assert!(matches!(refused, Refused::Signature(_)), "{refused:?}");
}

#[test]
fn limits_are_named() {
    let few_bytes = SandboxLimits {
        component_bytes_max: guests::HELLO.len() - 1,
        ..limits()
    };
    check_refused(few_bytes, guests::HELLO, &["component_bytes_max"]);
    let few_functions = SandboxLimits {
        functions_max: 2,
        ..limits()
    };
    check_refused(few_functions, guests::HELLO, &["functions_max is 2"]);
    let little_code = SandboxLimits {
        compiled_bytes_max: 64 << 10,
        ..limits()
    };
    check_refused(little_code, guests::HELLO, &["compiled_bytes_max"]);
}

/// What costs the compiler gigabytes costs it no more than its limits, in each of the three.
#[test]
fn a_compile_bomb_is_refused_within_the_limits() {
    let bomb = guests::compile_bomb(20_000);
    let memory = SandboxLimits {
        compile_memory_bytes: 300 << 20,
        ..limits()
    };
    check_refused(memory, &bomb, &["compile_memory_bytes"]);
    let cpu = SandboxLimits {
        compile_memory_bytes: 6 << 30,
        compile_cpu_s: 1,
        ..limits()
    };
    check_refused(cpu, &bomb, &["compile_cpu_s = 1"]);
    let wall = SandboxLimits {
        compile_wall_ms: 100,
        ..limits()
    };
    check_refused(wall, &bomb, &["compile_wall_ms = 100"]);
}

#[test]
fn a_static_initialiser_runs_within_limits() {
    let limits = || SandboxLimits {
        trial_ms: 100,
        ..limits()
    };
    let endless = shaped("(func $f (loop (br 0))) (start $f)");
    check_refused(limits(), &endless, &["100 ms", "start_ms"]);
    let trap = shaped("(func $f unreachable) (start $f)");
    check_refused(limits(), &trap, &["unreachable"]);
    let deep = shaped("(func $f (call $f)) (start $f)");
    check_refused(limits(), &deep, &["stack-limit"]);
    let huge = shaped("(table 40000 funcref)");
    check_refused(limits(), &huge, &["table"]);
}

#[test]
fn the_wrong_digest_is_refused() {
    let host = Host::empty(limits());
    let refused = host.sandbox.prepare(digest_of(b"else"), guests::HELLO);
    assert!(matches!(refused, Err(Refused::WrongDigest { .. })));
}

#[test]
fn a_compiler_that_cannot_be_started_is_the_hosts_trouble() {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = Sandbox::open(SandboxConfig {
        source: None,
        cache_dir: folder.path().to_owned(),
        compile: CompileCommand {
            program: PathBuf::from("/nonexistent/compiler"),
            args: Vec::new(),
        },
        limits: limits(),
        log: Arc::new(Lines::default()),
    });
    let sandbox = opened.unwrap_or_else(|error| panic!("{error}"));
    let refused = sandbox.prepare(digest_of(guests::HELLO), guests::HELLO);
    assert!(matches!(refused, Err(Refused::Host { .. })), "{refused:?}");
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
}

#[test]
fn a_component_is_compiled_once() {
    let host = Host::empty(limits());
    let prepare = |host: &Host| {
        let prepared = host.prepare(guests::COUNTER);
        prepared.unwrap_or_else(|refused| panic!("{refused}"))
    };
    let first = prepare(&host);
    assert!(first.compiled && first.web);
    assert!(!prepare(&host).compiled, "in the same sandbox");
    let host = host.reopen();
    assert!(!prepare(&host).compiled, "in the next one");
    host.sandbox.forget(&digest_of(guests::COUNTER));
    assert!(!prepare(&host).compiled, "forgotten, and still on disk");
    let hello = host.prepare(guests::HELLO);
    assert!(!hello.unwrap_or_else(|refused| panic!("{refused}")).web);
}

#[test]
fn a_damaged_entry_is_compiled_again() {
    let mut host = Host::empty(limits());
    assert!(host.prepare(guests::HELLO).is_ok_and(|p| p.compiled));
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        |bytes| bytes.truncate(100),
        |bytes| bytes.push(0),
        |bytes| bytes.clear(),
    ];
    for kind in ["code", "seal"] {
        for damage in damages {
            host = host.reopen_after(|file| {
                if file.extension().is_some_and(|extension| extension == kind) {
                    let mut bytes = fs::read(&file).expect("it is there again");
                    damage(&mut bytes);
                    fs::write(&file, bytes).expect("it is damaged");
                }
            });
            let prepared = host.prepare(guests::HELLO);
            assert!(
                prepared.is_ok_and(|p| p.compiled),
                "a damaged {kind} is trusted"
            );
            host.framework(guests::HELLO, "{}").started();
        }
    }
}

#[test]
fn a_framework_whose_component_nobody_has_does_not_start() {
    let host = Host::empty(limits());
    let mut hello = host.framework(guests::HELLO, "{}");
    check_fault(
        hello.start(),
        FaultKind::Instantiate,
        "start",
        "neither compiled nor kept",
    );
}
