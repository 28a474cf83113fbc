//! The Rust SDK's manifest without its workspace: what it inherits is written out.

use crate::error::{Error, Result};
use toml::{Table, Value};

/// The manifest as it must be outside of this checkout. Its tests stay here, and so do the lints.
pub fn standalone(manifest: &str, workspace: &str) -> Result<String> {
    let mut manifest = parsed(manifest)?;
    let workspace = parsed(workspace)?;
    let of_workspace = |part: &str| table(&workspace, "workspace").and_then(|all| table(all, part));
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    if let Some(Value::Table(package)) = manifest.get_mut("package") {
        for (name, value) in package.iter_mut() {
            inherit(value, of_workspace("package").and_then(|all| all.get(name)));
        }
        package.remove("publish");
    }
    if let Some(Value::Table(dependencies)) = manifest.get_mut("dependencies") {
        for (name, value) in dependencies.iter_mut() {
            inherit(
                value,
                of_workspace("dependencies").and_then(|all| all.get(name)),
            );
        }
    }
    toml::to_string(&manifest).map_err(|error| failed(&error.to_string()))
}

fn parsed(text: &str) -> Result<Table> {
    toml::from_str(text).map_err(|error| failed(&error.to_string()))
}

fn failed(why: &str) -> Error {
    Error::Generator {
        what: "the Rust SDK's Cargo.toml".to_owned(),
        why: why.to_owned(),
    }
}

fn table<'a>(of: &'a Table, name: &str) -> Option<&'a Table> {
    of.get(name).and_then(Value::as_table)
}

/// Puts the workspace's value in the place of `workspace = true`; features beside it are added to its own.
fn inherit(value: &mut Value, from: Option<&Value>) {
    let Value::Table(own) = &*value else { return };
    let (Some(Value::Boolean(true)), Some(from)) = (own.get("workspace"), from) else {
        return;
    };
    let Some(Value::Array(more)) = own.get("features") else {
        *value = from.clone();
        return;
    };
    let mut whole = match from {
        Value::Table(whole) => whole.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    };
    let features = whole
        .entry("features")
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(features) = features {
        features.extend(more.iter().cloned());
    }
    *value = Value::Table(whole);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inherited_is_written_out() {
        let workspace = "[workspace.package]\nversion = \"1.2.3\"\n[workspace.dependencies]\n\
            a = \"1\"\nb = { version = \"2\", features = [\"x\"] }\n";
        let manifest = "[package]\nname = \"n\"\nversion.workspace = true\n[lints]\nworkspace = true\n\
            [dependencies]\na = { workspace = true, features = [\"y\"] }\n\
            b = { workspace = true, features = [\"z\"] }\n[dev-dependencies]\nc = \"3\"\n";
        let made = parsed(&standalone(manifest, workspace).expect("it is made")).expect("TOML");
        let expected = "[package]\nname = \"n\"\nversion = \"1.2.3\"\n[dependencies]\n\
            a = { version = \"1\", features = [\"y\"] }\n\
            b = { version = \"2\", features = [\"x\", \"z\"] }\n";
        assert_eq!(made, parsed(expected).expect("TOML"));
    }

    #[test]
    fn the_sdks_own_manifest_needs_no_workspace() {
        let manifest = crate::pack::text("sdk/rust/Cargo.toml");
        let workspace = crate::pack::text("workspace.toml");
        let made = standalone(manifest, workspace).expect("it is made");
        assert!(!made.contains("workspace"), "{made}");
        assert!(made.contains("wit-bindgen"), "{made}");
    }
}
