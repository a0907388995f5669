//! What requests bring along: bodies, edits in them, and the versions that they rely on.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use xdpilot_core::error::Error;

use super::answer::Refusal;
use super::forms::EditForm;
use crate::documents::Name;
use crate::documents::change::{Content, Edit};

/// The largest body: a set of three million prefixes.
const LARGEST: usize = 64 << 20;

/// The whole body.
pub(super) async fn bytes(body: Body) -> Result<Vec<u8>, Refusal> {
    to_bytes(body, LARGEST).await.map(Vec::from).map_err(|error| {
        let refused = Error::usage("read the request's body").kernel(error.to_string());
        // That it is too long is said by an error within the error only.
        let long = std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit"))
            || error.to_string().contains("limit");
        if long {
            let cause = format!("it has more than {} MiB", LARGEST >> 20);
            return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, refused.cause(cause));
        }
        Refusal::new(StatusCode::BAD_REQUEST, refused)
    })
}

/// A body of JSON.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let wrong = |why: &str| {
        Error::usage("read the request's body").cause(format!("it is not the JSON that was expected: {why}"))
    };
    // An array of the fields would do for the parser.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(wrong("it is no object").into());
    }
    serde_json::from_slice(bytes).map_err(|error| wrong(&error.to_string()).into())
}

/// The edit of a document: its text, or JSON.
pub(super) fn edit(name: Name, version: Option<u64>, headers: &HeaderMap, bytes: Vec<u8>) -> Result<Edit, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" {
        return Ok(parse::<EditForm>(&bytes)?.edit(Some((name, version)))?);
    }
    // curl says that bodies are forms where nobody says otherwise.
    if !["", "text/plain", "application/x-www-form-urlencoded"].contains(&kind.as_str()) {
        let error = Error::usage(format!("a body of {kind:?}")).cause("expected text/plain or application/json");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::usage("read the request's body").cause("it is no text"))?;
    let content = Some(Content::of_text(&name, text)?);
    Ok(Edit { name, content, version })
}

/// The version that a document must have, by `If-Match` and `If-None-Match`; none where that does not matter.
pub(super) fn expected(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let words = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").trim().to_string());
    let wrong = |words: &str, expected: &str| {
        let error = Error::usage(format!("the version {words:?}")).cause(format!("expected {expected}"));
        Refusal::from(error)
    };
    match (words(header::IF_MATCH), words(header::IF_NONE_MATCH)) {
        (None, None) => Ok(None),
        (None, Some(words)) if words == "*" => Ok(Some(0)),
        (Some(words), None) => {
            let number = words.trim_start_matches("W/").trim_matches('"').parse();
            number.map(Some).map_err(|_| wrong(&words, "If-Match: \"VERSION\""))
        }
        (_, Some(words)) => Err(wrong(&words, "If-None-Match: * alone")),
    }
}
