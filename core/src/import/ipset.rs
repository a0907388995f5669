//! `ipset save`: sets of addresses, prefixes, ports and Ethernet addresses, and tuples of them.
//!
//! An ipset says nothing of what becomes of its members: each set has one rule, which looks for sources (of ports, for
//! destinations). Sets of tuples with prefixes have a rule for each of them.

use std::net::IpAddr;

use super::draft::Draft;
use super::ranges;
use super::term::{Family, Side, Term, conjunction};
use super::tuple::Tuple;
use super::{Format, Imported, Request, lines};
use crate::error::Error;
use crate::policy::{Element, element};

/// The kind of a set's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Addresses and prefixes, IPv6 or not.
    Addresses { v6: bool },
    /// Ports.
    Ports,
    /// Ethernet addresses.
    Macs,
    /// Several of them beside each other.
    Tuples,
    /// Other sets; the kind of the first of them takes its place.
    Sets,
}

/// What a part of a tuple is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TuplePart {
    Address,
    Port,
}

/// A set.
#[derive(Clone, Debug)]
pub(super) struct Ipset {
    /// Its name.
    pub(super) name: String,
    /// The kind of its elements; a reason where a policy has no such sets.
    pub(super) kind: Result<Kind, String>,
    /// What is in it, and is no tuple.
    elements: Vec<Element>,
    /// What is not in it though a shorter prefix is.
    exceptions: Vec<Element>,
    /// The tuples that are in it.
    pub(super) tuples: Vec<Tuple>,
    /// What the parts of a tuple are, and which of two addresses or ports where nobody says it.
    parts: Vec<(TuplePart, Side)>,
    v6: bool,
    /// Where it is made.
    line: u32,
    words: String,
    /// Length that addresses are cut to.
    netmask: Option<u8>,
    /// Whether its elements are names of other sets.
    of_sets: bool,
    /// How many were added.
    added: usize,
}

/// Makes a policy of sets alone.
pub(super) fn import(text: &str, request: &Request<'_>) -> Result<Imported, Error> {
    let mut draft = Draft::default();
    let mut sets = Vec::new();
    for (number, line) in lines(text).filter(|(_, line)| !line.starts_with('#')) {
        if !read(number, line, &mut sets, &mut draft) {
            draft.leave_out(Some(number), line, "this is no line of ipset save");
        }
    }
    let verdict = request.verdict.to_string();
    for set in &sets {
        let Some((name, kind)) = set.declare(&mut draft) else { continue };
        let when = match kind {
            Kind::Ports => format!("dst port in {name}"),
            Kind::Macs => format!("ether src in {name}"),
            Kind::Tuples => {
                let sides: Vec<Side> = set.parts.iter().map(|(_, side)| *side).collect();
                if let Some(term) = set.term(&name, &sides) {
                    draft.rule(&verdict, &term.text, None);
                    continue;
                }
                for tuple in &set.tuples {
                    draft.rule(&verdict, &conjunction(&tuple.terms(&sides), Family::Any), Some(&set.name));
                }
                continue;
            }
            Kind::Addresses { .. } | Kind::Sets => format!("src in {name}"),
        };
        draft.rule(&verdict, &when, None);
    }
    draft.finish(Format::Ipset)
}

/// Reads a line; whether it is one of an ipset.
pub(super) fn read(number: u32, line: &str, sets: &mut Vec<Ipset>, draft: &mut Draft) -> bool {
    let mut words = line.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("create" | "-N"), Some(name), Some(kind)) => {
            sets.push(Ipset::new(number, line, name, kind, words.collect()));
            if option(line, "timeout").is_some() {
                draft.note("elements of ipset have timeouts; those of a policy's sets stay until they are taken out");
            }
        }
        (Some("add" | "-A"), Some(name), Some(word)) => {
            if let Err(reason) = add(name, word, words.any(|word| word == "nomatch"), sets) {
                draft.leave_out(Some(number), line, reason);
            }
        }
        _ => return false,
    }
    true
}

/// Adds an element to a set.
fn add(name: &str, word: &str, nomatch: bool, sets: &mut [Ipset]) -> Result<(), String> {
    let find = |name: &str| sets.iter().position(|set| set.name == name);
    let unknown = |name: &str| format!("no set {name} is made above");
    let at = find(name).ok_or_else(|| unknown(name))?;
    let member = match sets[at].of_sets {
        true => Some(sets[find(word).ok_or_else(|| unknown(word))?].clone()),
        false => None,
    };
    match member {
        Some(member) => sets[at].add_set(&member),
        None => sets[at].add(word, nomatch),
    }
}

/// What stands behind an option.
fn option<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let mut words = line.split_whitespace();
    words.find(|word| *word == name)?;
    words.next()
}

