//! `decap`: a packet loses its outer headers.

use crate::packet::{Ip, ethertype, protocol};
use crate::route::GUE_PORTS;

const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;

/// Takes the outer headers of IP in IP (RFC 2003, RFC 2473, RFC 4213) or GUE variant 1 (draft-ietf-intarea-gue) off; any
/// other packet stays as it is. Ethernet header and tags stay, but for the ethertype.
pub(super) fn decap(packet: &mut Vec<u8>, ip: &Ip) {
    let Some((inner, v6)) = inner(packet, ip) else { return };
    let kind = if v6 { ethertype::IPV6 } else { ethertype::IPV4 };
    packet[ip.at - 2..ip.at].copy_from_slice(&kind.to_be_bytes());
    packet.drain(ip.at..inner);
}

/// Where the inner IP header begins, which is wholly there, and whether it is IPv6.
fn inner(packet: &[u8], ip: &Ip) -> Option<(usize, bool)> {
    let outer = &packet[ip.at..];
    let (next, payload) = match ip.v6 {
        true => (outer[6], ip.at + IPV6),
        false if is_plain(outer) => (outer[9], ip.at + IPV4),
        false => return None,
    };
    let at = if next == protocol::UDP { payload + UDP } else { payload };
    let v6 = match (next, packet.get(at)? >> 4) {
        (protocol::IPIP, 4) => false,
        (protocol::IPV6, 6) => true,
        (protocol::UDP, version @ (4 | 6)) if is_gue(&packet[payload..at]) => version == 6,
        _ => return None,
    };
    let whole = at + if v6 { IPV6 } else { IPV4 } <= packet.len();
    whole.then_some((at, v6))
}

/// Whether an IPv4 header has no options, and the packet is no fragment.
fn is_plain(header: &[u8]) -> bool {
    header[0] == 0x45 && u16::from_be_bytes([header[6], header[7]]) & 0x3fff == 0
}

/// Whether a UDP header leads to one of GUE's ports.
fn is_gue(header: &[u8]) -> bool {
    GUE_PORTS.contains(&u16::from_be_bytes([header[2], header[3]]))
}

#[cfg(test)]
mod tests {
    use crate::eval::assign;
    use crate::packet::ethertype;
    use crate::policy::Assignment;

    fn header(v6: bool, next: u8) -> Vec<u8> {
        if v6 {
            [&[0x60, 0, 0, 0, 0, 9, next, 64][..], &[7; 32]].concat()
        } else {
            [&[0x45, 0, 0, 9, 0, 0, 0x40, 0, 64, next, 1, 2][..], &[7; 8]].concat()
        }
    }

    fn frame(v6: bool, tags: usize, headers: &[Vec<u8>]) -> Vec<u8> {
        let kind = if v6 { ethertype::IPV6 } else { ethertype::IPV4 };
        [vec![3; 12], [0x81, 0, 0, 5].repeat(tags), kind.to_be_bytes().to_vec(), headers.concat()].concat()
    }

    #[test]
    fn one_outer_header_goes() {
        for (outer, inner, tags) in [(false, false, 0), (false, true, 1), (true, false, 2), (true, true, 0)] {
            let last = header(inner, 4);
            for (next, between) in [
                (if inner { 41 } else { 4 }, vec![]),
                (17, vec![1, 1, 0x17, 0xc0, 0, 9, 0, 0]),
                (17, vec![1, 1, 0x26, 0x9e, 0, 9, 0, 0]),
            ] {
                let mut packet = frame(outer, tags, &[header(outer, next), between, last.clone()]);
                let cut = packet[..packet.len() - 1].to_vec();
                assign(&Assignment::Decap, &mut packet);
                assert_eq!(packet, frame(inner, tags, std::slice::from_ref(&last)));
                let mut same = cut.clone();
                assign(&Assignment::Decap, &mut same);
                assert_eq!(same, cut);
            }
        }
    }

    #[test]
    fn others_stay() {
        let mut fragment = header(false, 4);
        fragment[6] = 0x20;
        let dns = vec![1, 1, 0, 53, 0, 9, 0, 0];
        for headers in [
            vec![header(false, 41), header(false, 6)],
            vec![fragment, header(false, 6)],
            vec![header(false, 17), dns, header(false, 6)],
        ] {
            let packet = frame(false, 0, &headers);
            let mut same = packet.clone();
            assign(&Assignment::Decap, &mut same);
            assert_eq!(same, packet);
        }
    }
}
