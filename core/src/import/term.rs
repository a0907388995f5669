//! The parts of a rule's filter.

use std::fmt::Write;
use std::ops::RangeInclusive;

use crate::policy::Element;

/// The packets that something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// All.
    Any,
    /// IPv4 and IPv6.
    Ip,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Which of two addresses or ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The source's.
    Src,
    /// The destination's.
    Dst,
}

/// A test that stands beside others: words of the language, in brackets where they need them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    /// Its words.
    pub(super) text: String,
    /// The packets for which it can hold.
    pub(super) family: Family,
}

impl Family {
    /// The word before addresses and protocols; it is none for both families.
    pub(super) fn word(self) -> &'static str {
        match self {
            Family::V4 => "ip",
            Family::V6 => "ip6",
            Family::Any | Family::Ip => "",
        }
    }
}

impl Side {
    /// Its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Side::Src => "src",
            Side::Dst => "dst",
        }
    }
}

impl Term {
    /// A test that holds for packets of this family at most.
    pub(super) fn new(family: Family, text: impl Into<String>) -> Self {
        Term { text: text.into(), family }
    }

    /// Holds where not all of these do.
    pub(super) fn not(terms: &[Term]) -> Self {
        let text = match terms {
            [one] => format!("not {}", one.text),
            _ => format!("not ({})", joined(terms.iter())),
        };
        Term { text, family: Family::Any }
    }

    /// Holds where one of these does.
    pub(super) fn any(family: Family, texts: &[String]) -> Self {
        match texts {
            [one] => Term::new(family, one.clone()),
            _ => Term::new(family, format!("({})", texts.join(" or "))),
        }
    }

    /// Holds where all of one of these do.
    pub(super) fn one_of(any: &[Vec<Term>]) -> Self {
        let texts: Vec<String> = any.iter().map(|all| format!("({})", joined(all.iter()))).collect();
        Term::any(Family::Any, &texts)
    }

    /// Addresses of one family; none where every address is meant.
    pub(super) fn addresses(side: Side, elements: &[Element]) -> Option<Self> {
        let family = match elements.first()? {
            Element::V6(..) => Family::V6,
            _ => Family::V4,
        };
        let all = |element: &Element| matches!(element, Element::V4(_, 0) | Element::V6(_, 0));
        if elements.iter().any(all) {
            return None;
        }
        let what = match elements {
            [Element::V4(_, 32) | Element::V6(_, 128)] => format!("host {}", list(elements)),
            [_] => format!("net {}", list(elements)),
            _ => format!("in {{{}}}", list(elements)),
        };
        Some(Term::new(family, format!("{} {} {what}", family.word(), side.word())))
    }

    /// Ports of a protocol (`tcp`, `udp`, `sctp`), or of all three where it is empty.
    pub(super) fn ports(transport: &str, sides: &[Side], ranges: &[RangeInclusive<u16>]) -> Self {
        let mut which = String::new();
        if !transport.is_empty() {
            _ = write!(which, "{transport} ");
        }
        if let [side] = sides {
            _ = write!(which, "{} ", side.word());
        }
        let text = match ranges {
            [range] if range.start() == range.end() => format!("{which}port {}", range.start()),
            [range] => format!("{which}portrange {}-{}", range.start(), range.end()),
            _ => {
                let elements: Vec<Element> = ranges.iter().cloned().map(Element::Ports).collect();
                format!("{which}port in {{{}}}", list(&elements))
            }
        };
        Term::new(Family::Ip, text)
    }

    /// A protocol by its number.
    pub(super) fn protocol(family: Family, number: u8) -> Self {
        let known = match number {
            1 if family != Family::V6 => Some((Family::V4, "icmp")),
            6 => Some((Family::Ip, "tcp")),
            17 => Some((Family::Ip, "udp")),
            58 if family != Family::V4 => Some((Family::V6, "icmp6")),
            132 => Some((Family::Ip, "sctp")),
            _ => None,
        };
        match (known, family) {
            (Some((family, word)), _) => Term::new(family, word),
            (None, Family::V4 | Family::V6) => Term::new(family, format!("{} proto {number}", family.word())),
            (None, _) => Term::new(Family::Ip, format!("(ip proto {number} or ip6 proto {number})")),
        }
    }
}

fn list(elements: &[Element]) -> String {
    elements.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn joined<'t>(terms: impl Iterator<Item = &'t Term>) -> String {
    terms.map(|term| term.text.as_str()).collect::<Vec<_>>().join(" and ")
}

/// All of these hold, and the packet is of that family; empty for what always holds.
pub(super) fn conjunction(terms: &[Term], family: Family) -> String {
    let mut kept: Vec<&Term> = Vec::new();
    for term in terms {
        if !kept.contains(&term) && !terms.iter().any(|other| says_more(&other.text, &term.text)) {
            kept.push(term);
        }
    }
    let said = |which: &[Family]| kept.iter().any(|term| which.contains(&term.family));
    let first = match family {
        Family::Any => None,
        Family::Ip if said(&[Family::Ip, Family::V4, Family::V6]) => None,
        Family::Ip => Some(Term::new(family, "(ip or ip6)")),
        Family::V4 | Family::V6 if said(&[family]) => None,
        Family::V4 | Family::V6 => Some(Term::new(family, family.word())),
    };
    // Nothing beside others that are in brackets already.
    match (&first, kept.as_slice()) {
        (Some(Term { text, .. }), []) if text.starts_with('(') => text.trim_matches(['(', ')']).to_owned(),
        _ => joined(first.iter().chain(kept)),
    }
}

/// Whether a test of a protocol's header makes one of the protocol alone needless.
fn says_more(text: &str, protocol: &str) -> bool {
    let protocols = ["tcp", "udp", "sctp", "icmp", "icmp6"];
    protocols.contains(&protocol) && text.strip_prefix(protocol).is_some_and(|rest| rest.starts_with([' ', '[']))
}
