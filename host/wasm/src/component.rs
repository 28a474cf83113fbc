//! Looks at a component before anything is compiled: is it one, for which world, what does it
//! import, and is it small enough to be given to the compiler.

use crate::fault::printable;
use crate::limits::SandboxLimits;
use crate::linker::{OFFERED, PACKAGE, VERSION};
use crate::refused::Refused;
use crate::wasi;
use wasmparser::{
    ComponentExternalKind, ComponentTypeRef, Encoding, Parser, Payload, Validator, WasmFeatures,
};

/// The longest list of exports in an error, in names.
const NAMES_MAX: usize = 12;

/// What a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The export that is `scheduler`, with its version.
    pub scheduler: String,
    /// The export that is `web`, with its version.
    pub web: Option<String>,
}

/// Checks everything that can be checked without compiling.
pub fn inspect(bytes: &[u8], limits: &SandboxLimits) -> Result<Shape, Refused> {
    if bytes.len() > limits.component_bytes_max {
        return Err(Refused::TooLarge {
            bytes: bytes.len(),
            max: limits.component_bytes_max,
        });
    }
    check_head(bytes)?;
    let mut seen = Seen::default();
    walk(bytes, limits, &mut seen)?;
    Validator::new_with_features(features())
        .validate_all(bytes)
        .map_err(invalid)?;
    shape(&seen.exports)
}

/// Checks that these bytes are a whole and valid component, of whatever world: a module task's is
/// compiled by its agent, which says what of it does not fit. Takes a moment for a large one.
pub fn check_component(bytes: &[u8]) -> Result<(), Refused> {
    check_head(bytes)?;
    if Parser::is_core_wasm(bytes) {
        return Err(Refused::CoreModule);
    }
    Validator::new_with_features(features())
        .validate_all(bytes)
        .map_err(invalid)?;
    Ok(())
}

/// The features of WebAssembly that the engine has on. 64-bit memories, threads and component async
/// are off.
fn features() -> WasmFeatures {
    let mut features = WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL;
    features.remove(WasmFeatures::GC_TYPES | WasmFeatures::EXCEPTIONS);
    features.remove(WasmFeatures::THREADS | WasmFeatures::MEMORY64 | WasmFeatures::CM_ASYNC);
    features
}

fn invalid(error: wasmparser::BinaryReaderError) -> Refused {
    Refused::Invalid(printable(&error.to_string(), 500))
}

fn check_head(bytes: &[u8]) -> Result<(), Refused> {
    match bytes {
        [] => Err(Refused::NotWasm("it is empty")),
        [b'\0', b'a', b's', b'm', ..] => Ok(()),
        [0x7f, b'E', b'L', b'F', ..] => Err(Refused::NotWasm(
            "it is a native or precompiled file, and those are never accepted",
        )),
        [b'(', ..] => Err(Refused::NotWasm(
            "it is the text format; make it binary with `wasm-tools parse`",
        )),
        _ => Err(Refused::NotWasm("it does not begin with `\\0asm`")),
    }
}

#[derive(Default)]
struct Seen {
    depth: u32,
    nested: u32,
    functions: u32,
    exports: Vec<(String, ComponentExternalKind)>,
}

