//! The code generator: a plan becomes a BPF object.
//!
//! **Contract.** Registers between pieces of code:
//!
//! | register | holds |
//! | --- | --- |
//! | r6 | the context (`struct xdp_md`, `struct __sk_buff`) |
//! | r7 | the first byte of the packet |
//! | r8 | the end of the packet's first buffer |
//! | r9 | behind a match: the index of the rule that decides, or a counter of it ([`counters`]) |
//! | r0 to r5 | free; lost by calls |
//!
//! In the end they are renamed where that is cheaper ([`registers`]).
//!
//! r7 and r8 are loaded anew behind everything that may move the packet. `stack.rs` lays out the stack.

mod action;
pub mod answers;
mod chain;
mod classifier;
mod cond;
pub mod counters;
mod decap;
mod frame;
mod layers;
mod layout;
mod limit;
mod maps;
mod node;
mod part;
mod returned;
mod rewrite;
mod route;
mod set;
mod stack;
mod table;
mod value;

pub use maps::{
    BACKENDS, CLIENTS, CLOCK, FLOWS, IDS, LIMITS, REPLIES, RINGS, RULES, SAMPLED, SAMPLES, SENDERS, TARGETS, TRAFFIC,
    TRANSLATED, limit_map_name, set_hashes, set_map_name, set_tables,
};
pub use route::RETURN;

use crate::asm::build::Asm;
use crate::asm::registers;
use crate::btf::{Btf, identifier};
use crate::cut::begin;
use crate::error::Result;
use crate::object::{Function, Line, Object, TEXT};
use crate::plan::{self, Plan};
use crate::rules::Rules;

/// Which way the packets go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Into the interface: XDP.
    #[default]
    Ingress,
    /// Out of it: TCX.
    Egress,
}

/// What tells the time to limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// `bpf_ktime_get_ns`.
    #[default]
    Kernel,
    /// The map [`CLOCK`], for tests.
    Given,
}

/// What a caller decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which way the packets go.
    pub direction: Direction,
    /// Whether XDP packets of several buffers are taken (section `xdp.frags`, Linux 5.18). Without them all of a packet
    /// lies between `data` and `data_end`, and the kernel refuses the program where that may not hold.
    pub frags: bool,
    /// Whether hits are counted by rule.
    pub counters: bool,
    /// What tells the time to limits.
    pub clock: Clock,
    /// Whether packets may come from senders on this machine that leave checksums to their device (over veth they arrive
    /// so): they are computed before such a packet is sent.
    pub offloads: bool,
    /// Sets of so many addresses of a family are tables; smaller ones are the kernel's tries.
    pub tables_from: usize,
    /// A program of more instructions than this is written with care for the kernel's verifier: with functions of so many.
    pub part: usize,
    /// Strategies of the planner.
    pub plan: plan::Options,
}

impl Default for Options {
    fn default() -> Self {
        let (direction, clock) = (Direction::Ingress, Clock::Kernel);
        let (tables_from, plan) = (maps::TABLES_FROM, plan::Options::default());
        Options { direction, frags: true, counters: true, clock, offloads: true, tables_from, part: part::PART, plan }
    }
}

/// What rules become.
#[derive(Debug)]
pub struct Compiled {
    /// Its first function is the program.
    pub object: Object,
    /// The rules of the counters behind those of the rules and the default: see [`counters::by_rule`].
    pub counted: Vec<u32>,
}

/// Plans the rules and generates their object.
///
/// # Errors
/// The policy needs more code than a program can hold.
pub fn compile(rules: &Rules, options: &Options) -> Result<Compiled> {
    emit(rules, &plan::plan(rules, options.plan), options)
}

/// Generates the object of a plan.
///
/// # Errors
/// The policy needs more code than a program can hold.
pub fn emit(rules: &Rules, plan: &Plan, options: &Options) -> Result<Compiled> {
    let (compiled, maps) = write(rules, plan, options, false)?;
    if !part::is_long(compiled.object.functions[0].code.len(), maps.held.len(), options) {
        return Ok(compiled);
    }
    Ok(write(rules, plan, options, true)?.0)
}

