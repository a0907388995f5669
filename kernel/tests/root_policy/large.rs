//! Sets that are tables, with many single addresses, and tables of many rules: each packet's verdict against a search of
//! what was put in.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use xdpilot_core::emit::Options;
use xdpilot_core::policy::{self, Element};
use xdpilot_core::rules::Rules;

use crate::random::Random;
use crate::subject::Subject;

/// `drop when src in big`, with these elements.
fn rules(elements: Vec<Element>) -> Rules {
    let document = policy::parse("set big = { 192.0.2.1, 2001:db8::1 }\ndrop when src in big\ndefault pass\n").unwrap();
    let request = policy::Request { policy: None, file: "large.xdp", inbound: true, resolve: None };
    let mut rules = policy::resolve(&document, &request, &mut |path| panic!("{path}")).unwrap();
    rules.sets[0].elements = elements;
    rules
}

fn packet(source: u32) -> Vec<u8> {
    let mut packet = vec![2; 12];
    packet.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(source.to_be_bytes());
    packet.extend([192, 0, 2, 1]);
    packet.resize(60, 0);
    packet
}

#[test]
fn tables_of_addresses_find_what_a_search_finds() {
    for (count, prefixes) in [(30_000, 0), (30_000, 100), (110_000, 0), (110_000, 3), (300_000, 50), (900_000, 0)] {
        let seed = count as u64 + prefixes;
        let mut random = Random(seed);
        let mut addresses: Vec<u32> = (0..count).map(|_| random.next() as u32).collect();
        let mut elements: Vec<Element> =
            addresses.iter().map(|one| Element::V4(Ipv4Addr::from_bits(*one), 32)).collect();
        let mut covered = Vec::new();
        for _ in 0..prefixes {
            let length = *random.pick(&[12u8, 24, 25, 28, 31]);
            let network = random.next() as u32 & u32::MAX << (32 - length);
            elements.push(Element::V4(Ipv4Addr::from_bits(network), length));
            covered.push((network, length));
        }
        let rules = rules(elements);
        let subject = Subject::new(&rules, &Options::default(), seed);
        addresses.sort_unstable();
        for round in 0..20_000 {
            let source = match round % 4 {
                0 => *random.pick(&addresses),
                1 => *random.pick(&addresses) ^ 1 << random.below(32),
                2 if prefixes > 0 => {
                    let (network, length) = *random.pick(&covered);
                    network ^ (random.next() as u32) >> (length - 1)
                }
                _ => random.next() as u32,
            };
            let within = covered.iter().any(|(network, length)| (network ^ source) >> (32 - length) == 0);
            let drops = within || addresses.binary_search(&source).is_ok();
            assert_eq!(
                subject.verdict(&packet(source)),
                if drops { 1 } else { 2 },
                "{count} {}",
                Ipv4Addr::from(source)
            );
        }
    }
}

/// A prefix of IPv6 near others: in one of so many blocks of /27.
fn prefix(random: &mut Random, blocks: u64) -> (u128, u8) {
    // Those that cover a block, or many, are few, so that what they leave is seen.
    let wide = [22u8, 25, 26, 27, 28, 29, 32];
    let lengths = [33, 36, 40, 44, 47, 48, 48, 48, 53, 54, 55, 56, 64, 64, 100, 128];
    let block = 0x2a00 << 112 | u128::from(random.next() % blocks) << 101;
    let bits = block | u128::from(random.next() as u32 >> 5) << 74 | u128::from(random.next()) << 10;
    let length = if random.once_in(200) { *random.pick(&wide) } else { *random.pick(&lengths) };
    (bits & u128::MAX << (128 - length), length)
}

#[test]
fn tables_of_prefixes_find_what_a_search_finds() {
    for (count, blocks) in [(3_000, 3_000), (30_000, 15_000), (30_000, 3_000), (60_000, 1_000_000)] {
        let mut random = Random(count ^ blocks);
        let prefixes: BTreeSet<(u128, u8)> = (0..count).map(|_| prefix(&mut random, blocks)).collect();
        let elements = prefixes.iter().map(|(bits, length)| Element::V6(Ipv6Addr::from_bits(*bits), *length)).collect();
        let rules = rules(elements);
        let subject = Subject::new(&rules, &Options::default(), count);
        let listed: Vec<(u128, u8)> = prefixes.iter().copied().collect();
        let mut drops = 0;
        for round in 0..20_000 {
            let (bits, length) = if round % 4 == 3 { prefix(&mut random, blocks) } else { *random.pick(&listed) };
            let beside = u128::from(round % 4 == 1) << (128 - length);
            let inside = (u128::from(random.next()) << 64 | u128::from(random.next())).checked_shr(length.into());
            let source = (bits | inside.unwrap_or(0)) ^ beside;
            let within = |length: u8| prefixes.contains(&(source & u128::MAX << (128 - length), length));
            let expected = if (1..=128).any(within) { 1 } else { 2 };
            drops += usize::from(expected == 1);
            assert_eq!(subject.verdict(&packet6(source)), expected, "{count} {blocks} {}", Ipv6Addr::from_bits(source));
        }
        assert!((10_000..19_000).contains(&drops), "{drops}");
    }
}

fn packet6(source: u128) -> Vec<u8> {
    let mut packet = vec![2; 12];
    packet.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 59, 64]);
    packet.extend(source.to_be_bytes());
    packet.resize(74, 0);
    packet
}

