//! Rate limits; [`crate::eval::limit`] says what they mean.

use super::layers::{V4, V6};
use super::maps::{key_size, part_size};
use super::{Clock, Emitter, stack};
use crate::asm::build::{Alu, If, Label, Size};
use crate::eval::limit;
use crate::packet::{ethertype, protocol};
use crate::policy::{Key, Limit, Unit};

const MAP_UPDATE: i32 = 2;
const KTIME_GET_NS: i32 = 5;
/// How often another CPU may be faster before a packet passes without being stored.
const TRIES: usize = 4;

impl Emitter<'_> {
    /// Goes to `excess` with a packet beyond the limit.
    pub(super) fn limit(&mut self, rule: usize, limit: &Limit, excess: Label) {
        let plain = self.maps.plain_limits.filter(|_| limit.per.is_empty());
        let Some(map) = plain.or(self.maps.limits.get(&rule).copied()) else { return };
        let (found, within) = (self.asm.label(), self.asm.label());
        self.cost(limit);
        self.now(within);
        let key = if limit.per.is_empty() { stack::RULE } else { stack::KEY };
        match self.maps.plain_limit_numbers.get(&rule) {
            Some(number) => self.asm.store_imm(Size::W, 10, key, *number as i32),
            None => self.limit_key(rule, limit),
        }
        let burst = limit::burst(limit);
        self.lookup(map, key);
        self.asm.jump_imm(If::Ne, 0, 0, found);
        if !limit.per.is_empty() {
            self.first(map, burst, excess);
        }
        self.asm.goto(within);
        self.asm.bind(found);
        self.asm.mov(9, 0);
        for _ in 0..TRIES {
            self.attempt(burst, excess, within);
        }
        self.asm.bind(within);
    }

    /// What the packet stands for, in nanoseconds, at [`stack::VALUE`].
    fn cost(&mut self, limit: &Limit) {
        match limit.unit {
            Unit::Packets => self.asm.mov64_wide(0, limit::cost(limit, 0)),
            Unit::Bits => {
                self.length_at_arrival(0);
                self.asm.mov64_wide(1, 8_000_000_000);
                self.asm.alu64(Alu::Mul, 0, 1);
                self.asm.mov64_wide(1, limit.rate.max(1));
                self.asm.alu64(Alu::Div, 0, 1);
            }
        }
        self.asm.store(Size::DW, 10, stack::VALUE, 0);
    }

    /// The time in nanoseconds, at [`stack::SAVED`].
    fn now(&mut self, unknown: Label) {
        match (self.options.clock, self.maps.clock) {
            (Clock::Given, Some(map)) => {
                self.lookup(map, stack::ZERO);
                self.asm.jump_imm(If::Eq, 0, 0, unknown);
                self.asm.load(Size::DW, 0, 0, 0);
            }
            _ => self.asm.call(KTIME_GET_NS),
        }
        self.asm.store(Size::DW, 10, stack::SAVED, 0);
    }

    /// r1 = the time of arrival with the stored time in r0; goes to `excess` where that is too late. r2 to r4 are lost.
    fn arrival(&mut self, burst: u64, excess: Label) {
        let later = self.asm.label();
        self.asm.load(Size::DW, 3, 10, stack::SAVED);
        self.asm.mov(1, 0);
        self.asm.jump_reg(If::Ge, 1, 3, later);
        self.asm.mov(1, 3);
        self.asm.bind(later);
        self.asm.load(Size::DW, 2, 10, stack::VALUE);
        self.asm.alu64(Alu::Add, 1, 2);
        self.asm.mov(2, 1);
        self.asm.alu64(Alu::Sub, 2, 3);
        self.asm.mov64_wide(4, burst);
        self.asm.jump_reg(If::Gt, 2, 4, excess);
    }

    /// The first packet of a key.
    fn first(&mut self, map: crate::object::MapId, burst: u64, excess: Label) {
        self.asm.mov_imm(0, 0);
        self.arrival(burst, excess);
        self.asm.store(Size::DW, 10, stack::BYTES, 1);
        self.asm.load_map(1, map);
        self.asm.mov(2, 10);
        self.asm.alu64_imm(Alu::Add, 2, i32::from(stack::KEY));
        self.asm.mov(3, 10);
        self.asm.alu64_imm(Alu::Add, 3, i32::from(stack::BYTES));
        self.asm.mov_imm(4, 0);
        self.asm.call(MAP_UPDATE);
    }

    /// Tries to store the arrival at r9; goes to `within` where that went well.
    fn attempt(&mut self, burst: u64, excess: Label, within: Label) {
        self.asm.load(Size::DW, 0, 9, 0);
        self.arrival(burst, excess);
        self.asm.mov(2, 0);
        self.asm.compare_exchange(9, 0, 1);
        self.asm.jump_reg(If::Eq, 0, 2, within);
    }

    /// The key at [`stack::KEY`].
    fn limit_key(&mut self, rule: usize, limit: &Limit) {
        let size = key_size(limit) as i16;
        for at in (0..size).step_by(4) {
            self.asm.store_imm(Size::W, 10, stack::KEY + at, 0);
        }
        if let Some(number @ 1..) = self.maps.limit_numbers.get(&rule) {
            self.asm.store_imm(Size::H, 10, stack::KEY + 2, i32::from(*number));
        }
        self.find_layers();
        let (v4, v6, behind) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.jump_imm(If::Set, 0, V4 as i32, v4);
        self.asm.jump_imm(If::Set, 0, V6 as i32, v6);
        self.asm.goto(behind);
        self.asm.bind(v4);
        self.ip_header(V4, 20, behind);
        self.asm.store_imm(Size::H, 10, stack::KEY, i32::from(ethertype::IPV4));
        self.addresses(limit, 1, 12, 16);
        self.asm.goto(behind);
        self.asm.bind(v6);
        self.ip_header(V6, 40, behind);
        self.asm.store_imm(Size::H, 10, stack::KEY, i32::from(ethertype::IPV6) - 0x1_0000);
        self.addresses(limit, 4, 8, 24);
        self.asm.bind(behind);
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.protocol_part(limit);
        self.ports(limit);
    }

    /// Copies addresses of so many words from the header at r3.
    fn addresses(&mut self, limit: &Limit, words: i16, src: i16, dst: i16) {
        for (key, at) in parts(limit) {
            let from = match key {
                Key::Src => src,
                Key::Dst => dst,
                _ => continue,
            };
            for word in 0..words {
                self.asm.load(Size::W, 1, 3, from + 4 * word);
                // A part may begin at an odd offset, where the stack takes only bytes.
                self.put(at + 4 * word, 4);
            }
        }
    }

    fn protocol_part(&mut self, limit: &Limit) {
        for (_, at) in parts(limit).filter(|(key, _)| *key == Key::Protocol) {
            self.protocol();
            self.asm.store(Size::B, 10, at, 1);
        }
    }

    fn ports(&mut self, limit: &Limit) {
        if !limit.per.iter().any(|key| matches!(key, Key::SrcPort | Key::DstPort)) {
            return;
        }
        let (none, has_ports) = (self.asm.label(), self.asm.label());
        self.transport_header(none);
        self.protocol();
        for kind in [protocol::TCP, protocol::UDP, protocol::SCTP] {
            self.asm.jump_imm(If::Eq, 1, i32::from(kind), has_ports);
        }
        self.asm.goto(none);
        self.asm.bind(has_ports);
        self.require_transport(4, none);
        for (key, at) in parts(limit) {
            let from = match key {
                Key::SrcPort => 0,
                Key::DstPort => 2,
                _ => continue,
            };
            self.asm.load(Size::H, 1, 4, from);
            self.put(at, 2);
        }
        self.asm.bind(none);
    }

    /// Puts the lower bytes of r1 on the stack.
    fn put(&mut self, at: i16, bytes: i16) {
        for byte in 0..bytes {
            self.asm.store(Size::B, 10, at + byte, 1);
            if byte + 1 < bytes {
                self.asm.alu64_imm(Alu::Rsh, 1, 8);
            }
        }
    }
}

/// The parts of the key with their offsets on the stack.
fn parts(limit: &Limit) -> impl Iterator<Item = (Key, i16)> + '_ {
    limit.per.iter().scan(stack::KEY + 4, |at, key| {
        let here = *at;
        *at += part_size(*key) as i16;
        Some((*key, here))
    })
}
