//! Rate limits: the generic cell rate algorithm that [`crate::policy::Limit`] describes, and the keys of its buckets.

use crate::packet::{self, ethertype};
use crate::policy::{Key, Limit, Unit};

const NANOSECONDS: u128 = 1_000_000_000;

/// Nanoseconds that a packet of this length stands for.
pub fn cost(limit: &Limit, length: u64) -> u64 {
    match limit.unit {
        Unit::Packets => nanoseconds(limit, 1),
        Unit::Bits => nanoseconds(limit, u128::from(length) * 8),
    }
}

/// The burst in nanoseconds; at most 2^63 - 1, some three centuries.
pub fn burst(limit: &Limit) -> u64 {
    nanoseconds(limit, u128::from(limit.burst)).min(i64::MAX as u64)
}

fn nanoseconds(limit: &Limit, amount: u128) -> u64 {
    u64::try_from(amount * NANOSECONDS / u128::from(limit.rate.max(1))).unwrap_or(u64::MAX)
}

/// Whether a packet of this length is within the limit; `stored` is its bucket, 0 at first. All in nanoseconds;
/// arithmetic wraps.
pub fn admits(limit: &Limit, stored: &mut u64, now: u64, length: u64) -> bool {
    let arrival = (*stored).max(now).wrapping_add(cost(limit, length));
    let within = arrival.wrapping_sub(now) <= burst(limit);
    if within {
        *stored = arrival;
    }
    within
}

/// The key of a packet's bucket, as it is in the kernel's map; empty where there is one bucket for all.
///
/// The network header's ethertype (`0x0800`, `0x86dd`, or 0) as a number of the machine and two zeros; then each part:
/// an address is 16 bytes (IPv4: four, and zeros), a port two in network byte order, the protocol one. What the packet
/// lacks is zero. Zeros fill it up to a multiple of four bytes.
pub fn key(per: &[Key], packet: &[u8]) -> Vec<u8> {
    if per.is_empty() {
        return Vec::new();
    }
    let ip = packet::layers(packet).ip;
    let family = ip.as_ref().map_or(0, |ip| if ip.v6 { ethertype::IPV6 } else { ethertype::IPV4 });
    let mut key = family.to_ne_bytes().to_vec();
    key.extend([0, 0]);
    for part in per {
        let ports = ip.as_ref().and_then(|ip| ip.ports);
        let (bytes, size) = match part {
            Key::Src => (ip.as_ref().map(packet::Ip::src), 16),
            Key::Dst => (ip.as_ref().map(packet::Ip::dst), 16),
            Key::SrcPort => (ports.map(|at| at..at + 2), 2),
            Key::DstPort => (ports.map(|at| at + 2..at + 4), 2),
            Key::Protocol => {
                key.push(ip.as_ref().and_then(|ip| ip.protocol).unwrap_or(0));
                continue;
            }
        };
        let bytes = bytes.and_then(|bytes| packet.get(bytes)).unwrap_or_default();
        key.extend(bytes);
        key.resize(key.len() + size - bytes.len(), 0);
    }
    key.resize(key.len().next_multiple_of(4), 0);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limit(rate: u64, unit: Unit, burst: u64) -> Limit {
        Limit { rate, unit, burst, per: Vec::new() }
    }

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate() {
        let limit = limit(10, Unit::Packets, 3);
        let mut stored = 0;
        let mut admitted = |now| admits(&limit, &mut stored, now, 60);
        let now = 5 * SECOND;
        assert_eq!([(); 5].map(|()| admitted(now)), [true, true, true, false, false]);
        // A tenth of a second later there is room for one.
        assert_eq!([(); 2].map(|()| admitted(now + SECOND / 10)), [true, false]);
        assert!(!admitted(now + 2 * SECOND / 10 - 1));
        assert!(admitted(now + 2 * SECOND / 10));
        // After a long silence a burst again, not more.
        assert_eq!([(); 4].map(|()| admitted(now + 100 * SECOND)), [true, true, true, false]);
    }

    #[test]
    fn bits_go_by_length() {
        let limit = limit(8_000_000, Unit::Bits, 16_000);
        assert_eq!((cost(&limit, 1000), burst(&limit)), (1_000_000, 2_000_000));
        let mut stored = 0;
        assert_eq!(
            [1500, 600, 500, 1].map(|length| admits(&limit, &mut stored, SECOND, length)),
            [true, false, true, false]
        );
    }

    #[test]
    fn fractions_are_rounded_down() {
        let limit = limit(3, Unit::Packets, 3);
        assert_eq!((cost(&limit, 60), burst(&limit)), (333_333_333, SECOND));
    }

    #[test]
    fn a_key_has_zeros_where_the_packet_has_nothing() {
        assert!(key(&[], &[0; 60]).is_empty());
        assert_eq!(key(&[Key::Protocol, Key::DstPort], &[0; 60]), [0; 8]);
        let mut packet = vec![0; 12];
        packet.extend([0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 3, 4]);
        let mut expected = 0x0800u16.to_ne_bytes().to_vec();
        expected.extend([0, 0, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17, 3, 4, 0]);
        assert_eq!(key(&[Key::Src, Key::Protocol, Key::DstPort], &packet), expected);
    }
}
