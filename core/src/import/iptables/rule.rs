//! What one rule of iptables means.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use super::Context;
use super::header::{flags, icmp, length, number, with_holes};
use super::limit::Limit;
use crate::filter::names;
use crate::import::chains::{Act, Meaning, Step};
use crate::import::draft;
use crate::import::ipset::Kind;
use crate::import::ranges;
use crate::import::term::{Family, Side, Term};
use crate::policy::{Element, Verdict, element};

/// Matches whose options are understood, or mean nothing by themselves.
const MATCHES: [&str; 17] = [
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmp6",
    "multiport",
    "comment",
    "set",
    "mac",
    "iprange",
    "length",
    "ttl",
    "hl",
    "dscp",
    "tos",
    "hashlimit",
    "frag",
];

type Reason = String;

/// What the words behind `-A CHAIN` mean.
pub(super) fn meaning(words: &[String], context: &Context<'_>) -> Result<Meaning, Reason> {
    let mut rule = Parser { words: words.iter(), context, rule: Parts::default() };
    while let Some(word) = rule.words.next() {
        match word.as_str() {
            "!" => {
                let word = rule.next("!")?;
                rule.option(&word, true)?;
            }
            _ if rule.rule.act.is_some() => rule.target_option(word)?,
            word => rule.option(word, false)?,
        }
    }
    rule.finish()
}

/// What is known of a rule.
#[derive(Debug, Default)]
struct Parts {
    terms: Vec<Term>,
    /// All of one of these hold, too.
    any: Option<Vec<Vec<Term>>>,
    /// `tcp`, `udp` or `sctp`.
    transport: Option<&'static str>,
    act: Option<Target>,
    limit: Limit,
    comment: Option<String>,
    notes: Vec<String>,
    /// It is about another interface.
    elsewhere: bool,
}

/// What stands behind `-j`.
#[derive(Debug)]
enum Target {
    Verdict(Verdict),
    Return,
    /// Its prefix.
    Log(String),
    Chain(Act),
}

struct Parser<'a> {
    words: std::slice::Iter<'a, String>,
    context: &'a Context<'a>,
    rule: Parts,
}

