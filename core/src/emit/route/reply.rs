//! Replies of translated connections, and errors about them: the translation is undone, whatever the rules say.

use super::super::layers::{self, Takes, V4};
use super::super::{Emitter, function, section, stack};
use super::connection::{Addresses, RST, addresses};
use super::error::Way;
use super::icmp::reversed;
use super::offload::Then;
use super::send::{INET, fib};
use super::{Ends, Shape, frame, is};
use crate::asm::build::{Alu, If, Label, Reg, Size};
use crate::emit::Clock;
use crate::error::Result;
use crate::object::{FunctionId, Line};
use crate::packet::protocol;
use crate::policy::{HashBy, Method};
use crate::route::hash::FACTOR;
use crate::route::layout::{CLIENTS, backend, client, flags, translated};
use crate::route::replies::MARK;
use crate::route::senders;

/// What the function gives where a packet is no reply.
const NONE: i32 = 16;

impl Emitter<'_> {
    pub(super) fn reply_function(&mut self) -> Result<FunctionId> {
        let code = self.apart(Self::reply_code);
        let takes = Takes::Context(&[]);
        layers::add(self.object, "xdpilot_reply", "undoes translation", code, self.options, takes)
    }

    /// Adds [`super::RETURN`].
    pub(super) fn add_return(&mut self) -> Result<()> {
        let code = self.apart(|emitter| {
            emitter.asm.mov(6, 1);
            emitter.undo_replies();
            emitter.asm.mov_imm(0, super::PASS);
            emitter.asm.exit();
        });
        let code = code.finish()?;
        let mut function = function(super::RETURN, section(self.options));
        let btf = self.object.btf.get_or_insert_default();
        let context = layers::context_pointer(btf, self.options.direction);
        function.func_type = Some(btf.add_function(super::RETURN, &[("ctx", context)]));
        let (file, text) = (btf.add_text("xdpilot"), btf.add_text("undoes the translation of replies"));
        function.lines.push(Line { insn: 0, file, text, position: 0 });
        (function.code, function.references) = (code.code, code.references);
        self.object.functions.push(function);
        Ok(())
    }

    /// Replies go their way; the context is in r6.
    pub(in super::super) fn undo_replies(&mut self) {
        let Some(function) = self.replies else { return };
        let other = self.asm.label();
        self.asm.mov(1, 6);
        self.asm.call_function(function);
        self.asm.jump_imm(If::Eq, 0, NONE, other);
        self.asm.exit();
        self.asm.bind(other);
    }

    fn reply_code(&mut self) {
        let (v4, known, none) = (self.asm.label(), self.asm.label(), self.asm.label());
        let ends = Ends { pass: self.asm.label(), drop: self.asm.label() };
        self.asm.store_imm(Size::W, 10, frame::POOL, i32::from(MARK));
        self.arrive(none);
        self.asm.jump_imm(If::Set, 0, V4 as i32, v4);
        self.reply_hashed(true, known, none);
        self.asm.bind(v4);
        self.reply_hashed(false, known, none);
        self.asm.bind(known);
        self.time();
        self.its_record(none, ends.drop);
        self.is_its_reply(none);
        self.seen(ends.drop);
        self.asm.load(Size::DW, 9, 10, frame::RECORD);
        self.hop_to_client(ends.drop);
        self.undo(ends);
        self.asm.bind(none);
        self.asm.mov_imm(0, NONE);
        self.asm.exit();
        self.finish(ends);
    }

    /// r9 = the hash of a packet with ports, or of what would answer one that came back, then on to `known`; r0 is the
    /// finder's result.
    fn reply_hashed(&mut self, v6: bool, known: Label, none: Label) {
        let (tcp, icmp, ported) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.may_reply(v6, none);
        self.total(v6, none);
        self.asm.store_imm(Size::W, 10, frame::IS, is::OWN | is::WHOLE | if v6 { is::V6 } else { 0 });
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.header(v6, none);
        self.is_fragment(v6, none);
        self.lives_on(v6, none);
        self.protocol();
        self.asm.jump_imm(If::Eq, 1, i32::from(protocol::TCP), tcp);
        self.asm.jump_imm(If::Eq, 1, i32::from(if v6 { protocol::ICMP6 } else { protocol::ICMP }), icmp);
        self.asm.jump_imm(If::Ne, 1, i32::from(protocol::UDP), none);
        self.transport(8, none);
        self.asm.load(Size::H, 5, 4, 6);
        self.asm.goto(ported);
        self.asm.bind(tcp);
        self.transport(20, none);
        self.asm.load(Size::H, 5, 4, 16);
        self.asm.load(Size::B, 1, 4, 13);
        self.asm.alu64_imm(Alu::And, 1, RST);
        self.asm.jump_imm(If::Eq, 1, 0, ported);
        let flags = is::OWN | is::WHOLE | is::ENDS | if v6 { is::V6 } else { 0 };
        self.asm.store_imm(Size::W, 10, frame::IS, flags);
        self.asm.bind(ported);
        self.partial(v6);
        self.asm.load(Size::W, 2, 4, 0);
        self.protocol();
        self.hash_reply(v6, 3, addresses(v6));
        self.asm.goto(known);

        self.asm.bind(icmp);
        let error = self.asm.label();
        self.transport(8, none);
        self.asm.load(Size::B, 1, 4, 0);
        self.is_error(v6, error);
        self.asm.goto(none);
        self.asm.bind(error);
        let reversed = self.returned_connection(v6, none);
        self.is_addressed(v6, none);
        self.hash_reply(v6, 4, reversed);
        self.asm.goto(known);
    }

    /// Goes to `none` with a packet whose sender is no backend, unless it may be an error; r0 is the finder's result.
    fn may_reply(&mut self, v6: bool, none: Label) {
        let (may, known) = (self.asm.label(), self.asm.label());
        self.protocol();
        self.asm.jump_imm(If::Eq, 1, i32::from(if v6 { protocol::ICMP6 } else { protocol::ICMP }), may);
        self.header(v6, none);
        let source = addresses(v6).source;
        if v6 {
            self.asm.load(Size::DW, 1, 3, source);
            self.asm.load(Size::DW, 2, 3, source + 8);
            self.asm.alu64(Alu::Xor, 1, 2);
        } else {
            self.asm.load(Size::W, 1, 3, source);
        }
        self.asm.mov64_wide(2, FACTOR);
        self.asm.alu64(Alu::Mul, 1, 2);
        self.asm.alu64_imm(Alu::Rsh, 1, (u64::BITS - senders::BITS) as i32);
        self.asm.store(Size::W, 10, frame::NUMBER, 1);
        self.asm.alu64_imm(Alu::Rsh, 1, 6);
        self.asm.store(Size::W, 10, frame::KEY, 1);
        self.value_of(self.maps.senders, frame::KEY, none);
        self.asm.load(Size::DW, 2, 0, 0);
        self.asm.load(Size::W, 1, 10, frame::NUMBER);
        self.asm.alu64_imm(Alu::And, 1, 63);
        self.asm.alu64(Alu::Rsh, 2, 1);
        self.asm.jump_imm(If::Set, 2, 1, known);
        self.asm.goto(none);
        self.asm.bind(known);
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.asm.bind(may);
    }

    /// Notes ports in r2 and protocol in r1; r9 = their hash with the addresses at a header.
    fn hash_reply(&mut self, v6: bool, header: Reg, at: Addresses) {
        self.asm.store(Size::W, 10, frame::SEEN_PORTS, 2);
        self.asm.store(Size::W, 10, frame::SEEN_PROTOCOL, 1);
        let shape = Shape { method: &Method::Nat, hash: HashBy::Tuple };
        self.hash_connection(shape, v6, header, at);
    }

    /// The record that a reply's hash in r9 leads to at [`frame::RECORD`], and r9 = the record of its backend.
    fn its_record(&mut self, none: Label, drop: Label) {
        self.find_reply(none, drop);
        self.asm.store(Size::DW, 10, frame::REPLY_SLOT, 3);
        self.record_of(none);
        self.asm.store(Size::W, 10, frame::INDEX, 2);
        self.value_of(self.maps.translated, frame::INDEX, none);
        self.asm.load(Size::W, 1, 0, translated::REPLY);
        self.asm.load(Size::W, 2, 10, frame::REPLY);
        self.asm.jump_reg(If::Ne, 1, 2, none);
        self.asm.load(Size::W, 1, 0, translated::TIMEOUT);
        self.asm.jump_reg(If::Gt, 9, 1, none);
        self.asm.store(Size::DW, 10, frame::RECORD, 0);
        self.asm.load(Size::H, 1, 0, translated::BACKEND);
        self.asm.store(Size::W, 10, frame::NUMBER, 1);
        self.value_of(self.maps.backends, frame::NUMBER, none);
        self.asm.mov(9, 0);
    }

    /// Goes to `none` where the packet is no reply of the record's connection: hashes may be equal by chance.
    fn is_its_reply(&mut self, none: Label) {
        let (v6, same, full) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.load(Size::DW, 5, 10, frame::RECORD);
        self.asm.load(Size::W, 1, 10, frame::SEEN_PROTOCOL);
        self.asm.load(Size::B, 2, 5, translated::PROTOCOL);
        self.asm.jump_reg(If::Ne, 1, 2, none);
        // r5 = what the destination must be, r2 = the client's port of old.
        let stated = self.asm.label();
        self.asm.load(Size::H, 1, 9, backend::PORT);
        self.asm.jump_imm(If::Ne, 1, 0, stated);
        self.asm.load(Size::H, 1, 5, translated::PORTS + 2);
        self.asm.bind(stated);
        self.asm.load(Size::H, 2, 10, frame::SEEN_PORTS);
        self.asm.jump_reg(If::Ne, 1, 2, none);
        self.asm.load(Size::B, 3, 5, translated::V6);
        self.asm.load(Size::H, 2, 10, frame::SEEN_PORTS + 2);
        self.asm.load(Size::H, 1, 5, translated::PORT);
        self.asm.jump_imm(If::Ne, 1, 0, full);
        self.asm.load(Size::H, 1, 5, translated::PORTS);
        self.asm.jump_reg(If::Ne, 1, 2, none);
        self.asm.alu64_imm(Alu::Add, 5, i32::from(translated::CLIENT));
        self.asm.goto(same);
        self.asm.bind(full);
        self.asm.jump_reg(If::Ne, 1, 2, none);
        self.asm.mov(5, 9);
        self.asm.alu64_imm(Alu::Add, 5, i32::from(backend::SOURCE));
        self.asm.bind(same);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.alu64_imm(Alu::And, 1, is::V6);
        self.asm.jump_reg(If::Ne, 1, 3, none);
        let done = self.asm.label();
        self.asm.jump_imm(If::Ne, 1, 0, v6);
        self.same_addresses(false, none);
        self.asm.goto(done);
        self.asm.bind(v6);
        self.same_addresses(true, none);
        self.asm.bind(done);
    }

    /// Goes to `none` unless the packet comes from the backend at r9 and goes to the address at r5, or is about one that
    /// went the other way.
    fn same_addresses(&mut self, v6: bool, none: Label) {
        let (own, done) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::DW, 0, 10, stack::LAYERS);
        self.header(v6, none);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::OWN, own);
        self.is_by_backend(v6);
        self.transport_header(none);
        self.require_transport(if v6 { 48 } else { 28 }, none);
        self.asm.alu64_imm(Alu::Add, 4, 8);
        self.are_addresses(v6, 4, reversed(v6), none);
        self.asm.goto(done);
        self.asm.bind(own);
        self.are_addresses(v6, 3, addresses(v6), none);
        self.asm.bind(done);
    }

    /// Goes to `none` unless the addresses at a header are that of the backend at r9 and the one at r5.
    fn are_addresses(&mut self, v6: bool, header: Reg, at: Addresses, none: Label) {
        for (record, from, to) in [(9, backend::ADDRESS, at.source), (5, 0, at.destination)] {
            for word in (0..if v6 { 16 } else { 4 }).step_by(4) {
                self.asm.load(Size::W, 1, record, from + word);
                self.asm.load(Size::W, 2, header, to + word);
                self.asm.jump_reg(If::Ne, 1, 2, none);
            }
        }
    }

    /// Notes whether the packet at r3 comes from the backend at r9.
    fn is_by_backend(&mut self, v6: bool) {
        let router = self.asm.label();
        for word in (0..if v6 { 16 } else { 4 }).step_by(4) {
            self.asm.load(Size::W, 1, 9, backend::ADDRESS + word);
            self.asm.load(Size::W, 2, 3, addresses(v6).source + word);
            self.asm.jump_reg(If::Ne, 1, 2, router);
        }
        self.asm.store_imm(Size::W, 10, frame::IS, is::BY_BACKEND | if v6 { is::V6 } else { 0 });
        self.asm.bind(router);
    }

    /// The connection was seen now, if the packet is its own.
    fn seen(&mut self, drop: Label) {
        let (own, done) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::OWN, own);
        self.asm.goto(done);
        self.asm.bind(own);
        self.tick_in_r1();
        self.asm.load(Size::DW, 3, 10, frame::REPLY_SLOT);
        self.asm.store(Size::H, 3, 0, 1);
        self.asm.load(Size::W, 1, 10, frame::INDEX);
        self.asm.alu64_imm(Alu::Rsh, 1, 3);
        self.asm.store(Size::W, 10, frame::KEY, 1);
        self.value_of(self.maps.flows, frame::KEY, drop);
        self.asm.load(Size::W, 1, 10, frame::INDEX);
        self.asm.alu64_imm(Alu::And, 1, 7);
        self.asm.alu64_imm(Alu::Lsh, 1, 3);
        self.asm.alu64(Alu::Add, 0, 1);
        self.tick_in_r1();
        self.asm.store(Size::H, 0, 0, 1);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.alu64_imm(Alu::And, 1, is::ENDS);
        self.asm.jump_imm(If::Eq, 1, 0, done);
        self.asm.mov(3, 0);
        self.turn();
        self.asm.bind(done);
    }

    /// The next hop to the client of the record at r9 at [`frame::HOP`]; 0 where the kernel knows none.
    fn hop_to_client(&mut self, drop: Label) {
        let (unknown, done) = (self.asm.label(), self.asm.label());
        self.asm.store_imm(Size::DW, 10, frame::HOP, 0);
        if self.options.clock == Clock::Given {
            // In tests it is that of backend 0, which is none.
            self.value_of(self.maps.backends, stack::ZERO, drop);
            self.asm.load(Size::W, 1, 0, backend::FLAGS);
            self.asm.alu64_imm(Alu::And, 1, flags::FIXED as i32);
            self.asm.jump_imm(If::Eq, 1, 0, done);
            self.asm.alu64_imm(Alu::Add, 0, i32::from(backend::HOP));
            self.asm.store(Size::DW, 10, frame::HOP, 0);
            return self.asm.bind(done);
        }
        self.cached_client(unknown, drop);
        self.asm.alu64_imm(Alu::Add, 3, i32::from(client::HOP));
        self.asm.store(Size::DW, 10, frame::HOP, 3);
        self.asm.goto(done);
        self.asm.bind(unknown);
        self.ask_for_client(done, drop);
        self.asm.bind(done);
    }

    /// r3 = the place for the next hop to a client; to `unknown` where it is another's, or old.
    fn cached_client(&mut self, unknown: Label, drop: Label) {
        self.asm.load(Size::DW, 1, 9, translated::CLIENT);
        self.asm.load(Size::DW, 2, 9, translated::CLIENT + 8);
        self.asm.alu64(Alu::Xor, 1, 2);
        self.asm.mov64_wide(2, FACTOR);
        self.asm.alu64(Alu::Mul, 1, 2);
        self.asm.alu64_imm(Alu::Rsh, 1, 64 - CLIENTS.ilog2() as i32);
        self.asm.store(Size::W, 10, frame::KEY, 1);
        self.value_of(self.maps.clients, frame::KEY, drop);
        self.asm.mov(3, 0);
        self.hop_tick();
        self.asm.load(Size::W, 1, 3, client::TICK);
        self.asm.jump32_reg(If::Ne, 1, 2, unknown);
        for half in [0, 8] {
            self.asm.load(Size::DW, 1, 9, translated::CLIENT + half);
            self.asm.load(Size::DW, 2, 3, client::ADDRESS + half);
            self.asm.jump_reg(If::Ne, 1, 2, unknown);
        }
    }

    /// Asks the kernel for the next hop to a client, and keeps it; to `done` where there is none.
    fn ask_for_client(&mut self, done: Label, drop: Label) {
        let v6 = self.asm.label();
        self.question();
        self.asked(9, translated::SERVICE, fib::SOURCE);
        self.asked(9, translated::CLIENT, fib::DESTINATION);
        self.asm.load(Size::B, 1, 9, translated::V6);
        self.asm.jump_imm(If::Ne, 1, 0, v6);
        self.asm.store_imm(Size::B, 10, frame::FIB + fib::FAMILY, INET);
        self.asm.bind(v6);
        self.ask();
        self.asm.jump_imm(If::Ne, 0, 0, done);
        self.value_of(self.maps.clients, frame::KEY, drop);
        self.asm.mov(3, 0);
        for half in [0, 8] {
            self.asm.load(Size::DW, 1, 9, translated::CLIENT + half);
            self.asm.store(Size::DW, 3, client::ADDRESS + half, 1);
        }
        self.keep(client::HOP, client::TICK);
        self.asm.alu64_imm(Alu::Add, 3, i32::from(client::HOP));
        self.asm.store(Size::DW, 10, frame::HOP, 3);
    }

    /// Undoes the translation by the record at r9, and sends the packet.
    fn undo(&mut self, ends: Ends) {
        let (too_big, fits, own, out) = (self.asm.label(), self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.load(Size::DW, 1, 10, frame::HOP);
        self.asm.jump_imm(If::Eq, 1, 0, fits);
        self.fits(0, too_big);
        self.asm.bind(fits);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::OWN, own);
        self.rewrite_error(Way::Back, ends.drop);
        self.asm.goto(out);
        self.asm.bind(own);
        self.undo_own(ends);
        self.asm.bind(out);
        let passed = self.asm.label();
        self.asm.load(Size::DW, 1, 10, frame::HOP);
        self.asm.jump_imm(If::Eq, 1, 0, passed);
        self.complete(Then::Sent);
        self.forward(ends.drop);
        self.asm.bind(passed);
        self.complete(Then::Passed);
        self.asm.goto(ends.pass);
        self.asm.bind(too_big);
        self.too_big(ends);
    }

    /// Undoes the translation of the connection's own packet.
    fn undo_own(&mut self, ends: Ends) {
        let (v6, out) = (self.asm.label(), self.asm.label());
        self.asm.load(Size::W, 2, 9, translated::PORTS);
        // The service's port is the source's now.
        self.asm.mov(1, 2);
        self.asm.alu64_imm(Alu::Rsh, 1, 16);
        self.asm.alu32_imm(Alu::Lsh, 2, 16);
        self.asm.alu64(Alu::Or, 2, 1);
        self.asm.store(Size::W, 10, frame::KEY, 2);
        self.asm.load(Size::W, 1, 10, frame::IS);
        self.asm.jump_imm(If::Set, 1, is::V6, v6);
        self.rewrite(false, Some(translated::SERVICE), Some(translated::CLIENT), ends.drop);
        self.asm.goto(out);
        self.asm.bind(v6);
        self.rewrite(true, Some(translated::SERVICE), Some(translated::CLIENT), ends.drop);
        self.asm.bind(out);
    }
}
