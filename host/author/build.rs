//! Packs what the library writes into authors' folders: the contract, the SDKs and the templates, as they stand in
//! this checkout. An SDK that is not there yet is left out; `build` then says that it knows none for the language.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Folders of the checkout, and the name that each has in the pack.
const PACKED: &[(&str, &str)] = &[
    ("wit", "wit"),
    ("guest-sdk/rust", "sdk/rust"),
    ("guest-sdk/go", "sdk/go"),
    ("guest-sdk/python", "sdk/python"),
    ("guest-sdk/cpp", "sdk/cpp"),
    ("guest-sdk/js", "sdk/js"),
    ("host/author/templates", "templates"),
];

/// What of an SDK's folder no framework needs: its samples, its own tests, and what tools leave behind.
const LEFT_OUT: &[&str] = &[
    "samples",
    "tests",
    "host-test",
    "target",
    "build",
    "dist",
    "node_modules",
    "__pycache__",
    "Cargo.lock",
];

fn main() {
    if let Err(error) = pack() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn pack() -> Result<(), Box<dyn std::error::Error>> {
    let own = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let root = own.join("../..").canonicalize()?;
    let mut text = String::from("pub static FILES: &[(&str, &[u8])] = &[\n");
    for (folder, name) in PACKED {
        // Watched even if it is not there: it may come.
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        walk(&root.join(folder), name, &mut text)?;
    }
    // The SDK's manifest takes versions from it.
    let manifest = root.join("Cargo.toml");
    println!("cargo::rerun-if-changed={}", manifest.display());
    entry(&manifest, "workspace.toml", &mut text)?;
    text.push_str("];\n");
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("pack.rs");
    std::fs::write(out, text)?;
    Ok(())
}

fn walk(folder: &Path, name: &str, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let in_sdk = name.starts_with("sdk/");
    for found in entries {
        let file_name = found.file_name();
        let file_name = file_name.to_str().ok_or("a file name is not UTF-8")?;
        let left_out = file_name.starts_with('.') || LEFT_OUT.contains(&file_name);
        if in_sdk && left_out {
            continue;
        }
        let name = format!("{name}/{file_name}");
        match found.file_type()?.is_dir() {
            true => walk(&found.path(), &name, text)?,
            false => entry(&found.path(), &name, text)?,
        }
    }
    Ok(())
}

fn entry(path: &Path, name: &str, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let path = path.to_str().ok_or("the checkout's path is not UTF-8")?;
    writeln!(text, "    ({name:?}, include_bytes!({path:?})),")?;
    Ok(())
}
