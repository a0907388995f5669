//! Rule sets in ClassBench's shape (Taylor and Turner: ClassBench: A Packet Classification Benchmark, 2005).

use std::fmt::Write;
use std::net::Ipv4Addr;

use xdpilot_core::random::Random;

/// What the rules of a set are like; of lists any is as likely as any other.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// Lengths of the prefixes of sources and destinations.
    lengths: [&'static [u32]; 2],
    /// What is asked of the ports of sources and destinations.
    ports: [&'static [Ports]; 2],
    /// Protocols; 0 for all.
    protocols: &'static [u8],
}

#[derive(Clone, Copy)]
enum Ports {
    All,
    Known,
    Exact,
    Above,
    Below,
    Range,
}

use Ports::{Above, All, Below, Exact, Known, Range};

pub(crate) const FAMILIES: [Family; 3] = [
    // Access lists: hosts and exact ports of destinations.
    Family {
        name: "acl",
        lengths: [&[0, 16, 20, 24, 28, 30, 32, 32, 32], &[24, 27, 30, 32, 32, 32, 32]],
        ports: [&[All], &[All, Known, Exact, Exact, Range]],
        protocols: &[6, 6, 6, 6, 6, 17, 1, 0],
    },
    // Firewalls: wildcards, short prefixes, ranges.
    Family {
        name: "fw",
        lengths: [&[0, 0, 0, 1, 5, 8, 28, 29, 32], &[0, 0, 8, 16, 24, 28, 29]],
        ports: [&[All, All, All, Known, Above, Range], &[All, All, Known, Above, Below, Range]],
        protocols: &[6, 6, 6, 17, 17, 47, 1, 0],
    },
    // Chains of IP: all lengths, protocols and ports.
    Family {
        name: "ipc",
        lengths: [&[0, 4, 9, 13, 18, 23, 26, 31, 32, 32], &[0, 2, 7, 11, 15, 19, 22, 25, 32, 32]],
        ports: [&[All, All, Known, Exact, Range], &[All, Known, Exact, Above, Range]],
        protocols: &[17, 17, 6, 6, 132, 50, 1, 0, 0],
    },
];

/// A rule file with so many lines.
pub(crate) fn draw(family: &Family, size: usize, random: &mut Random) -> String {
    // Networks that the addresses share, so that prefixes lie in each other.
    let networks: Vec<u32> = (0..1 + size / 20).map(|_| random.next() as u32).collect();
    let mut text = String::new();
    for _ in 0..size {
        let [source, destination] = family.lengths.map(|lengths| {
            let apart = [0, 0xf, 0xff, 0xffff, u32::MAX][random.below(5)];
            let address = networks[random.below(networks.len())] ^ random.next() as u32 & apart;
            format!("{}/{}", Ipv4Addr::from_bits(address), lengths[random.below(lengths.len())])
        });
        let protocol = family.protocols[random.below(family.protocols.len())];
        let has_ports = [0, 6, 17, 132].contains(&protocol);
        let [from, to] = family.ports.map(|kinds| {
            let kind = kinds[random.below(kinds.len())];
            ports(if has_ports { kind } else { All }, random)
        });
        let mask = if protocol == 0 { 0 } else { 0xff };
        writeln!(text, "@{source}\t{destination}\t{from}\t{to}\t0x{protocol:02x}/0x{mask:02X}\t0x0000/0x0200\t")
            .unwrap();
    }
    text
}

fn ports(kind: Ports, random: &mut Random) -> String {
    let known = [20, 22, 25, 53, 80, 123, 443, 1521, 8080][random.below(9)];
    let (low, high) = match kind {
        All => (0, 65535),
        Known => (known, known),
        Exact => {
            let port = random.next() as u16;
            (port, port)
        }
        Above => (1024, 65535),
        Below => (0, 1023),
        Range => {
            let low = random.next() as u16;
            (low, low.saturating_add([1, 3, 10, 500, 60_000][random.below(5)]))
        }
    };
    format!("{low} : {high}")
}
