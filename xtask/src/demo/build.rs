//! Builds what the demo shows. The profile is `dev`: its dependencies are optimised all the same, it is ready minutes
//! before a release build is, and `cargo xtask test` can use most of what it built: both choose the whole workspace, and
//! with it the same features of what is shared.

use super::{seconds, step};
use crate::{toolchain, workspace};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const GUEST_TARGET: &str = "wasm32-wasip2";
const GUEST_PROFILE: &str = "guest";

/// Where the results are.
#[derive(Debug)]
pub struct Built {
    /// The one binary.
    pub mezzo: PathBuf,
    /// The framework as a component.
    pub component: PathBuf,
}

impl Built {
    /// The binary as one would type it in the checkout.
    pub fn shown(&self) -> String {
        let relative = self.mezzo.strip_prefix(workspace::root());
        relative.unwrap_or(&self.mezzo).display().to_string()
    }
}

/// Builds both; cargo shows how far it is.
pub fn run() -> Result<Built> {
    let began = Instant::now();
    toolchain::prepare_target(GUEST_TARGET)?;
    let target = target_folder()?;
    let mezzo = target.join("debug/mezzo");
    if !mezzo.exists() {
        println!(
            "  build      for the first time: some minutes, most of them for the WebAssembly compiler"
        );
    }
    // The agents start their tasks through the second.
    let binaries = ["--bin", "mezzo", "--bin", "mezzo-shim"];
    pass(
        workspace::cargo()
            .args(["build", "--locked", "--workspace"])
            .args(binaries),
    )?;
    let component = framework(&target)?;
    ensure!(mezzo.is_file(), "the build made no {}", mezzo.display());
    step("build", &format!("done in {}", seconds(began.elapsed())));
    Ok(Built { mezzo, component })
}

/// The very folder and profile that the bundled frameworks were just built with, so that nothing is built again.
fn framework(target: &Path) -> Result<PathBuf> {
    let guests = target.join("guests");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--locked", "--package", "mezzo-batch"]);
    cargo.args([
        "--profile",
        GUEST_PROFILE,
        "--target",
        GUEST_TARGET,
        "--target-dir",
    ]);
    cargo.arg(&guests);
    for flags in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(flags);
    }
    pass(&mut cargo)?;
    Ok(guests
        .join(GUEST_TARGET)
        .join(GUEST_PROFILE)
        .join("mezzo_batch.wasm"))
}

fn target_folder() -> Result<PathBuf> {
    let metadata = workspace::metadata()?;
    let folder = metadata["target_directory"].as_str();
    folder
        .map(PathBuf::from)
        .context("cargo names no target folder")
}

fn pass(command: &mut Command) -> Result<()> {
    let status = command.status().context("starting cargo")?;
    ensure!(status.success(), "the build failed: {status}");
    Ok(())
}
