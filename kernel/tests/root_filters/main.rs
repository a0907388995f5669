//! Filter expressions three ways: what the generated program says in the kernel, what the evaluator says, and what the
//! installed tcpdump says, of packets cut off anywhere. Needs root. (The kernel runs no packets of less than 14 bytes;
//! the tests of `core` compare those.)
//!
//! `XDPILOT_FILTERS=FILE` takes other expressions, one a line, `XDPILOT_CAPTURES=DIR` other packets, `XDPILOT_SEED` and
//! `XDPILOT_RANDOM` other random expressions and so many of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "../../../core/tests/filter/packets.rs"]
mod packets;
#[path = "../../../core/tests/filter/random.rs"]
mod random;
#[path = "../../../core/tests/filter/tcpdump.rs"]
#[allow(dead_code, reason = "its other half is for the tests of core")]
mod tcpdump;

use std::os::fd::AsFd;
use std::path::Path;

use xdpilot_core::elf;
use xdpilot_core::emit::{self, Options};
use xdpilot_core::eval::Machine;
use xdpilot_core::policy::{self, Verdict};
use xdpilot_core::rules::Rules;
use xdpilot_kernel::load::{Loaded, Request, load};
use xdpilot_kernel::test_run::{self, TestRun};

const DROP: u32 = 1;
/// `ETH_HLEN`.
const SHORTEST: usize = 14;
/// So many differences are told, and so many of one expression.
const SHOWN: usize = 20;

/// `drop when EXPRESSION`; none where the expression is refused.
fn rules(expression: &str) -> Option<Rules> {
    let document = policy::parse(&format!("drop when {expression}")).ok()?;
    let request = policy::Request { policy: None, file: "filter", inbound: true, resolve: None };
    policy::resolve(&document, &request, &mut |path| panic!("no set file: {path}")).ok()
}

fn compile(expression: &str, rules: &Rules) -> Loaded {
    let emit::Compiled { object, .. } =
        emit::compile(rules, &Options::default()).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let bytes = elf::write(&object);
    let entry = &object.functions[0].name;
    let request = Request { elf: &bytes, name: "filter", entry, ..Request::default() };
    load(&request).unwrap_or_else(|error| panic!("{expression}: {}\n{}", error.error, error.log))
}

/// Where the three disagree about these packets.
fn differences(expression: &str, prefixes: &[&[u8]], capture: &[u8]) -> Vec<String> {
    let (Some(rules), Ok(theirs)) = (rules(expression), tcpdump::matching(expression, capture)) else {
        return Vec::new();
    };
    let loaded = compile(expression, &rules);
    let mut machine = Machine::new(&rules);
    let mut out = Vec::new();
    for (number, packet) in prefixes.iter().enumerate() {
        let test = TestRun { packet, ingress_ifindex: 0, rx_queue: 0, repeat: 1 };
        let kernel = test_run::run(loaded.entry().as_fd(), &test).unwrap().verdict == DROP;
        let ours = machine.run(&mut packet.to_vec(), 0, Some(1)).verdict == Verdict::Drop;
        let theirs = theirs.contains(&number);
        if (kernel != ours || ours != theirs) && out.len() < SHOWN {
            out.push(format!("{expression}: kernel {kernel}, evaluator {ours}, tcpdump {theirs}: {packet:02x?}"));
        }
    }
    out
}

fn compare(expressions: &[String], packets: &[Vec<u8>]) {
    let prefixes: Vec<&[u8]> = packets::prefixes(packets).into_iter().filter(|p| p.len() >= SHORTEST).collect();
    let capture = tcpdump::capture(&prefixes);
    let differences: Vec<String> =
        expressions.iter().flat_map(|expression| differences(expression, &prefixes, &capture)).collect();
    let some = &differences[..differences.len().min(SHOWN)];
    assert!(differences.is_empty(), "differences:\n{}", some.join("\n"));
    println!("{} expressions on {} packets: no difference", expressions.len(), prefixes.len());
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |number| number.parse().unwrap())
}

fn captures() -> Vec<Vec<u8>> {
    std::env::var_os("XDPILOT_CAPTURES").map_or_else(packets::all, |folder| tcpdump::captures(Path::new(&folder)))
}

#[test]
fn known_expressions() {
    let text = match std::env::var_os("XDPILOT_FILTERS") {
        Some(file) => std::fs::read_to_string(file).unwrap(),
        None => include_str!("../../../core/tests/filter/expressions.txt").to_owned(),
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    // tcpdump cannot tell what these say of packets in a file.
    let of_interface = ["inbound", "outbound", "ifindex"];
    let lines = lines.filter(|line| !of_interface.iter().any(|word| line.contains(word)));
    compare(&lines.map(str::to_owned).collect::<Vec<_>>(), &captures());
}

#[test]
fn random_expressions() {
    let mut random = random::Random(number("XDPILOT_SEED", 1) as u64);
    let expressions: Vec<_> = (0..number("XDPILOT_RANDOM", 150)).map(|_| random::expression(&mut random, 3)).collect();
    compare(&expressions, &captures());
}
