//! Which request is answered by what.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post, put};
use xdpilot_core::error::Error;

use super::answer::Refusal;
use super::caller::{self, Right};
use super::serve::Api;
use super::{documents, events, health, metrics, nodes, openapi, rollouts};

/// A request may take so long, its body and the wait for the store included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Requests that are answered in one way.
pub(super) struct Route {
    /// What the handler is for, as the description has it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the handler knows it, and does not tell"))]
    pub(super) method: Method,
    pub(super) path: &'static str,
    right: Right,
    handler: MethodRouter<Arc<Api>>,
}

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    use Right::{Read, Write};
    let route = |method, path, right, handler| Route { method, path, right, handler };
    let one = "/v1/documents/{kind}/{name}";
    vec![
        route(Method::GET, "/v1/documents", Read, get(documents::list)),
        route(Method::GET, one, Read, get(documents::one)),
        route(Method::PUT, one, Write, put(documents::put)),
        route(Method::DELETE, one, Write, delete(documents::delete)),
        route(Method::GET, "/v1/history/{kind}/{name}", Read, get(documents::history)),
        route(Method::POST, "/v1/commit", Write, post(documents::commit)),
        route(Method::POST, "/v1/diff", Read, post(documents::diff)),
        route(Method::GET, "/v1/rollout", Read, get(rollouts::show)),
        route(Method::POST, "/v1/rollout", Write, post(rollouts::begin)),
        route(Method::DELETE, "/v1/rollout", Write, delete(rollouts::halt)),
        route(Method::GET, "/v1/status", Read, get(nodes::status)),
        route(Method::GET, "/v1/nodes", Read, get(nodes::nodes)),
        route(Method::GET, "/v1/events", Read, get(events::stream)),
        route(Method::GET, "/v1/openapi.json", Read, get(openapi::description)),
        route(Method::GET, "/metrics", Read, get(metrics::all)),
        route(Method::GET, "/healthz", Read, get(health::health)),
    ]
}

/// The way from a request to its answer.
pub(super) fn router(api: &Arc<Api>) -> Router {
    let mut router = Router::new();
    for Route { path, right, handler, .. } in routes() {
        let check = middleware::from_fn(move |request, next| caller::check(right, request, next));
        router = router.route(path, handler.layer(check));
    }
    router
        .fallback(nowhere)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(api.clone(), caller::identify))
        .with_state(api.clone())
}

async fn in_time(request: Request, next: Next) -> Response {
    let what = format!("answer {} {}", request.method(), request.uri().path());
    tokio::time::timeout(PATIENCE, next.run(request)).await.unwrap_or_else(|_| {
        let error = Error::failed(what)
            .cause(format!("it took more than {} s; it may be done all the same", PATIENCE.as_secs()));
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error).into_response()
    })
}

async fn nowhere(method: Method, uri: Uri) -> Refusal {
    let error = Error::usage(format!("{method} {}", uri.path())).cause("there is nothing at this path");
    Refusal::new(StatusCode::NOT_FOUND, error.mend("GET /v1/openapi.json tells what there is"))
}

async fn no_method(method: Method, uri: Uri) -> Refusal {
    let error = Error::usage(format!("{method} {}", uri.path())).cause("the path is not for this method");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, error.mend("GET /v1/openapi.json tells what there is"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::openapi::DESCRIPTION;
    use super::*;

    #[test]
    fn the_description_has_every_route_and_no_other() {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
                described.insert((method.to_uppercase(), path.clone()));
                assert!(operation["summary"].is_string() && operation["responses"].is_object(), "{method} {path}");
            }
        }
        let routes = routes().into_iter().map(|route| (route.method.to_string(), route.path.to_string()));
        assert_eq!(described, routes.collect());
    }

    /// A type of OpenAPI 3.0 is one word; what may be null says `nullable`.
    #[test]
    fn types_and_references_of_the_description_are_sound() {
        fn check(root: &Value, value: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        assert!(root.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
                    }
                    // A property may have that name, too.
                    assert!(!matches!(fields.get("type"), Some(Value::Array(_))), "{value}");
                    fields.values().for_each(|value| check(root, value));
                }
                Value::Array(values) => values.iter().for_each(|value| check(root, value)),
                _ => {}
            }
        }
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        check(&description, &description);
    }
}
