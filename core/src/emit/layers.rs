//! The headers of a packet, found by one function that actions call ([`crate::packet::layers`] says the same).

use std::collections::BTreeMap;

use super::{Direction, Options, function, stack};
use crate::asm::build::{Alu, Asm, If, Label, Size};
use crate::btf::{Btf, FUNC_GLOBAL, FUNC_STATIC, kind};
use crate::error::Result;
use crate::object::{FunctionId, Line, Object, TEXT};
use crate::packet::{self, EXTENSIONS, ethertype, protocol};
use crate::policy::{Action, Verdict};
use crate::rules::Rules;

/// The result: bits 0 to 7 the offset of the IP header.
pub(super) const HEADER: i32 = 0xff;
/// It is IPv4.
pub(super) const V4: u32 = 1 << 8;
/// It is IPv6.
pub(super) const V6: u32 = 1 << 9;
/// The transport header is known: bits 16 to 31 are its offset.
pub(super) const TRANSPORT: u32 = 1 << 10;
/// The protocol is known: bits 32 to 39.
pub(super) const PROTOCOL: u32 = 1 << 11;
/// It is IPv6, and one of several parts.
pub(super) const FRAGMENT: u32 = 1 << 12;
pub(super) const TRANSPORT_SHIFT: i32 = 16;
pub(super) const PROTOCOL_SHIFT: i32 = 32;
/// No offset of a transport header is greater.
pub(super) const FARTHEST: i32 = 0x7ff;

/// The functions that the program calls.
#[derive(Debug, Default)]
pub(super) struct Functions {
    /// Finds the headers.
    pub(super) layers: Option<FunctionId>,
    /// Finds the headers that an ICMP error brings back.
    pub(super) returned: Option<FunctionId>,
    /// Walks a chain of headers.
    pub(super) chain: Option<FunctionId>,
    /// Look up an IPv6 address in a table, by set.
    pub(super) tables: BTreeMap<usize, FunctionId>,
}

impl Functions {
    /// Adds the functions that the rules need.
    pub(super) fn add(&mut self, object: &mut Object, rules: &Rules, options: &Options) -> Result<()> {
        let needed = rules.rules.iter().map(|rule| &rule.action).any(needs_layers);
        if needed || rules.default == Verdict::Reflect || !rules.pools.is_empty() {
            let name = "xdpilot_layers";
            self.layers = Some(add(
                object,
                name,
                "finds the headers of the packet",
                code(options),
                options,
                Takes::Context(&[]),
            )?);
        }
        if !rules.pools.is_empty() {
            let (name, text) = ("xdpilot_returned", "finds the headers that an ICMP error brings back");
            let code = super::returned::code(options);
            self.returned = Some(add(object, name, text, code, options, Takes::Layers)?);
        }
        if rules.rules.iter().any(|rule| super::chain::occurs(&rule.cond)) {
            let code = super::chain::step(options);
            let step = add(object, "xdpilot_step", "steps to the next header", code, options, Takes::Step)?;
            let code = super::chain::walk(step);
            let numbers = ["start", "first", "protocol", "wanted"];
            self.chain = Some(add(
                object,
                "xdpilot_chain",
                "walks a chain of headers",
                code,
                options,
                Takes::Context(&numbers),
            )?);
        }
        Ok(())
    }
}

/// What a function takes.
pub(super) enum Takes<'a> {
    /// The context, and numbers of these names.
    Context(&'a [&'a str]),
    /// The address of so many bytes, and numbers of these names.
    Memory(u32, &'a [&'a str]),
    /// A number and a pointer, as the kernel's loop gives them.
    Step,
    /// The two halves of an IPv6 address.
    Address,
    /// The context, what a pool says, and the numbers of its rings.
    Pool,
    /// The context, and what the finder of headers found.
    Layers,
}

