//! Values of a packet beside each other: membership in sets of tuples.
//!
//! A tuple holds where each of its values does by itself: `src . tcp dst port in { A . P }` is `src host A and tcp dst port P`,
//! with the one difference that all values are read before they are compared.

use crate::cond::{Cond, Layout, Member, Part, Place, Value, Width};
use crate::policy::{Datum, Element, Tuple};
use crate::problem::Problem;

use super::super::ast::{Elements, End, Family, TuplePart};
use super::address::{IN_ARP, IN_ETHERNET, IN_IPV4, IN_IPV6};
use super::layers::{self, behind, load};
use super::port::{PORTS, port_is};
use super::protocol::FRAGMENT;
use super::{Lowering, simple};

/// Packets that have addresses.
struct Carrier {
    /// What the frame says that it carries.
    link: u32,
    v6: bool,
    /// Offsets of the source's and the destination's address.
    addresses: [u32; 2],
    /// Offset of the protocol; none where it is not IP.
    protocol: Option<u32>,
}

const CARRIERS: [Carrier; 4] = [
    Carrier { link: layers::IPV4, v6: false, addresses: IN_IPV4, protocol: Some(9) },
    Carrier { link: layers::ARP, v6: false, addresses: IN_ARP, protocol: None },
    Carrier { link: layers::RARP, v6: false, addresses: IN_ARP, protocol: None },
    Carrier { link: layers::IPV6, v6: true, addresses: IN_IPV6, protocol: Some(6) },
];

/// What is tested of the values at these places.
type Test<'a> = &'a dyn Fn(Layout, &[Place]) -> Cond;

impl Lowering<'_> {
    /// `src . dst port in SET`
    pub(super) fn tuples(&self, parts: &[TuplePart], elements: &Elements) -> Result<Cond, Problem> {
        match elements {
            Elements::Named(name) => {
                let set = self.set(name)?;
                self.contained_tuples(parts, &|layout, places| member(set, layout, places))
            }
            Elements::Listed(elements) => {
                let tuples: Vec<&Tuple> = elements.iter().filter_map(tuple).collect();
                self.contained_tuples(parts, &|layout, places| {
                    let fitting = tuples.iter().filter(|tuple| tuple.layout() == layout);
                    let there = layout.columns().zip(places).skip(1).map(|(column, at)| is_there(at, column.size()));
                    let one = self.any(fitting.map(|tuple| simple::all(tuple.values().iter().zip(places).map(equals))));
                    if one == Cond::Always(false) { one } else { self.all(there.chain([one])) }
                })
            }
        }
    }

    fn contained_tuples(&self, parts: &[TuplePart], test: Test<'_>) -> Result<Cond, Problem> {
        let has = |wanted: fn(&TuplePart) -> bool| parts.iter().any(wanted);
        let ip_only =
            has(|part| matches!(part, TuplePart::Port(..) | TuplePart::Protocol | TuplePart::Address(Family::V4, _)));
        let framed = has(|part| matches!(part, TuplePart::Mac(_)));
        if parts.iter().all(|part| matches!(part, TuplePart::Mac(_))) {
            return self.on_ethernet(self.tuples_of(&CARRIERS[0], parts, test));
        }
        let mut kinds = Vec::new();
        for carrier in &CARRIERS {
            // Behind an MPLS label, ARP is not looked for.
            if carrier.protocol.is_some() || !ip_only && self.layers.labels == 0 {
                let inside = self.tuples_of(carrier, parts, test);
                if inside != Cond::Always(false) {
                    kinds.push(self.all([self.link_type(carrier.link)?, inside]));
                }
            }
        }
        let any = self.any(kinds);
        if framed { self.on_ethernet(any) } else { Ok(any) }
    }

    /// The test in packets of one kind.
    fn tuples_of(&self, carrier: &Carrier, parts: &[TuplePart], test: Test<'_>) -> Cond {
        let Some(layout) = TuplePart::layout(parts, carrier.v6) else { return Cond::Always(false) };
        let places: Vec<Place> = parts.iter().map(|part| self.place(*part, carrier)).collect();
        let direct = test(layout, &places);
        if direct == Cond::Always(false) {
            return direct;
        }
        let mut ports = parts.iter().filter_map(|part| match part {
            TuplePart::Port(transport, _) => Some(*transport),
            _ => None,
        });
        if let Some(first) = ports.next() {
            let transport = first.or(ports.flatten().next());
            let fragment = (!carrier.v6).then(|| self.first_fragment());
            let inside = || self.all(fragment.clone().into_iter().chain([direct.clone()]));
            return self.transports(&self.carries(carrier.v6), transport, inside);
        }
        if !carrier.v6 || self.layers.returned || !parts.contains(&TuplePart::Protocol) {
            return direct;
        }
        // As with protocols by themselves, a fragment header may stand before the last header.
        let behind_fragment = |(part, place): (&TuplePart, &Place)| match part {
            TuplePart::Protocol => self.in_network(40),
            _ => place.clone(),
        };
        let places: Vec<Place> = parts.iter().zip(&places).map(behind_fragment).collect();
        let fragment = simple::equal(self.network(6, Width::One), Value::Const(FRAGMENT));
        self.any([direct, self.all([fragment, test(layout, &places)])])
    }

    fn place(&self, part: TuplePart, carrier: &Carrier) -> Place {
        let of = |offsets: [u32; 2], end: End| match end {
            End::Src => offsets[0],
            End::Dst => offsets[1],
        };
        match part {
            TuplePart::Address(_, end) => self.in_network(of(carrier.addresses, end)),
            TuplePart::Port(_, end) if carrier.v6 => behind(&self.behind_ipv6(), of(PORTS, end)),
            TuplePart::Port(_, end) => behind(&self.behind_ipv4(), of(PORTS, end)),
            TuplePart::Protocol => self.names_protocol(carrier.v6),
            TuplePart::Mac(end) => behind(&self.layers.header, of(IN_ETHERNET, end)),
        }
    }
}

fn tuple(element: &Element) -> Option<&Tuple> {
    match element {
        Element::Tuple(tuple) => Some(tuple),
        _ => None,
    }
}

fn member(set: usize, layout: Layout, places: &[Place]) -> Cond {
    match places {
        [at, more @ ..] => Cond::In(Member { set, part: Part::Tuple(layout), at: at.clone(), more: more.to_vec() }),
        [] => Cond::Always(false),
    }
}

/// Holds where the packet has these bytes; too few are a fault.
fn is_there(at: &Place, size: u32) -> Cond {
    let (width, offset) = match size {
        1 => (Width::One, 0),
        2 | 3 => (Width::Two, size - 2),
        _ => (Width::Four, size - 4),
    };
    simple::at_least(load(at, offset, width), Value::Const(0))
}

/// Whether a value stands at a place.
fn equals((value, at): (&Datum, &Place)) -> Cond {
    match value {
        Datum::V4(address) => layers::bytes(at, 0, &address.octets()),
        Datum::V6(address) => layers::bytes(at, 0, &address.octets()),
        Datum::Port(port) => port_is(at, 0, *port),
        Datum::Protocol(number) => simple::equal(load(at, 0, Width::One), Value::Const((*number).into())),
        Datum::Mac(address) => layers::bytes(at, 0, address),
    }
}
