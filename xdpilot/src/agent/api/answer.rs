//! Answers: JSON, and errors in the form that all of them have.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use xdpilot_core::error::{Error, Kind};

use super::forms::ErrorForm;
use crate::documents::change::is_conflict;

/// What a handler gives.
pub(super) type Answer = Result<Response, Refusal>;

/// An error, and the status that fits.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: Error,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: Error) -> Self {
        Refusal { status, error }
    }

    /// The same with 404, where the request was said to be wrong.
    pub(super) fn or_not_found(self) -> Self {
        let status = if self.status == StatusCode::BAD_REQUEST { StatusCode::NOT_FOUND } else { self.status };
        Refusal { status, ..self }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            _ if is_conflict(&error) => StatusCode::PRECONDITION_FAILED,
            Kind::Usage => StatusCode::BAD_REQUEST,
            Kind::Refused => StatusCode::CONFLICT,
            Kind::NotPermitted | Kind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal { status, error }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, json(&ErrorForm::of(&self.error))).into_response()
    }
}

/// A document of JSON.
pub(super) fn json(document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The same with the version of the document that it is about.
pub(super) fn tagged(version: Option<u64>, document: &impl Serialize) -> Response {
    match version {
        Some(version) => ([(header::ETAG, format!("\"{version}\""))], json(document)).into_response(),
        None => json(document),
    }
}