/// Adds a function to `.text`. All but steps are global: the verifier looks at them once, not at each call.
pub(super) fn add(
    object: &mut Object,
    name: &str,
    text: &str,
    asm: Asm,
    options: &Options,
    takes: Takes<'_>,
) -> Result<FunctionId> {
    let code = asm.finish()?;
    let mut function = function(name, TEXT);
    let btf = object.btf.get_or_insert_default();
    let int = btf.add_int("unsigned int", 4, false);
    function.global = !matches!(takes, Takes::Step);
    let parameters: Vec<_> = match takes {
        Takes::Context(numbers) => {
            let pointer = context_pointer(btf, options.direction);
            [("ctx", pointer)].into_iter().chain(numbers.iter().map(|name| (*name, int))).collect()
        }
        Takes::Memory(size, numbers) => {
            let state = btf.add(kind::STRUCT, &format!("{name}_state"), 0, size, Vec::new());
            let (state, long) = (btf.add(kind::PTR, "", 0, state, Vec::new()), btf.add_int("unsigned long", 8, false));
            [("state", state)].into_iter().chain(numbers.iter().map(|name| (*name, long))).collect()
        }
        Takes::Step => vec![("index", int), ("state", btf.add(kind::PTR, "", 0, 0, Vec::new()))],
        Takes::Pool => {
            let (pointer, long) =
                (context_pointer(btf, options.direction), btf.add_int("unsigned long long", 8, false));
            vec![("ctx", pointer), ("pool", long), ("rings", int)]
        }
        Takes::Layers => {
            let (pointer, long) =
                (context_pointer(btf, options.direction), btf.add_int("unsigned long long", 8, false));
            vec![("ctx", pointer), ("layers", long)]
        }
        Takes::Address => {
            let half = btf.add_int("unsigned long long", 8, false);
            vec![("high", half), ("low", half)]
        }
    };
    let prototype = btf.add_prototype(&parameters);
    let linkage = if function.global { FUNC_GLOBAL } else { FUNC_STATIC };
    function.func_type = Some(btf.add(kind::FUNC, name, linkage, prototype, Vec::new()));
    let (file, text) = (btf.add_text("xdpilot"), btf.add_text(text));
    function.lines.push(Line { insn: 0, file, text, position: 0 });
    (function.code, function.references) = (code.code, code.references);
    object.functions.push(function);
    Ok(FunctionId(object.functions.len() - 1))
}

/// The id of the type of contexts: a pointer to a struct whose name tells the verifier what it is.
pub(super) fn context_pointer(btf: &mut Btf, direction: Direction) -> u32 {
    let name = match direction {
        Direction::Ingress => "xdp_md",
        Direction::Egress => "__sk_buff",
    };
    let context = btf.add(kind::STRUCT, name, 0, 0, Vec::new());
    btf.add(kind::PTR, "", 0, context, Vec::new())
}

fn needs_layers(action: &Action) -> bool {
    use crate::policy::Assignment::{EtherDst, EtherSrc, VlanPop, VlanPush};
    match action {
        Action::Set(EtherSrc(_) | EtherDst(_) | VlanPush(_) | VlanPop) => false,
        Action::Set(_) | Action::Verdict(Verdict::Reflect) => true,
        Action::Limit(limit) => !limit.per.is_empty(),
        Action::Verdict(_) | Action::Count(_) | Action::Sample { .. } => false,
    }
}

/// r6: offset of the IP header; r7, r8: the packet; r9: the result; r2: the ethertype or protocol; r4: the transport's
/// offset.
pub(super) struct Finder {
    pub(super) asm: Asm,
    /// Returns r9.
    pub(super) done: Label,
    /// Whether what an ICMP error brings back is looked at: the IP header may be far from the packet's beginning, and r1
    /// becomes the offset of the byte that names the protocol.
    pub(super) returned: bool,
}

fn code(options: &Options) -> Asm {
    let mut asm = Asm::default();
    let done = asm.label();
    let mut finder = Finder { asm, done, returned: false };
    finder.find(options);
    finder.asm
}

/// In memory order.
fn swapped(ethertype: u16) -> u32 {
    u32::from(ethertype.swap_bytes())
}

impl Finder {
    /// r7, r8 = the packet of the context in r1; r9 = nothing.
    pub(super) fn begin(&mut self, options: &Options) {
        let (data, end) = match options.direction {
            Direction::Ingress => (0, 4),
            Direction::Egress => (76, 80),
        };
        self.asm.mov_imm(9, 0);
        self.asm.load(Size::W, 7, 1, data);
        self.asm.load(Size::W, 8, 1, end);
    }

    fn find(&mut self, options: &Options) {
        self.begin(options);
        let network = self.asm.label();
        self.tags(network);
        self.asm.bind(network);
        self.asm.mov(3, 7);
        self.asm.alu64(Alu::Add, 3, 6);
        let v6 = self.asm.label();
        self.asm.jump32_imm(If::Eq, 2, swapped(ethertype::IPV6), v6);
        self.asm.jump32_imm(If::Ne, 2, swapped(ethertype::IPV4), self.done);
        self.v4();
        self.asm.bind(v6);
        self.v6();
        self.end();
    }

    pub(super) fn end(&mut self) {
        self.asm.bind(self.done);
        self.asm.mov(0, 9);
        self.asm.exit();
    }

    /// Ethertype behind at most two tags in r2.
    fn tags(&mut self, network: Label) {
        for walked in 0..3i16 {
            let offset = 14 + 4 * walked;
            self.asm.mov_imm(6, i32::from(offset));
            self.asm.mov(3, 7);
            self.asm.alu64_imm(Alu::Add, 3, i32::from(offset));
            self.asm.jump_reg(If::Gt, 3, 8, self.done);
            self.asm.load(Size::H, 2, 7, offset - 2);
            if walked == 2 {
                break;
            }
            let tag = self.asm.label();
            for kind in [ethertype::VLAN, ethertype::QINQ, ethertype::QINQ_OLD] {
                self.asm.jump32_imm(If::Eq, 2, swapped(kind), tag);
            }
            self.asm.goto(network);
            self.asm.bind(tag);
        }
    }

