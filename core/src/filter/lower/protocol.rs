//! Protocols.

use crate::cond::{Chain, Cond, Value, Width};
use crate::problem::Problem;

use super::super::ast::{Carrier, Protocol};
use super::layers::{self, behind, load};
use super::{Lowering, simple};

/// Network layer protocol identifiers of ISO 9577.
const CLNP: u32 = 0x81;
const ESIS: u32 = 0x82;
const ISIS: u32 = 0x83;

/// Types of IS-IS PDUs (ISO 10589).
const L1_HELLO: u32 = 15;
const L2_HELLO: u32 = 16;
const POINT_TO_POINT_HELLO: u32 = 17;
const L1_LSP: u32 = 18;
const L2_LSP: u32 = 20;
const L1_CSNP: u32 = 24;
const L2_CSNP: u32 = 25;
const L1_PSNP: u32 = 26;
const L2_PSNP: u32 = 27;

/// The fragment header of IPv6.
pub(super) const FRAGMENT: u32 = 44;

impl Lowering<'_> {
    /// A protocol's own word.
    pub(super) fn protocol(&self, protocol: Protocol) -> Result<Cond, Problem> {
        match protocol {
            Protocol::Ether => self.refuse("every packet is an Ethernet frame", "expected what of it"),
            Protocol::Ip => self.link_type(layers::IPV4),
            Protocol::Ip6 => self.link_type(layers::IPV6),
            Protocol::Arp => self.link_type(layers::ARP),
            Protocol::Rarp => self.link_type(layers::RARP),
            Protocol::Atalk => self.link_type(0x809b),
            Protocol::Aarp => self.link_type(0x80f3),
            Protocol::Decnet => self.link_type(layers::DECNET),
            Protocol::Lat => self.link_type(0x6004),
            Protocol::Sca => self.link_type(0x6007),
            Protocol::Moprc => self.link_type(0x6002),
            Protocol::Mopdl => self.link_type(0x6001),
            Protocol::Iso => self.link_type(layers::SAP_ISO),
            Protocol::Stp => self.link_type(layers::SAP_SPANNING_TREE),
            Protocol::Ipx => self.link_type(layers::SAP_IPX),
            Protocol::Netbeui => self.link_type(layers::SAP_NETBEUI),
            Protocol::Sctp => self.carried(Carrier::Any, 132),
            Protocol::Tcp => self.carried(Carrier::Any, 6),
            Protocol::Udp => self.carried(Carrier::Any, 17),
            Protocol::Icmp => self.carried(Carrier::V4, 1),
            Protocol::Igmp => self.carried(Carrier::V4, 2),
            Protocol::Igrp => self.carried(Carrier::V4, 9),
            Protocol::Pim => self.carried(Carrier::Any, 103),
            Protocol::Vrrp | Protocol::Carp => self.carried(Carrier::V4, 112),
            Protocol::Icmp6 => self.carried(Carrier::V6, 58),
            Protocol::Ah => self.carried(Carrier::Any, 51),
            Protocol::Esp => self.carried(Carrier::Any, 50),
            Protocol::Clnp => self.carried(Carrier::Iso, CLNP),
            Protocol::Esis => self.carried(Carrier::Iso, ESIS),
            Protocol::Isis => self.carried(Carrier::Iso, ISIS),
            Protocol::IsisL1 => self.isis(&[L1_PSNP, L1_CSNP, L1_LSP, L1_HELLO, POINT_TO_POINT_HELLO]),
            Protocol::IsisL2 => self.isis(&[L2_PSNP, L2_CSNP, L2_LSP, L2_HELLO, POINT_TO_POINT_HELLO]),
            Protocol::IsisHello => self.isis(&[POINT_TO_POINT_HELLO, L1_HELLO, L2_HELLO]),
            Protocol::IsisLsp => self.isis(&[L1_LSP, L2_LSP]),
            Protocol::IsisSnp => self.isis(&[L2_PSNP, L1_PSNP, L1_CSNP, L2_CSNP]),
            Protocol::IsisCsnp => self.isis(&[L1_CSNP, L2_CSNP]),
            Protocol::IsisPsnp => self.isis(&[L1_PSNP, L2_PSNP]),
        }
    }

    /// One of these types of IS-IS PDUs.
    fn isis(&self, types: &[u32]) -> Result<Cond, Problem> {
        let parts = types.iter().map(|number| self.carried(Carrier::Isis, *number)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.any(parts))
    }

    /// A protocol by its number.
    pub(super) fn carried(&self, carrier: Carrier, number: u32) -> Result<Cond, Problem> {
        let llc_payload = |offset: u32| {
            let at = self.layers.network_llc.wrapping_add(offset);
            load(&self.layers.payload, at, Width::One)
        };
        Ok(match carrier {
            Carrier::Any => {
                let (v4, v6) = (self.carried(Carrier::V4, number)?, self.carried(Carrier::V6, number)?);
                self.any([v4, v6])
            }
            Carrier::V4 => {
                let protocol = simple::equal(self.carries(false), Value::Const(number));
                self.all([self.link_type(layers::IPV4)?, protocol])
            }
            Carrier::V6 => {
                // The fragment header may stand before the last header; other extensions are not looked behind.
                let next = self.carries(true);
                if self.layers.returned {
                    return Ok(self.all([self.link_type(layers::IPV6)?, simple::equal(next, Value::Const(number))]));
                }
                let fragment = self.all([
                    simple::equal(next.clone(), Value::Const(FRAGMENT)),
                    simple::equal(self.network(40, Width::One), Value::Const(number)),
                ]);
                let protocol = self.any([simple::equal(next, Value::Const(number)), fragment]);
                self.all([self.link_type(layers::IPV6)?, protocol])
            }
            Carrier::Ether => self.link_type(number)?,
            Carrier::Iso => {
                let identifier = simple::equal(llc_payload(0), Value::Const(number));
                self.all([self.link_type(layers::SAP_ISO)?, identifier])
            }
            Carrier::Isis => {
                let kind = simple::equal(llc_payload(4), Value::Const(number));
                self.all([self.carried(Carrier::Iso, ISIS)?, kind])
            }
        })
    }

    /// `protochain`
    pub(super) fn chain(&mut self, carrier: Carrier, number: u32) -> Result<Cond, Problem> {
        // libpcap takes a register, and for both families together never gives it back.
        self.take_registers(1)?;
        if carrier == Carrier::Any {
            let (v4, v6) = (self.chain(Carrier::V4, number)?, self.chain(Carrier::V6, number)?);
            return Ok(self.any([v4, v6]));
        }
        if self.layers.payload.base.is_some() {
            return self.refuse("protochain cannot look into a GENEVE tunnel", "expected it before geneve");
        }
        let v6 = carrier == Carrier::V6;
        let link = self.link_type(if v6 { layers::IPV6 } else { layers::IPV4 })?;
        self.registers -= 1;
        // A greater number than 255 never stands in the chain, which is walked nevertheless.
        let at = behind(&self.layers.payload, self.layers.network);
        let chain = match u8::try_from(number) {
            Ok(protocol) => Cond::Chain(Chain { v6, at, protocol }),
            Err(_) => self.endless_chain(v6, at),
        };
        Ok(self.all([link, chain]))
    }

    /// A chain that is walked to its end and never holds.
    fn endless_chain(&self, v6: bool, at: crate::cond::Place) -> Cond {
        let one = |protocol| Cond::Chain(Chain { v6, at: at.clone(), protocol });
        one(255).and(one(255).negate())
    }

    /// Takes so many of libpcap's registers.
    pub(super) fn take_registers(&mut self, number: u32) -> Result<(), Problem> {
        if self.registers + number > super::REGISTERS {
            let most = super::REGISTERS;
            return self.refuse(
                format!("more than {most} numbers would have to be held at a time"),
                "less nested arithmetic needs fewer",
            );
        }
        self.registers += number;
        Ok(())
    }
}
