//! Where the master is and which token to show it: flags, then the environment, then the file that
//! `mezzo dev` keeps while it runs.

use anyhow::{Context as _, bail};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What `mezzo dev` writes down for other commands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Context {
    /// Such as `http://127.0.0.1:7070`.
    pub url: String,
    /// The administrator's.
    pub token: String,
    /// Of `mezzo dev`.
    pub pid: u32,
    /// The cluster's folder.
    pub data: PathBuf,
}

/// A master to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its URL, without a slash at the end.
    pub url: String,
    /// What to show it.
    pub token: String,
}

/// What the command line and the environment say.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `--url` or `MEZZO_URL`.
    pub url: Option<String>,
    /// `--token` or `MEZZO_TOKEN`.
    pub token: Option<String>,
}

/// Decides whom to ask.
pub fn target(given: Given) -> anyhow::Result<Target> {
    if let (Some(url), Some(token)) = (&given.url, &given.token) {
        return Ok(Target {
            url: plain(url),
            token: token.clone(),
        });
    }
    decide(given, read(&path())?)
}

fn decide(given: Given, context: Option<Context>) -> anyhow::Result<Target> {
    let url = match (&given.url, &context) {
        (Some(url), _) => plain(url),
        (None, Some(context)) => plain(&context.url),
        (None, None) => bail!(
            "no master is known: start one with `mezzo dev`, or name one with --url and --token (or MEZZO_URL and MEZZO_TOKEN)"
        ),
    };
    // The token of the local cluster is shown to that cluster only.
    let known = context.filter(|context| plain(&context.url) == url);
    match given.token.or(known.map(|context| context.token)) {
        Some(token) => Ok(Target { url, token }),
        None => bail!(
            "no token for {url}: give --token or MEZZO_TOKEN (the master keeps the administrator's in `admin.token` in its data folder)"
        ),
    }
}

fn plain(url: &str) -> String {
    url.trim_end_matches('/').to_string()
}

/// The file's place.
pub fn path() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = variable("MEZZO_CONTEXT") {
        return path.into();
    }
    match variable("XDG_RUNTIME_DIR") {
        Some(folder) => Path::new(&folder).join("mezzo/context.json"),
        None => {
            let uid = rustix::process::geteuid().as_raw();
            std::env::temp_dir().join(format!("mezzo-{uid}/context.json"))
        }
    }
}

/// Reads it; nothing if there is none. A file that somebody else could have put there is refused:
/// it would send our commands to their master.
pub fn read(path: &Path) -> anyhow::Result<Option<Context>> {
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    owned(path, &meta)?;
    if let Some(folder) = folder_of(path) {
        owned(folder, &std::fs::symlink_metadata(folder)?)?;
    }
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let context = serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is not what `mezzo dev` writes; remove it and start `mezzo dev` again",
            path.display()
        )
    })?;
    Ok(Some(context))
}

/// Writes it, for nobody else to read, and whole or not at all.
pub fn write(path: &Path, context: &Context) -> anyhow::Result<()> {
    let what = || format!("write {}", path.display());
    if let Some(folder) = folder_of(path) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("make {}", folder.display()))?;
        owned(folder, &std::fs::symlink_metadata(folder)?)?;
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .with_context(what)?;
    file.write_all(&serde_json::to_vec(context)?)
        .with_context(what)?;
    std::fs::rename(&new, path).with_context(what)
}

/// Takes it away if it is still ours: a later `mezzo dev` may have written its own.
pub fn remove(path: &Path) {
    if let Ok(Some(context)) = read(path)
        && context.pid == std::process::id()
    {
        let _ = std::fs::remove_file(path);
    }
}

/// Whether a `mezzo dev` of this number still runs. Numbers are used again: what runs under it must
/// look like one.
pub fn is_alive(pid: u32) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    pid != std::process::id() && line.split(|byte| *byte == 0).any(|arg| arg == b"dev")
}

fn folder_of(path: &Path) -> Option<&Path> {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
}

fn owned(path: &Path, meta: &std::fs::Metadata) -> anyhow::Result<()> {
    if meta.file_type().is_symlink() {
        bail!(
            "{} is a link; expected a file or folder of yours",
            path.display()
        );
    }
    let uid = rustix::process::geteuid().as_raw();
    if meta.uid() != uid {
        bail!(
            "{} belongs to user {}, not to you ({uid}): it is not trusted; set MEZZO_CONTEXT to a file in a folder of yours",
            path.display(),
            meta.uid()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            url: "http://127.0.0.1:7070".into(),
            token: "local".into(),
            pid: std::process::id(),
            data: "/data".into(),
        }
    }

    fn given(url: Option<&str>, token: Option<&str>) -> Given {
        Given {
            url: url.map(Into::into),
            token: token.map(Into::into),
        }
    }

    #[test]
    fn the_local_token_is_for_the_local_master() {
        let token = |url, token| {
            decide(given(url, token), Some(context()))
                .ok()
                .map(|target| target.token)
        };
        assert_eq!(token(None, None).as_deref(), Some("local"));
        assert_eq!(
            token(Some("http://127.0.0.1:7070/"), None).as_deref(),
            Some("local")
        );
        assert_eq!(token(None, Some("mine")).as_deref(), Some("mine"));
        assert_eq!(token(Some("http://elsewhere:1"), None), None);
    }

    #[test]
    fn without_a_master_the_next_command_is_named() {
        let error = decide(Given::default(), None).unwrap_err().to_string();
        assert!(error.contains("mezzo dev"), "{error}");
    }

    #[test]
    fn a_file_is_private_read_back_and_removed_by_its_writer_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mezzo/context.json");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, &context()).unwrap();
        assert_eq!(read(&path).unwrap(), Some(context()));
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            path.parent().unwrap().metadata().unwrap().mode() & 0o777,
            0o700
        );
        write(
            &path,
            &Context {
                pid: 1,
                ..context()
            },
        )
        .unwrap();
        remove(&path);
        assert!(path.exists(), "it is another's");
        write(&path, &context()).unwrap();
        remove(&path);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_dev_is_not_taken_for_one() {
        assert!(!is_alive(std::process::id()));
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .unwrap();
        assert!(!is_alive(child.id()), "a number that was used again");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_alive(child.id()), "nothing runs under it");
    }

    #[test]
    fn a_link_and_a_broken_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("context.json");
        std::fs::write(&path, "{").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("mezzo dev"));
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read(&link).unwrap_err().to_string().contains("link"));
    }
}
