//! What the build packed: the contract, the SDKs, the templates. It owns finding them by name; what is written where
//! is the business of [`crate::unpack`] and [`crate::new`].

include!(concat!(env!("OUT_DIR"), "/pack.rs"));

/// The files below a folder of the pack, with their paths in it.
pub fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().filter_map(move |(name, bytes)| {
        let rest = name.strip_prefix(folder)?.strip_prefix('/')?;
        Some((rest, *bytes))
    })
}

/// One text of the pack; empty if it is not there.
pub fn text(name: &str) -> &'static str {
    let found = FILES.iter().find(|(known, _)| *known == name);
    found
        .and_then(|(_, bytes)| std::str::from_utf8(bytes).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_and_the_rust_sdk_are_packed() {
        let contract: Vec<&str> = below("wit").map(|(name, _)| name).collect();
        assert!(contract.contains(&"worlds.wit"), "{contract:?}");
        assert!(text("sdk/rust/src/lib.rs").contains("export!"));
        assert!(text("workspace.toml").contains("[workspace.dependencies]"));
        assert_eq!(text("sdk/rust/samples/hello/Cargo.toml"), "");
    }
}
