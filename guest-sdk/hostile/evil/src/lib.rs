//! A framework that would be fine, did it not import an interface that no master has: the install must be refused, and
//! the refusal must name `evil:host/thing`.

use mezzo_sdk::prelude::*;

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package evil:host;
            interface thing { poke: func() -> u32; }
            world wanting { import thing; }
        ",
    });
}

struct Evil;

impl Framework for Evil {
    fn start(cx: &mut Cx<'_>, _setup: Setup) -> Result<Self, String> {
        cx.info(&format!(
            "the thing says {}",
            bindings::evil::host::thing::poke()
        ));
        Ok(Evil)
    }
}

mezzo_sdk::export!(Evil);
