//! `ipset save`: sets of addresses, prefixes, ports and Ethernet addresses.
//!
//! An ipset says nothing of what becomes of its members: each set has one rule, which looks for sources (of ports, for
//! destinations).

use std::net::IpAddr;

use super::draft::Draft;
use super::{Format, Imported, Request, lines, ranges};
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
}

/// A set.
#[derive(Clone, Debug)]
pub(super) struct Ipset {
    /// Its name.
    pub(super) name: String,
    /// The kind of its elements; a reason where a policy has no such sets.
    pub(super) kind: Result<Kind, String>,
    /// What is in it.
    pub(super) elements: Vec<Element>,
    /// Where it is made.
    line: u32,
    words: String,
    /// Length that addresses are cut to.
    netmask: Option<u8>,
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
            Kind::Addresses { .. } => format!("src in {name}"),
            Kind::Ports => format!("dst port in {name}"),
            Kind::Macs => format!("ether src in {name}"),
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
        (Some("add" | "-A"), Some(name), Some(word)) => match sets.iter_mut().find(|set| set.name == name) {
            Some(set) => {
                if let Err(reason) = set.add(word, words.any(|word| word == "nomatch")) {
                    draft.leave_out(Some(number), line, reason);
                }
            }
            None => draft.leave_out(Some(number), line, format!("no set {name} is made above")),
        },
        _ => return false,
    }
    true
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
        let kind = match kind {
            "hash:ip" | "hash:net" | "bitmap:ip" => Ok(Kind::Addresses { v6 }),
            "bitmap:port" => Ok(Kind::Ports),
            "hash:mac" => Ok(Kind::Macs),
            "list:set" => Err("a set of sets has no counterpart".to_owned()),
            _ => Err(format!("elements of {kind} are tuples; those of a policy's sets are single")),
        };
        let netmask = option(words, "netmask").and_then(|length| length.parse().ok());
        let (name, words) = (name.to_owned(), words.to_owned());
        Ipset { name, kind, elements: Vec::new(), line, words, netmask, added: 0 }
    }

    fn add(&mut self, word: &str, nomatch: bool) -> Result<(), String> {
        self.added += 1;
        let Ok(kind) = self.kind else { return Ok(()) };
        if nomatch {
            return Err("an exception to the set has no counterpart".into());
        }
        let wrong = || format!("{word} is no element of this set");
        match kind {
            Kind::Addresses { .. } => {
                let found = match (self.netmask, word.parse::<IpAddr>()) {
                    (Some(length), Ok(address)) => ranges::prefix(address, length).map(|element| vec![element]),
                    _ => ranges::addresses(word),
                };
                self.elements.extend(found.ok_or_else(wrong)?);
            }
            Kind::Ports => self.elements.push(ranges::ports(word, '-').map(Element::Ports).ok_or_else(wrong)?),
            Kind::Macs => match element(word, 0..0) {
                Ok(mac @ Element::Mac(_)) => self.elements.push(mac),
                _ => return Err(wrong()),
            },
        }
        Ok(())
    }

    /// Puts it into a policy: its name there, and its kind.
    pub(super) fn declare(&self, draft: &mut Draft) -> Option<(String, Kind)> {
        match &self.kind {
            Ok(kind) => Some((draft.set(&self.name, &self.elements), *kind)),
            Err(reason) => {
                let reason = format!("{reason}; its {} elements are left out", self.added);
                draft.leave_out(Some(self.line), &self.words, reason);
                None
            }
        }
    }
}
