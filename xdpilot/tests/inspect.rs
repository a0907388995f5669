//! `xdpilot inspect` against what LLVM's tools say of the same object.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use xdpilot::inspect::{Report, inspect};

const SOURCE: &str = r#"
#define SEC(name) __attribute__((section(name), used))
struct xdp_md { unsigned data, data_end; };
struct { int (*type)[6]; int (*max_entries)[4]; unsigned *key; long long *value; } counts SEC(".maps");
static void *(*lookup)(void *map, const void *key) = (void *)1;
int seen;
static __attribute__((noinline)) int verdict(int n) { return n > 3 ? 1 : 2; }
SEC("xdp") int filter(struct xdp_md *ctx) {
    unsigned zero = 0;
    long long *count = lookup(&counts, &zero);
    if (count) *count += 1;
    seen = 7;
    return verdict(ctx->data_end - ctx->data);
}
SEC("tc") int other(void *ctx) { return 0; }
char _license[] SEC("license") = "Dual MIT/GPL";
"#;

fn output(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(args).arg(file).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn compile(folder: &TempDir, source: &str) -> PathBuf {
    let (input, object) = (folder.path().join("a.c"), folder.path().join("a.o"));
    fs::write(&input, source).unwrap();
    output("clang-19", &["-target", "bpf", "-O2", "-g", "-c", "-o", object.to_str().unwrap()], &input);
    object
}

fn report(object: &Path, disasm: bool) -> Report {
    inspect("a.o", &fs::read(object).unwrap(), disasm).unwrap()
}

#[test]
fn sections_and_symbols_are_those_of_readelf() {
    let folder = TempDir::new().unwrap();
    let object = compile(&folder, SOURCE);
    let report = report(&object, false);
    let json: Value =
        serde_json::from_str(&output("llvm-readelf-19", &["--elf-output-style=JSON", "-S", "-s"], &object)).unwrap();
    let theirs = |table: &str| json[0][table].as_array().unwrap().clone();

    let sections = theirs("Sections");
    assert_eq!(sections.len(), report.sections.len());
    for (theirs, ours) in sections.iter().zip(&report.sections) {
        let section = &theirs["Section"];
        assert_eq!(section["Name"]["Name"], *ours.name);
        assert_eq!(section["Type"]["Name"].as_str().unwrap(), format!("SHT_{}", ours.kind));
        assert_eq!(section["Size"], ours.size);
        let flag = |name: &str| section["Flags"]["Flags"].as_array().unwrap().iter().any(|f| f["Name"] == name);
        for (name, letter) in [("SHF_WRITE", 'W'), ("SHF_ALLOC", 'A'), ("SHF_EXECINSTR", 'X')] {
            assert_eq!(flag(name), ours.flags.contains(letter), "{} {letter}", ours.name);
        }
    }
    let symbols = theirs("Symbols");
    assert_eq!(symbols.len() - 1, report.symbols.len());
    for (theirs, ours) in symbols.iter().skip(1).zip(&report.symbols) {
        let symbol = &theirs["Symbol"];
        assert_eq!((&symbol["Value"], &symbol["Size"]), (&ours.value.into(), &ours.size.into()));
        assert_eq!(symbol["Binding"]["Name"].as_str().unwrap().to_uppercase(), ours.binding);
        let kind = symbol["Type"]["Value"].as_u64().unwrap() as usize;
        assert_eq!(["NOTYPE", "OBJECT", "FUNC", "SECTION", "FILE"][kind], ours.kind, "{symbol}");
        assert!(ours.kind == "SECTION" || symbol["Name"]["Name"] == *ours.name, "{symbol}");
    }
}

#[test]
fn programs_maps_and_needs_are_those_of_the_source() {
    let folder = TempDir::new().unwrap();
    let report = report(&compile(&folder, SOURCE), false);
    assert_eq!(report.license.as_deref(), Some("Dual MIT/GPL"));
    assert!(report.btf && !report.core && report.obstacle.is_none());
    let [program] = &report.programs[..] else { panic!("{:?}", report.programs) };
    assert_eq!((&*program.name, &*program.section, program.chosen), ("filter", "xdp", true));
    let size = report.symbols.iter().find(|symbol| symbol.name == "filter").unwrap().size;
    assert_eq!(program.instructions as u64 * 8, size);
    let [map] = &report.maps[..] else { panic!("{:?}", report.maps) };
    assert_eq!((&*map.name, &*map.kind, &*map.declared), ("counts", "percpu_array", "BTF"));
    assert_eq!((map.key_size, map.value_size, map.max_entries), (4, 8, 4));
    let need = |what: &str| report.needs.iter().find(|need| need.what == what).and_then(|need| need.linux);
    assert_eq!(need("map type percpu_array"), Some("4.6"));
    assert_eq!(need("bpf_map_lookup_elem"), Some("3.19"));
    assert_eq!(need("BPF-to-BPF calls"), Some("4.16"));
    assert_eq!((need("global data"), report.linux), (Some("5.2"), "5.2"));
}

#[test]
fn several_programs_are_told_with_the_way_to_choose() {
    let folder = TempDir::new().unwrap();
    let source = SOURCE.replace("SEC(\"tc\")", "SEC(\"xdp/second\")");
    let report = report(&compile(&folder, &source), false);
    assert_eq!(report.programs.len(), 2);
    assert!(report.programs.iter().all(|program| !program.chosen));
    assert!(report.obstacle.unwrap().contains("--program filter"));
}

#[test]
fn instructions_have_names_and_source_lines() {
    let folder = TempDir::new().unwrap();
    let object = compile(&folder, SOURCE);
    let functions = report(&object, true).functions.unwrap();
    let filter = functions.iter().find(|function| function.name == "filter").unwrap();
    let has = |text: &str| filter.code.iter().any(|line| line.text == text);
    for text in ["r1 = map[counts]", "call bpf_map_lookup_elem#1", "call verdict", "r1 = map[.bss][0]+0 <seen>", "exit"]
    {
        assert!(has(text), "{text} is not in {:#?}", filter.code);
    }
    let line = 1 + SOURCE.lines().position(|line| line.contains("seen = 7")).unwrap();
    let source = filter.code.iter().find_map(|line| line.source.as_deref().filter(|s| s.starts_with("seen = 7;")));
    assert!(source.unwrap().ends_with(&format!("a.c:{line}")), "{source:?}");
}

#[test]
fn other_files_are_refused_in_words() {
    let error = inspect("x.o", b"#!/bin/sh\n", false).unwrap_err();
    assert_eq!(error.what(), "x.o: not an ELF file");
}

#[test]
fn newer_features_are_named_with_their_linux() {
    let folder = TempDir::new().unwrap();
    let source = r#"
#define SEC(name) __attribute__((section(name), used))
struct xdp_md { unsigned data, data_end; };
struct task { int pid; } __attribute__((preserve_access_index));
struct { int (*type)[27]; int (*max_entries)[4096]; } events SEC(".maps");
struct { int (*type)[3]; int (*key_size)[4]; int (*value_size)[4]; int (*max_entries)[2]; } next SEC(".maps");
static long (*tail_call)(void *ctx, void *map, unsigned key) = (void *)12;
static long (*output)(void *map, void *data, long size, long flags) = (void *)130;
extern int a_kernel_function(struct xdp_md *ctx) __attribute__((section(".ksyms")));
static __attribute__((noinline)) int onward(struct xdp_md *ctx) { tail_call(ctx, &next, 1); return 2; }
SEC("xdp.frags") int entry(struct xdp_md *ctx) {
    struct task *task = (void *)(long)ctx->data;
    int pid = (void *)(task + 1) > (void *)(long)ctx->data_end ? 0 : task->pid;
    output(&events, &pid, 4, 0);
    return a_kernel_function(ctx) + onward(ctx);
}
"#;
    let report = report(&compile(&folder, source), true);
    assert!(report.core && report.license.is_none());
    let need = |what: &str| report.needs.iter().find(|need| need.what.starts_with(what)).map(|need| need.linux);
    assert_eq!(need("map type ringbuf"), Some(Some("5.8")));
    assert_eq!(need("bpf_ringbuf_output"), Some(Some("5.8")));
    assert_eq!(need("tail calls in subprograms"), Some(Some("5.10")));
    assert_eq!(need("packets of several buffers"), Some(Some("5.18")));
    assert_eq!(need("kernel function a_kernel_function"), Some(None));
    assert_eq!(report.linux, "5.18");
    let code = &report.functions.as_ref().unwrap().iter().find(|function| function.name == "entry").unwrap().code;
    assert!(code.iter().any(|line| line.text == "call a_kernel_function"), "{code:#?}");
}
