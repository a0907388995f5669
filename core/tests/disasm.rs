//! The disassembler against LLVM's: the same instructions, assembled and compiled by clang-19.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use xdpilot_core::asm::{self, Insn};
use xdpilot_core::elf;

/// A folder of this test alone, removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("xp{}{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn output(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(args).arg(file).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn compile(folder: &Folder, name: &str, source: &str) -> PathBuf {
    let (input, object) = (folder.0.join(name), folder.0.join("out.o"));
    fs::write(&input, source).unwrap();
    let args = [
        "-target",
        "bpf",
        "-mcpu=v4",
        "-Wno-unused-command-line-argument",
        "-O2",
        "-g",
        "-c",
        "-o",
        object.to_str().unwrap(),
    ];
    output("clang-19", &args, &input);
    object
}

/// LLVM's text of each instruction: the part behind the opcode, without the names of labels.
fn llvm(object: &Path) -> Vec<String> {
    let text = output("llvm-objdump-19", &["-d", "--mcpu=v4", "--no-show-raw-insn"], object);
    let lines = text.lines().filter_map(|line| {
        let (index, rest) = line.trim_start().split_once(":\t")?;
        index.parse::<usize>().ok()?;
        Some(rest.strip_suffix('>').and_then(|rest| rest.rsplit_once(" <")).map_or(rest, |(insn, _label)| insn))
    });
    lines.map(plain).collect()
}

/// Our text of each instruction of the file's code sections.
fn ours(object: &Path) -> Vec<String> {
    let bytes = fs::read(object).unwrap();
    let file = elf::File::parse(&bytes).unwrap();
    let mut out = Vec::new();
    for section in file.sections.iter().filter(|s| s.flags & elf::section_flag::EXEC != 0) {
        let code: Vec<Insn> = asm::decode_all(section.data);
        let mut index = 0;
        while let Some(insn) = code.get(index) {
            out.push(plain(&asm::text(*insn, code.get(index + 1).copied(), None)));
            index += if insn.is_wide_load() { 2 } else { 1 };
        }
    }
    out
}

/// What both mean, in one notation: numbers in decimal, no spaces, one word for jumps.
///
/// LLVM names the lower half of a register in narrow loads and stores; the kernel names the whole, for the same bytes.
fn plain(text: &str) -> String {
    let access = text.contains("*(") && !text.contains("lock") && !text.contains("atomic");
    let text = if access { text.replace('w', "r") } else { text.to_string() };
    let text = text.trim().trim_end_matches(" ll").replace("pc+", "+").replace("pc-", "-");
    let text = text.replace("atomic64_", "atomic_").replace(" + ", " +").replace(" - ", " -");
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        match end.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
            // The verifier prints the operand of a comparison as 32 bits without sign.
            Some(number) if number >> 31 == 1 => out += &i64::from(number as u32 as i32).to_string(),
            Some(number) => out += &number.to_string(),
            None => out += end,
        }
        out += &word[end.len()..];
    }
    out.replace([' ', '#'], "").replace("--", "-")
}

/// Every form of instruction that LLVM's assembler knows.
fn every_form() -> String {
    let mut lines: Vec<String> = Vec::new();
    for op in ["+=", "-=", "*=", "/=", "s/=", "%=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>=", "="] {
        for operand in ["r3", "7", "-8"] {
            let operand = if op.ends_with(">>=") || op == "<<=" { operand.trim_start_matches('-') } else { operand };
            lines.push(format!("r1 {op} {operand}"));
            lines.push(format!("w1 {op} {}", operand.replace('r', "w")));
        }
    }
    for insn in ["r1 = -r1", "w1 = -w1", "r1 = 0x1122334455667788 ll", "exit", "gotol 700"] {
        lines.push(insn.to_string());
    }
    for bits in [16, 32, 64] {
        lines.extend(["be", "le", "bswap"].map(|order| format!("r5 = {order}{bits} r5")));
    }
    for bits in [8, 16, 32] {
        lines.extend([format!("r1 = (s{bits})r2"), format!("r1 = *(s{bits} *)(r2 - 8)")]);
    }
    lines.extend([8, 16].map(|bits| format!("w1 = (s{bits})w2")));
    for bits in [8, 16, 32, 64] {
        lines.extend([format!("r1 = *(u{bits} *)(r2 + 4)"), format!("*(u{bits} *)(r10 - 8) = 5")]);
        lines.push(format!("*(u{bits} *)(r10 - 8) = {}2", if bits == 64 { 'r' } else { 'w' }));
    }
    for (bits, letter) in [(32, 'w'), (64, 'r')] {
        for (op, word) in [("+", "add"), ("|", "or"), ("&", "and"), ("^", "xor")] {
            lines.push(format!("lock *(u{bits} *)(r1 + 16) {op}= {letter}2"));
            lines.push(format!("{letter}2 = atomic_fetch_{word}((u{bits} *)(r1 + 16), {letter}2)"));
        }
    }
    for op in ["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"] {
        for operand in ["r3", "4", "-4"] {
            lines.push(format!("if r1 {op} {operand} goto +1"));
            lines.push(format!("if w1 {op} {} goto -3", operand.replace('r', "w")));
        }
    }
    lines.extend(["goto +2", "goto -2"].map(String::from));
    lines.join("\n")
}

#[test]
fn every_assembled_instruction_reads_as_llvm_reads_it() {
    let folder = Folder::new("asm");
    let source = format!(".section xdp,\"ax\"\nf:\n{}\n", every_form());
    let object = compile(&folder, "every.s", &source);
    let (ours, llvm) = (ours(&object), llvm(&object));
    assert_eq!(ours.len(), every_form().lines().count());
    for (at, (ours, llvm)) in ours.iter().zip(&llvm).enumerate() {
        assert_eq!(ours, llvm, "line {at}: {}", every_form().lines().nth(at).unwrap());
    }
    assert_eq!(ours.len(), llvm.len());
}

#[test]
fn compiled_code_reads_as_llvm_reads_it() {
    let source = "
        struct ctx { unsigned data, data_end; };
        static __attribute__((noinline)) int odd(unsigned char *p, int n) {
            int sum = 0;
            for (int i = 0; i < n && i < 64; i++) sum += (signed char)p[i] * 3 / 7;
            return sum % 5;
        }
        __attribute__((section(\"xdp\"), used)) int prog(struct ctx *c) {
            unsigned char *p = (void *)(long)c->data, *e = (void *)(long)c->data_end;
            long long total = 0;
            if (p + 64 > e) return 1;
            __sync_fetch_and_add(&total, 3);
            switch (odd(p, p[3])) { case 0: return 2; case 1: return __builtin_bswap32(*(unsigned *)p); case 3: return 7; }
            return (int)total;
        }
        ";
    let folder = Folder::new("c");
    let object = compile(&folder, "compiled.c", source);
    let ours = ours(&object);
    assert!(ours.len() > 30);
    assert_eq!(ours, llvm(&object));
}
