//! `route`: the packet goes to a backend of a pool. [`crate::eval`] says what that means, to the last bit;
//! [`crate::route::layout`] what is in the maps.
//!
//! Each way of sending is a global function, which gives the verdict. In it:
//!
//! | register | holds |
//! | --- | --- |
//! | r6, r7, r8 | the context and the packet, as everywhere |
//! | r9 | the connection's hash, and then the backend's record |

mod by_rule;
mod choose;
mod connection;
mod encapsulate;
mod error;
mod icmp;
mod offload;
mod quic;
mod reply;
mod rewrite;
mod send;
mod translate;

use std::mem::discriminant;

use offload::Then;

use super::layers::{self, PROTOCOL, Takes, V4};
use super::{Emitter, stack};
use crate::asm::build::{Alu, Asm, If, Label, Reg, Size};
use crate::error::Result;
use crate::object::{FunctionId, MapId};
use crate::policy::{HashBy, Method, Pool};
use crate::route::{ring_of, rings, translates};

/// The program that undoes the translation of replies where they arrive, if that is another interface.
pub const RETURN: &str = "xdpilot_return";

/// `XDP_DROP`, `XDP_PASS`, `XDP_TX`.
const DROP: i32 = 1;
const PASS: i32 = 2;
const TX: i32 = 3;
/// No ring, as the caller says it.
const NO_RING: u32 = 0xffff;

/// The function's own stack; [`stack::LAYERS`] and [`stack::ZERO`] lie among it.
mod frame {
    /// The number of the ring that IPv4 packets look at, and that of IPv6's in the upper half; 4 bytes.
    pub(super) const RINGS: i16 = -12;
    /// The server's number in the connection id of QUIC; 4 bytes.
    pub(super) const SERVER: i16 = -16;
    /// The connection's hash; 8 bytes.
    pub(super) const HASH: i16 = -24;
    /// The hash that tells the place in the ring; 8 bytes.
    pub(super) const PLACE: i16 = -40;
    /// The time in nanoseconds; 8 bytes.
    pub(super) const NOW: i16 = -48;
    /// Address of the connection's slot; 0 where it is not known. 8 bytes.
    pub(super) const SLOT: i16 = -56;
    /// Address of the connection's line; 8 bytes.
    pub(super) const LINE: i16 = -64;
    /// Address of the backend's traffic; 8 bytes.
    pub(super) const TRAFFIC: i16 = -72;
    /// Address of the next hop; 8 bytes.
    pub(super) const HOP: i16 = -80;
    /// Length of the IP packet; 4 bytes.
    pub(super) const TOTAL: i16 = -84;
    /// [`super::is`]; 4 bytes.
    pub(super) const IS: i16 = -88;
    /// The key of a map; 4 bytes.
    pub(super) const KEY: i16 = -92;
    /// The backend's number, as a key; 4 bytes.
    pub(super) const NUMBER: i16 = -96;
    /// Traffic class, and don't fragment in the second byte; 4 bytes.
    pub(super) const CLASS: i16 = -100;
    /// The number of the backend that the packet names by [`SERVER`], 0 for none; before that is known whether there is a
    /// number. 4 bytes.
    pub(super) const NAMED: i16 = -104;
    /// Length of the packet at arrival; 8 bytes.
    pub(super) const LENGTH: i16 = -112;
    /// `struct bpf_fib_lookup`; 64 bytes.
    pub(super) const FIB: i16 = -176;
    /// What the pool says ([`super::terms`]); 8 bytes.
    pub(super) const TERMS: i16 = -184;
    /// In there: the pool's index; 4 bytes.
    pub(super) const POOL: i16 = TERMS;
    /// In there: after so many seconds a connection is forgotten; 2 bytes.
    pub(super) const TIMEOUT: i16 = TERMS + 4;
    /// In there: the destination port of GUE, in network byte order; 2 bytes.
    pub(super) const GUE_PORT: i16 = TERMS + 6;
    /// What an error brings back, where it is rewritten; 8 bytes.
    pub(super) const RETURNED: i16 = -192;

    // What is needed only until the next hop is known shares its place with others.

