//! BTF that libbpf and the kernel take, with a function type for every function.
//!
//! The kernel allows tail calls out of a subprogram only where BTF says that it returns an integer.

use std::collections::HashSet;

use crate::btf::{Btf, FUNC_STATIC, identifier, is_identifier, kind};
use crate::error::{Error, Result};
use crate::object::{Line, Object, TEXT};

/// Section names under which BTF lists externs.
const EXTERN_SECTIONS: [&str; 2] = [".ksyms", ".kconfig"];

/// Repairs the object's BTF, or makes one.
pub(super) fn complete(object: &mut Object, rebuild: bool, notes: &mut Vec<String>) {
    if rebuild && object.btf.is_some() && !needs_types(object) {
        notes.push(
            "the kernel rejects the object's BTF: loaded with BTF made anew, without its types and source lines".into(),
        );
        forget_types(object);
    }
    let mut btf = object.btf.take().unwrap_or_default();
    btf.sanitize_names();
    // libbpf finds the symbol of a variable by the name that its type bears.
    for symbol in object.data.iter_mut().flat_map(|data| &mut data.symbols).filter(|s| !is_identifier(&s.name)) {
        symbol.name = identifier(&symbol.name);
    }
    keep_sections(&mut btf, object);
    add_functions(&mut btf, object);
    complete_lines(object);
    object.btf = Some(btf);
}

/// Whether libbpf cannot load the object without its own types: it resolves CO-RE relocations and externs by them.
fn needs_types(object: &Object) -> bool {
    !object.externs.is_empty() || object.functions.iter().any(|f| !f.core.is_empty())
}

fn forget_types(object: &mut Object) {
    object.btf = None;
    for function in &mut object.functions {
        (function.func_type, function.lines) = (None, Vec::new());
    }
    for map in &mut object.maps {
        for shape in std::iter::once(&mut map.shape).chain(&mut map.inner) {
            (shape.key_type, shape.value_type) = (None, None);
        }
    }
}

/// Retires the DATASECs of sections that are not there any more, and of externs that nothing asks for.
fn keep_sections(btf: &mut Btf, object: &mut Object) {
    let data: HashSet<&str> = object.data.iter().map(|data| data.name.as_str()).collect();
    let mut gone = Vec::new();
    let mut seen = HashSet::new();
    for (id, t) in btf.types().filter(|(_, t)| t.kind == kind::DATASEC) {
        let name = btf.text(t.name);
        let keep = data.contains(name) || name == ".maps" || EXTERN_SECTIONS.contains(&name);
        if !keep || !seen.insert(name.to_string()) {
            gone.push(id);
        }
    }
    gone.into_iter().for_each(|id| btf.retire(id));
    let wanted: HashSet<&str> = object.externs.iter().map(|e| e.name.as_str()).collect();
    for section in EXTERN_SECTIONS {
        let Some((id, variables)) = btf.section(section) else { continue };
        let (left, dropped): (Vec<_>, Vec<_>) =
            variables.into_iter().partition(|v| wanted.contains(btf.name(v.type_id)));
        dropped.iter().for_each(|variable| disown(btf, variable.type_id));
        match left.is_empty() {
            true => btf.retire(id),
            false => btf.set_section(Some(id), section, 0, &left),
        }
    }
}

/// Makes an extern that no section lists an ordinary declaration: the kernel refuses the linkage of an extern, and
/// parameters without names in all but externs.
fn disown(btf: &mut Btf, id: u32) {
    match btf.get(id).map(|t| t.kind) {
        Some(kind::FUNC) => {
            let int = btf.add_int("int", 4, true);
            let proto = btf.add(kind::FUNC_PROTO, "", 0, int, Vec::new());
            if let Some(t) = btf.get_mut(id) {
                (t.vlen, t.size_or_type) = (FUNC_STATIC, proto);
            }
        }
        Some(kind::VAR) => {
            if let Some(t) = btf.get_mut(id) {
                t.tail = vec![0];
            }
        }
        _ => {}
    }
}

/// Gives every function a type that bears its name. One that has none is taken for `int f(struct xdp_md *)`
/// where it is a program, else for `int f()`: the kernel reads no more of a static function's type.
fn add_functions(btf: &mut Btf, object: &mut Object) {
    let mut used = HashSet::new();
    let (mut subprogram, mut program) = (None, None);
    for function in &mut object.functions {
        let own = function.func_type.filter(|id| used.insert(*id));
        let shared = function.func_type.and_then(|id| btf.get(id)).map(|t| (t.vlen, t.size_or_type));
        function.func_type = Some(match (own, shared) {
            (Some(id), _) => {
                btf.rename(id, &function.name);
                id
            }
            (None, Some((linkage, proto))) => btf.add(kind::FUNC, &function.name, linkage, proto, Vec::new()),
            (None, None) => {
                let proto = match function.section == TEXT {
                    true => *subprogram.get_or_insert_with(|| btf.add_prototype(&[])),
                    false => *program.get_or_insert_with(|| {
                        let context = context_pointer(btf);
                        btf.add_prototype(&[("ctx", context)])
                    }),
                };
                btf.add(kind::FUNC, &function.name, FUNC_STATIC, proto, Vec::new())
            }
        });
    }
}

/// The id of `struct xdp_md *`, made where it is missing.
pub(crate) fn context_pointer(btf: &mut Btf) -> u32 {
    let context = btf.types().find(|(id, t)| t.kind == kind::STRUCT && btf.name(*id) == "xdp_md").map(|(id, _)| id);
    let context = context.unwrap_or_else(|| btf.add(kind::FWD, "xdp_md", 0, 0, Vec::new()));
    let pointer = btf.types().find(|(_, t)| t.kind == kind::PTR && t.size_or_type == context).map(|(id, _)| id);
    pointer.unwrap_or_else(|| btf.add(kind::PTR, "", 0, context, Vec::new()))
}

/// The kernel wants a line at the first instruction of every function, or none at all.
fn complete_lines(object: &mut Object) {
    if object.functions.iter().all(|f| f.lines.is_empty()) {
        return;
    }
    let file = object.functions.iter().flat_map(|f| &f.lines).map(|l| l.file).next().unwrap_or(0);
    for function in &mut object.functions {
        if function.lines.first().is_none_or(|line| line.insn != 0) {
            function.lines.insert(0, Line { insn: 0, file, text: 0, position: 0 });
        }
    }
}

/// libbpf resolves an extern by its BTF: without, nobody knows whether it is a kernel function or a library's.
pub(super) fn check_externs(object: &Object) -> Result<()> {
    let mut known = HashSet::new();
    if let Some(btf) = &object.btf {
        let sections = EXTERN_SECTIONS.iter().filter_map(|section| btf.section(section));
        known.extend(sections.flat_map(|(_, variables)| variables).map(|v| btf.name(v.type_id)));
    }
    match object.externs.iter().find(|e| !known.contains(e.name.as_str())) {
        None => Ok(()),
        Some(missing) => Err(Error::usage(format!("the object calls {}, which is not in it", missing.name))
            .cause("no BTF says that it is the kernel's: it is a library function that was not compiled in, or the object was stripped")
            .mend("compile with `-g`, and make the function `static inline`")),
    }
}