fn walk(bytes: &[u8], limits: &SandboxLimits, seen: &mut Seen) -> Result<(), Refused> {
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::Version { encoding, .. } => {
                if seen.depth == 0 && encoding == Encoding::Module {
                    return Err(Refused::CoreModule);
                }
                seen.depth += 1;
            }
            Payload::End(_) => seen.depth = seen.depth.saturating_sub(1),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                seen.nested += 1;
                at_most(
                    seen.nested,
                    limits.nested_max,
                    "nested modules:",
                    "nested_max",
                )?;
            }
            Payload::CodeSectionStart { count, .. } => {
                seen.functions = seen.functions.saturating_add(count);
                at_most(
                    seen.functions,
                    limits.functions_max,
                    "functions:",
                    "functions_max",
                )?;
            }
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                let bytes = range.end.saturating_sub(range.start);
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                let max = limits.function_bytes_max;
                at_most(
                    bytes,
                    max,
                    "a function of so many bytes:",
                    "function_bytes_max",
                )?;
            }
            Payload::ComponentImportSection(imports) if seen.depth == 1 => {
                for import in imports {
                    let import = import.map_err(invalid)?;
                    let name = import.name.full_name();
                    let instance = matches!(import.ty, ComponentTypeRef::Instance(_));
                    if !instance || !is_offered(&name) {
                        return Err(Refused::import(&name));
                    }
                }
            }
            Payload::ComponentExportSection(exports) if seen.depth == 1 => {
                for export in exports {
                    let export = export.map_err(invalid)?;
                    let name = export.name.full_name().into_owned();
                    seen.exports.push((name, export.kind));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn at_most(found: u32, max: u32, what: &'static str, limit: &'static str) -> Result<(), Refused> {
    if found <= max {
        return Ok(());
    }
    Err(Refused::Structure {
        what,
        found: u64::from(found),
        limit,
        max: u64::from(max),
    })
}

fn is_offered(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else {
        return false;
    };
    if let Some(rest) = interface.strip_prefix("wasi:") {
        return version.starts_with("0.2.") && wasi::OFFERED.contains(&rest);
    }
    let own = interface
        .strip_prefix(PACKAGE)
        .and_then(|rest| rest.strip_prefix('/'));
    own.is_some_and(|name| OFFERED.contains(&name)) && is_served(version)
}

/// Whether a version of the contract is 0.1.x. (The engine checks that the functions of it exist.)
fn is_served(version: &str) -> bool {
    version
        .strip_prefix("0.1.")
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit()))
}

fn shape(exports: &[(String, ComponentExternalKind)]) -> Result<Shape, Refused> {
    let find = |interface: &str| {
        exports
            .iter()
            .filter(|(_, kind)| *kind == ComponentExternalKind::Instance)
            .find(|(name, _)| {
                name.strip_prefix(PACKAGE)
                    .and_then(|rest| rest.strip_prefix('/'))
                    .and_then(|rest| rest.strip_prefix(interface))
                    .and_then(|rest| rest.strip_prefix('@'))
                    .is_some_and(is_served)
            })
            .map(|(name, _)| name.clone())
    };
    match find("scheduler") {
        Some(scheduler) => Ok(Shape {
            scheduler,
            web: find("web"),
        }),
        None => Err(no_scheduler(exports)),
    }
}

