//! `xdpilot explain`: which rule decides a packet's fate, and what each rule before it saw.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args as ClapArgs};
use serde::Serialize;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::eval::{Explanation, Machine, Step, Visit};
use xdpilot_core::packet;
use xdpilot_core::pcap::Packet;
use xdpilot_core::policy::Action;
use xdpilot_core::rules::{Rule, Rules};

use crate::capture::Capture;
use crate::trial::{PolicyArgs, printed, read_policy, word};

/// Show which rule decides a packet's fate, and why: each comparison, with the bytes it saw.
#[derive(Debug, ClapArgs)]
#[command(group(ArgGroup::new("what").required(true).args(["packet", "hex", "pcap"])))]
#[command(after_help = "Examples:
  xdpilot explain edge.xdp --packet 'tcp 10.0.0.1:1 > 10.0.0.2:80 syn'
  xdpilot explain -e 'drop when udp' --hex 'ffffffffffff 020000000001 0806'
  xdpilot explain edge.xdp --pcap monday.pcap --number 17")]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// The policy of that name, where the file has several
    #[arg(long = "policy", value_name = "NAME")]
    name: Option<String>,
    /// A packet in words
    #[arg(long, value_name = "WORDS")]
    packet: Option<String>,
    /// A packet in hexadecimal digits, from its Ethernet header on
    #[arg(long, value_name = "BYTES")]
    hex: Option<String>,
    /// A packet of a capture; those before it have passed by, so that limits stand as they do then
    #[arg(long, value_name = "FILE", requires = "number")]
    pcap: Option<PathBuf>,
    /// Which packet of the capture, from 1
    #[arg(long, value_name = "N", requires = "pcap", value_parser = clap::value_parser!(u64).range(1..))]
    number: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The answer; its JSON form is documented in `docs/json.md`.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    packet: String,
    verdict: &'static str,
    /// The rule that decided, from 1; none for the default.
    rule: Option<usize>,
    line: Option<u32>,
    /// The packet afterwards, in hexadecimal digits.
    bytes: String,
    rules: Vec<Seen>,
    #[serde(skip)]
    words: String,
}

/// A rule that was looked at.
#[derive(Debug, Serialize)]
struct Seen {
    rule: usize,
    line: u32,
    text: String,
    matches: bool,
    steps: Vec<SeenStep>,
    #[serde(skip)]
    then: String,
}

/// A comparison.
#[derive(Debug, Serialize)]
struct SeenStep {
    subject: String,
    found: Option<String>,
    wanted: String,
    /// None for a fault.
    holds: Option<bool>,
    fault: Option<String>,
    #[serde(skip)]
    text: String,
}

/// Runs the verb.
///
/// # Errors
/// The policy or the packet cannot be read.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let policy = read_policy(&args.policy.text()?, args.name.as_deref())?;
    let mut machine = Machine::new(&policy.rules);
    let packet = the_packet(args, &mut machine)?;
    let mut bytes = packet.bytes.clone();
    let explanation = machine.explain(&mut bytes, packet.length, packet.time, None);
    let report = report(&policy.rules, &packet, &explanation, &bytes);
    let text = if args.json {
        let json = serde_json::to_string_pretty(&report);
        json.map_err(|error| Error::failed("print the result as JSON").cause(error.to_string()))? + "\n"
    } else {
        draw(&report)
    };
    printed(out.write_all(text.as_bytes()))
}

fn the_packet(args: &Args, machine: &mut Machine<'_>) -> Result<Packet> {
    let bytes = match (&args.packet, &args.hex, &args.pcap) {
        (Some(words), ..) => packet::parse(words).map_err(|problem| problem.error("--packet", words))?,
        (None, Some(digits), _) => unhex(digits)?,
        (None, None, Some(path)) => return of_capture(path, args.number.unwrap_or(1), machine),
        (None, None, None) => return Err(Error::usage("no packet is given")),
    };
    Ok(Packet { time: 0, length: u32::try_from(bytes.len()).unwrap_or(u32::MAX), bytes })
}

/// The packet of this number; those before it run.
fn of_capture(path: &Path, number: u64, machine: &mut Machine<'_>) -> Result<Packet> {
    let mut capture = Capture::open(path)?;
    let mut seen = 0;
    while let Some(mut packet) = capture.next_packet()? {
        seen += 1;
        if seen == number {
            return Ok(packet);
        }
        machine.run_captured(&mut packet.bytes, packet.length, packet.time, None);
    }
    Err(Error::usage(format!("packet {number} of {}", path.display())).cause(format!("it has {seen} packets")))
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    let wrong = |cause: String| Error::usage("read --hex").cause(cause);
    let digit = |c: &char| c.to_digit(16).ok_or_else(|| wrong(format!("{c} is no hexadecimal digit")));
    if digits.len() % 2 == 1 {
        return Err(wrong(format!("{} digits are no whole bytes", digits.len())));
    }
    digits.chunks(2).map(|pair| Ok((digit(&pair[0])? << 4 | digit(&pair[1])?) as u8)).collect()
}

fn report(rules: &Rules, packet: &Packet, explanation: &Explanation, bytes: &[u8]) -> Report {
    let outcome = &explanation.outcome;
    let decider = outcome.rule.and_then(|index| rules.rules.get(index));
    let seen = explanation.visits.iter().filter_map(|visit| {
        let rule = rules.rules.get(visit.rule)?;
        Some(seen(rule, visit, outcome.rule == Some(visit.rule)))
    });
    Report {
        version: 1,
        packet: packet::describe(&packet.bytes),
        verdict: word(outcome),
        rule: outcome.rule.map(|index| index + 1),
        line: decider.map(|rule| rule.line).or(Some(rules.default_line).filter(|line| *line > 0)),
        bytes: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        rules: seen.collect(),
        words: outcome.verdict.to_string(),
    }
}

fn seen(rule: &Rule, visit: &Visit, decides: bool) -> Seen {
    let then = match &rule.action {
        _ if !visit.holds => "does not match",
        Action::Verdict(_) => "matches, and decides",
        Action::Limit(_) if decides => "matches, and the limit is exceeded: it decides",
        Action::Limit(_) => "matches, and is within the limit",
        Action::Count(_) => "matches: it is counted",
        Action::Sample { .. } => "matches: it may be sampled",
        Action::Set(_) => "matches: it is rewritten, if it has the field",
    };
    let step = |step: &Step| SeenStep {
        subject: step.subject.clone(),
        found: step.found.clone(),
        wanted: step.wanted.clone(),
        holds: step.holds,
        fault: step.fault.clone(),
        text: step.text(),
    };
    Seen {
        rule: visit.rule + 1,
        line: rule.line,
        text: rule.text.clone(),
        matches: visit.holds,
        steps: visit.steps.iter().map(step).collect(),
        then: then.into(),
    }
}

fn draw(report: &Report) -> String {
    let mut out = format!("packet: {}\n", report.packet);
    for rule in &report.rules {
        _ = write!(out, "\nrule {}, line {}: {}\n", rule.rule, rule.line, rule.text);
        for step in &rule.steps {
            _ = writeln!(out, "  {}", step.text);
        }
        _ = writeln!(out, "  {}", rule.then);
    }
    let by = match (report.rule, report.line) {
        (Some(rule), Some(line)) => format!("by rule {rule}, line {line}"),
        (None, Some(line)) => format!("by the default, line {line}: no rule decided"),
        _ => "by the default: no rule decided".into(),
    };
    _ = write!(out, "\nverdict: {}, {by}\n", report.words);
    out
}
