//! Tests that move what follows: tags, labels and tunnels.

use crate::cond::{Cond, Load, Operator, Place, Relation, Value, Width};
use crate::problem::Problem;

use super::super::ast::{Direction, Transport};
use super::layers::{self, Layers, LinkKind, behind, load};
use super::port::port_is;
use super::{Lowering, simple};

/// Types of VLAN tags: 802.1Q, 802.1ad, and an older one of stacked tags.
const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];

/// The PPP protocol of MPLS.
const PPP_MPLS: u32 = 0x0281;

/// The UDP port of GENEVE.
const GENEVE_PORT: u16 = 6081;

impl Lowering<'_> {
    pub(super) fn vlan(&mut self, number: Option<u32>) -> Result<Cond, Problem> {
        if self.layers.labels > 0 || self.layers.kind == LinkKind::Ppp {
            return self.refuse("behind mpls or pppoes there is no VLAN tag", "expected vlan before them");
        }
        let tags = TAGS.iter().map(|tag| self.link_type(*tag)).collect::<Result<Vec<_>, _>>()?;
        let tag = self.any(tags);
        let number = number.map(|number| self.masked(load(&self.layers.payload, 0, Width::Two), 0x0fff, number));
        let cond = self.all([Some(tag), number].into_iter().flatten());
        self.layers.payload = behind(&self.layers.payload, 4);
        self.layers.type_field = behind(&self.layers.type_field, 4);
        Ok(cond)
    }

    pub(super) fn mpls(&mut self, label: Option<u32>) -> Result<Cond, Problem> {
        let link = if self.layers.labels > 0 {
            // The label before is not the last one.
            self.masked(self.network(2_u32.wrapping_neg(), Width::One), 1, 0)
        } else {
            self.link_type(if self.layers.kind == LinkKind::Ppp { PPP_MPLS } else { layers::MPLS })?
        };
        let label = label.map(|label| self.masked(self.network(0, Width::Four), 0xffff_f000, label << 12));
        let cond = self.all([Some(link), label].into_iter().flatten());
        self.layers.network = self.layers.network.wrapping_add(4);
        self.layers.network_llc = self.layers.network_llc.wrapping_add(4);
        self.layers.labels += 1;
        Ok(cond)
    }

    pub(super) fn pppoes(&mut self, session: Option<u32>) -> Result<Cond, Problem> {
        let link = self.link_type(layers::PPPOE_SESSION)?;
        let session = session.map(|session| self.masked(self.network(0, Width::Four), 0xffff, session));
        let cond = self.all([Some(link), session].into_iter().flatten());
        let header = behind(&self.layers.payload, self.layers.network.wrapping_add(6));
        self.layers = Layers {
            kind: LinkKind::Ppp,
            payload: behind(&header, 2),
            type_field: header.clone(),
            header,
            network: 0,
            network_llc: 0,
            labels: self.layers.labels,
            tunnelled_ethernet: None,
            returned: false,
        };
        Ok(cond)
    }

    pub(super) fn geneve(&mut self, network: Option<u32>) -> Result<Cond, Problem> {
        let port = |place: &Place, offset| port_is(place, offset, GENEVE_PORT);
        let inside = |place: &Place| {
            let version = self.masked(load(place, 8, Width::One), 0xc0, 0);
            let network = network.map(|network| self.masked(load(place, 12, Width::Four), 0xffff_ff00, network << 8));
            self.all([Some(version), network].into_iter().flatten())
        };
        let v4 = self.all([self.port4(Some(Transport::Udp), Direction::Dst, port)?, inside(&self.behind_ipv4())]);
        let v6 = self.all([self.port6(Some(Transport::Udp), Direction::Dst, port)?, inside(&self.behind_ipv6())]);
        let tunnel = Tunnel { start: self.tunnel_start() };
        // The type has to be there, whatever it is.
        let there = Cond::Compare(tunnel.inner_type(), Relation::GreaterEqual, Value::Const(0));
        let cond = self.all([self.any([v4, v6]), there]);
        // libpcap keeps three offsets in registers, for good.
        self.take_registers(3)?;
        self.layers = Layers {
            kind: LinkKind::Ethernet,
            header: at(tunnel.end()),
            type_field: at(tunnel.type_field()),
            payload: at(tunnel.payload()),
            network: 0,
            network_llc: self.layers.network_llc,
            labels: self.layers.labels,
            tunnelled_ethernet: Some(simple::equal(tunnel.inner_type(), Value::Const(layers::ETHERNET_BRIDGING))),
            returned: false,
        };
        Ok(cond)
    }

    /// Where the GENEVE header begins: behind the UDP header.
    fn tunnel_start(&self) -> Value {
        let type_field = load(&self.layers.type_field, 0, Width::Two);
        // A bit that tells the two versions apart, where it is one of them.
        let (field, shift) = match self.layers.kind {
            _ if self.layers.labels > 0 => (self.network(0, Width::One), 5),
            LinkKind::Ethernet => (type_field, 0),
            LinkKind::Ppp => (type_field, 1),
        };
        let v6 = field.with(Operator::ShiftRight, Value::Const(shift)).with(Operator::And, Value::Const(1));
        let length = self.network(0, Width::One).with(Operator::And, Value::Const(15));
        let length = length.with(Operator::ShiftLeft, Value::Const(2));
        let v4 = v6.clone().with(Operator::Xor, Value::Const(1)).with(Operator::Multiply, length);
        let header = v6.with(Operator::Multiply, Value::Const(40)).with(Operator::Add, v4);
        let payload = &self.layers.payload;
        let fixed = payload.offset.wrapping_add(self.layers.network).wrapping_add(8);
        let start = header.with(Operator::Add, Value::Const(fixed));
        match &payload.base {
            Some(base) => start.with(Operator::Add, (**base).clone()),
            None => start,
        }
    }
}

fn at(base: Value) -> Place {
    Place { base: Some(Box::new(base)), offset: 0 }
}

/// The places in a GENEVE tunnel, that depend on whether an Ethernet header is in it.
struct Tunnel {
    /// Where its header begins.
    start: Value,
}

impl Tunnel {
    fn load(&self, offset: u32, width: Width) -> Value {
        Value::Load(Load { at: Place { base: Some(Box::new(self.start.clone())), offset }, width })
    }

    /// The EtherType of what is in it.
    fn inner_type(&self) -> Value {
        self.load(2, Width::Two)
    }

    /// 1 where an Ethernet header is in it, else 0.
    fn ethernet(&self) -> Value {
        let differs = self.inner_type().with(Operator::Xor, Value::Const(layers::ETHERNET_BRIDGING));
        Value::Const(1).with(Operator::Divide, differs.with(Operator::Add, Value::Const(1)))
    }

    /// How many bytes of options the header has.
    fn options(&self) -> Value {
        let length = self.load(0, Width::One).with(Operator::And, Value::Const(0x3f));
        length.with(Operator::Multiply, Value::Const(4))
    }

    /// Where the header ends.
    fn end(&self) -> Value {
        self.start.clone().with(Operator::Add, self.options().with(Operator::Add, Value::Const(8)))
    }

    /// The type field: that of the inner Ethernet header, or that of the tunnel's.
    fn type_field(&self) -> Value {
        let inner = self.options().with(Operator::Add, Value::Const(18));
        let start = self.start.clone().with(Operator::Add, Value::Const(2));
        start.with(Operator::Add, self.ethernet().with(Operator::Multiply, inner))
    }

    /// Where the inner network header begins.
    fn payload(&self) -> Value {
        self.end().with(Operator::Add, self.ethernet().with(Operator::Multiply, Value::Const(14)))
    }
}
