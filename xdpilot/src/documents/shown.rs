//! A document as verbs and the API show it.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Body, Document, Name, Stored};
use crate::when;

/// A document. Its JSON form is documented in `docs/json.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its kind and name.
    #[serde(flatten)]
    pub name: Name,
    /// How often it was changed; 0 where somebody wrote its words by hand, none where its value is no document.
    pub version: Option<u64>,
    /// When, UTC, RFC 3339.
    pub changed: Option<String>,
    /// By whom, in words.
    pub by: Option<String>,
    /// How many elements there are, of a set in pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<u64>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Its whole text, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Shown {
    /// A document, with its whole text or without.
    pub fn of(name: &Name, document: Option<&Document>, text: Option<String>) -> Self {
        let written = document.filter(|document| document.changed > 0);
        Shown {
            name: name.clone(),
            version: document.map(|document| document.version),
            changed: written.map(|document| when::rfc3339(UNIX_EPOCH + Duration::from_secs(document.changed))),
            by: document.map(|document| document.by.clone()).filter(|by| !by.is_empty()),
            elements: document.and_then(elements),
            fault: None,
            text,
        }
    }

    /// A document of a snapshot.
    pub fn of_stored(name: &Name, stored: &Stored) -> Self {
        let fault = stored.meaning.as_ref().err().map(ToString::to_string);
        Shown { fault, ..Shown::of(name, stored.document.as_ref(), None) }
    }
}

fn elements(document: &Document) -> Option<u64> {
    match &document.body {
        Body::Pieces { elements, .. } => *elements,
        Body::Text { .. } => None,
    }
}
