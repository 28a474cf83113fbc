//! The contract's `timers`: durable wake-ups.

use crate::guest::Guest;
use crate::linker::{Interface, import};

/// Offers the interface to guests.
pub fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    import(
        interface,
        "set",
        |guest: &mut Guest, (name, after_ms): (String, u64)| {
            Ok((guest.ledger("timers.set")?.timer_set(&name, after_ms),))
        },
    )?;
    import(
        interface,
        "cancel",
        |guest: &mut Guest, (name,): (String,)| {
            guest.ledger("timers.cancel")?.timer_cancel(&name);
            Ok(())
        },
    )
}
