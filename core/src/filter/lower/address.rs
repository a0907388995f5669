//! Addresses.

use std::net::{IpAddr, Ipv6Addr};

use crate::cond::{Cond, Value, Width};
use crate::problem::Problem;

use super::super::ast::{Cast, Direction, Family};
use super::layers::{self, LinkKind};
use super::{Lowering, simple};

/// Offsets of the source's and the destination's address.
pub(super) const IN_IPV4: [u32; 2] = [12, 16];
pub(super) const IN_ARP: [u32; 2] = [14, 24];
pub(super) const IN_IPV6: [u32; 2] = [8, 24];
pub(super) const IN_ETHERNET: [u32; 2] = [6, 0];

impl Lowering<'_> {
    /// A test of the source's, of the destination's or of both addresses or ports.
    pub(super) fn directed(&self, direction: Direction, offsets: [u32; 2], test: impl Fn(u32) -> Cond) -> Cond {
        let [src, dst] = offsets;
        match direction {
            Direction::Src => test(src),
            Direction::Dst => test(dst),
            Direction::Either => self.any([test(src), test(dst)]),
            Direction::Both => self.all([test(src), test(dst)]),
        }
    }

    /// Such a test in packets of which `link` holds.
    pub(super) fn carried_by(
        &self,
        link: Cond,
        direction: Direction,
        offsets: [u32; 2],
        test: impl Fn(u32) -> Cond,
    ) -> Cond {
        if self.literal {
            return self.directed(direction, offsets, |offset| self.all([link.clone(), test(offset)]));
        }
        self.all([link, self.directed(direction, offsets, test)])
    }

    /// Refuses where no Ethernet header can be, and puts the test of whether there is one before `cond`.
    pub(super) fn on_ethernet(&self, cond: Cond) -> Result<Cond, Problem> {
        if self.layers.kind == LinkKind::Ppp {
            return self.refuse("PPP has no Ethernet addresses", "expected this test before pppoes");
        }
        Ok(self.all(self.layers.tunnelled_ethernet.clone().into_iter().chain([cond])))
    }

    pub(super) fn mac(&self, direction: Direction, address: &[u8; 6]) -> Result<Cond, Problem> {
        self.on_ethernet(self.directed(direction, IN_ETHERNET, |offset| self.mac_at(offset, address)))
    }

    pub(super) fn mac_at(&self, offset: u32, address: &[u8; 6]) -> Cond {
        layers::bytes(&self.layers.header, offset, address)
    }

    pub(super) fn v4(&self, family: Family, direction: Direction, address: u32, mask: u32) -> Result<Cond, Problem> {
        let test = |offset| self.masked(self.network(offset, Width::Four), mask, address);
        self.in_families(family, direction, test)
    }

    /// A test in each kind of packet that has IPv4 addresses.
    pub(super) fn in_families(
        &self,
        family: Family,
        direction: Direction,
        test: impl Fn(u32) -> Cond,
    ) -> Result<Cond, Problem> {
        let all = [
            (Family::V4, layers::IPV4, IN_IPV4),
            (Family::Arp, layers::ARP, IN_ARP),
            (Family::Rarp, layers::RARP, IN_ARP),
        ];
        let mut parts = Vec::new();
        for (member, link, offsets) in all {
            // Behind an MPLS label, ARP is not looked for.
            let meant =
                if family == Family::Any { self.layers.labels == 0 || member == Family::V4 } else { family == member };
            if meant {
                parts.push(self.carried_by(self.link_type(link)?, direction, offsets, &test));
            }
        }
        Ok(self.any(parts))
    }

    pub(super) fn v6(&self, direction: Direction, address: Ipv6Addr, length: u8) -> Result<Cond, Problem> {
        let test = |offset| self.v6_at(offset, address, length);
        Ok(self.carried_by(self.link_type(layers::IPV6)?, direction, IN_IPV6, test))
    }

    /// Whether an address at this offset is in a prefix: from its first four bytes on.
    pub(super) fn v6_at(&self, offset: u32, address: Ipv6Addr, length: u8) -> Cond {
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let word = |bits: u128, index: u32| u32::try_from(bits >> (96 - 32 * index) & 0xffff_ffff).unwrap_or(0);
        self.all((0..4).map(|index| {
            let value = self.network(offset + 4 * index, Width::Four);
            self.masked(value, word(mask, index), word(address.to_bits(), index))
        }))
    }

    /// DECnet's addresses are little-endian, in a short or a long header, behind a padding byte or not.
    pub(super) fn decnet(&self, direction: Direction, address: u16) -> Result<Cond, Problem> {
        let address = u32::from(address.swap_bytes());
        let at = |offset: u32| simple::equal(self.network(offset, Width::Two), Value::Const(address));
        let padded = |flags: u32| self.masked(self.network(2, Width::Two), 0xff07, 0x8100 | flags);
        let plain = |flags: u32| self.masked(self.network(2, Width::One), 0x07, flags);
        let test = |long: u32, short: u32| {
            self.any([
                self.all([plain(2), at(2 + short)]),
                self.all([padded(2), at(3 + short)]),
                self.all([plain(6), at(2 + long)]),
                self.all([padded(6), at(3 + long)]),
            ])
        };
        let link = self.link_type(layers::DECNET)?;
        Ok(self.carried_by(link, direction, [15, 7], |long| test(long, if long == 15 { 3 } else { 1 })))
    }

    /// A host's name: each of its addresses.
    pub(super) fn name(&self, family: Family, direction: Direction, name: &str) -> Result<Cond, Problem> {
        let Some(resolve) = self.context.resolve else {
            return self.refuse(
                format!("the name {name} is not looked up"),
                "expected an address; looking names up has to be asked for, as what they stand for may change",
            );
        };
        let mut parts = Vec::new();
        for address in resolve(name) {
            match (address, family) {
                (IpAddr::V4(_), Family::V6) | (IpAddr::V6(_), Family::V4 | Family::Arp | Family::Rarp) => {}
                (IpAddr::V4(address), family) => parts.push(self.v4(family, direction, address.to_bits(), u32::MAX)?),
                (IpAddr::V6(address), _) => parts.push(self.v6(direction, address, 128)?),
            }
        }
        if parts.is_empty() {
            return self
                .refuse(format!("no address of {name} is known"), "is the name right, and the resolver at hand?");
        }
        Ok(self.any(parts))
    }

    pub(super) fn broadcast(&self, cast: Cast) -> Result<Cond, Problem> {
        match cast {
            Cast::Ether => self.on_ethernet(self.mac_at(0, &[0xff; 6])),
            Cast::V4 | Cast::V6 => {
                let to = |address| simple::equal(self.network(16, Width::Four), Value::Const(address));
                Ok(self.all([self.link_type(layers::IPV4)?, self.any([to(0), to(u32::MAX)])]))
            }
        }
    }

    pub(super) fn multicast(&self, cast: Cast) -> Result<Cond, Problem> {
        match cast {
            Cast::Ether => {
                let first = layers::load(&self.layers.header, 0, Width::One);
                self.on_ethernet(simple::any_bit(first, 1))
            }
            Cast::V4 => {
                let class_d = simple::at_least(self.network(16, Width::One), Value::Const(224));
                Ok(self.all([self.link_type(layers::IPV4)?, class_d]))
            }
            Cast::V6 => {
                let multicast = simple::equal(self.network(24, Width::One), Value::Const(255));
                Ok(self.all([self.link_type(layers::IPV6)?, multicast]))
            }
        }
    }
}
