//! One line about a packet, for people.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::layers::{Ip, Layers, layers};
use super::words::FLAGS;
use super::{ethertype, icmp, protocol};

/// The packet in the words that [`super::parse`] reads, as far as they go, and its length.
pub fn describe(packet: &[u8]) -> String {
    let layers = layers(packet);
    let mut out = match (&layers.ip, layers.ethertype) {
        (Some(ip), _) => ip_words(packet, ip),
        (None, Some(ethertype)) => frame_words(packet, &layers, ethertype),
        (None, None) => "no whole Ethernet header".into(),
    };
    for tag in 0..layers.tags {
        if let Some(id) = number(packet, 14 + 4 * tag) {
            out += &format!(" vlan {}", id & 0xfff);
        }
    }
    out + &format!(", {} bytes", packet.len())
}

fn number(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?))
}

fn address(packet: &[u8], range: std::ops::Range<usize>) -> String {
    let bytes = packet.get(range).unwrap_or_default();
    let address = match <[u8; 4]>::try_from(bytes) {
        Ok(octets) => Some(IpAddr::V4(Ipv4Addr::from(octets))),
        Err(_) => <[u8; 16]>::try_from(bytes).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
    };
    address.map_or_else(|| "?".into(), |address| address.to_string())
}

fn frame_words(packet: &[u8], layers: &Layers, ethertype: u16) -> String {
    let at = 14 + 4 * layers.tags;
    match ethertype {
        ethertype::ARP => arp_words(packet, at),
        ethertype::IPV4 | ethertype::IPV6 => {
            format!("ip{} without a whole header", if ethertype == ethertype::IPV6 { "6" } else { "" })
        }
        0..=1500 => format!("802.3 frame of length {ethertype}"),
        _ => format!("ether type {ethertype:#06x}"),
    }
}

fn arp_words(packet: &[u8], at: usize) -> String {
    let is_whole = packet.get(at..at + 28).is_some_and(|arp| arp.starts_with(&[0, 1, 8, 0, 6, 4]));
    match number(packet, at + 6).filter(|_| is_whole) {
        Some(1) => {
            let (target, sender) = (address(packet, at + 24..at + 28), address(packet, at + 14..at + 18));
            format!("arp who-has {target} tell {sender}")
        }
        Some(2) => {
            let mac = packet.get(at + 8..at + 14).and_then(|mac| mac.try_into().ok()).unwrap_or_default();
            format!("arp reply {} is-at {}", address(packet, at + 14..at + 18), crate::policy::mac_text(mac))
        }
        _ => "ether type 0x0806".into(),
    }
}

fn ip_words(packet: &[u8], ip: &Ip) -> String {
    let (src, dst) = (address(packet, ip.src()), address(packet, ip.dst()));
    let family = if ip.v6 { "ip6" } else { "ip" };
    let Some(protocol) = ip.protocol else {
        return format!("{family} {src} > {dst} with headers beyond its end");
    };
    let plain = || format!("{family} proto {protocol} {src} > {dst}");
    let words = match (protocol, ip.ports, ip.transport) {
        (_, Some(at), _) => {
            let port = |at| number(packet, at).unwrap_or_default();
            let end =
                |address: &str, port| if ip.v6 { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
            let (name, flags) = match protocol {
                protocol::TCP => ("tcp", tcp_flags(packet, at)),
                protocol::UDP => ("udp", String::new()),
                _ => ("sctp", String::new()),
            };
            format!("{name} {} > {}{flags}", end(&src, port(at)), end(&dst, port(at + 2)))
        }
        (protocol::ICMP, _, Some(at)) if !ip.v6 => icmp_words(packet, at, false, &src, &dst).unwrap_or_else(plain),
        (protocol::ICMP6, _, Some(at)) if ip.v6 => icmp_words(packet, at, true, &src, &dst).unwrap_or_else(plain),
        _ => plain(),
    };
    words + &fragment_words(packet, ip)
}

fn tcp_flags(packet: &[u8], at: usize) -> String {
    let Some(flags) = packet.get(at + 13) else {
        return String::new();
    };
    let set: Vec<&str> =
        (0..8).filter(|bit| flags & (1 << bit) != 0).filter_map(|bit| FLAGS.get(bit).copied()).collect();
    format!(" {}", if set.is_empty() { "none".into() } else { set.join(",") })
}

fn icmp_words(packet: &[u8], at: usize, v6: bool, src: &str, dst: &str) -> Option<String> {
    let kind = *packet.get(at)?;
    let name = icmp::name(kind, v6).map_or_else(|| format!("type {kind}"), str::to_string);
    let code = packet.get(at + 1).filter(|code| **code != 0).map_or_else(String::new, |code| format!(" code {code}"));
    Some(format!("icmp{} {src} > {dst} {name}{code}", if v6 { "6" } else { "" }))
}

/// ` frag 100+` for fragments of IPv4, and for those of IPv6 whose fragment header is the first one.
fn fragment_words(packet: &[u8], ip: &Ip) -> String {
    let (offset, more) = if ip.v6 {
        if packet.get(ip.at + 6) != Some(&protocol::FRAGMENT) {
            return if ip.later_fragment { " frag".into() } else { String::new() };
        }
        let field = number(packet, ip.at + 42).unwrap_or_default();
        (field >> 3, field & 1 != 0)
    } else {
        let field = number(packet, ip.at + 6).unwrap_or_default();
        (field & 0x1fff, field & 0x2000 != 0)
    };
    match (offset, more) {
        (0, false) => String::new(),
        (offset, more) => format!(" frag {offset}{}", if more { "+" } else { "" }),
    }
}
