//! Tokens: made here, shown once, kept as SHA-256. The administrator's first token and the agents'
//! stand in files of the data folder that only its owner can read.

use crate::Error;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The principal of the first token.
pub const ADMIN: &str = "admin";
/// Where it stands.
pub const ADMIN_FILE: &str = "admin.token";
/// Where the agents' token stands.
pub const AGENT_FILE: &str = "agent.token";

/// A new token: 32 random bytes, hexadecimal.
pub fn generate() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Io {
        what: "draw random numbers for a token".into(),
        source: std::io::Error::other(error),
    })?;
    Ok(hex(&bytes))
}

/// The SHA-256 of these bytes, hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The token in that file of the data folder; a new one if there is no such file.
pub fn read_or_make(folder: &Path, file: &str) -> Result<String, Error> {
    let path = folder.join(file);
    let failed = |source| Error::Io {
        what: format!("the token in {}", path.display()),
        source,
    };
    match std::fs::read_to_string(&path) {
        Ok(token) if !token.trim().is_empty() => return Ok(token.trim().to_string()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    make(folder, file)
}

/// A new token in that file of the data folder, in place of what it had.
pub fn make(folder: &Path, file: &str) -> Result<String, Error> {
    let path = folder.join(file);
    let failed = |source| Error::Io {
        what: format!("the token in {}", path.display()),
        source,
    };
    let token = generate()?;
    let new = path.with_extension("new");
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    writeln!(out, "{token}")
        .and_then(|()| out.sync_all())
        .and_then(|()| std::fs::rename(&new, &path))
        .map_err(failed)?;
    Ok(token)
}
