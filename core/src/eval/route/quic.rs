//! QUIC: the server's number in a packet's connection id ([`crate::route::quic`]).

use crate::route::quic::{
    HANDSHAKE_1, HANDSHAKE_2, ID, LONG, LONG_LENGTH, LONGEST, SHORT_ID, TYPE, VERSION_1, VERSION_2,
};

/// The number that a server put into the connection id of what UDP carries; none where there is no such id.
pub(super) fn server(payload: &[u8]) -> Option<u32> {
    let first = *payload.first()?;
    let at = if first & LONG == 0 { SHORT_ID } else { long(first, payload)? };
    number(payload.get(at..)?.first_chunk()?)
}

/// Where the connection id begins that a server chose, behind a long header.
fn long(first: u8, payload: &[u8]) -> Option<usize> {
    let version = u32::from_be_bytes(*payload.get(1..)?.first_chunk()?);
    let handshake = match version {
        VERSION_1 => HANDSHAKE_1,
        VERSION_2 => HANDSHAKE_2,
        _ => return None,
    };
    let length = *payload.get(LONG_LENGTH)?;
    let is_known = first & TYPE == handshake && (ID as u8..=LONGEST).contains(&length);
    is_known.then_some(LONG_LENGTH + 1)
}

fn number(id: &[u8; ID]) -> Option<u32> {
    let [a, b, c, d, e, ..] = *id;
    match a >> 6 {
        1 => Some(u32::from_be_bytes([a, b, c, d]) << 2 >> 16),
        2 => Some(u32::from_be_bytes([0, b, c, d])),
        3 => Some(u32::from_be_bytes([b, c, d, e])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::server;
    use crate::error::Error;
    use crate::eval::{Fate, Machine};
    use crate::packet;
    use crate::policy::{self, Request};
    use crate::route::{Member, flags};
    use crate::rules::Rules;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn numbers_stand_where_the_form_of_the_connection_id_says() {
        for (id, number) in [
            ("48d155 6789abcdef", Some(0x2345)),
            ("7fffff ffffffffff", Some(0xffff)),
            ("8f123456 789abcde", Some(0x12_3456)),
            ("c012345678 9abcde", Some(0x1234_5678)),
            ("ffffffffff ffffff", Some(u32::MAX)),
            ("400000 0000000000", Some(0)),
            ("0f123456 789abcde", None),
        ] {
            assert_eq!(server(&bytes(&format!("40{id}"))), number, "short header, {id}");
            assert_eq!(server(&bytes(&format!("e0 00000001 08 {id} 00"))), number, "Handshake, {id}");
            assert_eq!(server(&bytes(&format!("f0 6b3343cf 08 {id} 00"))), number, "Handshake of version 2, {id}");
        }
    }

    #[test]
    fn only_connection_ids_that_a_server_chose_are_read() {
        const ID: &str = "8012345678 9abcdef0";
        for (header, is_read) in [
            // Types of version 1, then of version 2: Initial, 0-RTT, Handshake, Retry.
            ("c0 00000001 08", false),
            ("d0 00000001 08", false),
            ("e0 00000001 08", true),
            ("f0 00000001 08", false),
            ("d0 6b3343cf 08", false),
            ("e0 6b3343cf 08", false),
            ("f0 6b3343cf 08", true),
            ("c0 6b3343cf 08", false),
            // Version negotiation, and versions that nobody knows.
            ("e0 00000000 08", false),
            ("e0 00000002 08", false),
            ("f0 01000000 08", false),
            ("e0 ff00001d 08", false),
            // The fixed bit may be greased (RFC 9287), and other bits are not looked at.
            ("a0 00000001 08", true),
            ("af 00000001 08", true),
            ("00", true),
            ("7f", true),
            // Lengths.
            ("e0 00000001 07", false),
            ("e0 00000001 00", false),
            ("e0 00000001 14", true),
            ("e0 00000001 15", false),
            ("e0 00000001 ff", false),
        ] {
            assert_eq!(server(&bytes(&format!("{header} {ID}"))).is_some(), is_read, "{header}");
        }
    }

    #[test]
    fn what_is_cut_off_is_not_read() {
        for whole in ["40 8012345678 9abcde", "e0 00000001 08 8012345678 9abcde"] {
            let whole = bytes(whole);
            assert_eq!(server(&whole), Some(0x12_3456));
            for length in 0..whole.len() {
                assert_eq!(server(&whole[..length]), None, "{length} bytes");
            }
        }
    }

    fn rules(via: &str, hash: &str) -> Rules {
        let text = format!(
            "pool p via {via} {{\n10.0.0.1 id 1\n10.0.0.2 id 2 weight 0\nfd00::3 id 3 weight 0\nhash {hash}\n}}
             default route p"
        );
        let request = Request { policy: None, file: "", inbound: true, resolve: None };
        policy::resolve(&policy::parse(&text).unwrap(), &request, &mut |_| Err(Error::usage("no files"))).unwrap()
    }

    /// The backend that gets a packet from a port with a short header that names a server.
    fn backend(machine: &mut Machine<'_>, port: u16, server: u8) -> Option<u16> {
        let id = format!("\\x40\\x80\\x00\\x00\\x{server:02x}\\x00\\x00\\x00\\x00");
        let words = format!("udp 198.51.100.7:{port} > 203.0.113.80:443 payload \"{id}\"");
        sent(machine, &words)
    }

    fn sent(machine: &mut Machine<'_>, words: &str) -> Option<u16> {
        let routed = machine.run(&mut packet::parse(words).unwrap(), 1, None).routed.unwrap();
        assert!(matches!(routed.fate, Fate::Send(_)), "{words}: {routed:?}");
        routed.backend
    }

    fn member<'m>(machine: &'m mut Machine<'_>, number: usize) -> &'m mut Member {
        machine.router().state.members[number].as_mut().unwrap()
    }

    /// By the ring all new connections go to the first backend, since the second has no weight.
    #[test]
    fn a_packet_goes_to_the_backend_that_it_names_wherever_it_comes_from() {
        for via in ["l2", "ipip from 172.16.0.1", "gue from 172.16.0.1", "nat", "fullnat from 172.16.0.1, fd00::ffff"] {
            let rules = rules(via, "quic");
            let mut machine = Machine::new(&rules);
            for port in [1, 2, 3] {
                assert_eq!(backend(&mut machine, port, 2), Some(2), "{via}");
            }
            assert_eq!(backend(&mut machine, 4, 1), Some(1), "{via}");
            assert_eq!(backend(&mut machine, 5, 9), Some(1), "{via}: nobody has the id");
            // Known connections follow their ids too.
            assert_eq!(backend(&mut machine, 5, 2), Some(2), "{via}");
            assert_eq!(backend(&mut machine, 1, 1), Some(1), "{via}");
        }
    }

    #[test]
    fn a_packet_that_names_nobody_stays_with_the_backend_of_its_connection() {
        for via in ["ipip from 172.16.0.1", "nat"] {
            let rules = rules(via, "quic");
            let mut machine = Machine::new(&rules);
            let plain = "udp 198.51.100.7:1 > 203.0.113.80:443 payload \"\\x40\"";
            assert_eq!(sent(&mut machine, plain), Some(1), "{via}");
            assert_eq!(backend(&mut machine, 1, 2), Some(2), "{via}");
            assert_eq!(sent(&mut machine, plain), Some(2), "{via}");
        }
    }

    #[test]
    fn other_pools_do_not_read_ids() {
        for hash in ["5tuple", "src"] {
            let rules = rules("l2", hash);
            assert_eq!(backend(&mut Machine::new(&rules), 1, 2), Some(1), "{hash}");
        }
    }

    #[test]
    fn a_backend_that_drains_is_named_and_one_that_is_down_or_gone_is_not() {
        let rules = rules("nat", "quic");
        let mut machine = Machine::new(&rules);
        member(&mut machine, 2).backend.flags |= flags::DRAINS;
        assert_eq!(backend(&mut machine, 1, 2), Some(2));
        member(&mut machine, 2).backend.flags = 0;
        assert_eq!(backend(&mut machine, 1, 2), Some(1));
        // Its number goes to another backend, which has another id.
        member(&mut machine, 2).backend.flags = flags::UP;
        member(&mut machine, 2).backend.id = Some(7);
        assert_eq!(backend(&mut machine, 2, 2), Some(1));
        assert_eq!(backend(&mut machine, 2, 7), Some(2));
        machine.router().state.members[2] = None;
        assert_eq!(backend(&mut machine, 2, 7), Some(1));
    }

    #[test]
    fn a_backend_of_the_other_version_gets_only_packets_in_headers_of_their_own() {
        for (via, expected) in [("nat", 1), ("l2", 1), ("ipip from 172.16.0.1, fd00::ffff", 3)] {
            let rules = rules(via, "quic");
            let mut machine = Machine::new(&rules);
            assert_eq!(backend(&mut machine, 1, 3), Some(expected), "{via}");
        }
    }

    /// Via nat two connections of one client's port to two services look the same to a backend.
    #[test]
    fn replies_that_look_the_same_keep_a_packet_from_the_backend_that_it_names() {
        let rules = rules("nat", "quic");
        let mut machine = Machine::new(&rules);
        let words = |service: &str| {
            format!("udp 198.51.100.7:1 > {service}:443 payload \"\\x40\\x80\\x00\\x00\\x02\\x00\\x00\\x00\\x00\"")
        };
        assert_eq!(sent(&mut machine, &words("203.0.113.80")), Some(2));
        assert_eq!(sent(&mut machine, &words("203.0.113.81")), Some(1));
        assert_eq!(sent(&mut machine, &words("203.0.113.80")), Some(2));
    }
}
