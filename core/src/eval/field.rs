//! Names of what stands where in a packet, for people.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::filter::names;
use crate::packet::{ethertype, is_tag, layers, protocol};

/// How a field's number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Number,
    Hex,
    Ethertype,
    Protocol,
    Port,
    V4,
    V6,
}

/// A field of this packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    range: Range<usize>,
    name: &'static str,
    form: Form,
}

type Row = (Range<usize>, &'static str, Form);

const IPV4: &[Row] = &[
    (0..1, "IPv4 version and header length", Form::Hex),
    (1..2, "IPv4 type of service", Form::Hex),
    (2..4, "IPv4 total length", Form::Number),
    (4..6, "IPv4 identification", Form::Number),
    (6..8, "IPv4 flags and fragment offset", Form::Hex),
    (8..9, "IPv4 time to live", Form::Number),
    (9..10, "IPv4 protocol", Form::Protocol),
    (10..12, "IPv4 header checksum", Form::Hex),
    (12..16, "IPv4 source", Form::V4),
    (16..20, "IPv4 destination", Form::V4),
];
const IPV6: &[Row] = &[
    (0..4, "IPv6 version, traffic class and flow label", Form::Hex),
    (4..6, "IPv6 payload length", Form::Number),
    (6..7, "IPv6 next header", Form::Protocol),
    (7..8, "IPv6 hop limit", Form::Number),
    (8..24, "IPv6 source", Form::V6),
    (24..40, "IPv6 destination", Form::V6),
];
const ARP: &[Row] = &[
    (0..2, "ARP hardware type", Form::Number),
    (2..4, "ARP protocol type", Form::Ethertype),
    (6..8, "ARP operation", Form::Number),
    (8..14, "ARP sender's Ethernet address", Form::Hex),
    (14..18, "ARP sender", Form::V4),
    (18..24, "ARP target's Ethernet address", Form::Hex),
    (24..28, "ARP target", Form::V4),
];
const PORTS: &[Row] = &[(0..2, "source port", Form::Port), (2..4, "destination port", Form::Port)];
const TCP: &[Row] = &[
    (4..8, "TCP sequence number", Form::Number),
    (8..12, "TCP acknowledgement number", Form::Number),
    (12..13, "TCP header length", Form::Hex),
    (13..14, "TCP flags", Form::Hex),
    (14..16, "TCP window", Form::Number),
    (16..18, "TCP checksum", Form::Hex),
    (18..20, "TCP urgent pointer", Form::Number),
];
const UDP: &[Row] = &[(4..6, "UDP length", Form::Number), (6..8, "UDP checksum", Form::Hex)];
const ICMP: &[Row] =
    &[(0..1, "ICMP type", Form::Number), (1..2, "ICMP code", Form::Number), (2..4, "ICMP checksum", Form::Hex)];

/// The fields of a packet, also those behind its end whose place is known.
pub(super) fn fields(packet: &[u8]) -> Vec<Field> {
    let mut out = Vec::new();
    let mut add = |at: usize, rows: &[Row]| {
        out.extend(rows.iter().map(|(range, name, form)| {
            let range = at + range.start..at + range.end;
            Field { range, name, form: *form }
        }));
    };
    add(0, &[(0..6, "Ethernet destination", Form::Hex), (6..12, "Ethernet source", Form::Hex)]);
    let kind_at = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
    let layers = layers(packet);
    let mut at = 12;
    for _ in 0..layers.tags {
        add(at, &[(0..2, "ethertype, of a VLAN tag", Form::Ethertype), (2..4, "VLAN tag", Form::Hex)]);
        at += 4;
    }
    let kind = kind_at(at);
    let tagged = kind.is_some_and(is_tag);
    add(at, &[(0..2, if tagged { "ethertype, of a VLAN tag" } else { "ethertype" }, Form::Ethertype)]);
    at += 2;
    let (next, start) = match kind {
        Some(ethertype::IPV4) => {
            add(at, IPV4);
            let length = packet.get(at).map(|byte| usize::from(byte & 0xf) * 4).filter(|length| *length >= 20);
            let fragment = kind_at(at + 6).is_some_and(|field| field & 0x1fff != 0);
            (packet.get(at + 9).copied(), length.filter(|_| !fragment).map(|length| at + length))
        }
        Some(ethertype::IPV6) => {
            add(at, IPV6);
            let walked = layers.ip.as_ref().and_then(|ip| Some((ip.protocol?, ip.transport?)));
            let direct = packet.get(at + 6).map(|next| (*next, at + 40));
            walked.or(direct).map_or((None, None), |(next, at)| (Some(next), Some(at)))
        }
        Some(ethertype::ARP) => {
            add(at, ARP);
            (None, None)
        }
        _ => (None, None),
    };
    if let (Some(next), Some(at)) = (next, start) {
        transport_rows(next).iter().for_each(|rows| add(at, rows));
    }
    out
}

fn transport_rows(next: u8) -> &'static [&'static [Row]] {
    match next {
        protocol::TCP => &[PORTS, TCP],
        protocol::UDP => &[PORTS, UDP],
        protocol::SCTP => &[PORTS],
        protocol::ICMP | protocol::ICMP6 => &[ICMP],
        _ => &[],
    }
}

