//! The contract's `log`.

use crate::bindings::mezzo::framework::log::Level as Wit;
use crate::boundary::Bytes;
use crate::guest::Guest;
use crate::linker::{Interface, import};
use crate::logs::Level;

/// Offers the interface to guests.
pub fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    import(
        interface,
        "write",
        |guest: &mut Guest, (level, message): (Wit, String)| {
            let level = match level {
                Wit::Debug => Level::Debug,
                Wit::Info => Level::Info,
                Wit::Warn => Level::Warn,
                Wit::Error => Level::Error,
            };
            guest.log.message(level, &message);
            Ok(())
        },
    )
}

impl Bytes for Wit {
    fn bytes(&self) -> u64 {
        1
    }
}
