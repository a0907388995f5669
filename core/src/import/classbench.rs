//! ClassBench's rule files: `@SRC/LEN DST/LEN SPORT : SPORT DPORT : DPORT PROTO/MASK [FLAGS/MASK]`, the first match wins.
//!
//! Each line is one rule of the policy, so that the rule's number is the line's. Columns behind the protocol are not looked at.

use std::ops::RangeInclusive;

use super::draft::Draft;
use super::term::{Family, Side, Term, conjunction};
use super::{Format, Imported, Request, lines, ranges};
use crate::error::Error;
use crate::policy::Element;

const ALL: RangeInclusive<u16> = 0..=u16::MAX;

/// Makes a policy of a rule file.
pub(super) fn import(text: &str, request: &Request<'_>) -> Result<Imported, Error> {
    let mut draft = Draft::default();
    let verdict = request.verdict.to_string();
    for (number, line) in lines(text).filter(|(_, line)| !line.starts_with('#')) {
        match filter(line) {
            Ok(when) => draft.rule(&verdict, &when, None),
            Err(reason) => draft.leave_out(Some(number), line, reason),
        }
    }
    let flagged = lines(text).filter(|(_, line)| asks_for_flags(line)).count();
    if flagged > 0 {
        draft.note(format!("flags in a column behind the protocol are not looked at: {flagged} lines have some"));
    }
    draft.finish(Format::Classbench)
}

/// The filter of a line.
fn filter(line: &str) -> Result<String, String> {
    let mut words = line.split(|c: char| c.is_whitespace() || c == ':').filter(|word| !word.is_empty());
    let mut next = |what: &str| words.next().ok_or_else(|| format!("there is no {what}"));
    let source = next("source")?;
    let source = source.strip_prefix('@').ok_or("a rule of ClassBench begins with @")?;
    let source = prefix(source)?;
    let destination = prefix(next("destination")?)?;
    let source_ports = range(next("source port")?, next("last source port")?)?;
    let destination_ports = range(next("destination port")?, next("last destination port")?)?;
    let mut terms: Vec<Term> = Vec::new();
    terms.extend(Term::addresses(Side::Src, &[source]));
    terms.extend(Term::addresses(Side::Dst, &[destination]));
    let ports = [(Side::Src, source_ports), (Side::Dst, destination_ports)];
    terms.extend(transport(protocol(next("protocol")?)?, ports)?);
    Ok(conjunction(&terms, Family::V4))
}

/// Whether the column behind the protocol, `FLAGS/MASK`, has a mask with bits.
fn asks_for_flags(line: &str) -> bool {
    let column = line.split(|c: char| c.is_whitespace() || c == ':').filter(|word| !word.is_empty()).nth(7);
    let mask = column.and_then(|column| column.split_once('/')).map(|(_, mask)| mask.trim_start_matches("0x"));
    mask.and_then(|mask| u32::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask != 0)
}

/// Protocol and ports.
fn transport(protocol: Option<u8>, ports: [(Side, RangeInclusive<u16>); 2]) -> Result<Vec<Term>, String> {
    let limited = ports.into_iter().filter(|(_, range)| *range != ALL);
    let word = match protocol {
        None => "",
        Some(6) => "tcp",
        Some(17) => "udp",
        Some(132) => "sctp",
        Some(number) if limited.clone().next().is_some() => {
            return Err(format!("packets of protocol {number} have no ports"));
        }
        Some(_) => "",
    };
    let terms: Vec<Term> = limited.map(|(side, range)| Term::ports(word, &[side], &[range])).collect();
    Ok(match protocol {
        Some(number) if terms.is_empty() => vec![Term::new(Family::V4, format!("ip proto {number}"))],
        _ => terms,
    })
}

fn prefix(word: &str) -> Result<Element, String> {
    match ranges::addresses(word).as_deref() {
        Some([element @ Element::V4(..)]) => Ok(element.clone()),
        _ => Err(format!("{word} is no IPv4 prefix")),
    }
}

fn range(low: &str, high: &str) -> Result<RangeInclusive<u16>, String> {
    match (low.parse(), high.parse()) {
        (Ok(low), Ok(high)) if low <= high => Ok(low..=high),
        _ => Err(format!("{low} : {high} is no range of ports")),
    }
}

/// The protocol's number; none for all of them.
fn protocol(word: &str) -> Result<Option<u8>, String> {
    let number = |word: &str| match word.strip_prefix("0x").or(word.strip_prefix("0X")) {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    };
    let (value, mask) = word.split_once('/').unwrap_or((word, "0xff"));
    match (number(value), number(mask)) {
        (Some(_), Some(0)) => Ok(None),
        (Some(value), Some(0xff)) => Ok(Some(value)),
        (Some(_), Some(_)) => Err(format!("{word} is several protocols")),
        _ => Err(format!("{word} is no protocol")),
    }
}
