//! Internet checksums that follow a change of the bytes they cover.
//!
//! A checksum is never computed anew, so one that was wrong stays wrong, by the same amount.

/// The checksum after `old` bytes have become `new` ones, which are as many, an even number, and begin at an even offset
/// of what is covered: RFC 1624, equation 3, over each 16-bit word of them, also those that stay the same.
///
/// `sum = (!checksum & 0xffff) + Σ (!old_word & 0xffff) + Σ new_word`, folded to 16 bits by adding the carry at the low
/// end until there is none; the result is `!sum & 0xffff`.
pub fn mend(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    let sum = u32::from(!checksum) + words(old).map(|word| u32::from(!word)).sum::<u32>();
    !fold(sum + words(new).map(u32::from).sum::<u32>())
}

/// Like [`mend`], for a UDP checksum: over IPv4 a zero says that there is none, and stays; a result of zero is written
/// as `0xffff`, which means the same (RFC 768).
pub fn mend_udp(checksum: u16, v6: bool, old: &[u8], new: &[u8]) -> u16 {
    if checksum == 0 && !v6 {
        return 0;
    }
    match mend(checksum, old, new) {
        0 => 0xffff,
        mended => mended,
    }
}

/// The checksum of these bytes (RFC 1071), where its own field holds zero or is left out.
pub fn of(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        sum += part.chunks(2).map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0))).sum::<u64>();
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]))
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: HC = 0xDD2F, m = 0x5555, m' = 0x3285, where equation 2 gives 0xFFFF and the right answer is 0x0000.
        assert_eq!(mend(0xdd2f, &[0x55, 0x55], &[0x32, 0x85]), 0);
    }

    #[test]
    fn the_example_of_rfc_1071() {
        // Section 3: the sum of 00 01 f2 03 f4 f5 f6 f7 is ddf2.
        assert_eq!(of(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        // An odd byte at the end is the high one of its word.
        assert_eq!(of(&[&[0x12]]), !0x1200);
    }

    #[test]
    fn a_mended_checksum_is_the_one_computed_anew() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u8
        };
        for _ in 0..10_000 {
            let old: Vec<u8> = (0..20).map(|_| next()).collect();
            let mut new = old.clone();
            new[4..8].iter_mut().for_each(|byte| *byte = next());
            assert_eq!(mend(of(&[&old]), &old[4..8], &new[4..8]), of(&[&new]));
        }
    }

    #[test]
    fn udp_without_a_checksum_stays_so_over_ipv4_alone() {
        assert_eq!(mend_udp(0, false, &[1, 2], &[3, 4]), 0);
        assert_eq!(mend_udp(0, true, &[1, 2], &[3, 4]), mend(0, &[1, 2], &[3, 4]));
        assert_eq!(mend_udp(0xdd2f, false, &[0x55, 0x55], &[0x32, 0x85]), 0xffff);
    }
}