/// The numbers that rules of a large table ask for, and how a packet has them.
const COLUMNS: [&[&str]; 4] = [
    &["src host"],
    &["src host", "tcp dst port"],
    &["src host", "tcp dst port", "tcp src port"],
    &["src host", "dst host", "tcp dst port", "tcp src port"],
];

/// What rules ask for: source, destination, destination port, source port.
type Asked = (u32, u32, u16, u16);

fn text(columns: &[&str], (source, destination, to, from): Asked) -> String {
    let value = |column: &&str| match *column {
        "src host" => Ipv4Addr::from(source).to_string(),
        "dst host" => Ipv4Addr::from(destination).to_string(),
        "tcp dst port" => to.to_string(),
        _ => from.to_string(),
    };
    columns.iter().map(|column| format!("{column} {}", value(column))).collect::<Vec<_>>().join(" and ")
}

fn segment((source, destination, to, from): Asked) -> Vec<u8> {
    let mut packet = vec![2; 12];
    packet.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 6, 0, 0]);
    packet.extend([source.to_be_bytes(), destination.to_be_bytes()].concat());
    packet.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    packet.resize(60, 0);
    packet
}

/// Asks for what some columns of a rule say, and is the same for all rules in the others.
fn asked(columns: &[&str], random: &mut Random, narrow: bool) -> Asked {
    let has = |column: &str| columns.contains(&column);
    let source = if narrow { 0x0a00_0000 | random.below(4096) as u32 } else { random.next() as u32 };
    let port = |random: &mut Random| random.below(if narrow { 8 } else { 65_536 }) as u16;
    let destination = if has("dst host") { random.next() as u32 & 0xc0a8_ffff } else { 1 };
    let to = if has("tcp dst port") { port(random) } else { 2 };
    (source, destination, to, if has("tcp src port") { port(random) } else { 3 })
}

#[test]
fn large_tables_find_what_a_list_finds() {
    for (count, columns) in [(600, 0), (600, 1), (3_000, 1), (3_000, 2), (1_500, 3), (20_000, 1)] {
        for narrow in [false, true] {
            let (columns, mut random) = (COLUMNS[columns], Random(count));
            let asks: Vec<Asked> = (0..count).map(|_| asked(columns, &mut random, narrow)).collect();
            let verdicts = ["drop", "pass", "abort"];
            let lines = asks.iter().zip(verdicts.iter().cycle());
            let lines = lines.map(|(asks, verdict)| format!("{verdict} when {}\n", text(columns, *asks)));
            let document = policy::parse(&(lines.collect::<String>() + "default tx\n")).unwrap();
            let request = policy::Request { policy: None, file: "large.xdp", inbound: true, resolve: None };
            let rules = policy::resolve(&document, &request, &mut |path| panic!("{path}")).unwrap();
            let subject = Subject::new(&rules, &Options::default(), count);
            let mut hits = vec![0; asks.len() + 1];
            for round in 0..2_000 {
                let mut packet = *random.pick(&asks);
                if round % 3 == 0 {
                    packet = asked(columns, &mut random, narrow);
                }
                let first = asks.iter().position(|asks| *asks == packet);
                hits[first.unwrap_or(asks.len())] += 1;
                let expected = first.map_or(3, |rule| [1, 2, 0][rule % 3]);
                assert_eq!(subject.verdict(&segment(packet)), expected, "{columns:?} {packet:?} {first:?}");
            }
            assert_eq!(subject.packets(), hits, "{columns:?}");
        }
    }
}

/// Entries that all are found by the same bits, and of which some ask for more.
#[test]
fn a_classifier_of_one_group_finds_what_a_list_finds() {
    let least = |host: u32| host % 2 * host;
    let line = |host: u32| match least(host) {
        0 => format!("drop when ip src host 10.0.0.{host}\n"),
        least => format!("drop when src host 10.0.0.{host} and ip[8] >= {least}\n"),
    };
    let document = policy::parse(&(0..40).map(line).collect::<String>()).unwrap();
    let request = policy::Request { policy: None, file: "group.xdp", inbound: true, resolve: None };
    let rules = policy::resolve(&document, &request, &mut |path| panic!("{path}")).unwrap();
    let subject = Subject::new(&rules, &Options::default(), 1);
    for host in 0..50 {
        let mut packet = segment((0x0a00_0000 | host, 1, 2, 3));
        for ttl in [0, 7, 20, 64] {
            packet[22] = ttl;
            let is_dropped = host < 40 && u32::from(ttl) >= least(host);
            assert_eq!(subject.verdict(&packet), if is_dropped { 1 } else { 2 }, "{host} {ttl}");
            // It ends before the source.
            assert_eq!(subject.verdict(&packet[..26]), 2, "{host} {ttl}");
        }
    }
}

/// The kernel takes 16 MB of types and text.
#[test]
fn rules_of_more_text_than_the_kernel_takes_are_loaded() {
    let mut random = Random(1);
    let lines = (0..80_000).map(|_| format!("drop when {}\n", text(COLUMNS[1], asked(COLUMNS[1], &mut random, false))));
    let document = policy::parse(&lines.collect::<String>()).unwrap();
    let request = policy::Request { policy: None, file: "large.xdp", inbound: true, resolve: None };
    let mut rules = policy::resolve(&document, &request, &mut |path| panic!("{path}")).unwrap();
    rules.rules.iter_mut().for_each(|rule| rule.text = format!("{} # {}", rule.text, "ä".repeat(120)));
    let subject = Subject::new(&rules, &Options::default(), 1);
    assert_eq!(subject.verdict(&segment((1, 1, 2, 3))), 2);
}
