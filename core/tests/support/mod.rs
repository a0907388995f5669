//! Small C sources of our own become objects, and objects become what older compilers made.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the sources.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("core/tests/objects")
}

/// Compiles `core/tests/objects/NAME.c`, with BTF.
pub(crate) fn compile(name: &str) -> Vec<u8> {
    compile_with(name, &["-g"])
}

/// Compiles it with these options.
pub(crate) fn compile_with(name: &str, options: &[&str]) -> Vec<u8> {
    let source = folder().join(format!("{name}.c"));
    let output = Command::new(clang())
        .args(["-O2", "-target", "bpf", "-Wall", "-Werror", "-c", "-o", "/dev/stdout"])
        .args(options)
        .arg(&source)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn clang() -> String {
    let works = |name: &String| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    let names = ["clang-19".to_owned(), "clang".to_owned()];
    names.into_iter().chain((11..40).rev().map(|n| format!("clang-{n}"))).find(works).expect("clang is installed")
}

/// Offset and size of a section's bytes.
fn section(elf: &[u8], name: &str) -> std::ops::Range<usize> {
    sections(elf).into_iter().find(|(found, _)| found == name).expect("the section is there").1
}

/// Makes every symbol one without a type, as LLVM did before version 7.
pub(crate) fn without_symbol_types(mut elf: Vec<u8>) -> Vec<u8> {
    const FUNCTION: u8 = 2;
    const OBJECT: u8 = 1;
    for symbol in section(&elf, ".symtab").step_by(24) {
        if matches!(elf[symbol + 4] & 15, FUNCTION | OBJECT) {
            elf[symbol + 4] &= 0xf0;
        }
    }
    elf
}

/// Makes the first integer of the BTF one that no kernel takes: 200 bits wide, in 25 bytes.
pub(crate) fn with_rejected_btf(mut elf: Vec<u8>) -> Vec<u8> {
    let btf = section(&elf, ".BTF");
    let header = u32_at(&elf, btf.start + 4) as usize;
    let mut at = btf.start + header + u32_at(&elf, btf.start + 8) as usize;
    const INT: u32 = 1;
    while (u32_at(&elf, at + 4) >> 24) & 31 != INT {
        let info = u32_at(&elf, at + 4);
        let count = (info & 0xffff) as usize;
        at += 12
            + match (info >> 24) & 31 {
                3 => 12,
                4 | 5 | 15 | 19 => 12 * count,
                6 | 13 => 8 * count,
                14 | 17 => 4,
                _ => 0,
            };
    }
    elf[at + 8..at + 12].copy_from_slice(&25u32.to_le_bytes());
    elf[at + 12..at + 16].copy_from_slice(&200u32.to_le_bytes());
    elf
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()).into()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

fn sections(elf: &[u8]) -> Vec<(String, std::ops::Range<usize>)> {
    let (table, size, count) = (u64_at(elf, 40), u16_at(elf, 58), u16_at(elf, 60));
    let header = |index: usize| table + index * size;
    let names = u64_at(elf, header(u16_at(elf, 62)) + 24);
    let name = |at: usize| {
        let text = &elf[names + at..];
        String::from_utf8_lossy(&text[..text.iter().position(|byte| *byte == 0).unwrap()]).into_owned()
    };
    let range = |at: usize| u64_at(elf, at + 24)..u64_at(elf, at + 24) + u64_at(elf, at + 32);
    (0..count).map(header).map(|at| (name(u32_at(elf, at) as usize), range(at))).collect()
}
