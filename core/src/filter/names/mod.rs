//! Names of protocols and ports.

mod table;

/// What a port's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The port; TCP's where the two have different ones.
    pub port: u16,
    /// Whether the name is one of TCP.
    pub tcp: bool,
    /// Whether the name is one of UDP, with the same port.
    pub udp: bool,
}

/// The number of an IP protocol: `tcp`, `ipv6-icmp`; for those that IP has not (`mptcp`) more than 255.
pub fn protocol(name: &str) -> Option<u16> {
    let found = table::PROTOCOLS.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    table::PROTOCOLS.get(found).map(|(_, number)| *number)
}

/// The name of an IP protocol by its number; none where it has none.
pub fn protocol_name(number: u8) -> Option<&'static str> {
    let lower = |name: &str| !name.bytes().any(|byte| byte.is_ascii_uppercase());
    let mut named = table::PROTOCOLS.iter().filter(|(_, known)| *known == u16::from(number));
    named.find(|(name, _)| lower(name)).map(|(name, _)| *name)
}

/// The EtherType of a protocol, or the number of its service access point, which is less than 256: `arp`, `stp`.
pub fn ether_protocol(name: &str) -> Option<u16> {
    ETHER_PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The port of a service: `domain`.
pub fn service(name: &str) -> Option<Service> {
    let found = table::SERVICES.binary_search_by(|(known, ..)| (*known).cmp(name)).ok()?;
    let (_, tcp, udp) = *table::SERVICES.get(found)?;
    let port = tcp.or(udp)?;
    Some(Service { port, tcp: tcp.is_some(), udp: udp == Some(port) })
}

/// All names of IP protocols.
pub fn protocols() -> impl Iterator<Item = &'static str> {
    table::PROTOCOLS.iter().map(|(name, _)| *name)
}

/// All names of protocols that an Ethernet frame may carry.
pub fn ether_protocols() -> impl Iterator<Item = &'static str> {
    ETHER_PROTOCOLS.iter().map(|(name, _)| *name)
}

/// All names of ports.
pub fn services() -> impl Iterator<Item = &'static str> {
    table::SERVICES.iter().map(|(name, ..)| *name)
}

const ETHER_PROTOCOLS: &[(&str, u16)] = &[
    ("aarp", 0x80f3),
    ("arp", 0x0806),
    ("atalk", 0x809b),
    ("decnet", 0x6003),
    ("ip", 0x0800),
    ("ip6", 0x86dd),
    ("lat", 0x6004),
    ("loopback", 0x9000),
    ("mopdl", 0x6001),
    ("moprc", 0x6002),
    ("rarp", 0x8035),
    ("sca", 0x6007),
    ("iso", 0xfe),
    ("stp", 0x42),
    ("ipx", 0xe0),
    ("netbeui", 0xf0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted() {
        assert!(table::PROTOCOLS.is_sorted());
        assert!(table::SERVICES.is_sorted());
    }

    #[test]
    fn names_are_known() {
        assert_eq!(protocol("tcp"), Some(6));
        assert_eq!(protocol("IPv6-ICMP"), Some(58));
        assert_eq!(ether_protocol("arp"), Some(0x806));
        assert_eq!(service("domain"), Some(Service { port: 53, tcp: true, udp: true }));
        assert_eq!(service("ssh"), Some(Service { port: 22, tcp: true, udp: false }));
        assert_eq!(service("tftp"), Some(Service { port: 69, tcp: false, udp: true }));
        assert_eq!(service("nothing"), None);
    }
}
