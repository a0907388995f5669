//! Where the headers are that a test looks at, and the tests of what a frame carries.

use crate::cond::{Cond, Load, Operator, Place, Returned, Value, Width};
use crate::problem::Problem;

use super::super::ast::Llc;
use super::{Lowering, simple};

pub(super) const IPV4: u32 = 0x0800;
pub(super) const ARP: u32 = 0x0806;
pub(super) const RARP: u32 = 0x8035;
pub(super) const IPV6: u32 = 0x86dd;
pub(super) const DECNET: u32 = 0x6003;
pub(super) const MPLS: u32 = 0x8847;
pub(super) const PPPOE_DISCOVERY: u32 = 0x8863;
pub(super) const PPPOE_SESSION: u32 = 0x8864;
pub(super) const ETHERNET_BRIDGING: u32 = 0x6558;
const APPLETALK: u32 = 0x809b;
const APPLETALK_ARP: u32 = 0x80f3;
const NOVELL: u32 = 0x8137;
const XNS: u32 = 0x0600;

/// Service access points of IEEE 802.2.
const SAP_IP: u32 = 0x06;
pub(super) const SAP_SPANNING_TREE: u32 = 0x42;
pub(super) const SAP_IPX: u32 = 0xe0;
pub(super) const SAP_NETBEUI: u32 = 0xf0;
pub(super) const SAP_ISO: u32 = 0xfe;

/// The greatest number in the type field that is a length.
const LENGTH_MAX: u32 = 1500;

/// Kinds of link headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    Ethernet,
    /// PPP, behind a PPPoE header.
    Ppp,
}

/// Where things are in the packet at this place of the expression.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    /// What the link header is.
    pub(super) kind: LinkKind,
    /// Where it begins.
    pub(super) header: Place,
    /// Where its type field is.
    pub(super) type_field: Place,
    /// What follows it.
    pub(super) payload: Place,
    /// Bytes between [`Layers::payload`] and the network header.
    pub(super) network: u32,
    /// The same where an LLC header stands between them.
    pub(super) network_llc: u32,
    /// How many MPLS labels were passed.
    pub(super) labels: u32,
    /// In a GENEVE tunnel: whether an Ethernet header stands in it.
    pub(super) tunnelled_ethernet: Option<Cond>,
    /// Whether headers behind the link header are those that an ICMP error brings back.
    pub(super) returned: bool,
}

impl Layers {
    /// From the first byte of an Ethernet frame on.
    pub(super) fn ethernet() -> Self {
        Layers {
            kind: LinkKind::Ethernet,
            header: Place::fixed(0),
            type_field: Place::fixed(12),
            payload: Place::fixed(14),
            network: 0,
            network_llc: 3,
            labels: 0,
            tunnelled_ethernet: None,
            returned: false,
        }
    }
}

/// `offset` bytes behind a place; constants wrap, as in libpcap's code generator.
pub(super) fn behind(place: &Place, offset: u32) -> Place {
    Place { base: place.base.clone(), offset: place.offset.wrapping_add(offset) }
}

/// A place in the packet that an ICMP error brings back.
fn returned(part: Returned) -> Place {
    Place { base: Some(Box::new(Value::Returned(part))), offset: 0 }
}

/// The bytes at `offset` behind a place.
pub(super) fn load(place: &Place, offset: u32, width: Width) -> Value {
    Value::Load(Load { at: behind(place, offset), width })
}

/// Whether the bytes at a place are these: four at a time from the end on, then two, then one.
pub(super) fn bytes(place: &Place, offset: u32, bytes: &[u8]) -> Cond {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (width, size) = match rest.len() {
            1 => (Width::One, 1),
            2 | 3 => (Width::Two, 2),
            _ => (Width::Four, 4),
        };
        let (before, last) = rest.split_at(rest.len() - size);
        let number = last.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let at = offset + u32::try_from(before.len()).unwrap_or(u32::MAX);
        parts.push(simple::equal(load(place, at, width), Value::Const(number)));
        rest = before;
    }
    simple::all(parts)
}

