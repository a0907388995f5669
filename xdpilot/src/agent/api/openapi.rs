//! The API's description.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// OpenAPI, written by hand; a test compares it with the routes.
pub(super) const DESCRIPTION: &str = include_str!("openapi.json");

pub(super) async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}
