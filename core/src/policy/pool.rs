//! Pools: the backends that `route` spreads packets over, and how packets reach them.

use std::net::IpAddr;

use crate::problem::Span;

/// `pool NAME via METHOD { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// How packets reach the backends.
    pub method: Method,
    /// What decides which backend a new connection gets.
    pub hash: HashBy,
    /// `sessions N`: how many connections are remembered at least; at least 1.
    pub sessions: u32,
    /// `timeout N`: seconds after its last packet at which a connection is forgotten; 1 to 65,535.
    pub timeout: u32,
    /// Its backends, in file order.
    pub backends: Vec<Backend>,
    /// How it is found out which of them are well; all are taken for well where nothing is said.
    pub check: Option<Check>,
    /// Where the name stands.
    pub span: Span,
}

/// What [`Pool::sessions`] is where nothing is said.
pub const SESSIONS: u32 = 65_536;
/// What [`Pool::timeout`] is where nothing is said, in seconds.
pub const TIMEOUT: u32 = 300;
/// The port of GUE where nothing is said (IANA).
pub const GUE_PORT: u16 = 6080;
/// The most backends of all pools of a policy together: a slot has 15 bits for their numbers ([`crate::route::flows`]).
pub const MOST_BACKENDS: usize = 32_767;

/// How packets reach a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `via nat`: the destination becomes the backend, the client's address stays; replies are undone.
    Nat,
    /// `via fullnat from ADDRESS,…`: the source becomes one of these addresses too.
    FullNat(Vec<Source>),
    /// `via ipip [from ADDRESS,…]`: in an IPv4 or IPv6 header of its own (RFC 2003, RFC 2473); replies go past xdpilot.
    Ipip(Vec<Source>),
    /// `via gue [port N] [from ADDRESS,…]`: in IP and UDP (GUE variant 1: the packet follows the UDP header at once).
    Gue {
        /// The destination port.
        port: u16,
        /// The sources.
        from: Vec<Source>,
    },
    /// `via l2`: only the Ethernet addresses change; the backends are on the segment.
    L2,
}

impl Method {
    /// The word that it begins with.
    pub fn name(&self) -> &'static str {
        match self {
            Method::Nat => "nat",
            Method::FullNat(_) => "fullnat",
            Method::Ipip(_) => "ipip",
            Method::Gue { .. } => "gue",
            Method::L2 => "l2",
        }
    }

    /// What is said behind `from`.
    pub fn sources(&self) -> &[Source] {
        match self {
            Method::FullNat(from) | Method::Ipip(from) | Method::Gue { from, .. } => from,
            Method::Nat | Method::L2 => &[],
        }
    }

    /// Whether addresses are translated, and replies come back to be undone.
    pub fn translates(&self) -> bool {
        matches!(self, Method::Nat | Method::FullNat(_))
    }

    /// Whether packets get headers of their own.
    pub fn wraps(&self) -> bool {
        matches!(self, Method::Ipip(_) | Method::Gue { .. })
    }
}

/// A source of packets to the backends of its family: `ADDRESS` or `ADDRESS/LENGTH`, of which the bits behind the length
/// are a hash of the connection, so that receivers spread connections over their queues. Where a family has none, the
/// kernel's choice of an address is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The address; bits behind the length are zero.
    pub address: IpAddr,
    /// 32 or 128 for a single address.
    pub length: u8,
}

/// What decides which backend a new connection gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HashBy {
    /// `hash src`: the source address.
    Src,
    /// `hash 5tuple`: addresses, ports and protocol.
    #[default]
    Tuple,
    /// `hash quic`: of QUIC's packets that carry one the server's number in the connection id; else as above.
    Quic,
}

/// `ADDRESS[:PORT] [weight N] [id N] [drain]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Who it is.
    pub host: Host,
    /// Its port; the packet's where nothing is said. Only where addresses are translated.
    pub port: Option<u16>,
    /// Its share of new connections, relative to the others'; 0 to 65,535, 1 where nothing is said.
    pub weight: u16,
    /// Its number in QUIC's connection ids.
    pub id: Option<u32>,
    /// It keeps its connections and gets no new ones.
    pub drain: bool,
    /// Where it stands.
    pub span: Span,
}

/// Who a backend is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A container or namespace: `docker:web`, `podman:web`, `netns:web`, `netns:web/eth0`.
    Target(String),
}

/// `check KIND [port N] [every T] [timeout T] [rise N] [fall N] [shared]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is done.
    pub kind: CheckKind,
    /// The port; the backend's where nothing is said.
    pub port: Option<u16>,
    /// Milliseconds between the beginnings of two checks; at least 10, 2,000 where nothing is said.
    pub every: u32,
    /// Milliseconds after which one has failed; 1,000 where nothing is said.
    pub timeout: u32,
    /// So many good ones one after the other, and a backend is well again; 2 where nothing is said.
    pub rise: u32,
    /// So many bad ones one after the other, and a backend is out; 2 where nothing is said.
    pub fall: u32,
    /// Whether nodes of a store that have the pool share what they find out: three of them check each backend.
    pub shared: bool,
}

impl Check {
    /// A check of which nothing else is said.
    pub fn new(kind: CheckKind) -> Self {
        Check { kind, port: None, every: 2_000, timeout: 1_000, rise: 2, fall: 2, shared: false }
    }
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// A connection can be opened.
    Tcp,
    /// `http "PATH"`: a GET request is answered with a status of 200 to 399.
    Http(String),
    /// `exec "COMMAND"`: the command ends with 0. It is told the backend by `XDPILOT_ADDRESS` and `XDPILOT_PORT`.
    Exec(String),
}
