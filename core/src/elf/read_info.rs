//! `.BTF.ext`: the types, source lines and CO-RE relocations of functions.

use std::collections::HashMap;

use super::file::File;
use super::read_functions::{FunctionTable, is_code};
use crate::asm::INSN_SIZE;
use crate::btf::{BtfExt, ExtSection, kind};
use crate::object::{CoreRelocation, FunctionId, Line, Object};

impl FunctionTable {
    /// Gives functions their types, lines and CO-RE relocations.
    pub(super) fn attach_info(&self, file: &File<'_>, object: &mut Object, ext: &BtfExt) {
        // The first section of a name is meant, as libbpf takes it.
        let names: HashMap<&str, usize> =
            file.sections.iter().enumerate().rev().filter(|(_, s)| is_code(s)).map(|(i, s)| (s.name, i)).collect();
        let index_of = |object: &Object, name: u32| names.get(object.btf.as_ref()?.text(name)).copied();
        fn records<const N: usize>(sections: &[ExtSection<N>]) -> impl Iterator<Item = (u32, usize, [u32; N])> {
            sections.iter().flat_map(|s| s.records.iter().map(|r| (s.name, r[0] as usize / INSN_SIZE, *r)))
        }
        let sections: HashMap<u32, usize> = ext
            .functions
            .iter()
            .map(|s| s.name)
            .chain(ext.lines.iter().chain(&ext.core).map(|s| s.name))
            .filter_map(|name| Some((name, index_of(object, name)?)))
            .collect();
        for (name, insn, [_, type_id]) in records(&ext.functions) {
            if let Some(FunctionId(id)) = sections.get(&name).and_then(|section| self.at(*section, insn)) {
                let is_function =
                    object.btf.as_ref().and_then(|b| b.get(type_id)).is_some_and(|t| t.kind == kind::FUNC);
                object.functions[id].func_type = is_function.then_some(type_id);
            }
        }
        for (name, insn, [_, file, text, position]) in records(&ext.lines) {
            if let Some((FunctionId(id), insn)) = sections.get(&name).and_then(|section| self.covering(*section, insn))
            {
                object.functions[id].lines.push(Line { insn, file, text, position });
            }
        }
        for (name, insn, [_, type_id, access, kind]) in records(&ext.core) {
            if let Some((FunctionId(id), insn)) = sections.get(&name).and_then(|section| self.covering(*section, insn))
            {
                object.functions[id].core.push(CoreRelocation { insn, type_id, access, kind });
            }
        }
        for function in &mut object.functions {
            function.lines.sort_by_key(|line| line.insn);
            function.lines.dedup_by_key(|line| line.insn);
            function.core.sort_by_key(|relocation| relocation.insn);
        }
    }
}
