//! Earlier versions of documents.

use xdpilot_core::error::{Error, Result};

use super::{Document, Name};
use crate::store::Store;

/// So many earlier versions are kept of each document.
pub(super) const KEPT: u64 = 20;

/// The key of an earlier version.
pub(super) fn key(name: &Name, version: u64) -> String {
    format!("{}{version:010}", name.history())
}

/// The versions of a document that are kept, oldest first; the one that is in force is the last, if there is one.
///
/// # Errors
/// The store cannot be read.
pub fn versions(store: &dyn Store, name: &Name) -> Result<Vec<Document>> {
    let mut values: Vec<Vec<u8>> = store.list(&name.history())?.entries.into_iter().map(|entry| entry.value).collect();
    values.extend(store.get(&name.key())?.map(|entry| entry.value));
    Ok(values.iter().filter_map(|value| Document::decode(name, value).ok()).collect())
}

/// One version of a document.
///
/// # Errors
/// The store cannot be read, or does not have it (any more).
pub fn version(store: &dyn Store, name: &Name, version: u64) -> Result<Document> {
    let all = versions(store, name)?;
    let known: Vec<String> = all.iter().map(|document| document.version.to_string()).collect();
    all.into_iter().find(|document| document.version == version).ok_or_else(|| {
        let error = Error::usage(format!("version {version} of {name}"));
        match known.as_slice() {
            [] => error.cause("the store knows no such document"),
            known => error.cause(format!("the store has versions {}", known.join(", "))),
        }
    })
}
