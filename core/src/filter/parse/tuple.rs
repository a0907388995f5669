//! `src . dst port in SET`: several values of a packet beside each other.

use crate::cond::Layout;
use crate::policy::Element;
use crate::problem::{Problem, Span};

use super::super::ast::{Direction, End, Expr, Family, Primitive, Protocol, Transport, TuplePart};
use super::{Parser, Qualifier, Subject, primitive};

const EXPECTED: &str = "expected src, dst, src port, dst port, proto, ether src or ether dst";

impl Parser<'_> {
    /// What follows the first value; it begins at `start`, and a dot stands behind it.
    pub(super) fn tuple(&mut self, first: Qualifier, start: usize) -> Result<Expr, Problem> {
        let mut parts = vec![part(first, self.since(start))?];
        while self.accept_symbol(".") {
            let from = self.span().start;
            let protocol = self.word().and_then(Protocol::from_word);
            self.at += usize::from(protocol.is_some());
            let qualifier = self.qualifier(protocol)?;
            parts.push(part(qualifier, self.since(from))?);
        }
        let span = self.since(start);
        if parts.len() > Layout::MOST {
            return Err(Problem::new(span, format!("{} values in a tuple", parts.len()))
                .hint(format!("it has at most {}", Layout::MOST)));
        }
        let layouts = [false, true].map(|v6| TuplePart::layout(&parts, v6));
        if layouts == [None, None] {
            return Err(Problem::new(span, "no packet has addresses of both IP versions"));
        }
        one_transport(&parts, span)?;
        if !self.set_follows() {
            return Err(self.unexpected("expected in and a set behind a tuple: src . dst port in web"));
        }
        self.at += 1;
        let layout = layouts.iter().flatten().next().map(ToString::to_string).unwrap_or_default();
        let fits = |element: &Element| matches!(element, Element::Tuple(one) if layouts.contains(&Some(one.layout())));
        let elements = self.elements(fits, &format!("expected {layout}"))?;
        Ok(primitive(Primitive::InTuples(parts, elements), self.since(start)))
    }
}

/// One value.
fn part(qualifier: Qualifier, span: Span) -> Result<TuplePart, Problem> {
    let problem = |what: &str, hint: &str| Err(Problem::new(span.clone(), what).hint(hint));
    let Qualifier { protocol, direction, kind } = qualifier;
    let end = match direction {
        Some(Direction::Src) => Some(End::Src),
        Some(Direction::Dst) => Some(End::Dst),
        Some(Direction::Either | Direction::Both) => return problem("one end is meant here", "expected src or dst"),
        None => None,
    };
    match (protocol, kind, end) {
        (None, Subject::Proto, None) => Ok(TuplePart::Protocol),
        (_, Subject::Port, Some(end)) => match protocol {
            None => Ok(TuplePart::Port(None, end)),
            Some(Protocol::Tcp) => Ok(TuplePart::Port(Some(Transport::Tcp), end)),
            Some(Protocol::Udp) => Ok(TuplePart::Port(Some(Transport::Udp), end)),
            Some(Protocol::Sctp) => Ok(TuplePart::Port(Some(Transport::Sctp), end)),
            Some(_) => problem("this has no ports", "ports are of tcp, udp and sctp"),
        },
        (_, Subject::Unsaid | Subject::Host, Some(end)) => match protocol {
            None => Ok(TuplePart::Address(Family::Any, end)),
            Some(Protocol::Ip) => Ok(TuplePart::Address(Family::V4, end)),
            Some(Protocol::Ip6) => Ok(TuplePart::Address(Family::V6, end)),
            Some(Protocol::Ether) => Ok(TuplePart::Mac(end)),
            Some(_) => problem("no tuple has such addresses", EXPECTED),
        },
        (_, Subject::Port | Subject::Unsaid | Subject::Host, None) => {
            problem("nothing says which end this is of", EXPECTED)
        }
        _ => problem("no tuple has such values", EXPECTED),
    }
}

/// Ports are of one protocol.
fn one_transport(parts: &[TuplePart], span: Span) -> Result<(), Problem> {
    let mut said = parts.iter().filter_map(|part| match part {
        TuplePart::Port(transport, _) => *transport,
        _ => None,
    });
    let first = said.next();
    match said.find(|transport| Some(*transport) != first) {
        Some(_) => Err(Problem::new(span, "no packet has ports of two protocols")),
        None => Ok(()),
    }
}