    /// Goes to `short` unless `size` bytes lie behind r3. r5 is lost.
    pub(super) fn require(&mut self, size: i32, short: Label) {
        self.asm.mov(5, 3);
        self.asm.alu64_imm(Alu::Add, 5, size);
        self.asm.jump_reg(If::Gt, 5, 8, short);
    }

    fn version(&mut self, version: u32) {
        self.asm.load(Size::B, 4, 3, 0);
        self.asm.mov(5, 4);
        self.asm.alu64_imm(Alu::Rsh, 5, 4);
        self.asm.jump_imm(If::Ne, 5, version as i32, self.done);
    }

    pub(super) fn v4(&mut self) {
        self.require(20, self.done);
        self.version(4);
        self.asm.alu64_imm(Alu::And, 4, 0xf);
        self.asm.jump_imm(If::Lt, 4, 5, self.done);
        self.asm.alu64_imm(Alu::Lsh, 4, 2);
        self.asm.mov(5, 3);
        self.asm.alu64(Alu::Add, 5, 4);
        self.asm.jump_reg(If::Gt, 5, 8, self.done);
        self.asm.alu64(Alu::Add, 4, 6);
        self.asm.load(Size::B, 2, 3, 9);
        self.asm.load(Size::H, 5, 3, 6);
        self.names_protocol(9);
        self.header_at();
        self.result(V4);
        self.asm.alu64_imm(Alu::And, 5, i32::from(0x1fffu16.swap_bytes()));
        self.asm.jump_imm(If::Ne, 5, 0, self.done);
        self.transport();
        self.asm.goto(self.done);
    }

    /// r1 = the offset of the byte that names the protocol, in the IP header.
    fn names_protocol(&mut self, at: i32) {
        if self.returned {
            self.asm.mov(1, 6);
            self.asm.alu64_imm(Alu::Add, 1, at);
        }
    }

    /// r9 = the IP header's offset, where that is small.
    fn header_at(&mut self) {
        if self.returned {
            self.asm.mov_imm(9, 0);
        } else {
            self.asm.mov(9, 6);
        }
    }

    /// Adds the version, and the protocol in r2, to r9. r2 is lost.
    fn result(&mut self, version: u32) {
        self.asm.alu64_imm(Alu::Lsh, 2, PROTOCOL_SHIFT);
        self.asm.alu64(Alu::Or, 9, 2);
        self.asm.alu64_imm(Alu::Or, 9, (version | PROTOCOL) as i32);
    }

    /// Adds the transport's offset in r4 to r9.
    fn transport(&mut self) {
        self.asm.alu64_imm(Alu::Lsh, 4, TRANSPORT_SHIFT);
        self.asm.alu64(Alu::Or, 9, 4);
        self.asm.alu64_imm(Alu::Or, 9, TRANSPORT as i32);
    }

    pub(super) fn v6(&mut self) {
        self.require(40, self.done);
        self.version(6);
        self.asm.load(Size::B, 2, 3, 6);
        self.names_protocol(6);
        // Until the walk has ended well nothing but the header is known.
        self.header_at();
        self.asm.alu64_imm(Alu::Or, 9, V6 as i32);
        self.asm.mov(4, 6);
        self.asm.alu64_imm(Alu::Add, 4, 40);
        if self.returned {
            self.asm.jump_imm(If::Gt, 4, packet::FARTHEST as i32, self.done);
        }
        let found = self.asm.label();
        for _ in 0..packet::MAX_EXTENSIONS {
            self.extension(found);
        }
        for kind in EXTENSIONS {
            self.asm.jump_imm(If::Eq, 2, i32::from(kind), self.done);
        }
        self.asm.bind(found);
        self.result(V6);
        self.transport();
        self.asm.goto(self.done);
    }