    /// The key of the map of QUIC's ids; 8 bytes, until the connection's slot is looked for.
    pub(super) const ID_KEY: i16 = SLOT;
    /// What tells a translated connection apart: the beginning of its record.
    pub(super) const TUPLE: i16 = FIB;
    /// The hash of its replies; 8 bytes.
    pub(super) const REPLY_HASH: i16 = -120;
    /// The index of its record; 4 bytes.
    pub(super) const INDEX: i16 = -124;
    /// The index of a slot among the replies; 4 bytes.
    pub(super) const REPLY: i16 = -128;
    /// How many backends or ports were tried; 8 bytes, so that the verifier can count too.
    pub(super) const ATTEMPT: i16 = -136;
    /// The port of what is sent to the backend, 0 for the client's; 4 bytes. Packets that are translated are not wrapped.
    pub(super) const PORT: i16 = CLASS;
    /// Address of the backend's record while r9 is a hash; 8 bytes.
    pub(super) const BACKEND: i16 = HOP;
    /// Address of a slot among the replies; 8 bytes.
    pub(super) const REPLY_SLOT: i16 = TRAFFIC;
    /// Address of the replies' line in which a new connection gets a slot; 8 bytes.
    pub(super) const REPLY_LINE: i16 = TRAFFIC;
    /// Address of a translated connection's record; 8 bytes.
    pub(super) const RECORD: i16 = PLACE;
    /// The ports of what may be a reply; 4 bytes.
    pub(super) const SEEN_PORTS: i16 = CLASS;
    /// The protocol of what may be a reply; 4 bytes.
    pub(super) const SEEN_PROTOCOL: i16 = REPLY_HASH;
}

/// What is known of a packet.
mod is {
    /// Over IPv6.
    pub(super) const V6: i32 = 1;
    /// It asks for a new connection.
    pub(super) const BEGINS: i32 = 2;
    /// Its connection is remembered.
    pub(super) const REMEMBERED: i32 = 4;
    /// It is the connection's own, not an error about it.
    pub(super) const OWN: i32 = 8;
    /// Errors about it may be sent.
    pub(super) const WHOLE: i32 = 16;
    /// Its checksum is perhaps still to be computed.
    pub(super) const PARTIAL: i32 = 32;
    /// It is an error that the connection's backend itself sent.
    pub(super) const BY_BACKEND: i32 = 64;
    /// It ends the connection.
    pub(super) const ENDS: i32 = 128;
}

/// What a function is made for. Of the method only its kind counts: addresses stand in the backends' records, and what
/// else a pool says comes by the call.
#[derive(Clone, Copy, Debug)]
struct Shape<'p> {
    method: &'p Method,
    hash: HashBy,
}

impl PartialEq for Shape<'_> {
    fn eq(&self, other: &Self) -> bool {
        discriminant(self.method) == discriminant(other.method) && self.hash == other.hash
    }
}

impl<'p> Shape<'p> {
    fn of(pool: &'p Pool) -> Self {
        Shape { method: &pool.method, hash: pool.hash }
    }

    /// Whether addresses are translated.
    fn translates(&self) -> bool {
        self.method.translates()
    }

    /// Whether connection ids of QUIC are read.
    fn reads_ids(&self) -> bool {
        self.hash == HashBy::Quic
    }

    /// Whether the client's is translated too.
    fn is_full(&self) -> bool {
        matches!(self.method, Method::FullNat(_))
    }
}

/// What routes to a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    function: FunctionId,
    /// As at [`frame::RINGS`].
    rings: u32,
    /// As at [`frame::TERMS`].
    terms: u64,
}

/// What a pool says to the function that it shares with others.
fn terms(pool: &Pool, index: u16) -> u64 {
    let port = match pool.method {
        Method::Gue { port, .. } => u64::from(port.swap_bytes()),
        _ => 0,
    };
    u64::from(index) | u64::from(pool.timeout.min(0xffff)) << 32 | port << 48
}

/// Where a packet's way may end.
#[derive(Clone, Copy)]
struct Ends {
    pass: Label,
    drop: Label,
}

