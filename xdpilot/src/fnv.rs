//! FNV-1a (Fowler, Noll, Vo): a hash that is the same in all versions and on all nodes.

/// Of no bytes.
pub(crate) const NOTHING: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of what `before` is the hash of, and these bytes behind it.
pub(crate) fn hash(before: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(before, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
