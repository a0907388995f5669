//! Filter expressions against the installed tcpdump: which it accepts, and what it says of packets cut off anywhere.
//!
//! `XDPILOT_FILTERS=FILE` takes other expressions, one a line, `XDPILOT_CAPTURES=DIR` other packets (files of type pcap
//! with Ethernet frames; others are named and left out), `XDPILOT_SEED` and `XDPILOT_RANDOM` other random expressions
//! and so many of them, `XDPILOT_FUZZ_INPUTS` so many texts for the parser.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod packets;
mod random;
mod tcpdump;

use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::thread;

use random::Random;
use xdpilot_core::cond::Cond;
use xdpilot_core::eval::cond::{View, holds};
use xdpilot_core::filter::{self, Context, Filter};

fn number(variable: &str, default: usize) -> usize {
    env::var(variable).map_or(default, |number| number.parse().unwrap())
}

/// Expressions of our own, or those of a file that the caller names.
fn expressions() -> Vec<String> {
    let text = match env::var_os("XDPILOT_FILTERS") {
        Some(file) => std::fs::read_to_string(file).unwrap(),
        None => include_str!("expressions.txt").to_string(),
    };
    text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).map(str::to_string).collect()
}

fn packets() -> Vec<Vec<u8>> {
    match env::var_os("XDPILOT_CAPTURES") {
        Some(folder) => tcpdump::captures(Path::new(&folder)),
        None => packets::all(),
    }
}

fn parse(text: &str) -> Result<Filter, String> {
    filter::parse(text, 0..text.len()).map_err(|problem| problem.show("filter", text))
}

/// What an expression means; the text that it prints has to mean the same to the parser.
fn lower(text: &str) -> Result<Cond, String> {
    let parsed = parse(text)?;
    let printed = parsed.to_string();
    assert_eq!(parse(&printed).as_ref(), Ok(&parsed), "{text} is printed as {printed}");
    let context = Context { sets: &|_| None, inbound: true, resolve: None };
    filter::lower(&parsed, &context).map_err(|problem| problem.show("filter", text))
}

