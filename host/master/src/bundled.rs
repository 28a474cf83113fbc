//! Installs the frameworks that come with Mezzo, unless there is one of the same name.

use crate::error::Error;
use crate::master::Shared;
use mezzo_core::event::Install;
use mezzo_core::{Answer, FrameworkLimits, Request};
use std::sync::Arc;

/// See the module.
pub async fn install(
    shared: &Arc<Shared>,
    name: &'static str,
    component: &'static [u8],
) -> Result<(), Error> {
    let failed = |problem: String| Error::Bundled {
        name: name.into(),
        problem,
    };
    let lead = shared.lead().map_err(|e| failed(e.to_string()))?;
    if lead.view.read().state.framework_named(name).is_some() {
        return Ok(());
    }
    let (components, leading) = (Arc::clone(&shared.components), Arc::clone(&lead));
    let held = tokio::task::spawn_blocking(move || components.take_framework(&leading, component))
        .await
        .map_err(|e| failed(e.to_string()))?
        .map_err(|e| failed(e.to_string()))?;
    let install = Install {
        name: name.into(),
        role: name.into(),
        component: held.digest,
        web: held.prepared.web,
        options: "{}".into(),
        limits: FrameworkLimits::default(),
        principal: Arc::from("master"),
    };
    match lead.ask(Request::Install(install)).await {
        Ok(Answer::Refused(refused)) => Err(failed(refused.message)),
        Ok(_) => Ok(()),
        Err(over) => Err(failed(over.to_string())),
    }
}
