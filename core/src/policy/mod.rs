//! A policy file as it was written: sets, policies, tests.

mod element;
mod format;
mod layout;
mod lint;
mod parse;
mod pool;
mod print;
mod resolve;
mod route;
pub(crate) mod scan;
mod split;
#[cfg(test)]
mod tests;
mod tuple;

pub use element::{element, elements};
pub(crate) use element::{mac, mac_text, tuple as tuple_element};
pub use format::format;
pub use lint::{Dead, dead, lint};
pub use parse::cursor::is_name;
pub(crate) use parse::cursor::quote;
pub use parse::{UNNAMED, is_label, one_backend, one_method, parse, some_places};
pub use pool::{
    Backend, Check, CheckKind, GUE_PORT, HashBy, Host, MOST_BACKENDS, Method, Pool, SESSIONS, Source, TIMEOUT,
};
pub use resolve::{ReadSet, Request, choose, resolve};
pub(crate) use scan::string_end;
pub use split::{PartKind, Separate, split};
pub use tuple::{Datum, Tuple};

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::cond::Part;
use crate::filter::Filter;
use crate::problem::Span;

/// A policy file, or the text behind `-e`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Named sets, in file order.
    pub sets: Vec<Set>,
    /// Pools of backends, in file order.
    pub pools: Vec<Pool>,
    /// Policies, in file order. Rules outside of any `policy … { }` are the one policy of the file, named `policy`.
    pub policies: Vec<Policy>,
    /// Tests, in file order.
    pub tests: Vec<Test>,
}

/// `set NAME = { … }` or `set NAME = file "PATH"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub members: Members,
    /// Where the name stands.
    pub span: Span,
}

/// Where the elements of a set come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// Written in the policy.
    Listed(Vec<Element>),
    /// Read from this file, one or more a line; `#` begins a comment. Relative to the policy's folder.
    File(String),
}

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// An IPv4 prefix: address (bits behind the length are zero) and length, 32 for a single address.
    V4(Ipv4Addr, u8),
    /// An IPv6 prefix: address (bits behind the length are zero) and length, 128 for a single address.
    V6(Ipv6Addr, u8),
    /// A port or a range of them.
    Ports(RangeInclusive<u16>),
    /// An Ethernet address.
    Mac([u8; 6]),
    /// Several values beside each other.
    Tuple(Tuple),
}

impl Element {
    /// Its kind.
    pub fn part(&self) -> Part {
        match self {
            Element::V4(..) => Part::V4,
            Element::V6(..) => Part::V6,
            Element::Ports(_) => Part::Port,
            Element::Mac(_) => Part::Mac,
            Element::Tuple(tuple) => Part::Tuple(tuple.layout()),
        }
    }
}

/// `policy NAME [on PLACE, …] { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Where it lives; empty where nothing is said.
    pub places: Vec<PolicyPlace>,
    /// Its rules; the first terminal action of a matching rule wins.
    pub rules: Vec<Rule>,
    /// What happens to packets that no rule decides; `pass` where nothing is said.
    pub default: Verdict,
    /// Line of the `default`, from 1; none where nothing is said.
    pub default_line: Option<u32>,
    /// Where the `default` stands; empty where nothing is said.
    pub default_span: Span,
    /// Where the name stands; empty where it has none.
    pub span: Span,
}

/// Where a policy lives. Prints as the words it is parsed from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyPlace {
    /// The labels that a node must have, keys and values; empty where it lives on any.
    pub node: Vec<(String, String)>,
    /// The target as written: `docker:web`.
    pub target: String,
    /// Packets coming from the container rather than going to it.
    pub from: bool,
    /// Packets that leave rather than those that arrive.
    pub egress: bool,
}