impl Lowering<'_> {
    /// Bytes of the network header.
    pub(super) fn network(&self, offset: u32, width: Width) -> Value {
        load(&self.in_network(offset), 0, width)
    }

    /// The place of bytes of the network header.
    pub(super) fn in_network(&self, offset: u32) -> Place {
        match self.layers.returned {
            true => Place { offset, ..returned(Returned::Header) },
            false => behind(&self.layers.payload, self.layers.network.wrapping_add(offset)),
        }
    }

    /// Where the byte is that names what an IP header carries.
    pub(super) fn names_protocol(&self, v6: bool) -> Place {
        match self.layers.returned {
            true => returned(Returned::Protocol),
            false => self.in_network(if v6 { 6 } else { 9 }),
        }
    }

    /// What an IP header carries.
    pub(super) fn carries(&self, v6: bool) -> Value {
        load(&self.names_protocol(v6), 0, Width::One)
    }

    /// Where the header behind an IPv4 header begins, whose length is as it says.
    pub(super) fn behind_ipv4(&self) -> Place {
        if self.layers.returned {
            return returned(Returned::Transport);
        }
        let length = self.network(0, Width::One).with(Operator::And, Value::Const(15));
        let length = length.with(Operator::ShiftLeft, Value::Const(2));
        let payload = &self.layers.payload;
        let base = match &payload.base {
            Some(base) => length.with(Operator::Add, (**base).clone()),
            None => length,
        };
        Place { base: Some(Box::new(base)), offset: payload.offset.wrapping_add(self.layers.network) }
    }

    /// Where the header behind an IPv6 header begins, if it has no extensions.
    pub(super) fn behind_ipv6(&self) -> Place {
        if self.layers.returned {
            return returned(Returned::Transport);
        }
        self.in_network(40)
    }

    pub(super) fn type_field(&self) -> Value {
        load(&self.layers.type_field, 0, Width::Two)
    }

    fn type_is(&self, number: u32) -> Cond {
        simple::equal(self.type_field(), Value::Const(number))
    }

    /// Whether the type field is a length, so that an LLC header follows.
    fn length_field(&self) -> Cond {
        simple::not(simple::greater(self.type_field(), Value::Const(LENGTH_MAX)))
    }

    /// Whether the frame carries a protocol: an EtherType, or a service access point where it is at most 1500.
    pub(super) fn link_type(&self, number: u32) -> Result<Cond, Problem> {
        if self.layers.labels > 0 {
            return self.mpls_type(number);
        }
        if self.layers.kind == LinkKind::Ppp {
            return Ok(self.type_is(ppp(number)));
        }
        let first_two = |lowering: &Self| load(&lowering.layers.payload, 0, Width::Two);
        Ok(match number {
            SAP_ISO | SAP_IP | SAP_NETBEUI => {
                let both = simple::equal(first_two(self), Value::Const(number << 8 | number));
                self.all([self.length_field(), both])
            }
            SAP_IPX => {
                let sap = load(&self.layers.payload, 0, Width::One);
                let novell = self.any([
                    self.snap(0, NOVELL),
                    simple::equal(sap, Value::Const(SAP_IPX)),
                    simple::equal(first_two(self), Value::Const(0xffff)),
                ]);
                self.any([self.type_is(NOVELL), self.all([self.length_field(), novell])])
            }
            APPLETALK => {
                let snap = self.all([self.length_field(), self.snap(0x08_0007, APPLETALK)]);
                self.any([self.type_is(APPLETALK), snap])
            }
            APPLETALK_ARP => {
                let snap = self.all([self.length_field(), self.snap(0, APPLETALK_ARP)]);
                self.any([self.type_is(APPLETALK_ARP), snap])
            }
            0..=LENGTH_MAX => {
                let sap = load(&self.layers.type_field, 2, Width::One);
                self.all([self.length_field(), simple::equal(sap, Value::Const(number))])
            }
            _ => self.type_is(number),
        })
    }

    /// Whether a SNAP header follows with this organization and protocol.
    fn snap(&self, organization: u32, protocol: u32) -> Cond {
        let [_, a, b, c] = organization.to_be_bytes();
        let [_, _, d, e] = protocol.to_be_bytes();
        bytes(&self.layers.payload, 0, &[0xaa, 0xaa, 3, a, b, c, d, e])
    }

    /// Behind an MPLS label: it is the last one, and the version number says which protocol follows.
    fn mpls_type(&self, number: u32) -> Result<Cond, Problem> {
        let version = match number {
            IPV4 => 0x40,
            IPV6 => 0x60,
            _ => {
                return self.refuse("behind an MPLS label only ip and ip6 are known", "expected this test before mpls");
            }
        };
        let bottom = self.masked(self.network(2_u32.wrapping_neg(), Width::One), 1, 1);
        let version = self.masked(self.network(0, Width::One), 0xf0, version);
        Ok(self.all([bottom, version]))
    }

    /// `llc`
    pub(super) fn llc(&mut self, kind: Llc) -> Result<Cond, Problem> {
        if self.layers.kind == LinkKind::Ppp {
            return self.refuse("PPP has no LLC header", "expected this test before pppoes");
        }
        let novell = simple::equal(load(&self.layers.payload, 0, Width::Two), Value::Const(0xffff));
        let frame = self.all([self.length_field(), simple::not(novell)]);
        let control = load(&self.layers.payload, 2, Width::One);
        let kind = match kind {
            Llc::Any => return Ok(frame),
            Llc::Information => simple::not(simple::any_bit(control, 1)),
            Llc::Supervisory => self.masked(control, 3, 1),
            Llc::Unnumbered => self.masked(control, 3, 3),
            Llc::SupervisoryType(kind) => self.masked(control, 0x0f, kind.into()),
            Llc::UnnumberedType(kind) => self.masked(control, 0xef, kind.into()),
        };
        Ok(self.all([frame, kind]))
    }
}

/// The PPP protocol of an EtherType or service access point.
fn ppp(number: u32) -> u32 {
    match number {
        IPV4 => 0x0021,
        IPV6 => 0x0057,
        DECNET => 0x0027,
        APPLETALK => 0x0029,
        XNS => 0x0025,
        SAP_ISO => 0x0023,
        SAP_SPANNING_TREE => 0x0031,
        SAP_IPX => 0x002b,
        other => other,
    }
}
