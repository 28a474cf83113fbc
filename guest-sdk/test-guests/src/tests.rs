//! That each guest is what it says: valid, and with the imports and exports of its world.

use super::*;
use std::collections::BTreeSet;
use wasmparser::{Parser, Payload, Validator};

/// The names of what a component imports and exports.
fn surface(bytes: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut imports, mut exports) = (BTreeSet::new(), BTreeSet::new());
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                imports.extend(
                    section
                        .into_iter()
                        .map(|import| import.unwrap().name.name.to_owned()),
                );
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                exports.extend(
                    section
                        .into_iter()
                        .map(|export| export.unwrap().name.name.to_owned()),
                );
            }
            _ => {}
        }
    }
    (imports, exports)
}

fn check(bytes: &[u8], exports: &[&str], streams: bool) {
    Validator::new().validate_all(bytes).unwrap();
    let (imports, found) = surface(bytes);
    assert_eq!(
        found.iter().map(String::as_str).collect::<Vec<_>>(),
        exports
    );
    assert_eq!(
        imports.contains("mezzo:framework/streams@0.1.0"),
        streams,
        "{imports:?}"
    );
    let allowed = [
        "mezzo:framework/",
        "wasi:cli/",
        "wasi:io/",
        "wasi:clocks/",
        "wasi:random/",
        "wasi:filesystem/",
        // `hostile` tries whether there is a network.
        "wasi:sockets/",
    ];
    for import in &imports {
        assert!(
            allowed.iter().any(|prefix| import.starts_with(prefix)),
            "{import}"
        );
    }
}

const SCHEDULER: &str = "mezzo:framework/scheduler@0.1.0";
const WEB: &str = "mezzo:framework/web@0.1.0";

#[test]
fn each_has_the_exports_of_its_world() {
    check(HELLO, &[SCHEDULER], false);
    check(KEEPER, &[SCHEDULER], false);
    check(COUNTER, &[SCHEDULER, WEB], true);
    check(HOSTILE, &[SCHEDULER, WEB], true);
    check(COMMAND, &["wasi:cli/run@0.2.0"], false);
}

#[test]
fn evil_imports_what_nobody_has() {
    let (imports, exports) = surface(EVIL);
    assert!(imports.contains("evil:host/thing"), "{imports:?}");
    assert!(exports.contains(SCHEDULER));
}

#[test]
fn the_bomb_is_a_valid_framework() {
    let bomb = compile_bomb(20_000);
    check(&bomb, &[SCHEDULER], false);
    assert!(
        bomb.len() < HELLO.len() + (500 << 10),
        "{} bytes",
        bomb.len()
    );
}

#[test]
fn what_is_no_component_is_none() {
    for bytes in [
        core_module(),
        random_bytes(1 << 16, 7),
        truncated(),
        Vec::new(),
    ] {
        let component =
            bytes.starts_with(&COMPONENT_PREAMBLE) && Validator::new().validate_all(&bytes).is_ok();
        assert!(!component);
    }
    Validator::new().validate_all(&core_module()).unwrap();
    Validator::new().validate_all(&empty_component()).unwrap();
    assert_ne!(random_bytes(8, 1), random_bytes(8, 2));
}
