//! ICMP and ICMPv6 types.

const ICMP: [(&str, u8); 8] = [
    ("echo-reply", 0),
    ("unreachable", 3),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
];
const ICMP6: [(&str, u8); 11] = [
    ("unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("router-solicitation", 133),
    ("router-advertisement", 134),
    ("neighbor-solicitation", 135),
    ("neighbor-advertisement", 136),
    ("redirect", 137),
];

/// Neighbour discovery: router and neighbour, solicitation and advertisement, and redirect.
pub(super) const DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;
pub(super) const NEIGHBOR_SOLICITATION: u8 = 135;
pub(super) const NEIGHBOR_ADVERTISEMENT: u8 = 136;

/// The types that bring a packet back: unreachable, time exceeded, parameter problem (RFC 792), over IPv6 also too big
/// (RFC 4443).
pub(crate) fn errors(v6: bool) -> &'static [u8] {
    if v6 { &[1, 2, 3, 4] } else { &[3, 11, 12] }
}

fn table(v6: bool) -> &'static [(&'static str, u8)] {
    if v6 { &ICMP6 } else { &ICMP }
}

pub(super) fn echo_request(v6: bool) -> u8 {
    if v6 { 128 } else { 8 }
}

pub(super) fn number(name: &str, v6: bool) -> Option<u8> {
    table(v6).iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

pub(super) fn name(number: u8, v6: bool) -> Option<&'static str> {
    table(v6).iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

pub(super) fn names(v6: bool) -> String {
    table(v6).iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
