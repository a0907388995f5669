//! Numbers that no other process comes upon.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// Some number, another one each time: each `RandomState` has keys of its own.
pub(crate) fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}
