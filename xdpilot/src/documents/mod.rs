//! What a store holds: a document for each policy, set and pool, and for where each policy is attached.
//!
//! Keys in the store: `documents/KIND/NAME` is a document as it is now, `history/KIND/NAME/VERSION` as it was,
//! `pieces/KIND/NAME/ID` a part of a long one. Pieces are never changed, so that a document and its pieces always fit
//! together. `pending/ID` names the pieces of a commit until it is through.

pub mod change;
mod compose;
mod document;
pub mod history;
mod meaning;
mod name;
mod pieces;
pub mod rollout;
mod shown;
mod snapshot;
#[cfg(test)]
mod tests;
mod validate;

pub use compose::compose;
pub use document::{Body, Document, NEWEST_SCHEMA};
pub use meaning::Meaning;
pub use name::{DOCUMENTS, Kind, Name};
pub use pieces::{Pieces, keys as piece_keys, whole};
pub use shown::Shown;
pub use snapshot::{Snapshot, Stored, identify};