fn no_scheduler(exports: &[(String, ComponentExternalKind)]) -> Refused {
    let has = |prefix: &str| exports.iter().any(|(name, _)| name.starts_with(prefix));
    let hint = if has("wasi:cli/run") {
        "It is a command: run it as a task with the workload `module`."
    } else if has("wasi:http/") {
        "It is a WASI HTTP service: a framework exports its HTTP API as `web`, beside `scheduler`."
    } else if has(PACKAGE) {
        "It was built against another version of the contract: build it against this one."
    } else {
        "Build it for the world `framework` or `web-framework`."
    };
    let mut names: Vec<String> = exports
        .iter()
        .take(NAMES_MAX)
        .map(|(name, _)| format!("`{}`", printable(name, 100)))
        .collect();
    if exports.len() > NAMES_MAX {
        names.push(format!("{} more", exports.len() - NAMES_MAX));
    }
    Refused::Export {
        missing: format!("{PACKAGE}/scheduler@{VERSION}"),
        found: if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        },
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(wat: &str) -> String {
        let bytes = wat::parse_str(wat).expect("the test's text is WebAssembly");
        match inspect(&bytes, &SandboxLimits::default()) {
            Ok(shape) => format!("{shape:?}"),
            Err(refused) => refused.to_string(),
        }
    }

    #[test]
    fn what_is_no_component_is_named() {
        let limits = SandboxLimits::default();
        let of = |bytes: &[u8]| inspect(bytes, &limits).unwrap_err().to_string();
        assert!(of(b"").contains("empty"));
        assert!(of(b"\x7fELF....").contains("precompiled"));
        assert!(of(b"(component)").contains("text format"));
        assert!(of(b"hello").contains("does not begin"));
        assert!(of(b"\0asm\x0d\0\x01\0\xff\xff").starts_with("the component is not valid"));
        assert!(text("(module)").contains("core module"));
    }

    #[test]
    fn a_component_of_another_world_is_whole_all_the_same() {
        let of = |bytes: &[u8]| check_component(bytes).map_err(|refused| refused.to_string());
        let text = |wat: &str| wat::parse_str(wat).expect("the test's text is WebAssembly");
        assert_eq!(of(&text("(component (import \"f\" (func)))")), Ok(()));
        assert!(of(&text("(module)")).is_err_and(|e| e.contains("core module")));
        let broken = of(b"\0asm\x0d\0\x01\0\xff\xff");
        assert!(broken.is_err_and(|e| e.starts_with("the component is not valid")));
        assert!(of(b"hello").is_err_and(|e| e.contains("does not begin")));
    }

    #[test]
    fn imports_are_refused_by_name() {
        let import = |name: &str| text(&format!("(component (import \"{name}\" (instance)))"));
        let no_export = "does not export `mezzo:framework/scheduler@0.1.0`";
        for good in [
            "wasi:io/poll@0.2.0",
            "wasi:cli/stdout@0.2.12",
            "mezzo:framework/driver@0.1.7",
        ] {
            assert!(import(good).contains(no_export), "{good}: {}", import(good));
        }
        for (bad, hint) in [
            ("wasi:http/outgoing-handler@0.2.0", "no network"),
            ("wasi:io/poll@0.3.0", "WASI 0.2.x"),
            (
                "mezzo:framework/driver@0.2.0",
                "serves mezzo:framework@0.1.0",
            ),
            (
                "mezzo:framework/secrets@0.1.0",
                "serves mezzo:framework@0.1.0",
            ),
            ("acme:gpu/nvml@1.0.0", "WASI 0.2.x only"),
        ] {
            let refused = import(bad);
            assert!(refused.contains(&format!("imports `{bad}`")), "{refused}");
            assert!(refused.contains(hint), "{refused}");
        }
        assert!(text("(component (import \"f\" (func)))").contains("imports `f`"));
    }

    #[test]
    fn another_world_is_named() {
        assert!(text("(component)").contains("it exports nothing"));
        let with = |name: &str| {
            text(&format!(
                "(component (instance $i) (export \"{name}\" (instance $i)))"
            ))
        };
        assert!(with("wasi:cli/run@0.2.3").contains("It is a command"));
        assert!(with("mezzo:framework/scheduler@0.2.0").contains("another version"));
        assert!(with("mezzo:framework/scheduler@0.1.0").contains("web: None"));
    }

    #[test]
    fn limits_hold_at_their_edge() {
        let limits = SandboxLimits {
            functions_max: 2,
            ..SandboxLimits::default()
        };
        let with = |functions: usize| {
            let text = format!("(component (core module {}))", "(func)".repeat(functions));
            let bytes = wat::parse_str(text).expect("the test's text is WebAssembly");
            inspect(&bytes, &limits).unwrap_err().to_string()
        };
        assert!(with(2).contains("does not export"));
        assert_eq!(
            with(3),
            "the component has functions: 3; functions_max is 2"
        );

        let bytes = wat::parse_str("(component)").expect("it is");
        let limits = |component_bytes_max| SandboxLimits {
            component_bytes_max,
            ..SandboxLimits::default()
        };
        let at = |max| inspect(&bytes, &limits(max)).unwrap_err();
        assert!(matches!(at(bytes.len() - 1), Refused::TooLarge { .. }));
        assert!(matches!(at(bytes.len()), Refused::Export { .. }));
    }
}
