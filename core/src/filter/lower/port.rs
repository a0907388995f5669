//! Ports.

use std::ops::RangeInclusive;

use crate::cond::{Cond, Place, Value, Width};
use crate::problem::Problem;

use super::super::ast::{Direction, Transport};
use super::layers::{self, load};
use super::{Lowering, simple};

/// Offsets of the source's and the destination's port.
pub(super) const PORTS: [u32; 2] = [0, 2];

impl Lowering<'_> {
    /// A test of ports.
    pub(super) fn port(
        &self,
        transport: Option<Transport>,
        direction: Direction,
        test: impl Fn(&Place, u32) -> Cond,
    ) -> Result<Cond, Problem> {
        let v6 = self.port6(transport, direction, &test)?;
        let v4 = self.port4(transport, direction, &test)?;
        Ok(self.any([v6, v4]))
    }

    /// Whether the port at an offset behind a place is in the range, in two comparisons.
    pub(super) fn port_within(&self, place: &Place, offset: u32, range: &RangeInclusive<u16>) -> Cond {
        let port = || load(place, offset, Width::Two);
        let above = simple::at_least(port(), Value::Const((*range.start()).into()));
        self.all([above, simple::not(simple::greater(port(), Value::Const((*range.end()).into())))])
    }

    /// A test of the ports in IPv4 packets that are not a later fragment.
    pub(super) fn port4(
        &self,
        transport: Option<Transport>,
        direction: Direction,
        test: impl Fn(&Place, u32) -> Cond,
    ) -> Result<Cond, Problem> {
        let place = self.behind_ipv4();
        let ports = || self.directed(direction, PORTS, |offset| test(&place, offset));
        let inside = self.transports(&self.carries(false), transport, || self.all([self.first_fragment(), ports()]));
        Ok(self.all([self.link_type(layers::IPV4)?, inside]))
    }

    /// A test of the ports in IPv6 packets without extension headers.
    pub(super) fn port6(
        &self,
        transport: Option<Transport>,
        direction: Direction,
        test: impl Fn(&Place, u32) -> Cond,
    ) -> Result<Cond, Problem> {
        let place = self.behind_ipv6();
        let ports = || self.directed(direction, PORTS, |offset| test(&place, offset));
        let inside = self.transports(&self.carries(true), transport, ports);
        Ok(self.all([self.link_type(layers::IPV6)?, inside]))
    }

    /// A test in packets whose protocol number is that of a protocol with ports.
    pub(super) fn transports(&self, number: &Value, transport: Option<Transport>, test: impl Fn() -> Cond) -> Cond {
        let is = |transport: Transport| simple::equal(number.clone(), Value::Const(transport.number().into()));
        let all = [Transport::Sctp, Transport::Tcp, Transport::Udp];
        match transport {
            Some(transport) => self.all([is(transport), test()]),
            None if self.literal => self.any(all.map(|transport| self.all([is(transport), test()]))),
            None => self.all([self.any(all.map(is)), test()]),
        }
    }

    /// Whether an IPv4 packet is no fragment, or the first one.
    pub(super) fn first_fragment(&self) -> Cond {
        if self.layers.returned {
            // A later one brings nothing back.
            return Cond::Always(true);
        }
        simple::not(simple::any_bit(self.network(6, Width::Two), 0x1fff))
    }
}

/// Whether the port at an offset behind a place is this one.
pub(super) fn port_is(place: &Place, offset: u32, port: u16) -> Cond {
    simple::equal(load(place, offset, Width::Two), Value::Const(port.into()))
}
