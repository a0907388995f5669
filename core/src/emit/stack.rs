//! The stack's layout: offsets from r10.

/// The key of a rule's counters, of its limit or sample; 4 bytes.
pub(super) const RULE: i16 = -4;
/// Zero, as the key of one-element arrays; 4 bytes.
pub(super) const ZERO: i16 = -8;
/// The packet's length at arrival, where it may change; 8 bytes.
pub(super) const LENGTH: i16 = -16;
/// Bytes of the packet beyond its first buffer; 8 bytes.
pub(super) const BYTES: i16 = -24;
/// What [`super::layers`] found; 8 bytes.
pub(super) const LAYERS: i16 = -32;
/// A number while calls are made; 8 bytes.
pub(super) const SAVED: i16 = -40;
/// The key of a set or of a limit, the head of a sample, or the numbers that a classifier reads; 96 bytes.
pub(super) const KEY: i16 = -136;
/// A value to be stored in a map, or the number of the rule that decided; 8 bytes, always all of them: the verifier takes
/// for read what a part of it is written to.
pub(super) const VALUE: i16 = -144;
/// The state of a header chain; 32 bytes. No key is needed meanwhile.
pub(super) const CHAIN: i16 = KEY;
/// What a classifier found; 8 bytes.
pub(super) const FOUND: i16 = -152;
/// The maps of sets that are asked for more than once; [`HELD_MOST`] times 8 bytes.
pub(super) const HELD: i16 = FOUND - 8 * HELD_MOST as i16;
/// So many maps of sets are held at most.
pub(super) const HELD_MOST: usize = 12;
/// Registers that a deep expression puts aside; 8 bytes each, downwards to the stack's end.
pub(super) const SPILL: i16 = HELD - 8;
/// The same, where no maps are held.
pub(super) const SPILL_NEAR: i16 = FOUND - 8;
