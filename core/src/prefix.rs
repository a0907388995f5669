//! Ranges of numbers as prefixes.

/// The fewest prefixes that make up a range of numbers of so many bits, ascending: first number and length.
pub(crate) fn split(low: u128, high: u128, bits: u32) -> impl Iterator<Item = (u128, u8)> {
    let mut next = Some(low);
    std::iter::from_fn(move || {
        let first = next.filter(|first| *first <= high)?;
        // Those are aligned, and these are left; of 2^128 numbers one less is counted.
        let aligned = first.trailing_zeros().min(bits);
        let left = (high - first).checked_add(1).map_or(128, u128::ilog2);
        let size = aligned.min(left);
        let last = first | 1u128.checked_shl(size).map_or(u128::MAX, |size| size - 1);
        next = last.checked_add(1);
        Some((first, (bits - size) as u8))
    })
}
