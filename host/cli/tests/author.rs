//! What an author does, with the real binary: a new framework is built, and started in the sandbox. It needs each
//! language's compiler, and says so where one is missing: `cargo xtask test` asks for them first.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    fn project(&self) -> PathBuf {
        self.0.path().join("first")
    }

    fn mezzo(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mezzo"));
        command
            .arg("framework")
            .args(args)
            .current_dir(self.0.path())
            // Kept from one run to the next: most of it is dependencies.
            .env(
                "CARGO_TARGET_DIR",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("author"),
            )
            .stdin(Stdio::null());
        command.output().expect("mezzo")
    }

    fn good(&self, args: &[&str]) -> Output {
        let output = self.mezzo(args);
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        output
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// It greets: one of the offers is used. And nothing is over its limit.
fn builds_and_starts(folder: &Folder) {
    folder.good(&["build", "first"]);
    let checked = folder.good(&["check", "first", "-o", "json"]);
    let checked: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(checked["problems"], serde_json::json!([]), "{checked}");
    assert_eq!(
        checked["exports"],
        serde_json::json!(["mezzo:framework/scheduler@0.1.0"])
    );
    let figures = checked["figures"].as_array().expect("figures");
    let figure = |what: &str| {
        let found = figures.iter().find(|line| line["what"] == what);
        found.and_then(|line| line["figure"].as_u64()).expect(what)
    };
    assert_eq!(figure("launched of them"), 1);
    assert!(figure("memory after start") > 0);
}

#[test]
fn a_new_framework_in_rust_builds_starts_and_is_checked() {
    let folder = Folder::new();
    folder.good(&["new", "first", "--lang", "rust"]);
    // The versions of this checkout: they are there, and they do not change from one day to the next.
    let lock = folder.project().join("Cargo.lock");
    std::fs::copy(checkout().join("Cargo.lock"), lock).expect("a lock file");
    builds_and_starts(&folder);

    // A limit that it is over, and a file that says another world than it exports.
    let over = folder.mezzo(&["check", "first", "--limit", "memory_bytes=100000"]);
    assert_eq!(over.status.code(), Some(1));
    assert!(
        text(&over.stderr).contains("memory_bytes"),
        "{}",
        text(&over.stderr)
    );
    let file = folder.project().join("mezzo.toml");
    let world = std::fs::read_to_string(&file).expect("mezzo.toml");
    std::fs::write(&file, world.replace("\"framework\"", "\"web-framework\"")).expect("written");
    let wrong = folder.mezzo(&["build", "first"]);
    assert!(!wrong.status.success());
    assert!(
        text(&wrong.stderr).contains("it exports no `web`"),
        "{}",
        text(&wrong.stderr)
    );

    // The compiler's words reach whoever builds, and the component stays what it was.
    let component = folder.project().join("first.wasm");
    let before = std::fs::read(&component).expect("a component");
    std::fs::write(folder.project().join("src/lib.rs"), "fn broken(").expect("written");
    let broken = folder.mezzo(&["build", "first"]);
    assert!(
        text(&broken.stderr).contains("unclosed delimiter"),
        "{}",
        text(&broken.stderr)
    );
    assert_eq!(std::fs::read(&component).expect("a component"), before);
}

#[test]
fn a_new_framework_in_go_builds_and_starts() {
    if !checkout().join("guest-sdk/go/go.mod").is_file() {
        return;
    }
    let go = Command::new("go").arg("version").output();
    assert!(
        go.is_ok(),
        "install Go 1.25 or newer, from https://go.dev/dl"
    );
    let folder = Folder::new();
    folder.good(&["new", "first", "--lang", "go"]);
    builds_and_starts(&folder);
}

#[test]
fn what_is_no_project_and_what_is_no_component_is_said() {
    let folder = Folder::new();
    let none = folder.mezzo(&["build", "."]);
    assert!(
        text(&none.stderr).contains("has no mezzo.toml"),
        "{}",
        text(&none.stderr)
    );
    std::fs::write(folder.0.path().join("x.wasm"), "text").expect("written");
    let text_file = folder.mezzo(&["check", "x.wasm"]);
    assert_eq!(text_file.status.code(), Some(1));
    assert!(text(&text_file.stderr).contains("this is no component"));
}
