//! The parts of a filter expression.
//!
//! Only one form stands for each meaning that the text may have in several spellings: the qualifiers that one operand
//! takes over from another are written out, `1.2.3.4` is `host 1.2.3.4`, names of ports and protocols are numbers.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::cond::{Column, Layout};
use crate::policy::Element;
use crate::problem::Span;

/// Where something stands in the text. No two places make two parts different.
#[derive(Clone, Debug, Default)]
pub struct Place(pub Span);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// A single test.
    Primitive(Primitive, Place),
    /// Holds where the other does not.
    Not(Box<Expr>),
    /// All of them, at least two, from the left; none of them is itself an `And`.
    And(Vec<Expr>),
    /// One of them, at least two, from the left; none of them is itself an `Or`.
    Or(Vec<Expr>),
}

/// A single test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Primitive {
    /// `tcp`
    Protocol(Protocol),
    /// `ip proto 6`
    Number(Carrier, u32),
    /// `ip6 protochain 6`
    Chain(Carrier, u32),
    /// `ether src host 02:00:00:00:00:01`
    Mac(Direction, [u8; 6]),
    /// `src net 10.0.0.0/8`: the address under the mask is that address.
    V4 {
        /// Of which packets: [`Family::V6`] never stands here.
        family: Family,
        /// Which of the two addresses.
        direction: Direction,
        /// The address.
        address: Ipv4Addr,
        /// The mask, in most cases some ones and then zeros.
        mask: u32,
    },
    /// `ip6 src net 2001:db8::/32`
    V6(Direction, Ipv6Addr, u8),
    /// `decnet src host 10.1`: area and node in one number.
    Decnet(Direction, u16),
    /// `src host example.org`: a name that stands for addresses.
    Name(Family, Direction, String),
    /// `tcp dst port 80`
    Port(Option<Transport>, Direction, u16),
    /// `tcp dst portrange 80-90`
    PortRange(Option<Transport>, Direction, RangeInclusive<u16>),
    /// `broadcast`, `ip broadcast`: the latter is 0.0.0.0 or 255.255.255.255.
    Broadcast(Cast),
    /// `multicast`, `ip multicast`
    Multicast(Cast),
    /// `less 60`: at most.
    Less(u32),
    /// `greater 60`: at least.
    Greater(u32),
    /// `byte 12 = 8`: a byte of the link header.
    Byte(u32, ByteTest, u32),
    /// `inbound`
    Inbound,
    /// `outbound`
    Outbound,
    /// `ifindex 3`
    Ifindex(u32),
    /// `vlan 5`: also moves what follows behind the tag.
    Vlan(Option<u32>),
    /// `mpls 5`: also moves what follows behind the label.
    Mpls(Option<u32>),
    /// `pppoed`
    Pppoed,
    /// `pppoes 5`: also moves what follows behind the PPPoE header.
    Pppoes(Option<u32>),
    /// `geneve 5`: also moves what follows into the tunnelled packet.
    Geneve(Option<u32>),
    /// `llc`
    Llc(Llc),
    /// `ip[8] < 5`
    Relation(Arithmetic, Relation, Arithmetic),
    /// `src in blocked`
    In(Subject, Direction, Elements),
    /// `src . dst port in web`: two to five values.
    InTuples(Vec<TuplePart>, Elements),
    /// `payload starts "GET "`
    Payload(Vec<u8>),
    /// `tcp syn,!ack`: flags that are set, and flags that are not.
    Flags(u8, u8),
}

/// Which of the two addresses or ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `src`
    Src,
    /// `dst`
    Dst,
    /// `src or dst`, and where nothing is said.
    Either,
    /// `src and dst`
    Both,
}

/// The packets of which addresses are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// All that have such addresses.
    Any,
    /// `ip`
    V4,
    /// `ip6`
    V6,
    /// `arp`
    Arp,
    /// `rarp`
    Rarp,
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

/// Whose protocol number is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `proto`: of IPv4 or IPv6.
    Any,
    /// `ip proto`
    V4,
    /// `ip6 proto`
    V6,
    /// `ether proto`: an EtherType; up to 1500 the destination's service access point.
    Ether,
    /// `iso proto`
    Iso,
    /// `isis proto`: the type of the PDU.
    Isis,
}

/// Whose broadcast or multicast addresses are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// `ether broadcast`, and where nothing is said.
    Ether,
    /// `ip`
    V4,
    /// `ip6`; there is no broadcast.
    V6,
}

/// How a byte is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteTest {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `&`: see [`super`] on this and the next one.
    And,
    /// `|`
    Or,
}

/// Kinds of LLC frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Llc {
    /// `llc`
    Any,
    /// `llc i`
    Information,
    /// `llc s`
    Supervisory,
    /// `llc u`
    Unnumbered,
    /// `llc rr`: the low four bits of the control field.
    SupervisoryType(u8),
    /// `llc ui`: the control field without its poll bit.
    UnnumberedType(u8),
}

/// A number that depends on the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// `5`
    Number(u32),
    /// `len`
    Length,
    /// `ip[0:2]`: bytes of a protocol's header.
    Load(Protocol, Box<Arithmetic>, u32),
    /// `-x`
    Negative(Box<Arithmetic>),
    /// `x + y`
    Binary(Box<Arithmetic>, crate::cond::Operator, Box<Arithmetic>),
}

