//! Random expressions after the grammar, from a seed.

/// A generator of numbers (Steele, Lea, Flood: SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap() % most
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const PROTOCOLS: &[&str] = &[
    "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "igrp", "pim", "vrrp", "carp", "ah",
    "esp", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "iso", "esis", "isis", "l1", "l2", "iih", "lsp",
    "snp", "csnp", "psnp", "clnp", "stp", "ipx", "netbeui",
];
const LOADS: &[&str] = &["ether", "ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6", "sctp", "rarp", "igmp", "decnet"];
const V4: &[&str] = &["10.1.2.3", "192.168.0.1", "1.2.3.4", "5.6.7.8", "0.0.0.0"];
const NETS: &[&str] = &[
    "10",
    "192.168",
    "10.0.0.0/8",
    "192.168.0.0/16",
    "0.0.0.0/0",
    "10.1 mask 255.255",
    "2001:db8::/32",
    "::/0",
    "2001:db8:0:0::/64",
];
const V6: &[&str] = &["2001:db8::1", "2001:db8:1::2", "::"];
const MACS: &[&str] = &["ab:cd:ef:0:0:1", "02-00-00-00-00-02", "ff:ff:ff:ff:ff:ff", "0200.0000.0002"];
const PORTS: &[&str] = &["80", "53", "443", "22", "domain", "7", "65535"];
const NUMBERS: &[&str] =
    &["0", "1", "2", "3", "5", "6", "9", "14", "17", "20", "31", "80", "0xff", "0x1f", "0800", "64", "4294967295"];
const DIRECTIONS: &[&str] = &["", "", "src ", "dst ", "src or dst ", "src and dst "];

/// A test that stands by itself.
fn term(r: &mut Random) -> String {
    let direction = r.pick(DIRECTIONS);
    match r.below(26) {
        0..=3 => r.pick(PROTOCOLS).to_string(),
        4 => format!("{}{direction}host {}", r.pick(&["", "ip ", "arp ", "rarp "]), r.pick(V4)),
        5 => format!("{}{direction}net {}", r.pick(&["", "ip ", "arp ", "ip6 "]), r.pick(NETS)),
        6 => format!("{}{direction}host {}", r.pick(&["", "ip6 "]), r.pick(V6)),
        7 => format!("ether {direction}host {}", r.pick(MACS)),
        8 | 9 => format!("{}{direction}port {}", r.pick(&["", "tcp ", "udp ", "sctp "]), r.pick(PORTS)),
        10 => format!(
            "{}{direction}portrange {}",
            r.pick(&["", "tcp ", "udp "]),
            r.pick(&["50-100", "443-22", "7-7", "0-65535"])
        ),
        11 => format!("{}proto {}", r.pick(&["", "ip ", "ip6 "]), r.pick(&["6", "17", "\\tcp", "58", "44", "1"])),
        12 => {
            format!("ether proto {}", r.pick(&["0x800", "\\arp", "0x42", "0xfe", "0xe0", "1500", "1501", "\\ipx", "6"]))
        }
        13 => format!("iso proto {}", r.pick(&["0x83", "\\clnp", "0x82"])),
        14 => format!("isis proto {}", r.pick(&["15", "18", "20 or 27"])),
        15 => format!("{}multicast", r.pick(&["", "ether ", "ip ", "ip6 "])),
        16 => format!("{}broadcast", r.pick(&["", "ether ", "ip "])),
        17 => format!("{} {}", r.pick(&["less", "greater"]), r.pick(&["60", "20", "0", "100"])),
        18 => format!("byte {} {} {}", r.pick(NUMBERS), r.pick(&["=", "<", ">"]), r.pick(NUMBERS)),
        19 => format!("llc{}", r.pick(&["", " i", " s", " u", " ui", " test", " xid", " rr", " rnr", " dm"])),
        20 => format!("decnet {direction}host {}", r.pick(&["1.1", "50.764"])),
        _ => relation(r),
    }
}

/// Such a test that moves what follows.
fn mover(r: &mut Random) -> String {
    let number = r.pick(&["", " 10", " 100", " 5", " (20)"]);
    match r.below(8) {
        0..=3 => format!("vlan{number}"),
        4 | 5 => format!("mpls{number}"),
        6 => format!("pppoes{number}"),
        _ => "pppoed".to_string(),
    }
}

fn relation(r: &mut Random) -> String {
    let operator = r.pick(&["=", "==", "!=", ">", "<", ">=", "<="]);
    match r.below(4) {
        0 => format!("{} & {} {} 0", load(r, 0), r.pick(NUMBERS), r.pick(&["=", "!="])),
        1 => format!("{} {operator} {}", load(r, 1), r.pick(NUMBERS)),
        _ => format!("{} {operator} {}", arithmetic(r, 3), arithmetic(r, 2)),
    }
}

fn load(r: &mut Random, depth: usize) -> String {
    let index = if depth > 0 && r.below(4) == 0 { arithmetic(r, depth - 1) } else { r.pick(NUMBERS).to_string() };
    format!("{}[{index}{}]", r.pick(LOADS), r.pick(&["", ":1", ":2", ":4"]))
}

fn arithmetic(r: &mut Random, depth: usize) -> String {
    if depth == 0 {
        return r.pick(NUMBERS).to_string();
    }
    match r.below(8) {
        0 => r.pick(NUMBERS).to_string(),
        1 => "len".to_string(),
        2..=4 => load(r, depth),
        5 => format!("-{}", arithmetic(r, depth - 1)),
        6 => format!("({} {} {})", arithmetic(r, depth - 1), operator(r), arithmetic(r, depth - 1)),
        _ => format!("{} {} {}", arithmetic(r, depth - 1), operator(r), arithmetic(r, depth - 1)),
    }
}

fn operator(r: &mut Random) -> &'static str {
    r.pick(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"])
}

/// An operand that takes over qualifiers, or a test that does not.
fn operand(r: &mut Random) -> String {
    match r.below(8) {
        0 => r.pick(V4).to_string(),
        1 => r.pick(PORTS).to_string(),
        2 => r.pick(NUMBERS).to_string(),
        _ => term(r),
    }
}

/// An expression.
pub(crate) fn expression(r: &mut Random, depth: usize) -> String {
    let mut out = if r.below(6) == 0 { mover(r) } else { term(r) };
    for _ in 0..r.below(4) {
        out += r.pick(&[" and ", " or ", " && ", " || "]);
        if r.below(5) == 0 {
            out += r.pick(&["not ", "! "]);
        }
        out += &match r.below(8) {
            0 | 1 if depth > 0 => format!("({})", expression(r, depth - 1)),
            2 => mover(r),
            3 if depth > 0 => format!("({} or {})", operand(r), operand(r)),
            _ => operand(r),
        };
    }
    if r.below(8) == 0 { format!("not ({out})") } else { out }
}