/// Generates the object, and says what its maps are. With `careful` the verifier has fewer ways to follow, which costs
/// packets some nanoseconds ([`part`]).
fn write(rules: &Rules, plan: &Plan, options: &Options, careful: bool) -> Result<(Compiled, maps::Maps)> {
    let mut object = Object { license: Some("Dual MIT/GPL".into()), ..Object::default() };
    let mut maps = maps::add(&mut object, rules, options);
    if !careful {
        maps.held = set::held(rules, &maps.tables);
    }
    let mut functions = layers::Functions::default();
    object.functions.push(function(&identifier(&rules.name), section(options)));
    functions.add(&mut object, rules, options)?;
    functions.add_tables(&mut object, &maps, options)?;
    let mut emitter = Emitter {
        asm: Asm::default(),
        rules,
        options,
        maps: &maps,
        functions: &functions,
        object: &mut object,
        tables: Vec::new(),
        counted: Vec::new(),
        careful,
        growth: frame::growth(rules, options),
        routes: Vec::new(),
        by_rule: None,
        replies: None,
        completes: None,
    };
    emitter.add_routes()?;
    emitter.program(plan)?;
    let (mut code, tables, counted) = (emitter.asm.finish()?, emitter.tables, emitter.counted);
    table::add(&mut object, tables);
    counters::add_room(&mut object, &maps, rules, counted.len());
    registers::relieve(&mut code.code);
    let btf = object.btf.get_or_insert_default();
    describe(&mut object.functions[0], btf, rules, &code.lines, options.direction);
    (object.functions[0].code, object.functions[0].references) = (code.code, code.references);
    Ok((Compiled { object, counted }, maps))
}

/// Where the program goes.
fn section(options: &Options) -> &'static str {
    match options.direction {
        Direction::Ingress if options.frags => "xdp.frags",
        Direction::Ingress => "xdp",
        Direction::Egress => "tc",
    }
}

/// A function without code.
fn function(name: &str, section: &str) -> Function {
    Function {
        name: name.into(),
        section: section.into(),
        start: 0,
        global: section != TEXT,
        hidden: false,
        code: Vec::new(),
        references: Vec::new(),
        func_type: None,
        lines: Vec::new(),
        core: Vec::new(),
        broken: None,
    }
}

/// The program's type, and the rules as its source lines.
fn describe(function: &mut Function, btf: &mut Btf, rules: &Rules, lines: &[(usize, usize)], direction: Direction) {
    let context = layers::context_pointer(btf, direction);
    function.func_type = Some(btf.add_function(&function.name, &[("ctx", context)]));
    let file = btf.add_text(&rules.file);
    let default = format!("default {}", rules.default);
    let texts: Vec<_> = rules.rules.iter().map(|rule| (rule.text.as_str(), rule.line)).collect();
    let texts: Vec<_> = texts.into_iter().chain([(default.as_str(), rules.default_line)]).collect();
    let head = btf.add_text(&format!("policy {}", rules.name));
    let most = longest(&texts);
    let offsets: Vec<_> = texts.iter().map(|(text, _)| btf.add_text(begin(text, most))).collect();
    function.lines.push(Line { insn: 0, file, text: head, position: 0 });
    for (insn, index) in lines.iter().filter(|(insn, _)| *insn > 0) {
        let position = texts[*index].1.min(u32::MAX >> 10) << 10;
        function.lines.push(Line { insn: *insn, file, text: offsets[*index], position });
    }
}

/// Bytes of text for all rules together: the kernel takes 16 MB of types and text (`BTF_MAX_SIZE`).
const MOST_TEXT: usize = 12 << 20;

/// How many bytes of each text there is room for.
fn longest(texts: &[(&str, u32)]) -> usize {
    let all: usize = texts.iter().map(|(text, _)| text.len() + 1).sum();
    if all <= MOST_TEXT { usize::MAX } else { (MOST_TEXT / texts.len()).saturating_sub(1) }
}

/// Writes the program.
struct Emitter<'a> {
    asm: Asm,
    rules: &'a Rules,
    options: &'a Options,
    maps: &'a maps::Maps,
    functions: &'a layers::Functions,
    /// What it is written into: functions that the program calls.
    object: &'a mut Object,
    /// Read-only data.
    tables: Vec<u8>,
    /// The rules of the counters behind those of the rules and the default.
    counted: Vec<u32>,
    /// Whether it is written so that the verifier has few ways to follow.
    careful: bool,
    /// Whether the packet's length at arrival must be kept.
    growth: bool,
    /// What routes to a pool, by its index.
    routes: Vec<route::Route>,
    /// Where the table of pools by rule is in the data, once it is written.
    by_rule: Option<u32>,
    /// What undoes the translation of replies.
    replies: Option<crate::object::FunctionId>,
    /// What computes checksums that were left to a device.
    completes: Option<crate::object::FunctionId>,
}
