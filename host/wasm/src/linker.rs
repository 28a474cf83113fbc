//! What guests can import, put together: each interface has a file of its own.

use crate::boundary::Bytes;
use crate::fault::Stop;
use crate::guest::Guest;
use crate::{driver, log, state, streams, timers, wasi};
use wasmtime::component::{ComponentNamedList, Lift, Linker, LinkerInstance, Lower};
use wasmtime::{Engine, StoreContextMut};

/// The contract's package and the version that is served. A component that was built against
/// another 0.1.x fits too.
pub const PACKAGE: &str = "mezzo:framework";
/// See [`PACKAGE`].
pub const VERSION: &str = "0.1.0";

/// The interfaces of the contract that a component may import.
pub const OFFERED: [&str; 6] = ["driver", "state", "timers", "log", "streams", "types"];

/// One interface while it is being filled.
pub type Interface<'a> = LinkerInstance<'a, Guest>;

/// Fills one interface.
type Link = fn(&mut Interface<'_>) -> wasmtime::Result<()>;

/// Everything that a guest can import.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    let parts: [(&str, Link); 5] = [
        ("driver", driver::link),
        ("state", state::link),
        ("timers", timers::link),
        ("log", log::link),
        ("streams", streams::link),
    ];
    for (name, link) in parts {
        link(&mut linker.instance(&format!("{PACKAGE}/{name}@{VERSION}"))?)?;
    }
    // It holds types only, which need no definition; components import it all the same.
    linker.instance(&format!("{PACKAGE}/types@{VERSION}"))?;
    wasi::link(&mut linker)?;
    Ok(linker)
}

/// Adds one function. What comes in and what goes out is counted against the turn's budget; an
/// error ends the call with a trap.
pub fn import<P, R>(
    interface: &mut Interface<'_>,
    name: &'static str,
    call: impl Fn(&mut Guest, P) -> Result<R, Stop> + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + Bytes + 'static,
    R: ComponentNamedList + Lower + Bytes + 'static,
{
    interface.func_wrap(
        name,
        move |mut store: StoreContextMut<'_, Guest>, params: P| -> wasmtime::Result<R> {
            let guest = store.data_mut();
            guest.boundary.lifted(params.bytes())?;
            let fuel = guest.boundary.fuel();
            let answer = call(guest, params)?;
            guest.boundary.lowered(answer.bytes())?;
            store.set_hostcall_fuel(fuel);
            Ok(answer)
        },
    )
}
