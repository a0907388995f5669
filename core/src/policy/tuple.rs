//! Tuples: values that stand beside each other in an element of a set.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Element, mac_text};
use crate::cond::{Column, Layout};
use crate::filter::{self, names};
use crate::problem::{Problem, Span};

/// Two to five values, each of which a packet must have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tuple(Box<[Datum]>);

/// A value of a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Datum {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// A port.
    Port(u16),
    /// An IP protocol.
    Protocol(u8),
    /// An Ethernet address.
    Mac([u8; 6]),
}

impl Tuple {
    /// A tuple of these values; none where they are fewer than two, or too many.
    pub fn new(values: Vec<Datum>) -> Option<Self> {
        (2..=Layout::MOST).contains(&values.len()).then(|| Tuple(values.into()))
    }

    /// What is written with dots between the values: `192.0.2.1 . tcp . 443`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::new(parts(text).map(Datum::parse).collect::<Option<_>>()?)
    }

    /// Its values.
    pub fn values(&self) -> &[Datum] {
        &self.0
    }

    /// What its values are.
    pub fn layout(&self) -> Layout {
        Layout::of(self.0.iter().map(|value| value.column()))
    }

    /// Its key in the kernel's map; see [`Layout::key_size`].
    pub fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.layout().key_size() as usize);
        for value in &self.0 {
            match value {
                Datum::V4(address) => key.extend(address.octets()),
                Datum::V6(address) => key.extend(address.octets()),
                Datum::Port(port) => key.extend(port.to_be_bytes()),
                Datum::Protocol(number) => key.extend([*number, 0]),
                Datum::Mac(address) => key.extend(address),
            }
        }
        key.resize(key.len().next_multiple_of(4), 0);
        key
    }

    /// The tuple of a key in the kernel's map; none where it is too short.
    pub fn of_key(layout: Layout, key: &[u8]) -> Option<Self> {
        let mut rest = key;
        let values = layout.columns().map(|column| {
            let (bytes, behind) = rest.split_at_checked(column.room() as usize)?;
            rest = behind;
            Datum::of_bytes(column, bytes.get(..column.size() as usize)?)
        });
        Self::new(values.collect::<Option<_>>()?)
    }
}

impl Datum {
    fn parse(word: &str) -> Option<Self> {
        if let Some(number) = word.strip_prefix("proto").filter(|number| number.starts_with(char::is_whitespace)) {
            return number.trim().parse().ok().map(Datum::Protocol);
        }
        if let Some(number) = protocol(word) {
            return Some(Datum::Protocol(number));
        }
        match filter::element(word)? {
            Element::V4(address, 32) => Some(Datum::V4(address)),
            Element::V6(address, 128) => Some(Datum::V6(address)),
            Element::Ports(range) if range.start() == range.end() => Some(Datum::Port(*range.start())),
            Element::Mac(address) => Some(Datum::Mac(address)),
            _ => None,
        }
    }

    /// What it is.
    pub fn column(self) -> Column {
        match self {
            Datum::V4(_) => Column::V4,
            Datum::V6(_) => Column::V6,
            Datum::Port(_) => Column::Port,
            Datum::Protocol(_) => Column::Protocol,
            Datum::Mac(_) => Column::Mac,
        }
    }

    /// A value as a packet has it; none where it is not so many bytes.
    pub fn of_bytes(column: Column, bytes: &[u8]) -> Option<Self> {
        Some(match column {
            Column::V4 => Datum::V4(<[u8; 4]>::try_from(bytes).ok()?.into()),
            Column::V6 => Datum::V6(<[u8; 16]>::try_from(bytes).ok()?.into()),
            Column::Port => Datum::Port(u16::from_be_bytes(bytes.try_into().ok()?)),
            Column::Protocol => Datum::Protocol(<[u8; 1]>::try_from(bytes).ok()?[0]),
            Column::Mac => Datum::Mac(bytes.try_into().ok()?),
        })
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { " . " } else { "" })?;
            value.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Datum::V4(address) => address.fmt(f),
            Datum::V6(address) => address.fmt(f),
            Datum::Port(port) => port.fmt(f),
            Datum::Protocol(number) => match names::protocol_name(*number) {
                Some(name) => f.write_str(name),
                None => write!(f, "proto {number}"),
            },
            Datum::Mac(address) => f.write_str(&mac_text(*address)),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, column) in self.columns().enumerate() {
            f.write_str(if index > 0 { " . " } else { "" })?;
            f.write_str(match column {
                Column::V4 => "IPv4 address",
                Column::V6 => "IPv6 address",
                Column::Port => "port",
                Column::Protocol => "protocol",
                Column::Mac => "MAC address",
            })?;
        }
        Ok(())
    }
}

/// The number of an IP protocol.
fn protocol(word: &str) -> Option<u8> {
    match word {
        "icmp6" => Some(58),
        _ => names::protocol(word).and_then(|number| u8::try_from(number).ok()),
    }
}

/// What stands between the dots.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let here = rest?;
        let dot = dots(here).next();
        rest = dot.and_then(|at| here.get(at + 1..));
        Some(here.get(..dot.unwrap_or(here.len())).unwrap_or_default().trim())
    })
}

