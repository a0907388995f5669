//! Elements of sets: from words, and back.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::Element;
use super::parse::cursor::{near_or, quote};
use crate::filter::names;
use crate::problem::{Problem, Span};

/// What an element may be, for errors.
const EXPECTED: &str = "expected an address, a prefix (10.0.0.0/8), a port (80, http, 1000-2000) or a MAC address";

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::V4(address, 32) => write!(f, "{address}"),
            Element::V4(address, length) => write!(f, "{address}/{length}"),
            Element::V6(address, 128) => write!(f, "{address}"),
            Element::V6(address, length) => write!(f, "{address}/{length}"),
            Element::Ports(range) if range.start() == range.end() => write!(f, "{}", range.start()),
            Element::Ports(range) => write!(f, "{}-{}", range.start(), range.end()),
            Element::Mac(mac) => f.write_str(&mac_text(*mac)),
        }
    }
}

/// A MAC address as it is printed.
pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// One element; its span is where the word stands.
pub fn element(word: &str, span: Span) -> Result<Element, Problem> {
    let first = word.as_bytes().first().copied().unwrap_or_default();
    if let Some(mac) = mac(word) {
        Ok(Element::Mac(mac))
    } else if word.contains(':') || word.contains('/') || word.matches('.').count() == 3 {
        prefix(word, span)
    } else if first.is_ascii_digit() {
        ports(word, span)
    } else if let Some(service) = names::service(word) {
        Ok(Element::Ports(service.port..=service.port))
    } else {
        Err(no_element(word, span).hint(near_or(word, names::services(), EXPECTED)))
    }
}

fn no_element(word: &str, span: Span) -> Problem {
    Problem::new(span, format!("{} is not an element of a set", quote(word)))
}

/// The elements in a text, as in a set file: one or more a line, separated by commas or spaces; `#` begins a comment.
pub fn elements(text: &str) -> Result<Vec<Element>, Vec<Problem>> {
    let (mut elements, mut problems) = (Vec::new(), Vec::new());
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let said = line.split('#').next().unwrap_or_default();
        for (at, word) in super::scan::words(said, |c| c.is_whitespace() || c == ',') {
            match element(word, start + at..start + at + word.len()) {
                Ok(element) => elements.push(element),
                Err(problem) => problems.push(problem),
            }
        }
        start += line.len();
    }
    if problems.is_empty() { Ok(elements) } else { Err(problems) }
}

/// Six pairs of hexadecimal digits between colons (or one or two digits each).
pub(crate) fn mac(word: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = word.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|part| (1..=2).contains(&part.len()))?;
        *byte = part.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(part, 16).ok())??;
    }
    parts.next().is_none().then_some(mac)
}

fn prefix(word: &str, span: Span) -> Result<Element, Problem> {
    let wrong = |what: &str| Problem::new(span.clone(), format!("{} {what}", quote(word)));
    let (address, length) = word.split_once('/').map_or((word, None), |(address, length)| (address, Some(length)));
    let bits = |longest: u8| match length {
        None => Ok(longest),
        Some(text) => match text.parse() {
            Ok(bits) if bits <= longest && text.bytes().all(|b| b.is_ascii_digit()) => Ok(bits),
            _ => Err(wrong("has no such prefix length").hint(format!("expected /0 to /{longest}"))),
        },
    };
    let (given, element) = if let Ok(address) = address.parse::<Ipv4Addr>() {
        let bits = bits(32)?;
        let kept = address.to_bits() & u32::MAX.checked_shl(u32::from(32 - bits)).unwrap_or(0);
        (kept == address.to_bits(), Element::V4(Ipv4Addr::from_bits(kept), bits))
    } else if let Ok(address) = address.parse::<Ipv6Addr>() {
        let bits = bits(128)?;
        let kept = address.to_bits() & u128::MAX.checked_shl(u32::from(128 - bits)).unwrap_or(0);
        (kept == address.to_bits(), Element::V6(Ipv6Addr::from_bits(kept), bits))
    } else {
        return Err(no_element(word, span).hint(EXPECTED));
    };
    if given {
        Ok(element)
    } else {
        Err(wrong("has bits behind its prefix length").hint(format!("did you mean {element} or {address}?")))
    }
}

fn ports(word: &str, span: Span) -> Result<Element, Problem> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let range: Option<RangeInclusive<u16>> = number(first).zip(number(last)).map(|(first, last)| first..=last);
    match range {
        Some(range) if range.is_empty() => {
            Err(Problem::new(span, format!("{word} is empty")).hint(format!("did you mean {last}-{first}?")))
        }
        Some(range) => Ok(Element::Ports(range)),
        None => Err(no_element(word, span).hint(EXPECTED)),
    }
}
