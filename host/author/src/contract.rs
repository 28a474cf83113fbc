//! The contract as the generators want it: parsed, with one world chosen.

use crate::error::{Error, Result};
use crate::language::World;
use crate::pack;
use wit_parser::{Resolve, UnresolvedPackageGroup, WorldId};

/// The contract's types, and the world among them.
pub fn resolve(world: World) -> Result<(Resolve, WorldId)> {
    let failed = |why: String| Error::Generator {
        what: "the contract".to_owned(),
        why,
    };
    let mut sources = wit_parser::SourceMap::default();
    for (name, _) in pack::below("wit") {
        sources.push_str(name, pack::text(&format!("wit/{name}")));
    }
    let parsed: UnresolvedPackageGroup = sources
        .parse()
        .map_err(|(_, error)| failed(error.to_string()))?;
    let mut resolve = Resolve::default();
    let package = resolve
        .push_group(parsed)
        .map_err(|error| failed(error.to_string()))?;
    let id = resolve
        .select_world(&[package], Some(world.as_str()))
        .map_err(|error| failed(error.to_string()))?;
    Ok((resolve, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_worlds_are_in_it() {
        for (world, exports) in [(World::Framework, 1), (World::WebFramework, 2)] {
            let (resolve, id) = resolve(world).expect("the contract is well-formed");
            assert_eq!(resolve.worlds[id].exports.len(), exports, "{world}");
        }
    }
}