/// Compares everything with tcpdump; differences are told.
fn compare(expressions: &[String], packets: &[Vec<u8>]) -> (Vec<String>, usize) {
    let prefixes = packets::prefixes(packets);
    let capture = tcpdump::capture(&prefixes);
    let differences = thread::scope(|scope| {
        let parts = expressions.chunks(expressions.len().div_ceil(2).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(|| compare_part(part, &prefixes, &capture))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    (differences, prefixes.len())
}

fn compare_part(expressions: &[String], prefixes: &[&[u8]], capture: &[u8]) -> Vec<String> {
    let mut differences = Vec::new();
    for text in expressions {
        let theirs = tcpdump::matching(text, capture);
        let ours = lower(text);
        match (&ours, &theirs) {
            (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) => differences.push(format!("{text}: tcpdump refuses it: {error}")),
            (Err(error), Ok(_)) => differences.push(format!("tcpdump takes what is refused: {error}")),
            (Ok(cond), Ok(theirs)) => {
                let ours = prefixes.iter().enumerate().filter(|(_, packet)| holds(cond, view(packet)));
                let ours: BTreeSet<usize> = ours.map(|(index, _)| index).collect();
                if let Some(first) = ours.symmetric_difference(theirs).next() {
                    let count = ours.symmetric_difference(theirs).count();
                    differences.push(format!("{text}: {count} packets, the first is {:02x?}", prefixes[*first]));
                }
            }
        }
    }
    differences
}

fn view(packet: &[u8]) -> View<'_> {
    View { packet, length: u32::try_from(packet.len()).unwrap(), ifindex: None, sets: &[] }
}

/// Expressions that tcpdump cannot apply to a file.
fn about_the_interface(text: &str) -> bool {
    ["inbound", "outbound", "ifindex"].iter().any(|word| text.contains(word))
}

#[test]
fn expressions_are_accepted_where_tcpdump_accepts_them() {
    let expressions = expressions();
    let mut differences = Vec::new();
    for text in &expressions {
        match (lower(text), tcpdump::accepts(text)) {
            (Ok(_), Err(error)) => differences.push(format!("{text}: tcpdump refuses it: {error}")),
            (Err(error), Ok(())) => differences.push(format!("tcpdump takes what is refused: {error}")),
            _ => {}
        }
    }
    println!("{} expressions, {} differences", expressions.len(), differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn packets_cut_off_anywhere_get_the_verdict_of_tcpdump() {
    let expressions: Vec<String> = expressions().into_iter().filter(|text| !about_the_interface(text)).collect();
    let packets = packets();
    let (differences, prefixes) = compare(&expressions, &packets);
    let (count, packets) = (expressions.len(), packets.len());
    println!("{count} expressions x {prefixes} prefixes of {packets} packets, {} differences", differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn random_expressions_mean_what_they_mean_to_tcpdump() {
    let (seed, count) = (number("XDPILOT_SEED", 1), number("XDPILOT_RANDOM", 600));
    let mut random = Random(u64::try_from(seed).unwrap());
    let expressions: Vec<String> = (0..count).map(|_| random::expression(&mut random, 2)).collect();
    let (differences, prefixes) = compare(&expressions, &packets());
    println!("seed {seed}: {count} expressions x {prefixes} prefixes, {} differences", differences.len());
    assert!(differences.is_empty(), "seed {seed}:\n{}", differences.join("\n"));
}

#[test]
fn no_text_breaks_the_parser() {
    const PIECES: &[&str] = &[
        "(",
        ")",
        "[",
        "]",
        "not ",
        "and ",
        "or ",
        "!",
        "tcp ",
        "ip",
        "port ",
        "host ",
        "net ",
        "in ",
        "{",
        "}",
        ",",
        "/",
        "mask ",
        "1.2.3.4",
        "10",
        "::1",
        "a:b",
        "0x",
        "08",
        "4294967296",
        "vlan ",
        "mpls ",
        "payload starts ",
        "\"G\\x0",
        "\"",
        "\\",
        "-",
        "len",
        "^",
        "%",
        "<<",
        ":4",
        "é",
        "\u{0}",
        "portrange 1-",
        "ab:cd:ef:0:0:1",
        "geneve ",
        "syn",
        "$",
    ];
    let mut random = Random(7);
    let context = Context { sets: &|name| Some(name.len()), inbound: false, resolve: None };
    for _ in 0..number("XDPILOT_FUZZ_INPUTS", 20_000) {
        let mut text: String = (0..random.below(12)).map(|_| random.pick(PIECES)).collect();
        if random.below(2) == 0 {
            text = random::expression(&mut random, 2);
            let at = random.below(text.len());
            text.replace_range(at..=at, random.pick(PIECES));
        }
        let Ok(parsed) = parse(&text) else { continue };
        let printed = parsed.to_string();
        assert_eq!(parse(&printed).as_ref(), Ok(&parsed), "{text:?} is printed as {printed:?}");
        _ = filter::lower(&parsed, &context);
    }
}

/// Which packets an expression of our own holds of.
fn of(text: &str, packets: &[Vec<u8>]) -> Vec<bool> {
    let cond = lower(text).unwrap();
    packets.iter().map(|packet| holds(&cond, view(packet))).collect()
}

#[test]
fn what_libpcap_has_not_means_what_it_has() {
    let packets = packets::all();
    let same = [
        (
            "src in {10.0.0.0/8, 1.2.3.4, 2001:db8::/32}",
            "src net 10.0.0.0/8 or src host 1.2.3.4 or src net 2001:db8::/32",
        ),
        ("in {10.1.2.3}", "host 10.1.2.3"),
        ("ip src and dst in {10.0.0.0/8, 192.168.0.0/16}", "ip src net 10 and dst net 192.168"),
        ("arp dst in {192.168.0.0/16}", "arp dst net 192.168.0.0/16"),
        ("tcp dst port in {80, 443, 1000-1100}", "tcp dst port 80 or 443 or tcp dst portrange 1000-1100"),
        ("port in {domain}", "port 53"),
        ("ether dst in {ff:ff:ff:ff:ff:ff, 01:00:5e:00:00:01}", "ether dst ff:ff:ff:ff:ff:ff or 01:00:5e:00:00:01"),
        ("src . dst in {10.1.2.3 . 192.168.0.1}", "src host 10.1.2.3 and dst host 192.168.0.1"),
        ("dst . tcp dst port in {192.168.0.1 . 80, 1.2.3.4 . 5}", "dst host 192.168.0.1 and tcp dst port 80"),
        ("ip src . dst port in {10.1.2.3 . domain}", "ip src host 10.1.2.3 and dst port 53"),
        ("proto . src port in {udp . 53}", "udp src port 53"),
        ("ip and tcp syn,!ack", "tcp[13] & 18 = 2"),
        ("ip6 and tcp syn", "ip6[6] = 6 and ip6[53] & 2 != 0"),
        ("ip and tcp and payload starts \"GET \"", "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420"),
        ("ip6 and udp and payload starts \"\\x00\"", "ip6[6] = 17 and len > 62 and ip6[48] = 0"),
    ];
    for (ours, theirs) in same {
        let found = of(ours, &packets);
        assert_eq!(found, of(theirs, &packets), "{ours}");
        assert!(found.contains(&true) && found.contains(&false), "{ours} tells no packets apart");
    }
}

#[test]
fn problems_say_what_was_expected() {
    let cases = [
        ("udpp", "unknown word udpp", "did you mean udp, ppp?"),
        ("host example.org", "the name example.org is not looked up", "expected an address"),
        ("port htpt", "no port is known as htpt", "did you mean http"),
        ("(tcp", "this parenthesis is not closed", "expected ) at its end"),
        ("src in blokced", "there is no set blokced", "expected one: set blokced = {"),
        ("tcp sin", "tcp has no flag sin", "did you mean fin, syn?"),
        ("net 10.0.0.1/8", "bits of the address are set", "the network is 10.0.0.0"),
        ("type mgt", "type is about 802.11 frames", "type"),
        ("src . in web", "nothing says which end this is of", "expected src, dst, src port"),
        ("src or dst . dst port in web", "one end is meant here", "expected src or dst"),
        ("src . tcp in web", "nothing says which end this is of", "expected src, dst"),
        ("src . dst port 80", "80 does not belong here", "expected in and a set behind a tuple"),
        ("ip src . ip6 dst in web", "no packet has addresses of both IP versions", ""),
        ("tcp src port . udp dst port in web", "no packet has ports of two protocols", ""),
        (
            "src . dst in {10.0.0.1 . 80}",
            "10.0.0.1 . 80 cannot be an element here",
            "expected IPv4 address . IPv4 address",
        ),
        ("src . dst port in {10.0.0.0/8 . 80}", "10.0.0.0/8 in a tuple is no single address", "a rule finds prefixes"),
        ("src in {10.0.0.1 . 80}", "10.0.0.1 . 80 cannot be an element here", "expected addresses and prefixes"),
        ("tcp host 1.2.3.4", "tcp has no such addresses", "tcp and host"),
    ];
    for (text, what, hint) in cases {
        let shown = lower(text).unwrap_err();
        assert!(shown.contains(what) && shown.contains(hint), "{text}:\n{shown}");
    }
}