impl Parser<'_> {
    fn next(&mut self, before: &str) -> Result<String, Reason> {
        self.words.next().cloned().ok_or_else(|| format!("nothing stands behind {before}"))
    }

    /// Adds a test, or its opposite.
    fn test(&mut self, negated: bool, term: Option<Term>) {
        match (term, negated) {
            (Some(term), false) => self.rule.terms.push(term),
            (Some(term), true) => self.rule.terms.push(Term::not(&[term])),
            (None, false) => {}
            // Not any at all.
            (None, true) => self.rule.elsewhere = true,
        }
    }

    /// An option and its values.
    fn option(&mut self, word: &str, negated: bool) -> Result<(), Reason> {
        match word {
            "-s" | "--source" | "--src" => self.addresses(word, Side::Src, negated),
            "-d" | "--destination" | "--dst" => self.addresses(word, Side::Dst, negated),
            "--src-range" => self.addresses(word, Side::Src, negated),
            "--dst-range" => self.addresses(word, Side::Dst, negated),
            "-i" | "--in-interface" => self.interface(negated),
            "-p" | "--protocol" | "--proto" => self.protocol(negated),
            "-m" | "--match" => self.matches(),
            "-f" | "--fragment" => {
                self.test(negated, Some(Term::new(Family::V4, "ip[6:2] & 0x1fff != 0")));
                Ok(())
            }
            "--sport" | "--source-port" | "--sports" | "--source-ports" => self.ports(word, &[Side::Src], negated),
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                self.ports(word, &[Side::Dst], negated)
            }
            "--ports" => self.ports(word, &[Side::Src, Side::Dst], negated),
            "--match-set" => self.set(negated),
            "-j" | "--jump" | "-g" | "--goto" => self.target(word),
            "-c" | "--set-counters" => {
                self.next(word)?;
                self.next(word).map(drop)
            }
            "--comment" => {
                self.rule.comment = Some(self.next(word)?);
                Ok(())
            }
            _ if word.starts_with("--hashlimit") && !negated => self.hashlimit(word),
            _ => self.header(word, negated),
        }
    }

    /// Tests of single fields of a header.
    fn header(&mut self, word: &str, negated: bool) -> Result<(), Reason> {
        let v6 = self.context.family == Family::V6;
        let term = match word {
            "--syn" => Term::new(Family::Ip, "tcp syn,!ack,!rst,!fin"),
            "--tcp-flags" => {
                let (mask, set) = (self.next(word)?, self.next(word)?);
                Term::new(Family::Ip, flags(&mask, &set)?)
            }
            "--icmp-type" | "--icmpv6-type" => {
                let value = self.next(word)?;
                match icmp(&value, v6)? {
                    Some(term) => term,
                    None => return Ok(()),
                }
            }
            "--mac-source" => {
                let value = self.next(word)?;
                match element(&value, 0..0) {
                    Ok(mac @ Element::Mac(_)) => Term::new(Family::Any, format!("ether src host {mac}")),
                    _ => return Err(format!("{value} is no Ethernet address")),
                }
            }
            "--length" => {
                let value = self.next(word)?;
                length(&value, v6)?
            }
            "--ttl-eq" | "--ttl" => self.number(word, Family::V4, "ip[8] =")?,
            "--ttl-lt" => self.number(word, Family::V4, "ip[8] <")?,
            "--ttl-gt" => self.number(word, Family::V4, "ip[8] >")?,
            "--hl-eq" => self.number(word, Family::V6, "ip6[7] =")?,
            "--hl-lt" => self.number(word, Family::V6, "ip6[7] <")?,
            "--hl-gt" => self.number(word, Family::V6, "ip6[7] >")?,
            "--dscp" => {
                let value = self.next(word)?;
                let value = number(&value).filter(|value| *value < 64).ok_or(format!("{value} is no DSCP"))?;
                self.traffic_class(0xfc, value << 2)
            }
            "--tos" => {
                let value = self.next(word)?;
                let (value, mask) = value.split_once('/').unwrap_or((&value, "0xff"));
                let both = number(value).zip(number(mask)).filter(|(value, mask)| *value < 256 && *mask < 256);
                let (value, mask) = both.ok_or("this is no type of service".to_owned())?;
                self.traffic_class(mask, value)
            }
            _ => return Err(format!("{word} has no counterpart")),
        };
        self.test(negated, Some(term));
        Ok(())
    }

    fn number(&mut self, word: &str, family: Family, test: &str) -> Result<Term, Reason> {
        let value = self.next(word)?;
        match number(&value) {
            Some(value @ 0..=255) => Ok(Term::new(family, format!("{test} {value}"))),
            _ => Err(format!("{value} is no time to live")),
        }
    }

    fn traffic_class(&self, mask: u32, value: u32) -> Term {
        match self.context.family {
            Family::V6 => Term::new(Family::V6, format!("ip6[0:2] & {:#x} = {}", mask << 4, value << 4)),
            _ => Term::new(Family::V4, format!("ip[1] & {mask:#x} = {value}")),
        }
    }

    fn addresses(&mut self, word: &str, side: Side, negated: bool) -> Result<(), Reason> {
        let value = self.next(word)?;
        let family = self.context.family;
        if let Some((address, mask)) = with_holes(&value) {
            let address = Ipv4Addr::from_bits(address.to_bits() & mask.to_bits());
            self.test(negated, Some(Term::new(Family::V4, format!("ip {} net {address} mask {mask}", side.word()))));
            return Ok(());
        }
        let mut elements = Vec::new();
        for word in value.split(',') {
            let found =
                ranges::addresses(word).ok_or_else(|| format!("{word} is no address; names are not looked up"))?;
            elements.extend(found);
        }
        if elements.iter().any(|element| matches!(element, Element::V6(..)) != (family == Family::V6)) {
            return Err(format!("{value} is of the other IP version"));
        }
        self.test(negated, Term::addresses(side, &elements));
        Ok(())
    }

    /// A policy is for one interface: there a test of the interface always holds or never.
    fn interface(&mut self, negated: bool) -> Result<(), Reason> {
        let value = self.next("-i")?;
        let holds = match self.context.interface {
            Some(interface) => match value.strip_suffix('+') {
                Some(prefix) => interface.starts_with(prefix),
                None => interface == value,
            },
            None if value == "lo" => false,
            None => return Err(format!("a policy does not look at interfaces: say which it is for, --on {value}")),
        };
        if holds == negated {
            self.rule.elsewhere = true;
            let not = if negated { "not " } else { "" };
            self.rule.notes.push(format!("rules for packets {not}of {value} are not needed: the policy is for others"));
        }
        Ok(())
    }

    fn protocol(&mut self, negated: bool) -> Result<(), Reason> {
        let word = self.next("-p")?.to_lowercase();
        let number = match word.as_str() {
            "all" => Some(0),
            "icmpv6" => Some(58),
            _ => word.parse().ok().or_else(|| names::protocol(&word).and_then(|number| u8::try_from(number).ok())),
        };
        let number = number.ok_or_else(|| format!("no protocol {word} is known"))?;
        if !negated {
            self.rule.transport = match number {
                6 => Some("tcp"),
                17 => Some("udp"),
                132 => Some("sctp"),
                _ => None,
            };
        }
        let term = (number != 0).then(|| Term::protocol(self.context.family, number));
        self.test(negated, term);
        Ok(())
    }

    fn matches(&mut self) -> Result<(), Reason> {
        let name = self.next("-m")?;
        match name.as_str() {
            known if MATCHES.contains(&known) => Ok(()),
            "conntrack" | "state" => {
                Err("connections are not known where a policy stands, before the kernel's stack".into())
            }
            "limit" => Err("a policy's limit drops what exceeds it, where this one lets the next rules decide".into()),
            _ => Err(format!("-m {name} has no counterpart")),
        }
    }

    /// A packet whose ports cannot be read matches neither a test of them nor its opposite.
    fn ports(&mut self, word: &str, sides: &[Side], negated: bool) -> Result<(), Reason> {
        let value = self.next(word)?;
        let transport = self.rule.transport.ok_or("ports are known of TCP, UDP and SCTP alone")?;
        let parsed = value.split(',').map(|word| ranges::ports(word, ':'));
        let found: Option<Vec<RangeInclusive<u16>>> = parsed.collect();
        let mut ports = found.ok_or_else(|| format!("{value} are no ports"))?;
        if negated {
            ports = ranges::other_ports(&ports);
        }
        match (ports.as_slice(), negated, sides) {
            ([], ..) => self.rule.elsewhere = true,
            (_, true, [_, _]) => {
                for side in sides {
                    self.rule.terms.push(Term::ports(transport, &[*side], &ports));
                }
            }
            _ => self.rule.terms.push(Term::ports(transport, sides, &ports)),
        }
        Ok(())
    }

    fn set(&mut self, negated: bool) -> Result<(), Reason> {
        let (name, flags) = (self.next("--match-set")?, self.next("--match-set")?);
        let side = |word: &str| match word {
            "src" => Ok(Side::Src),
            "dst" => Ok(Side::Dst),
            _ => Err(format!("{word} of set {name} is neither src nor dst")),
        };
        let sides = flags.split(',').map(side).collect::<Result<Vec<Side>, Reason>>()?;
        let known = self.context.sets.iter().find(|(known, _)| *known == name).map(|(_, known)| known);
        let (set, kind) = match known {
            None => {
                return Err(format!(
                    "set {name} is not here: put ipset's sets before the rules, (ipset save; iptables-save) | xdpilot import -"
                ));
            }
            Some(Err(reason)) => return Err(reason.clone()),
            Some(Ok(known)) => known,
        };
        if *kind == Kind::Tuples {
            return self.tuples((&name, set), &sides, negated);
        }
        let [side] = sides[..] else { return Err(format!("elements of set {name} are no tuples")) };
        let term = match kind {
            Kind::Addresses { v6 } => {
                let family = if *v6 { Family::V6 } else { Family::V4 };
                Term::new(family, format!("{} {} in {set}", family.word(), side.word()))
            }
            Kind::Ports => Term::new(Family::Ip, format!("{} port in {set}", side.word())),
            Kind::Macs => Term::new(Family::Any, format!("ether {} in {set}", side.word())),
            // A set of no sets.
            Kind::Sets | Kind::Tuples => return self.none_of(negated),
        };
        self.test(negated, Some(term));
        Ok(())
    }

    /// A set of tuples, by its name and that in the policy: one of them must hold.
    fn tuples(&mut self, (name, known): (&str, &str), sides: &[Side], negated: bool) -> Result<(), Reason> {
        let Some(set) = self.context.ipsets.iter().find(|set| set.name == name) else { return self.none_of(negated) };
        if set.tuple_parts() != sides.len() {
            return Err(format!("elements of set {name} have {} parts", set.tuple_parts()));
        }
        if let Some(term) = set.term(known, sides) {
            self.test(negated, Some(term));
            return Ok(());
        }
        let any: Vec<Vec<Term>> = set.tuples.iter().map(|tuple| tuple.terms(sides)).collect();
        match (any.is_empty(), negated, &self.rule.any) {
            (true, ..) => return self.none_of(negated),
            (_, false, None) => self.rule.any = Some(any),
            _ => self.test(negated, Some(Term::one_of(&any))),
        }
        Ok(())
    }

    /// A test that holds for nothing, or its opposite.
    fn none_of(&mut self, negated: bool) -> Result<(), Reason> {
        self.rule.elsewhere |= !negated;
        Ok(())
    }

    fn hashlimit(&mut self, word: &str) -> Result<(), Reason> {
        let value = self.next(word)?;
        self.rule.limit.option(word, &value)
    }

    fn target(&mut self, word: &str) -> Result<(), Reason> {
        let name = self.next(word)?;
        let jump = matches!(word, "-j" | "--jump");
        self.rule.act = Some(match name.as_str() {
            "ACCEPT" => Target::Verdict(Verdict::Pass),
            "DROP" => Target::Verdict(Verdict::Drop),
            "REJECT" => {
                self.rule.notes.push("REJECT answers the sender; the policy drops without an answer".into());
                Target::Verdict(Verdict::Drop)
            }
            "RETURN" => Target::Return,
            "LOG" | "NFLOG" => {
                self.rule.notes.push(format!("{name} becomes a counter"));
                Target::Log(String::new())
            }
            // Names in capitals are those of the kernel's targets, unless a chain has it.
            _ if jump => Target::Chain(Act::Jump(name)),
            _ => Target::Chain(Act::Goto(name)),
        });
        Ok(())
    }

    /// An option behind the target: one of the target's, or a match all the same.
    fn target_option(&mut self, word: &str) -> Result<(), Reason> {
        match (&self.rule.act, word) {
            (Some(Target::Log(_)), "--log-prefix" | "--nflog-prefix") => {
                self.rule.act = Some(Target::Log(self.next(word)?));
                Ok(())
            }
            (Some(Target::Log(_)), "--log-tcp-options" | "--log-ip-options" | "--log-tcp-sequence" | "--log-uid") => {
                Ok(())
            }
            (Some(Target::Log(_)), _) if word.starts_with("--log-") || word.starts_with("--nflog-") => {
                self.next(word).map(drop)
            }
            (Some(Target::Verdict(Verdict::Drop)), "--reject-with") => self.next(word).map(drop),
            (Some(Target::Chain(Act::Jump(name))), _) => {
                let reason = format!("target {name} has no counterpart");
                self.option(word, false).map_err(|_| reason)
            }
            _ => self.option(word, false),
        }
    }

    fn finish(self) -> Result<Meaning, Reason> {
        let Parts { terms: when, any, act, limit, comment, notes, elsewhere, .. } = self.rule;
        let act = match (act, limit.above) {
            (Some(Target::Verdict(Verdict::Drop)), Some(above)) => Act::Do(limit.words(above)),
            (_, Some(_)) => return Err("a policy's limit drops what exceeds it, and does nothing else".into()),
            (Some(Target::Verdict(verdict)), None) => Act::Verdict(verdict),
            (Some(Target::Return), None) => Act::Return,
            (Some(Target::Log(prefix)), None) => Act::Do(format!("count {}", draft::word(&prefix, "log"))),
            (Some(Target::Chain(act)), None) => act,
            // A rule without a target counts, as every rule of a policy does.
            (None, None) => Act::Do("count counted".into()),
        };
        let steps = match any {
            _ if elsewhere => Vec::new(),
            Some(any) => Step::of_any(when, &any, act),
            None => vec![Step { when, act }],
        };
        Ok(Meaning { steps, comment, notes })
    }
}
