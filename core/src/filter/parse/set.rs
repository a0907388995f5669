//! `in SET` and `in { … }`.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::policy::{self, Element};
use crate::problem::{Problem, Span};

use super::super::ast::{self, Direction, Elements, Expr, Family, Primitive, Protocol, Transport};
use super::super::scan::{self, Kind};
use super::{Parser, Qualifier, Subject, primitive};

impl Parser<'_> {
    /// Whether `in` and a set follow. A name never follows a name in libpcap's grammar.
    pub(super) fn set_follows(&self) -> bool {
        let set = match self.ahead(1) {
            Kind::Braces(_) | Kind::Name(_) => true,
            Kind::Word(word) => !matches!(*word, "and" | "or" | "mask"),
            _ => false,
        };
        set && matches!(self.peek(), Kind::Name(name) if name == "in")
    }

    /// `in SET` behind its qualifiers, of which the first begins at `start`.
    pub(super) fn set(&mut self, qualifier: Qualifier, start: usize) -> Result<Expr, Problem> {
        let span = self.span();
        self.at += 1;
        let subject = subject(qualifier).ok_or_else(|| {
            Problem::new(span, "no set has such elements")
                .hint("sets are of addresses (src in), of Ethernet addresses (ether src in) and of ports (port in)")
        })?;
        let expected = match subject {
            ast::Subject::Address(_) => "expected addresses and prefixes",
            ast::Subject::Mac => "expected Ethernet addresses",
            ast::Subject::Port(_) => "expected ports and ranges of ports",
        };
        let elements = self.elements(|element| fits(element, subject), expected)?;
        let direction = qualifier.direction.unwrap_or(Direction::Either);
        Ok(primitive(Primitive::In(subject, direction, elements), self.since(start)))
    }

    /// The set behind `in`. Elements that stand here must fit.
    pub(super) fn elements(&mut self, fits: impl Fn(&Element) -> bool, expected: &str) -> Result<Elements, Problem> {
        let span = self.span();
        if let Kind::Braces(inside) = self.next() {
            return Ok(Elements::Listed(list(self.text, inside, fits, expected)?));
        }
        let name = self.text.get(span.clone()).unwrap_or_default();
        if name.starts_with('\\') {
            return Err(Problem::new(span, "no set").hint("expected its name as it stands behind set"));
        }
        Ok(Elements::Named(name.to_string()))
    }
}

fn subject(qualifier: Qualifier) -> Option<ast::Subject> {
    Some(match (qualifier.protocol, qualifier.kind) {
        (None, Subject::Port) => ast::Subject::Port(None),
        (Some(Protocol::Tcp), Subject::Port) => ast::Subject::Port(Some(Transport::Tcp)),
        (Some(Protocol::Udp), Subject::Port) => ast::Subject::Port(Some(Transport::Udp)),
        (Some(Protocol::Sctp), Subject::Port) => ast::Subject::Port(Some(Transport::Sctp)),
        (Some(Protocol::Ether), Subject::Unsaid | Subject::Host) => ast::Subject::Mac,
        (protocol, Subject::Unsaid | Subject::Host | Subject::Net) => ast::Subject::Address(match protocol {
            None => Family::Any,
            Some(Protocol::Ip) => Family::V4,
            Some(Protocol::Ip6) => Family::V6,
            Some(Protocol::Arp) => Family::Arp,
            Some(Protocol::Rarp) => Family::Rarp,
            Some(_) => return None,
        }),
        _ => return None,
    })
}

/// The elements between the braces.
fn list(text: &str, inside: Span, fits: impl Fn(&Element) -> bool, expected: &str) -> Result<Vec<Element>, Problem> {
    let mut elements = Vec::new();
    let mut start = inside.start;
    for part in text.get(inside.clone()).unwrap_or_default().split(',') {
        let end = start + part.len();
        let trimmed = part.trim();
        let first = start + (part.len() - part.trim_start().len());
        let span = first..first + trimmed.len();
        start = end + 1;
        if trimmed.is_empty() && end == inside.end && !elements.is_empty() {
            continue;
        }
        let element = policy::element(trimmed, span.clone())?;
        if !fits(&element) {
            return Err(Problem::new(span, format!("{trimmed} cannot be an element here")).hint(expected));
        }
        elements.push(element);
    }
    if elements.is_empty() {
        return Err(Problem::new(inside, "an empty set matches nothing"));
    }
    Ok(elements)
}

fn fits(element: &Element, subject: ast::Subject) -> bool {
    match (element, subject) {
        (Element::V4(..), ast::Subject::Address(family)) => family != Family::V6,
        (Element::V6(..), ast::Subject::Address(family)) => matches!(family, Family::Any | Family::V6),
        (Element::Mac(_), ast::Subject::Mac) | (Element::Ports(_), ast::Subject::Port(_)) => true,
        _ => false,
    }
}

/// An element of a set, as it is written.
///
/// `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`, `80`, `8000-8080`, `02:00:00:00:00:01`, `domain`, `192.0.2.1 . tcp . 80`.
pub(crate) fn element(text: &str) -> Option<Element> {
    if let Some(tuple) = policy::tuple_element(text) {
        return Some(tuple);
    }
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => {
            let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            (address, Some(length.parse::<u8>().ok().filter(|_| digits)?))
        }
        None => (text, None),
    };
    if let Ok(v4) = address.parse::<Ipv4Addr>() {
        let length = length.unwrap_or(32);
        let mask = u32::MAX.checked_shl(32_u32.checked_sub(length.into())?).unwrap_or(0);
        return (v4.to_bits() & !mask == 0).then_some(Element::V4(v4, length));
    }
    if let Ok(v6) = address.parse::<Ipv6Addr>() {
        let length = length.unwrap_or(128);
        let mask = u128::MAX.checked_shl(128_u32.checked_sub(length.into())?).unwrap_or(0);
        return (v6.to_bits() & !mask == 0).then_some(Element::V6(v6, length));
    }
    if length.is_some() {
        return None;
    }
    let tokens = scan::scan(text, 0..text.len()).ok()?;
    if let Some(Kind::Mac(mac)) = tokens.first().map(|token| token.kind.clone()) {
        return (tokens.len() == 2).then_some(Element::Mac(mac));
    }
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { super::super::names::service(text).map(|service| service.port) }
    };
    if let Some(port) = port(text) {
        return Some(Element::Ports(port..=port));
    }
    let (low, high) = text.split_once('-')?;
    let (low, high) = (port(low.trim())?, port(high.trim())?);
    (low <= high).then_some(Element::Ports(low..=high))
}
