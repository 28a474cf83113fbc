//! The frameworks that come with Mezzo, as components. Building this crate builds them.

/// The framework `batch`: jobs that run to completion.
pub const BATCH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mezzo-batch.wasm"));

/// All of them, by the name that each is installed under unless told otherwise.
pub const ALL: &[(&str, &[u8])] = &[("batch", BATCH)];

#[cfg(test)]
mod tests {
    /// A component's preamble: the magic, version 13, layer 1.
    const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

    #[test]
    fn each_is_a_component() {
        for (name, bytes) in super::ALL {
            assert!(bytes.starts_with(&COMPONENT), "{name}");
        }
    }
}
