//! What a component imports and exports, by the names of the interfaces.

use crate::error::{Error, Result};
use wit_parser::decoding::{DecodedWasm, decode};

/// The first bytes of every component.
const PREAMBLE: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// In the order of their names.
    pub imports: Vec<String>,
    /// In the order of their names.
    pub exports: Vec<String>,
}

impl Shape {
    /// Reads it from a component's bytes.
    pub fn of(component: &[u8]) -> Result<Shape> {
        let failed = |why: String| Error::Generator {
            what: "this is no component".to_owned(),
            why,
        };
        // A core module is decoded too, as a component without a face.
        if component.get(..8) != Some(&PREAMBLE) {
            return Err(failed("it does not begin as one".to_owned()));
        }
        let decoded = decode(component).map_err(|error| failed(format!("{error:#}")))?;
        let DecodedWasm::Component(resolve, id) = decoded else {
            return Err(failed("it is a package of interfaces".to_owned()));
        };
        let Some(world) = resolve.worlds.get(id) else {
            return Err(failed("it has no world".to_owned()));
        };
        let names = |keys: Vec<&wit_parser::WorldKey>| {
            let mut names: Vec<String> = keys
                .into_iter()
                .map(|key| resolve.name_world_key(key))
                .collect();
            names.sort();
            names
        };
        Ok(Shape {
            imports: names(world.imports.keys().collect()),
            exports: names(world.exports.keys().collect()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused() {
        for bytes in [&b"\0asm\x01\0\0\0"[..], b"", b"text"] {
            let error = Shape::of(bytes).unwrap_err().to_string();
            assert!(error.starts_with("this is no component: "), "{error}");
        }
    }
}