impl Ipset {
    fn new(line: u32, words: &str, name: &str, kind: &str, options: Vec<&str>) -> Self {
        let v6 = options.windows(2).any(|pair| pair == ["family", "inet6"]);
        let mut parts = Vec::new();
        let of_sets = kind == "list:set";
        let kind = match kind {
            "hash:ip" | "hash:net" | "bitmap:ip" => Ok(Kind::Addresses { v6 }),
            "bitmap:port" => Ok(Kind::Ports),
            "hash:mac" => Ok(Kind::Macs),
            "list:set" => Ok(Kind::Sets),
            _ => Self::parts(kind).map(|found| {
                parts = found;
                Kind::Tuples
            }),
        };
        Ipset {
            name: name.to_owned(),
            kind,
            elements: Vec::new(),
            exceptions: Vec::new(),
            tuples: Vec::new(),
            parts,
            v6,
            line,
            words: words.to_owned(),
            netmask: option(words, "netmask").and_then(|length| length.parse().ok()),
            of_sets,
            added: 0,
        }
    }

    /// What the parts of tuples are, and of which side: the first address is the source, ports and further addresses are the
    /// destination's.
    fn parts(kind: &str) -> Result<Vec<(TuplePart, Side)>, String> {
        let (_, parts) = kind.split_once(':').ok_or_else(|| format!("{kind} is no kind of set that is known"))?;
        let mut addresses = 0;
        parts
            .split(',')
            .map(|part| match part {
                "ip" | "net" => {
                    addresses += 1;
                    Ok((TuplePart::Address, if addresses == 1 { Side::Src } else { Side::Dst }))
                }
                "port" => Ok((TuplePart::Port, Side::Dst)),
                part => Err(format!("a {part} beside other parts of {kind} has no counterpart")),
            })
            .collect()
    }

    fn add(&mut self, word: &str, nomatch: bool) -> Result<(), String> {
        self.added += 1;
        let Ok(kind) = self.kind else { return Ok(()) };
        let wrong = || format!("{word} is no element of this set");
        match kind {
            Kind::Addresses { .. } => {
                let found = match (self.netmask, word.parse::<IpAddr>()) {
                    (Some(length), Ok(address)) => ranges::prefix(address, length).map(|element| vec![element]),
                    _ => ranges::addresses(word),
                };
                let into = if nomatch { &mut self.exceptions } else { &mut self.elements };
                into.extend(found.ok_or_else(wrong)?);
            }
            _ if nomatch => return Err("an exception to the set has no counterpart".into()),
            Kind::Ports => self.elements.push(ranges::ports(word, '-').map(Element::Ports).ok_or_else(wrong)?),
            Kind::Macs => match element(word, 0..0) {
                Ok(mac @ Element::Mac(_)) => self.elements.push(mac),
                _ => return Err(wrong()),
            },
            Kind::Tuples => self.tuples.push(Tuple::of_ipset(word, self.parts.len()).ok_or_else(wrong)?),
            Kind::Sets => {}
        }
        Ok(())
    }

    /// Adds what is in another set.
    fn add_set(&mut self, member: &Ipset) -> Result<(), String> {
        self.added += 1;
        let kind = member.kind.clone()?;
        if kind == Kind::Tuples || self.kind != Ok(Kind::Sets) && self.kind != Ok(kind) {
            return Err("sets of different kinds in one have no counterpart".into());
        }
        self.kind = Ok(kind);
        self.elements.extend(member.all());
        Ok(())
    }

    /// The elements, without the exceptions.
    fn all(&self) -> Vec<Element> {
        self.elements.iter().flat_map(|element| ranges::without(element, &self.exceptions)).collect()
    }

    /// How many parts its tuples have.
    pub(super) fn tuple_parts(&self) -> usize {
        self.parts.len()
    }

    /// The test for a tuple of the set that has this name in a policy, by the sides of its parts; none where it has no name.
    pub(super) fn term(&self, name: &str, sides: &[Side]) -> Option<Term> {
        let family = if self.v6 { Family::V6 } else { Family::V4 };
        let part = |((part, _), side): (&(TuplePart, Side), &Side)| match part {
            TuplePart::Address => format!("{} {}", family.word(), side.word()),
            TuplePart::Port => format!("proto . {} port", side.word()),
        };
        let parts: Vec<String> = self.parts.iter().zip(sides).map(part).collect();
        (!name.is_empty()).then(|| Term::new(family, format!("{} in {name}", parts.join(" . "))))
    }

    /// Puts it into a policy, unless it has tuples that no set of a policy has: its name there, and its kind.
    pub(super) fn declare(&self, draft: &mut Draft) -> Option<(String, Kind)> {
        match &self.kind {
            Ok(Kind::Tuples) => {
                let tuples: Option<Vec<Element>> = self.tuples.iter().map(Tuple::element).collect();
                let name = tuples.map(|tuples| draft.set(&self.name, &tuples));
                Some((name.unwrap_or_default(), Kind::Tuples))
            }
            Ok(kind) => Some((draft.set(&self.name, &self.all()), *kind)),
            Err(reason) => {
                let reason = format!("{reason}; its {} elements are left out", self.added);
                draft.leave_out(Some(self.line), &self.words, reason);
                None
            }
        }
    }
}
