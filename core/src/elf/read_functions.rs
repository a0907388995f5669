//! Functions: where they begin and end, and what their instructions refer to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::budget::Budget;
use super::file::{File, Relocation, Symbol, section_flag, section_type, symbol_type};
use super::read::Layout;
use crate::asm::{INSN_SIZE, Insn, decode_all};
use crate::error::Result;
use crate::object::{Function, FunctionId, Object, Reference, Target};

/// Functions by section index and instruction index.
#[derive(Default)]
pub(super) struct FunctionTable {
    by_start: BTreeMap<(usize, usize), (FunctionId, usize)>,
}

impl FunctionTable {
    /// The function that begins at this place.
    pub(super) fn at(&self, section: usize, insn: usize) -> Option<FunctionId> {
        self.by_start.get(&(section, insn)).map(|(id, _)| *id)
    }

    /// The function that covers this place, and the index within it.
    pub(super) fn covering(&self, section: usize, insn: usize) -> Option<(FunctionId, usize)> {
        let ((found, start), (id, len)) = self.by_start.range(..=(section, insn)).next_back()?;
        (*found == section && insn - start < *len).then(|| (*id, insn - start))
    }
}

pub(super) fn is_code(section: &super::Section<'_>) -> bool {
    section.kind == section_type::PROGBITS && section.flags & section_flag::EXEC != 0 && !section.data.is_empty()
}

/// The instructions of one section, with the relocations that patch them.
struct Code {
    section: usize,
    insns: Vec<Insn>,
    relocations: HashMap<usize, Relocation>,
}

/// Reads all functions into the object.
///
/// # Errors
/// There are more functions than the file has room for.
pub(super) fn read(
    file: &File<'_>,
    object: &mut Object,
    layout: &Layout,
    budget: &mut Budget,
) -> Result<FunctionTable> {
    let codes: Vec<Code> =
        (0..file.sections.len()).filter(|i| is_code(&file.sections[*i])).map(|i| code(file, i)).collect();
    let starts = starts(file, &codes);
    let mut table = FunctionTable::default();
    for code in &codes {
        let symbols = symbols(file, code.section);
        let begins: Vec<usize> = starts.get(&code.section).into_iter().flatten().copied().collect();
        for (at, start) in begins.iter().enumerate() {
            let end = begins.get(at + 1).copied().unwrap_or(code.insns.len());
            let function = function(file, code, symbols.get(start).copied(), *start, end);
            budget.take(size_of::<Function>() + function.name.len() + function.section.len())?;
            table.by_start.insert((code.section, *start), (FunctionId(object.functions.len()), function.code.len()));
            object.functions.push(function);
        }
    }
    for code in &codes {
        resolve(file, object, layout, &table, code);
    }
    Ok(table)
}

fn code(file: &File<'_>, section: usize) -> Code {
    let relocations = file.relocations(section);
    let relocations = relocations.into_iter().map(|r| ((r.offset / INSN_SIZE as u64) as usize, r)).collect();
    Code { section, insns: decode_all(file.sections[section].data), relocations }
}

/// The symbols that name functions of a section, by instruction index.
///
/// Compilers before LLVM 9 gave functions no type; then every global symbol is one, since labels are local.
fn symbols<'f>(file: &'f File<'_>, section: usize) -> BTreeMap<usize, &'f Symbol<'f>> {
    let typed = file.symbols_of(section).any(|s| s.kind == symbol_type::FUNC);
    let mut out: BTreeMap<usize, &Symbol<'_>> = BTreeMap::new();
    for symbol in file.symbols_of(section) {
        let is_function = match typed {
            true => symbol.kind == symbol_type::FUNC,
            false => symbol.kind == symbol_type::NOTYPE && symbol.is_global(),
        };
        if is_function {
            let slot = out.entry((symbol.value / INSN_SIZE as u64) as usize).or_insert(symbol);
            if symbol.is_global() && !slot.is_global() {
                *slot = symbol;
            }
        }
    }
    out
}

/// Where functions begin: at symbols, and wherever code calls or takes an address.
fn starts(file: &File<'_>, codes: &[Code]) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut starts: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for code in codes {
        let own = starts.entry(code.section).or_default();
        own.insert(0);
        own.extend(symbols(file, code.section).into_keys());
        for (index, insn) in code.insns.iter().enumerate() {
            if let Some((section, target)) = code_target(file, code, index, *insn) {
                starts.entry(section).or_default().insert(target);
            }
        }
    }
    for code in codes {
        if let Some(own) = starts.get_mut(&code.section) {
            own.retain(|start| *start < code.insns.len());
        }
    }
    starts
}

/// Section and instruction index of the function that an instruction refers to.
fn code_target(file: &File<'_>, code: &Code, index: usize, insn: Insn) -> Option<(usize, usize)> {
    let symbol = code.relocations.get(&index).and_then(|r| file.symbols.get(r.symbol));
    let imm = i64::from(insn.imm);
    let (section, target) = match symbol {
        Some(symbol) => {
            if !file.sections.get(symbol.section).is_some_and(is_code) {
                return None;
            }
            let base = i64::try_from(symbol.value).ok()?;
            let target = match insn {
                _ if insn.is_function_call() => base / INSN_SIZE as i64 + imm + 1,
                _ if insn.is_wide_load() => base.checked_add(imm)? / INSN_SIZE as i64,
                _ => return None,
            };
            (symbol.section, target)
        }
        None if insn.is_function_call() => (code.section, index as i64 + imm + 1),
        None => return None,
    };
    Some((section, usize::try_from(target).ok()?))
}

