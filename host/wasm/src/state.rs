//! The contract's `state`: keys and values that commit with the turn.

use crate::guest::Guest;
use crate::linker::{Interface, import};
use std::sync::Arc;

/// Offers the interface to guests.
pub fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    import(interface, "get", |guest: &mut Guest, (key,): (String,)| {
        // The value is shared with the core: nothing is copied but into the guest.
        let value: Option<Arc<[u8]>> = guest.ledger("state.get")?.state_get(&key).cloned();
        Ok((value,))
    })?;
    import(
        interface,
        "set",
        |guest: &mut Guest, (key, value): (String, Vec<u8>)| {
            Ok((guest.ledger("state.set")?.state_set(&key, value),))
        },
    )?;
    import(
        interface,
        "delete",
        |guest: &mut Guest, (key,): (String,)| {
            guest.ledger("state.delete")?.state_delete(&key);
            Ok(())
        },
    )?;
    import(
        interface,
        "scan",
        |guest: &mut Guest, (prefix, after, limit): (String, Option<String>, u32)| {
            let ledger = guest.ledger("state.scan")?;
            let page: Vec<(Arc<str>, Arc<[u8]>)> =
                ledger.state_scan(&prefix, after.as_deref(), limit as usize);
            Ok((page,))
        },
    )
}