    /// Steps over one extension header; goes to `found` where there is none.
    fn extension(&mut self, found: Label) {
        let (options, authentication, fragment, next) =
            (self.asm.label(), self.asm.label(), self.asm.label(), self.asm.label());
        for kind in [protocol::HOP_BY_HOP, protocol::ROUTING, protocol::DESTINATION] {
            self.asm.jump_imm(If::Eq, 2, i32::from(kind), options);
        }
        self.asm.jump_imm(If::Eq, 2, i32::from(protocol::FRAGMENT), fragment);
        self.asm.jump_imm(If::Ne, 2, i32::from(protocol::AUTHENTICATION), found);

        self.asm.bind(authentication);
        self.header();
        self.asm.load(Size::B, 5, 3, 1);
        self.asm.alu64_imm(Alu::Add, 5, 2);
        self.asm.alu64_imm(Alu::Lsh, 5, 2);
        self.asm.goto(next);

        self.asm.bind(fragment);
        self.header();
        self.asm.load(Size::H, 0, 3, 2);
        // Without a jump: two ways from here on are twice the verifier's work.
        self.asm.mov(5, 0);
        self.asm.alu64_imm(Alu::And, 5, i32::from(0xfff9u16.swap_bytes()));
        self.asm.alu64_imm(Alu::Add, 5, 0xffff);
        self.asm.alu64_imm(Alu::Rsh, 5, 16);
        self.asm.alu64_imm(Alu::Lsh, 5, FRAGMENT.trailing_zeros() as i32);
        self.asm.alu64(Alu::Or, 9, 5);
        self.asm.mov_imm(5, 8);
        let first = self.asm.label();
        self.asm.alu64_imm(Alu::And, 0, i32::from(0xfff8u16.swap_bytes()));
        self.asm.jump_imm(If::Eq, 0, 0, first);
        self.asm.load(Size::B, 2, 3, 0);
        self.advance();
        self.result(V6);
        self.asm.goto(self.done);
        self.asm.bind(first);
        self.asm.goto(next);

        self.asm.bind(options);
        self.header();
        self.asm.load(Size::B, 5, 3, 1);
        self.asm.alu64_imm(Alu::Add, 5, 1);
        self.asm.alu64_imm(Alu::Lsh, 5, 3);
        self.asm.bind(next);
        self.asm.load(Size::B, 2, 3, 0);
        self.advance();
    }

    /// r3 = the header at r4, of which eight bytes must be there.
    fn header(&mut self) {
        self.asm.mov(3, 7);
        self.asm.alu64(Alu::Add, 3, 4);
        self.require(8, self.done);
    }

    /// r4 += r5; the walk fails beyond the packet's end, and far from its beginning.
    fn advance(&mut self) {
        if self.returned {
            self.asm.mov(1, 4);
        }
        self.asm.alu64(Alu::Add, 4, 5);
        self.asm.jump_imm(If::Gt, 4, packet::FARTHEST as i32, self.done);
        self.asm.mov(5, 7);
        self.asm.alu64(Alu::Add, 5, 4);
        self.asm.jump_reg(If::Gt, 5, 8, self.done);
    }
}

impl super::Emitter<'_> {
    /// Calls the finder: the result in r0 and at [`stack::LAYERS`].
    pub(super) fn find_layers(&mut self) {
        if let Some(function) = self.functions.layers {
            self.asm.mov(1, 6);
            self.asm.call_function(function);
        } else {
            self.asm.mov_imm(0, 0);
        }
        self.asm.store(Size::DW, 10, stack::LAYERS, 0);
    }

    /// r3 = the IP header, of which `size` bytes are there; r0 is the finder's result. Goes to `short` where it is not of this version.
    pub(super) fn ip_header(&mut self, version: u32, size: i32, short: Label) {
        let there = self.asm.label();
        self.asm.jump_imm(If::Set, 0, version as i32, there);
        self.asm.goto(short);
        self.asm.bind(there);
        self.asm.mov(1, 0);
        self.asm.alu64_imm(Alu::And, 1, HEADER);
        self.asm.mov(3, 7);
        self.asm.alu64(Alu::Add, 3, 1);
        self.asm.mov(2, 3);
        self.asm.alu64_imm(Alu::Add, 2, size);
        self.asm.jump_reg(If::Gt, 2, 8, short);
    }

    /// r4 = the transport header; r0 is the finder's result. Goes to `none` where it is not known.
    pub(super) fn transport_header(&mut self, none: Label) {
        let there = self.asm.label();
        self.asm.jump_imm(If::Set, 0, TRANSPORT as i32, there);
        self.asm.goto(none);
        self.asm.bind(there);
        self.asm.mov(1, 0);
        self.asm.alu64_imm(Alu::Rsh, 1, TRANSPORT_SHIFT);
        self.asm.alu64_imm(Alu::And, 1, FARTHEST);
        self.asm.mov(4, 7);
        self.asm.alu64(Alu::Add, 4, 1);
    }

    /// r1 = the protocol; r0 is the finder's result. 0 where it is not known.
    pub(super) fn protocol(&mut self) {
        self.asm.mov(1, 0);
        self.asm.alu64_imm(Alu::Rsh, 1, PROTOCOL_SHIFT);
    }

    /// Goes to `short` unless `size` bytes lie behind r4. r2 is lost.
    pub(super) fn require_transport(&mut self, size: i32, short: Label) {
        self.asm.mov(2, 4);
        self.asm.alu64_imm(Alu::Add, 2, size);
        self.asm.jump_reg(If::Gt, 2, 8, short);
    }
}
