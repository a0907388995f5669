//! A document as it is stored: JSON, or the text alone.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xdpilot_core::error::{Error, Result};

use super::Name;

/// The newest form that is understood, and the one that is written.
pub const NEWEST_SCHEMA: u32 = 1;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The form that it is stored in.
    pub schema: u32,
    /// How often it was changed, from 1; goes on where it was deleted and made again.
    pub version: u64,
    /// When, in seconds since 1970.
    pub changed: u64,
    /// By whom, in words.
    pub by: String,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Body {
    /// In words: a statement of the policy language; of an attachment what stands behind `on`.
    Text {
        /// The words.
        text: String,
    },
    /// In pieces, each a text; of a set, each has the elements whose hash leads to it.
    Pieces {
        /// How many elements there are, where it is a set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        elements: Option<u64>,
        /// Their ids, in order.
        pieces: Vec<String>,
    },
}

impl Document {
    /// A document from its value in the store.
    ///
    /// # Errors
    /// It is neither JSON of a known form nor a text.
    pub fn decode(name: &Name, value: &[u8]) -> Result<Self> {
        let wrong = |cause: String| Error::failed(format!("{name} in the store")).cause(cause);
        let text = str::from_utf8(value).map_err(|_| wrong("it is no text".to_string()))?;
        match serde_json::from_str::<Value>(text) {
            Ok(value @ Value::Object(_)) => migrate(value).map_err(wrong),
            // Somebody wrote the words by hand.
            _ => Ok(Document {
                schema: 0,
                version: 0,
                changed: 0,
                by: String::new(),
                body: Body::Text { text: text.into() },
            }),
        }
    }

    /// Its value in the store.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and numbers always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Brings a document of any form to the newest one.
fn migrate(value: Value) -> std::result::Result<Document, String> {
    match value.get("schema").and_then(Value::as_u64) {
        Some(schema) if schema == u64::from(NEWEST_SCHEMA) => {
            serde_json::from_value(value).map_err(|error| format!("it is no document: {error}"))
        }
        Some(schema) if schema > u64::from(NEWEST_SCHEMA) => {
            Err(format!("a newer xdpilot wrote it (schema {schema}; this one knows {NEWEST_SCHEMA})"))
        }
        _ => Err("it is JSON without a schema that is known".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::Kind;

    #[test]
    fn values_are_read_or_told() {
        let name = Name::new(Kind::Policy, "edge");
        let document =
            Document { schema: 1, version: 3, changed: 9, by: "a".into(), body: Body::Text { text: "drop".into() } };
        assert_eq!(Document::decode(&name, &document.encode()).unwrap(), document);
        let pieces = Body::Pieces { elements: Some(2), pieces: vec!["a".into()] };
        let document = Document { body: pieces, ..document };
        assert_eq!(Document::decode(&name, &document.encode()).unwrap(), document);
        assert_eq!(Document::decode(&name, b"drop").unwrap().body, Body::Text { text: "drop".into() });
        for (value, cause) in [
            (&b"\xff"[..], "it is no text"),
            (b"{}", "without a schema"),
            (b"{\"schema\":2}", "a newer xdpilot wrote it"),
            (b"{\"schema\":1}", "it is no document"),
            (b"{\"schema\":1,\"version\":-1,\"changed\":0,\"by\":\"\",\"text\":\"\"}", "it is no document"),
        ] {
            let error = Document::decode(&name, value).unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
        }
    }
}