/// How two numbers are compared, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Relation {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

/// What may be an element of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `src in`: IPv4 and IPv6 addresses.
    Address(Family),
    /// `ether src in`: Ethernet addresses.
    Mac,
    /// `tcp dst port in`
    Port(Option<Transport>),
}

/// A value of a packet that stands beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TuplePart {
    /// `src`: [`Family::Arp`] and [`Family::Rarp`] never stand here.
    Address(Family, End),
    /// `tcp dst port`
    Port(Option<Transport>, End),
    /// `proto`
    Protocol,
    /// `ether src`
    Mac(End),
}

/// One end of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `src`
    Src,
    /// `dst`
    Dst,
}

/// A set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elements {
    /// One that the policy names.
    Named(String),
    /// One that stands here; never empty.
    Listed(Vec<Element>),
}

/// Protocols that a word stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Protocol {
    Ether,
    Ip,
    Arp,
    Rarp,
    Sctp,
    Tcp,
    Udp,
    Icmp,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Atalk,
    Aarp,
    Decnet,
    Lat,
    Sca,
    Moprc,
    Mopdl,
    Ip6,
    Icmp6,
    Ah,
    Esp,
    Iso,
    Esis,
    Isis,
    IsisL1,
    IsisL2,
    IsisHello,
    IsisLsp,
    IsisSnp,
    IsisCsnp,
    IsisPsnp,
    Clnp,
    Stp,
    Ipx,
    Netbeui,
}

impl Protocol {
    /// The words, in the order of the variants.
    const WORDS: [(&'static str, Protocol); 38] = [
        ("ether", Protocol::Ether),
        ("ip", Protocol::Ip),
        ("arp", Protocol::Arp),
        ("rarp", Protocol::Rarp),
        ("sctp", Protocol::Sctp),
        ("tcp", Protocol::Tcp),
        ("udp", Protocol::Udp),
        ("icmp", Protocol::Icmp),
        ("igmp", Protocol::Igmp),
        ("igrp", Protocol::Igrp),
        ("pim", Protocol::Pim),
        ("vrrp", Protocol::Vrrp),
        ("carp", Protocol::Carp),
        ("atalk", Protocol::Atalk),
        ("aarp", Protocol::Aarp),
        ("decnet", Protocol::Decnet),
        ("lat", Protocol::Lat),
        ("sca", Protocol::Sca),
        ("moprc", Protocol::Moprc),
        ("mopdl", Protocol::Mopdl),
        ("ip6", Protocol::Ip6),
        ("icmp6", Protocol::Icmp6),
        ("ah", Protocol::Ah),
        ("esp", Protocol::Esp),
        ("iso", Protocol::Iso),
        ("esis", Protocol::Esis),
        ("isis", Protocol::Isis),
        ("l1", Protocol::IsisL1),
        ("l2", Protocol::IsisL2),
        ("iih", Protocol::IsisHello),
        ("lsp", Protocol::IsisLsp),
        ("snp", Protocol::IsisSnp),
        ("csnp", Protocol::IsisCsnp),
        ("psnp", Protocol::IsisPsnp),
        ("clnp", Protocol::Clnp),
        ("stp", Protocol::Stp),
        ("ipx", Protocol::Ipx),
        ("netbeui", Protocol::Netbeui),
    ];

    /// The protocol that a canonical word stands for.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, protocol)| *protocol)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.get(self as usize).map_or("", |(word, _)| word)
    }
}

impl TuplePart {
    /// What it is in packets of an IP version; none where it is of the other one.
    pub(super) fn column(self, v6: bool) -> Option<Column> {
        match self {
            TuplePart::Address(Family::Any | Family::V4, _) if !v6 => Some(Column::V4),
            TuplePart::Address(Family::Any | Family::V6, _) if v6 => Some(Column::V6),
            TuplePart::Address(..) => None,
            TuplePart::Port(..) => Some(Column::Port),
            TuplePart::Protocol => Some(Column::Protocol),
            TuplePart::Mac(_) => Some(Column::Mac),
        }
    }

    /// What tuples of these values are in packets of an IP version; none where there are none.
    pub(super) fn layout(parts: &[TuplePart], v6: bool) -> Option<Layout> {
        Layout::new(&parts.iter().map(|part| part.column(v6)).collect::<Option<Vec<_>>>()?)
    }

    /// The same value of the other end; the frame is what it is.
    pub(super) fn turned(self) -> Self {
        match self {
            TuplePart::Address(family, end) => TuplePart::Address(family, end.other()),
            TuplePart::Port(transport, end) => TuplePart::Port(transport, end.other()),
            TuplePart::Protocol | TuplePart::Mac(_) => self,
        }
    }
}

impl End {
    fn other(self) -> Self {
        match self {
            End::Src => End::Dst,
            End::Dst => End::Src,
        }
    }
}

impl Transport {
    /// Its protocol number.
    pub(super) fn number(self) -> u8 {
        match self {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Sctp => 132,
        }
    }

    /// Its protocol.
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
            Transport::Sctp => Protocol::Sctp,
        }
    }
}
