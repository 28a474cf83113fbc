//! `batch`: jobs of tasks that run to completion.

use mezzo_sdk::prelude::*;

struct Batch;

impl Framework for Batch {
    fn start(_cx: &mut Cx<'_>, _setup: Setup) -> Result<Self, String> {
        Ok(Batch)
    }
}

mezzo_sdk::export!(Batch);