/// The field in which these bytes are.
pub(super) fn find(fields: &[Field], bytes: &Range<usize>) -> Option<Field> {
    let within = |field: &&Field| field.range.start <= bytes.start && bytes.end <= field.range.end;
    fields.iter().rfind(within).cloned()
}

impl Field {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether these bytes are all of the field.
    fn whole(&self, bytes: &Range<usize>) -> bool {
        self.range == *bytes
    }

    /// A number at these bytes of the field: `6 (tcp)`, `10.0.0.1`.
    pub(super) fn number(&self, bytes: &Range<usize>, number: u32) -> String {
        let named = |name: Option<&str>, number: String| match name {
            Some(name) => format!("{number} ({name})"),
            None => number,
        };
        match self.form {
            Form::Ethertype if self.whole(bytes) => named(ethertype_name(number), format!("{number:#06x}")),
            Form::Protocol if self.whole(bytes) => named(protocol_name(number), number.to_string()),
            Form::V4 if self.whole(bytes) => Ipv4Addr::from(number).to_string(),
            Form::Number | Form::Port if self.whole(bytes) => number.to_string(),
            _ => format!("{number:#0width$x}", width = 2 * bytes.len() + 2),
        }
    }

    /// Bytes of the field that are looked for in a set.
    pub(super) fn bytes(bytes: &[u8]) -> String {
        match bytes.len() {
            2 => u16::from_be_bytes([bytes[0], bytes[1]]).to_string(),
            4 => <[u8; 4]>::try_from(bytes).map(|octets| Ipv4Addr::from(octets).to_string()).unwrap_or_default(),
            16 => <[u8; 16]>::try_from(bytes).map(|octets| Ipv6Addr::from(octets).to_string()).unwrap_or_default(),
            _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"),
        }
    }
}

fn ethertype_name(number: u32) -> Option<&'static str> {
    let short =
        [(0x0800, "ip"), (0x86dd, "ip6"), (0x0806, "arp"), (0x8100, "vlan"), (0x88a8, "vlan"), (0x9100, "vlan")];
    short
        .iter()
        .find(|(known, _)| *known == number)
        .map(|(_, name)| *name)
        .or_else(|| names::ether_protocols().find(|name| names::ether_protocol(name).map(u32::from) == Some(number)))
}

fn protocol_name(number: u32) -> Option<&'static str> {
    let short = [(1, "icmp"), (6, "tcp"), (17, "udp"), (44, "fragment"), (58, "icmp6"), (132, "sctp")];
    short
        .iter()
        .find(|(known, _)| *known == number)
        .map(|(_, name)| *name)
        .or_else(|| names::protocols().find(|name| names::protocol(name).map(u32::from) == Some(number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet;

    #[track_caller]
    fn named(words: &str, bytes: Range<usize>, name: &str) {
        let packet = packet::parse(words).unwrap();
        let field = find(&fields(&packet), &bytes);
        assert_eq!(field.map(|field| field.name), Some(name), "{words}");
    }

    #[test]
    fn places_have_names() {
        named("tcp 10.0.0.1:1 > 10.0.0.2:80 syn", 23..24, "IPv4 protocol");
        named("tcp 10.0.0.1:1 > 10.0.0.2:80 syn", 36..38, "destination port");
        named("tcp 10.0.0.1:1 > 10.0.0.2:80 syn", 47..48, "TCP flags");
        named("tcp 10.0.0.1:1 > 10.0.0.2:80 syn vlan 5", 12..14, "ethertype, of a VLAN tag");
        named("tcp 10.0.0.1:1 > 10.0.0.2:80 syn vlan 5", 27..28, "IPv4 protocol");
        named("udp [2001:db8::1]:1 > [2001:db8::2]:53", 56..58, "destination port");
        named("udp [2001:db8::1]:1 > [2001:db8::2]:53", 26..30, "IPv6 source");
    }

    #[test]
    fn numbers_are_written_as_their_field_is() {
        let packet = packet::parse("udp 10.0.0.1:1 > 10.0.0.2:53").unwrap();
        let fields = fields(&packet);
        let text = |bytes: Range<usize>, number| find(&fields, &bytes).unwrap().number(&bytes, number);
        assert_eq!(text(12..14, 0x0800), "0x0800 (ip)");
        assert_eq!(text(23..24, 17), "17 (udp)");
        assert_eq!(text(26..30, 0x0a00_0001), "10.0.0.1");
        assert_eq!(text(26..27, 10), "0x0a");
        assert_eq!(text(36..38, 53), "53");
    }
}