/// The dots that have nothing beside them.
fn dots(text: &str) -> impl Iterator<Item = usize> {
    super::scan::words(text, char::is_whitespace).filter(|(_, word)| *word == ".").map(|(at, _)| at)
}

/// Whether an element is written as a tuple.
pub(super) fn is_tuple(text: &str) -> bool {
    text.contains([' ', '\t', '\r', '\n']) && dots(text).next().is_some()
}

/// Why a text is no tuple.
pub(super) fn no_tuple(text: &str, span: Span) -> Problem {
    let count = parts(text).count();
    if count > Layout::MOST {
        return Problem::new(span, format!("{count} values in a tuple"))
            .hint(format!("it has at most {}", Layout::MOST));
    }
    let wrong = parts(text).find(|part| Datum::parse(part).is_none()).unwrap_or_default();
    match filter::element(wrong) {
        Some(Element::V4(..) | Element::V6(..)) => {
            Problem::new(span, format!("{wrong} in a tuple is no single address"))
                .hint(format!("a rule finds prefixes beside others: src net {wrong} and dst port 80"))
        }
        Some(Element::Ports(_)) => Problem::new(span, format!("{wrong} in a tuple is no single port"))
            .hint(format!("a rule finds ranges beside others: src host 192.0.2.1 and dst portrange {wrong}")),
        _ if wrong.is_empty() => Problem::new(span, "a value of this tuple is missing")
            .hint("expected values with a dot between them: 192.0.2.1 . tcp . 443"),
        _ => Problem::new(span, format!("{} is no value of a tuple", super::quote(wrong)))
            .hint("expected an address, a port (443, https), a protocol (tcp, proto 47) or a MAC address"),
    }
}

/// How long the element is that a text begins with: a word up to one of `ends`, or a tuple's words up to the end of its line.
pub(super) fn element_length(text: &str, ends: &[char]) -> usize {
    let (mut end, mut goes_on) = (0, true);
    loop {
        let rest = text.get(end..).unwrap_or_default();
        let word = rest.trim_start_matches([' ', '\t']);
        let skipped = rest.len() - word.len();
        let word = word.get(..word.find(ends).unwrap_or(word.len())).unwrap_or_default();
        if word.is_empty() || !(goes_on || word == ".") {
            return end;
        }
        goes_on = matches!(word, "." | "proto");
        end += skipped + word.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn round_trip(text: &str, printed: &str, key: &[u8]) {
        let tuple = Tuple::parse(text).unwrap();
        assert_eq!(tuple.to_string(), printed);
        assert_eq!(Tuple::parse(printed).as_ref(), Some(&tuple));
        assert_eq!(tuple.key(), key);
        assert_eq!(key.len(), tuple.layout().key_size() as usize);
        assert_eq!(Tuple::of_key(tuple.layout(), key), Some(tuple));
    }

    #[test]
    fn tuples_and_their_keys() {
        round_trip("192.0.2.1 . https", "192.0.2.1 . 443", &[192, 0, 2, 1, 1, 187, 0, 0]);
        round_trip("192.0.2.1  .\ttcp .  443", "192.0.2.1 . tcp . 443", &[192, 0, 2, 1, 6, 0, 1, 187]);
        round_trip("10.0.0.1/32 . proto 250", "10.0.0.1 . proto 250", &[10, 0, 0, 1, 250, 0, 0, 0]);
        round_trip("icmp6 . 02:00:00:00:00:01", "ipv6-icmp . 02:00:00:00:00:01", &[58, 0, 2, 0, 0, 0, 0, 1]);
        round_trip(
            "53 . ::1 . 10.0.0.1",
            "53 . ::1 . 10.0.0.1",
            &[0, 53, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0],
        );
    }

    #[test]
    fn every_protocol_is_read_as_it_is_printed() {
        for number in 0..=u8::MAX {
            let tuple = Tuple::new(vec![Datum::Protocol(number), Datum::Port(1)]).unwrap();
            assert_eq!(Tuple::parse(&tuple.to_string()), Some(tuple));
        }
    }

    #[test]
    fn what_is_no_tuple() {
        let problem = |text: &str| no_tuple(text, 0..text.len()).what;
        for (text, what) in [
            ("10.0.0.0/8 . 80", "10.0.0.0/8 in a tuple is no single address"),
            ("10.0.0.1 . 80-90", "80-90 in a tuple is no single port"),
            ("10.0.0.1 . ", "a value of this tuple is missing"),
            (". 80", "a value of this tuple is missing"),
            ("10.0.0.1 . 70000", "70000 is no value of a tuple"),
            ("1 . 2 . 3 . 4 . 5 . 6", "6 values in a tuple"),
        ] {
            assert_eq!(Tuple::parse(text), None, "{text}");
            assert_eq!(problem(text), what);
        }
    }

    #[test]
    fn where_an_element_ends() {
        for (text, length) in
            [("80, 90", 2), ("1.2.3.4 . 80 , 5", 12), ("1.2.3.4 . proto 47 6", 18), ("1.2.3.4 .\n80", 9), ("", 0)]
        {
            assert_eq!(element_length(text, &[' ', '\t', '\n', ',']), length, "{text}");
        }
    }
}
