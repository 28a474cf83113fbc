//! The contract's `streams`: response bodies that go on after their turn.

use crate::guest::Guest;
use crate::linker::{Interface, import};
use mezzo_types::RequestId;

/// Offers the interface to guests.
pub fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    import(
        interface,
        "write",
        |guest: &mut Guest, (request, chunk): (u64, Vec<u8>)| {
            let ledger = guest.ledger("streams.write")?;
            Ok((ledger.stream_write(RequestId(request), chunk),))
        },
    )?;
    import(
        interface,
        "close",
        |guest: &mut Guest, (request,): (u64,)| {
            guest
                .ledger("streams.close")?
                .stream_close(RequestId(request));
            Ok(())
        },
    )
}