impl Emitter<'_> {
    /// Adds the functions that pools need; pools of a shape share one.
    pub(super) fn add_routes(&mut self) -> Result<()> {
        let rules = self.rules;
        let pools = &rules.pools;
        if self.options.offloads && !pools.is_empty() {
            self.completes = Some(self.complete_function()?);
        }
        let all = rings(pools);
        let mut known: Vec<(Shape<'_>, FunctionId)> = Vec::new();
        for (pool, index) in pools.iter().zip(0..) {
            let shape = Shape::of(pool);
            let function = match known.iter().find(|(other, _)| *other == shape) {
                Some((_, function)) => *function,
                None => {
                    let function = self.route_function(shape, known.len())?;
                    known.push((shape, function));
                    function
                }
            };
            let [v4, v6] = [false, true].map(|v6| ring_of(&all, index, v6).map_or(NO_RING, u32::from));
            self.routes.push(Route { function, rings: v4 | v6 << 16, terms: terms(pool, index) });
        }
        if translates(pools) {
            self.replies = Some(self.reply_function()?);
            self.add_return()?;
        }
        Ok(())
    }

    /// What is written by itself, apart from the program.
    fn apart(&mut self, write: impl FnOnce(&mut Self)) -> Asm {
        let program = std::mem::take(&mut self.asm);
        write(self);
        std::mem::replace(&mut self.asm, program)
    }

    fn route_function(&mut self, shape: Shape<'_>, number: usize) -> Result<FunctionId> {
        let code = self.apart(|emitter| emitter.route_code(shape));
        let takes = Takes::Pool;
        let name = format!("xdpilot_route_{number}");
        layers::add(self.object, &name, "sends the packet to a backend", code, self.options, takes)
    }

    /// The beginning of a function: context in r1. r0 = what the finder found; to `unknown` with a packet whose protocol
    /// is not known.
    fn arrive(&mut self, unknown: Label) {
        self.asm.mov(6, 1);
        self.locate_packet();
        self.asm.store_imm(Size::W, 10, stack::ZERO, 0);
        self.length(0);
        self.asm.store(Size::DW, 10, frame::LENGTH, 0);
        self.find_layers();
        self.asm.mov(1, 0);
        self.asm.alu64_imm(Alu::And, 1, PROTOCOL as i32);
        self.asm.jump_imm(If::Eq, 1, 0, unknown);
    }

    fn route_code(&mut self, shape: Shape<'_>) {
        let ends = Ends { pass: self.asm.label(), drop: self.asm.label() };
        let (v4, known) = (self.asm.label(), self.asm.label());
        self.asm.store(Size::DW, 10, frame::TERMS, 2);
        self.asm.store(Size::W, 10, frame::RINGS, 3);
        if shape.reads_ids() {
            self.no_server();
        }
        self.arrive(ends.pass);
        self.asm.jump_imm(If::Set, 0, V4 as i32, v4);
        self.connection(shape, true, known, ends);
        self.asm.bind(v4);
        self.connection(shape, false, known, ends);
        self.asm.bind(known);
        if shape.reads_ids() {
            self.named(shape);
        }
        if shape.translates() {
            self.choose_translated(shape, ends);
        } else {
            self.choose(shape, ends);
        }
        let unreachable = self.asm.label();
        self.next_hop(if shape.translates() { unreachable } else { ends.drop });
        self.send(shape, ends);
        if shape.translates() {
            self.asm.bind(unreachable);
            self.asm.store_imm(Size::DW, 10, frame::HOP, 0);
            self.translate(shape);
            self.complete(Then::Passed);
            self.asm.goto(ends.pass);
        }
        self.finish(ends);
    }

    fn finish(&mut self, ends: Ends) {
        for (label, verdict) in [(ends.pass, PASS), (ends.drop, DROP)] {
            self.asm.bind(label);
            self.asm.mov_imm(0, verdict);
            self.asm.exit();
        }
    }

    /// `route POOL`: ends the program.
    pub(super) fn route(&mut self, pool: &str) {
        let index = self.rules.pool(pool);
        let Some(route) = index.and_then(|index| self.routes.get(index).copied()) else {
            self.asm.mov_imm(0, DROP);
            return self.asm.exit();
        };
        if self.tells_pools_by_rule() {
            return self.route_by_rule(route.function);
        }
        self.asm.mov(1, 6);
        self.asm.mov64_wide(2, route.terms);
        self.asm.mov32_imm(3, route.rings);
        self.asm.call_function(route.function);
        self.asm.exit();
    }

    /// r0 = the address of what a map has under the key at this place; to `missing` where it has nothing.
    fn value_of(&mut self, map: Option<MapId>, key: i16, missing: Label) {
        if let Some(map) = map {
            self.lookup(map, key);
            self.asm.jump_imm(If::Eq, 0, 0, missing);
        }
    }

    /// The verifier forgets what it knows of the number at this place. Ways that differ in nothing else are one from here
    /// on, where it would follow each. r1 and r2 are lost.
    fn unlearn(&mut self, at: i16) {
        self.asm.load(Size::W, 1, 10, at);
        self.asm.load(Size::DW, 2, 10, frame::HASH);
        self.asm.alu64(Alu::Xor, 1, 2);
        self.asm.alu64(Alu::Xor, 1, 2);
        self.asm.store(Size::W, 10, at, 1);
    }

    /// Puts an address of the stack into a register.
    fn stack_address(&mut self, into: Reg, at: i16) {
        self.asm.mov(into, 10);
        self.asm.alu64_imm(Alu::Add, into, i32::from(at));
    }
}