/// `ACTION [when FILTER]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is done.
    pub action: Action,
    /// With which packets; all where nothing is said.
    pub when: Option<Filter>,
    /// Line of its first word, from 1.
    pub line: u32,
    /// Where it stands, from the action to the end of the filter.
    pub span: Span,
    /// Where its action stands.
    pub action_span: Span,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Decides; no later rule is looked at.
    Verdict(Verdict),
    /// Counts packets and bytes under a name; rules may share one.
    Count(String),
    /// Copies each `one_in`-th packet (the first included, per CPU) to user space, at most `snap` bytes of it.
    Sample {
        /// Each how many.
        one_in: u32,
        /// Bytes; all where nothing is said.
        snap: Option<u32>,
    },
    /// Drops what exceeds a rate.
    Limit(Limit),
    /// Rewrites the packet.
    Set(Assignment),
}

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `XDP_ABORTED`: dropped, with a tracepoint hit.
    Abort,
    /// `XDP_DROP`.
    Drop,
    /// `XDP_PASS`: on to the kernel's stack.
    Pass,
    /// `XDP_TX`: back out of the interface, as it is.
    Tx,
    /// `XDP_TX` with the Ethernet and IP addresses and the ports swapped.
    Reflect,
    /// `XDP_REDIRECT` to a target: `eth1`, `docker:web`.
    Redirect(String),
    /// On to a backend of the pool of this name.
    Route(String),
}

/// `limit RATE [burst N] [per KEY,KEY…]`: a token bucket for each key.
///
/// It is kept as the generic cell rate algorithm (ITU-T I.371): with `cost` the nanoseconds that a packet stands for,
/// `arrival = max(stored, now) + cost`; a packet is in excess where `arrival - now` exceeds the burst in nanoseconds,
/// and else `arrival` is stored. A packet costs `10^9 / rate`; where bits are limited, `bytes * 8 * 10^9 / rate`;
/// the burst is `burst * 10^9 / rate`; all rounded down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Packets or bits per second; at least 1.
    pub rate: u64,
    /// What is limited.
    pub unit: Unit,
    /// Packets or bits that may come at once; at least 1. Default: those of one second.
    pub burst: u64,
    /// What has a bucket of its own; one bucket for all where it is empty.
    pub per: Vec<Key>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `100/s`.
    Packets,
    /// `10mbit/s`.
    Bits,
}

/// A part of the key of a limit. A packet that lacks it has zeros there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// IPv4 or IPv6 source address.
    Src,
    /// IPv4 or IPv6 destination address.
    Dst,
    /// Source port of TCP, UDP or SCTP.
    SrcPort,
    /// Destination port of TCP, UDP or SCTP.
    DstPort,
    /// IP protocol.
    Protocol,
}

/// `set FIELD VALUE`. A packet that lacks the field is left as it is; checksums are mended (RFC 1624).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// `set ether src`.
    EtherSrc([u8; 6]),
    /// `set ether dst`.
    EtherDst([u8; 6]),
    /// `set src`, IPv4.
    SrcV4(Ipv4Addr),
    /// `set dst`, IPv4.
    DstV4(Ipv4Addr),
    /// `set src`, IPv6.
    SrcV6(Ipv6Addr),
    /// `set dst`, IPv6.
    DstV6(Ipv6Addr),
    /// `set src port`, of TCP, UDP or SCTP (which is left alone: its CRC cannot be mended).
    SrcPort(u16),
    /// `set dst port`.
    DstPort(u16),
    /// `set ttl`: time to live, or hop limit.
    Ttl(u8),
    /// `set dscp`, 0 to 63; the two ECN bits stay.
    Dscp(u8),
    /// `set vlan push ID`: a new outermost 802.1Q tag of priority 0, VLAN 0 to 4095.
    VlanPush(u16),
    /// `set vlan pop`: without its outermost tag.
    VlanPop,
    /// `decap`: without the outer headers of IP in IP, or of GUE, that it came in.
    Decap,
}

/// `test "NAME" [on POLICY] { PACKET => VERDICT [becomes PACKET] … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// The policy that it is about; the only one of the file where nothing is said.
    pub policy: Option<String>,
    /// What is expected.
    pub cases: Vec<TestCase>,
    /// Where the name stands.
    pub span: Span,
}

/// One line of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCase {
    /// The packet in words, as [`crate::packet`] reads them.
    pub packet: String,
    /// What should happen to it.
    pub verdict: Verdict,
    /// What the packet is afterwards, in words; not looked at where nothing is said.
    pub becomes: Option<String>,
    /// Where the line stands.
    pub span: Span,
}
