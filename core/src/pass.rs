//! The program that passes every packet.
//!
//! A veth delivers frames that XDP_TX sends only while its own end has a program
//! (`veth_xdp_flush`, drivers/net/veth.c): this one lets them in and does nothing.

use crate::asm::{Insn, op};
use crate::object::{Function, Object};

/// Its name.
pub const NAME: &str = "xdpilot_pass";

/// `XDP_PASS`.
const PASS: i32 = 2;

/// The object; it takes packets of several buffers too, so that large MTUs do not matter.
pub fn object() -> Object {
    let mut object = Object { license: Some("Dual MIT/GPL".into()), ..Object::default() };
    let btf = object.btf.get_or_insert_default();
    let context = crate::modernize::context_pointer(btf);
    let func_type = Some(btf.add_function(NAME, &[("ctx", context)]));
    object.functions.push(Function {
        name: NAME.into(),
        section: "xdp.frags".into(),
        start: 0,
        global: true,
        hidden: false,
        code: vec![Insn::new(op::MOV64_IMM, 0, 0, 0, PASS), Insn::new(op::EXIT, 0, 0, 0, 0)],
        references: Vec::new(),
        func_type,
        lines: Vec::new(),
        core: Vec::new(),
        broken: None,
    });
    object
}
