//! [`Router`]: method and path to a handler.

use super::{Error, Reply, Request, Response, decode};
use crate::Cx;
use serde::de::DeserializeOwned;

/// What a route runs, usually a method: `fn submit(&mut self, cx: &mut Cx, call: &Call) -> Reply`.
pub type Handler<F> = fn(&mut F, &mut Cx<'_>, &Call<'_>) -> Reply;

/// One request on its way to a handler.
pub struct Call<'a> {
    /// The request itself.
    pub request: &'a Request,
    params: Vec<(&'a str, String)>,
    query: Vec<(String, String)>,
}

impl Call<'_> {
    /// What stands in the path for `{name}`, decoded; empty if the route has no such part.
    pub fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(own, _)| *own == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// A value of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// A number of the query; 400 when it is there and is none, or is not in the range.
    pub fn query_number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Error> {
        let Some(text) = self.query(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(Error::invalid(
                name,
                format_args!("`{text}` is not in {} to {}", range.start(), range.end()),
            )),
        }
    }

    /// The body as JSON; an error names the field and the place.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.request.json()
    }
}

struct Route<F> {
    method: &'static str,
    pattern: Vec<Part>,
    handler: Handler<F>,
}

enum Part {
    Fixed(&'static str),
    Param(&'static str),
}

/// A list of routes, tried in order. An unknown path answers 404, a known one with another method 405 with `Allow`.
pub struct Router<F> {
    routes: Vec<Route<F>>,
}

impl<F> Default for Router<F> {
    fn default() -> Self {
        Router::new()
    }
}

impl<F> Router<F> {
    /// Without routes.
    pub fn new() -> Router<F> {
        Router { routes: Vec::new() }
    }

    /// Adds a route. In the pattern `{name}` stands for one whole part of the path.
    pub fn route(
        mut self,
        method: &'static str,
        pattern: &'static str,
        handler: Handler<F>,
    ) -> Router<F> {
        let part = |text: &'static str| match text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
        {
            Some(name) => Part::Param(name),
            None => Part::Fixed(text),
        };
        self.routes.push(Route {
            method,
            pattern: parts(pattern).map(part).collect(),
            handler,
        });
        self
    }

    /// A route for `GET` (and `HEAD`).
    pub fn get(self, pattern: &'static str, handler: Handler<F>) -> Router<F> {
        self.route("GET", pattern, handler)
    }

    /// A route for `POST`.
    pub fn post(self, pattern: &'static str, handler: Handler<F>) -> Router<F> {
        self.route("POST", pattern, handler)
    }

    /// A route for `PUT`.
    pub fn put(self, pattern: &'static str, handler: Handler<F>) -> Router<F> {
        self.route("PUT", pattern, handler)
    }

    /// A route for `DELETE`.
    pub fn delete(self, pattern: &'static str, handler: Handler<F>) -> Router<F> {
        self.route("DELETE", pattern, handler)
    }

    /// Answers a request.
    pub fn handle(&self, framework: &mut F, cx: &mut Cx<'_>, request: &Request) -> Response {
        let method = if request.method == "HEAD" {
            "GET"
        } else {
            request.method.as_str()
        };
        let mut allowed: Vec<&str> = Vec::new();
        for route in &self.routes {
            let Some(params) = matches(&route.pattern, request.path_only()) else {
                continue;
            };
            if route.method == method {
                let call = Call {
                    request,
                    params,
                    query: request.query(),
                };
                return (route.handler)(framework, cx, &call).unwrap_or_else(Response::from);
            }
            if !allowed.contains(&route.method) {
                allowed.push(route.method);
            }
        }
        if allowed.is_empty() {
            return Error::not_found(format_args!("path {}", request.path_only())).into();
        }
        let allowed = allowed.join(", ");
        let message = format!(
            "{} takes {allowed}, not {}",
            request.path_only(),
            request.method
        );
        Response::from(Error::new(405, "method", message)).header("allow", &allowed)
    }
}

/// The parts between the slashes; a slash at the end does not count.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.trim_matches('/').split('/')
}

fn matches<'a>(pattern: &'a [Part], path: &str) -> Option<Vec<(&'a str, String)>> {
    let mut params = Vec::new();
    let mut given = parts(path);
    for part in pattern {
        let text = given.next()?;
        match part {
            Part::Fixed(fixed) if *fixed == text => {}
            Part::Param(name) if !text.is_empty() => params.push((*name, decode(text, false))),
            _ => return None,
        }
    }
    given.next().is_none().then_some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &'static str, path: &str, expected: Option<&[(&str, &str)]>) {
        let router: Router<()> = Router::new().get(pattern, |_, _, _| Ok(Response::empty(204)));
        let found = matches(&router.routes[0].pattern, path);
        let found: Option<Vec<_>> = found.as_ref().map(|params| {
            params
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect()
        });
        assert_eq!(found.as_deref(), expected, "{pattern} {path}");
    }

    #[test]
    fn patterns() {
        check("/", "/", Some(&[]));
        check("/jobs", "/jobs", Some(&[]));
        check("/jobs", "/jobs/", Some(&[]));
        check("/jobs", "/job", None);
        check("/jobs/{id}", "/jobs", None);
        check("/jobs/{id}", "/jobs/j%311", Some(&[("id", "j11")]));
        check("/jobs/{id}", "/jobs/a/b", None);
        check("/jobs/{id}", "/jobs/..%2Fx", Some(&[("id", "../x")]));
        check("/{a}/x/{b}", "/1/x/2", Some(&[("a", "1"), ("b", "2")]));
    }
}
