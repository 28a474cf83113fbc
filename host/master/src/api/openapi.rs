//! The description of the API. `docs/openapi.json` is the same text; `MEZZO_BLESS=1 cargo test -p
//! mezzo-master openapi` writes it anew after a change.

use super::{
    agents, components, events, frameworks, metrics, outputs, principals, reservations, roles,
    status, tasks,
};
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Mezzo",
        description = "The HTTP API of a Mezzo master; docs/guide/http-api.md says more"
    ),
    security(("token" = [])),
    modifiers(&Token),
    paths(
        status::healthz,
        status::readyz,
        metrics::metrics,
        status::status,
        events::follow,
        roles::list,
        roles::set,
        roles::remove,
        principals::list,
        principals::set,
        principals::remove,
        agents::list,
        agents::one,
        agents::drain,
        agents::deactivate,
        agents::activate,
        agents::gone,
        reservations::list,
        reservations::make,
        reservations::one,
        reservations::remove,
        reservations::create_volume,
        reservations::destroy_volume,
        frameworks::list,
        frameworks::install,
        frameworks::one,
        frameworks::change,
        frameworks::remove,
        frameworks::upgrade,
        frameworks::restart,
        frameworks::resume,
        frameworks::explain,
        frameworks::logs,
        tasks::list,
        tasks::one,
        tasks::kill,
        outputs::read,
        components::list,
        components::add,
        components::remove,
    )
)]
struct Api;

struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
    }
}

/// The description's text.
fn text() -> String {
    let mut text = Api::openapi()
        .to_pretty_json()
        .unwrap_or_else(|error| unreachable!("a description is always JSON: {error}"));
    text.push('\n');
    text
}

/// The description.
pub async fn json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_description_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        if std::env::var_os("MEZZO_BLESS").is_some() {
            std::fs::write(path, text()).expect("docs/openapi.json can be written");
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            checked_in == text(),
            "docs/openapi.json differs from the API; if that is meant, run \
             `MEZZO_BLESS=1 cargo test -p mezzo-master openapi` and look at the difference"
        );
    }
}
