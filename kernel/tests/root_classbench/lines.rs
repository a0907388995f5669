//! What a line of ClassBench means, written as obviously as can be, and sharing no code with the importer.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// The protocols that have ports.
pub(crate) const WITH_PORTS: [u8; 3] = [6, 17, 132];
pub(crate) const ALL: RangeInclusive<u16> = 0..=u16::MAX;

/// A line.
pub(crate) struct Line {
    /// Source and destination: the lowest and the highest address.
    pub(crate) addresses: [RangeInclusive<u32>; 2],
    /// Source and destination.
    pub(crate) ports: [RangeInclusive<u16>; 2],
    /// None for all.
    pub(crate) protocol: Option<u8>,
}

/// What lines ask of a packet, each as far as the packet has it.
pub(crate) struct Header {
    is_v4: bool,
    protocol: Option<u8>,
    addresses: [Option<u32>; 2],
    /// None, too, where the protocol has no ports, and in later fragments.
    ports: [Option<u16>; 2],
}

/// The lines of a file.
pub(crate) fn read(text: &str) -> Vec<Line> {
    text.lines().filter(|line| line.starts_with('@')).map(line).collect()
}

/// `@SRC/LEN DST/LEN LOW : HIGH LOW : HIGH PROTOCOL/MASK …`; what stands behind is not looked at.
fn line(text: &str) -> Line {
    let words: Vec<&str> = text.trim_start_matches('@').split_whitespace().collect();
    let ports = |low: &str, high: &str| low.parse().unwrap()..=high.parse().unwrap();
    let (protocol, mask) = words[8].split_once('/').unwrap();
    let hex = |word: &str| u8::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
    Line {
        addresses: [prefix(words[0]), prefix(words[1])],
        ports: [ports(words[2], words[4]), ports(words[5], words[7])],
        protocol: (hex(mask) == 0xff).then(|| hex(protocol)),
    }
}

fn prefix(word: &str) -> RangeInclusive<u32> {
    let (address, length) = word.split_once('/').unwrap();
    let others = u32::MAX.checked_shr(length.parse().unwrap()).unwrap_or(0);
    let low = address.parse::<Ipv4Addr>().unwrap().to_bits() & !others;
    low..=low | others
}

impl Line {
    pub(crate) fn matches(&self, header: &Header) -> bool {
        header.is_v4
            && self.protocol.is_none_or(|protocol| header.protocol == Some(protocol))
            && (0..2).all(|side| is_in(header.addresses[side], &self.addresses[side], &(0..=u32::MAX)))
            && (0..2).all(|side| is_in(header.ports[side], &self.ports[side], &ALL))
    }
}

/// A range of all numbers asks for nothing.
fn is_in<T: PartialOrd>(number: Option<T>, range: &RangeInclusive<T>, all: &RangeInclusive<T>) -> bool {
    range == all || number.is_some_and(|number| range.contains(&number))
}

impl Header {
    pub(crate) fn of(packet: &[u8]) -> Self {
        let byte = |at: usize| packet.get(at).copied();
        let short = |at: usize| Some(u16::from_be_bytes([byte(at)?, byte(at + 1)?]));
        let long = |at: usize| Some(u32::from(short(at)?) << 16 | u32::from(short(at + 2)?));
        let protocol = byte(23);
        let is_first = short(20).is_some_and(|fragment| fragment & 0x1fff == 0);
        let has_ports = is_first && protocol.is_some_and(|protocol| WITH_PORTS.contains(&protocol));
        let transport = 14 + 4 * usize::from(byte(14).unwrap_or_default() & 0xf);
        let port = |at: usize| short(transport + at).filter(|_| has_ports);
        let is_v4 = short(12) == Some(0x0800);
        Header { is_v4, protocol, addresses: [long(26), long(30)], ports: [port(0), port(2)] }
    }
}