fn function(file: &File<'_>, code: &Code, symbol: Option<&Symbol<'_>>, start: usize, end: usize) -> Function {
    let section = file.sections[code.section].name;
    let size = symbol.map_or(0, |s| s.size as usize / INSN_SIZE);
    let end = if size > 0 { end.min(start.saturating_add(size)) } else { end };
    let name = match symbol {
        Some(symbol) => symbol.name.to_string(),
        None => format!("{}_{start}", crate::btf::identifier(section.trim_matches('.'))),
    };
    Function {
        name,
        section: section.to_string(),
        start,
        global: symbol.is_some_and(Symbol::is_global),
        hidden: symbol.is_some_and(|s| matches!(s.other & 3, 1 | 2)),
        code: code.insns[start..end].to_vec(),
        references: Vec::new(),
        func_type: None,
        lines: Vec::new(),
        core: Vec::new(),
        broken: None,
    }
}

/// Turns relocations and relative calls of one section into references by name.
///
/// What leads nowhere breaks only the function that it stands in: another one may be wanted.
fn resolve(file: &File<'_>, object: &mut Object, layout: &Layout, table: &FunctionTable, code: &Code) {
    for (index, insn) in code.insns.iter().enumerate() {
        if !code.relocations.contains_key(&index) && !insn.is_function_call() {
            continue;
        }
        let Some((FunctionId(id), at)) = table.covering(code.section, index) else { continue };
        let function = &mut object.functions[id];
        let target = match target(file, layout, table, code, index) {
            Ok(target) => target,
            Err(why) => {
                function.broken.get_or_insert(format!("instruction {at} {why}"));
                continue;
            }
        };
        function.references.push(Reference { insn: at, target });
        match target {
            Target::Function(_) | Target::Extern(_) if insn.is_function_call() => function.code[at].imm = -1,
            Target::Map(_) | Target::Data(..) | Target::Function(_) => function.code[at].imm = 0,
            Target::Extern(_) => {}
        }
    }
}

fn target(
    file: &File<'_>,
    layout: &Layout,
    table: &FunctionTable,
    code: &Code,
    index: usize,
) -> std::result::Result<Target, String> {
    let insn = code.insns[index];
    if let Some((section, start)) = code_target(file, code, index, insn) {
        return table
            .at(section, start)
            .map(Target::Function)
            .ok_or_else(|| "calls a place where no function begins".to_string());
    }
    let relocation = code.relocations.get(&index).ok_or("calls a place outside of its section")?;
    if let Some(id) = layout.externs.get(&relocation.symbol) {
        return Ok(Target::Extern(*id));
    }
    if !insn.is_wide_load() {
        return Err("has a relocation, but neither calls nor loads an address".to_string());
    }
    let symbol = file.symbols.get(relocation.symbol).ok_or("refers to a symbol that is not there")?;
    let offset = symbol.value.wrapping_add(u64::from(insn.imm as u32));
    if let Some(id) = layout.data.get(&symbol.section) {
        return Ok(Target::Data(*id, offset as u32));
    }
    if let Some((id, start)) = layout.common.get(&relocation.symbol) {
        return Ok(Target::Data(*id, start.wrapping_add(insn.imm as u32)));
    }
    let name = file.sections.get(symbol.section).map_or("an unknown section", |s| s.name);
    if super::read_maps::is_map_section(name) {
        let exact = layout.maps.at(symbol.section, symbol.value).filter(|_| symbol.kind != symbol_type::SECTION);
        let map = exact.or_else(|| layout.maps.at(symbol.section, offset));
        return map.map(Target::Map).ok_or_else(|| match layout.maps.lost() {
            Some(why) => format!("uses map {}, but {why}", symbol.name),
            None => format!("refers to section {name} where no map begins"),
        });
    }
    Err(format!("refers to section {name}, which a program cannot use"))
}

#[cfg(test)]
mod tests {
    use crate::asm::{Insn, call, op};
    use crate::elf;
    use crate::made::{function, object};
    use crate::object::{DataId, FunctionId, Object, Target};

    fn again(object: &Object) -> Object {
        elf::read(&elf::write(object)).unwrap().0
    }

    #[test]
    fn relative_calls_begin_functions_that_have_no_symbol() {
        let exit = Insn::new(op::EXIT, 0, 0, 0, 0);
        let mut main = function("main", "xdp", &[]);
        main.code = vec![Insn::new(op::CALL, 0, call::FUNCTION, 0, 1), exit, Insn::default(), exit];
        let read = again(&object(vec![main]));
        let places: Vec<_> = read.functions.iter().map(|f| (f.name.as_str(), f.start, f.code.len())).collect();
        assert_eq!(places, [("main", 0, 2), ("xdp_2", 2, 2)]);
        assert_eq!(read.functions[0].references[0].target, Target::Function(FunctionId(1)));
    }

    #[test]
    fn a_call_that_leads_nowhere_breaks_only_its_function() {
        let mut bad = function("bad", "xdp", &[]);
        bad.code[0] = Insn::new(op::CALL, 0, call::FUNCTION, 0, 100);
        let read = again(&object(vec![bad, function("good", "prog", &[])]));
        assert!(read.functions[0].broken.as_ref().is_some_and(|why| why.starts_with("instruction 0 calls a place")));
        assert_eq!(read.functions[1].broken, None);
    }

    #[test]
    fn a_load_from_a_section_that_holds_no_data_is_told() {
        let mut all = object(vec![function("main", "xdp", &[Target::Data(DataId(0), 0)])]);
        let content = crate::object::Content::Bytes(vec![0; 4]);
        let name = ".debug_info".to_string();
        all.data.push(crate::object::Data { name, writable: false, align: 1, content, symbols: Vec::new() });
        let read = again(&all);
        let why = "instruction 0 refers to section .debug_info, which a program cannot use";
        assert_eq!(read.functions[0].broken.as_deref(), Some(why));
    }
}
