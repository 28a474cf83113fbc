//! A framework that is only an HTTP API with durable state: named counters, and a stream of their changes.
//!
//! `GET /` lists them, `POST /{name}` adds one (or what the body's `by` says), `DELETE /{name}` removes one,
//! `GET /watch` streams changes.

use mezzo_sdk::prelude::*;
use mezzo_sdk::web::{self, Broadcast};
use serde::{Deserialize, Serialize};

/// How many counters there may be; one more is refused with 429.
const COUNTERS_MAX: usize = 1_000;

/// How long a counter's name may be, in bytes.
const NAME_BYTES_MAX: usize = 64;

struct Counter {
    counters: Table<String, u64>,
    watchers: Broadcast<()>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Add {
    by: u32,
}

impl Default for Add {
    fn default() -> Add {
        Add { by: 1 }
    }
}

#[derive(Serialize)]
struct Count<'a> {
    name: &'a str,
    value: Option<u64>,
}

impl Framework for Counter {
    fn start(cx: &mut Cx<'_>, _setup: Setup) -> Result<Self, String> {
        Ok(Counter {
            counters: Table::load(cx, "counter/")?,
            watchers: Broadcast::default(),
        })
    }

    fn streams_closed(&mut self, _cx: &mut Cx<'_>, streams: Vec<u64>) {
        self.watchers.gone(&streams);
    }
}

impl Web for Counter {
    fn routes() -> Router<Self> {
        Router::new()
            .get("/", Counter::list)
            .get("/watch", Counter::watch)
            .post("/{name}", Counter::add)
            .delete("/{name}", Counter::remove)
    }
}

impl Counter {
    fn list(&mut self, _cx: &mut Cx<'_>, _call: &Call<'_>) -> Reply {
        Ok(Response::json(200, &*self.counters.rows()))
    }

    fn add(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Reply {
        let add = if call.request.body.is_empty() {
            Add::default()
        } else {
            call.json()?
        };
        let name = call.param("name").to_owned();
        if name.len() > NAME_BYTES_MAX {
            return Err(web::Error::invalid(
                "name",
                format_args!("longer than {NAME_BYTES_MAX} bytes"),
            ));
        }
        let old = self.counters.get(&name).map(|value| *value);
        if old.is_none() && self.counters.rows().len() >= COUNTERS_MAX {
            return Err(web::Error::limit(format!(
                "there are {COUNTERS_MAX} counters already"
            )));
        }
        let value = old.unwrap_or(0).saturating_add(add.by.into());
        self.counters.insert(name.clone(), value);
        self.tell(
            cx,
            &Count {
                name: &name,
                value: Some(value),
            },
        );
        Ok(Response::json(
            200,
            &Count {
                name: &name,
                value: Some(value),
            },
        ))
    }

    fn remove(&mut self, cx: &mut Cx<'_>, call: &Call<'_>) -> Reply {
        let name = call.param("name");
        if self.counters.remove(&name.to_owned()).is_none() {
            return Err(web::Error::not_found(format_args!("counter `{name}`")));
        }
        self.tell(cx, &Count { name, value: None });
        Ok(Response::empty(204))
    }

    fn watch(&mut self, _cx: &mut Cx<'_>, call: &Call<'_>) -> Reply {
        self.watchers.join((), call.request.id);
        Ok(Response::stream(200, "text/event-stream"))
    }

    fn tell(&mut self, cx: &mut Cx<'_>, count: &Count<'_>) {
        self.watchers.send(cx, &(), &web::event("count", count));
    }
}

mezzo_sdk::export_web!(Counter);

#[cfg(test)]
mod tests;
