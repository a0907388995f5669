//! Elements of sets: from words, and back.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::parse::cursor::{near_or, quote};
use super::tuple::{element_length, is_tuple, no_tuple};
use super::{Element, Tuple};
use crate::filter::{self, names};
use crate::problem::{Problem, Span};

/// After so many lines with problems a set file is not read on.
const MOST_PROBLEMS: usize = 50;
/// What an element may be, for errors.
const EXPECTED: &str = "expected an address, a prefix (10.0.0.0/8), a port (80, http, 1000-2000), a MAC address or a tuple (192.0.2.1 . 443)";

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
            Element::Tuple(tuple) => tuple.fmt(f),
        }
    }
}

/// A MAC address as it is printed.
pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// The texts of the elements in a text, with their offsets.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    const ENDS: &[char] = &[' ', '\t', '\r', '\n', ','];
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let element = rest.trim_start_matches(ENDS);
        let start = at + rest.len() - element.len();
        let length = element_length(element, ENDS);
        at = start + length;
        (length > 0).then(|| (start, element.get(..length).unwrap_or_default()))
    })
}

/// An element as the filter's scanner knows none.
pub(crate) fn tuple(text: &str) -> Option<Element> {
    if is_tuple(text) { Tuple::parse(text).map(Element::Tuple) } else { None }
}

/// One element; its span is where the word stands.
pub fn element(word: &str, span: Span) -> Result<Element, Problem> {
    filter::element(word).ok_or_else(|| no_element(word, span))
}

/// Why a word is no element.
fn no_element(word: &str, span: Span) -> Problem {
    if is_tuple(word) {
        return no_tuple(word, span);
    }
    let wrong = |what: &str| Problem::new(span.clone(), format!("{} {what}", quote(word)));
    if let Some(problem) = bits_behind(word, span.clone()) {
        return problem;
    }
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    if let (Ok(low), Ok(high)) = (first.parse::<u16>(), last.parse::<u16>())
        && low > high
    {
        return wrong("is an empty range of ports").hint(format!("did you mean {last}-{first}?"));
    }
    let is_name = word.len() > 2 && word.starts_with(|c: char| c.is_ascii_alphabetic()) && !word.contains(':');
    let near = if is_name { near_or(word, names::services(), EXPECTED) } else { EXPECTED.to_string() };
    wrong("is not an element of a set").hint(near)
}

/// That a prefix has bits behind its length, if that is what is wrong with it.
pub(super) fn bits_behind(word: &str, span: Span) -> Option<Problem> {
    let (address, length) = word.split_once('/')?;
    let kept = match (address.parse().ok()?, length.parse::<u32>().ok()?) {
        (IpAddr::V4(address), bits @ 0..32) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & !(u32::MAX >> bits))),
        (IpAddr::V6(address), bits @ 0..128) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> bits)))
        }
        _ => return None,
    };
    let problem = Problem::new(span, format!("{} has bits behind its prefix length", quote(word)));
    Some(problem.hint(format!("did you mean {kept}/{length} or {address}?")))
}

/// The elements in a text, as in a set file: one or more a line, separated by commas or spaces; `#` begins a comment.
pub fn elements(text: &str) -> Result<Vec<Element>, Vec<Problem>> {
    let (mut elements, mut problems) = (Vec::new(), Vec::new());
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let said = line.split('#').next().unwrap_or_default();
        for (at, word) in words(said) {
            match element(word, start + at..start + at + word.len()) {
                Ok(element) => elements.push(element),
                Err(problem) => problems.push(problem),
            }
        }
        start += line.len();
        if problems.len() >= MOST_PROBLEMS {
            break;
        }
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
