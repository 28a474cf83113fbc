//! Turns a core module that a language's compiler has made into a component of the contract.

use crate::contract;
use crate::error::{Error, Result};
use crate::language::World;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The component that the module is, with its calls of WASI preview 1 turned into calls of preview 2.
pub fn component(module: &[u8], world: World) -> Result<Vec<u8>> {
    let (resolve, id) = contract::resolve(world)?;
    let mut module = module.to_vec();
    let encoded = embed_component_metadata(&mut module, &resolve, id, StringEncoding::UTF8, false)
        .and_then(|()| {
            ComponentEncoder::default()
                .validate(true)
                .module(&module)?
                .adapter(
                    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
                    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
                )?
                .encode()
        });
    encoded.map_err(|error| Error::Generator {
        what: format!("the module does not make a component of the world {world}"),
        why: format!("{error:#}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_lacks_an_export_is_refused_with_its_name() {
        // The smallest module: no sections at all.
        let error = component(b"\0asm\x01\0\0\0", World::Framework).unwrap_err();
        assert!(error.to_string().contains("scheduler"), "{error}");
    }
}
