//! Every kind of object that people have: what libbpf says of it, and that it runs as its author meant once it is
//! modernized, wrapped or not. Needs root and clang. One source a kind, in `core/tests/objects`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "../../../core/tests/support/mod.rs"]
mod support;

use support::{compile, compile_with};
use xdpilot_core::link::{self, COUNTS};
use xdpilot_core::modernize::{Choice, Machine, Modern, Options, modernize};
use xdpilot_kernel::load::{Loaded, Request, load};
use xdpilot_kernel::test_run::{self, TestRun};

/// What libbpf does with the object as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
    Loads,
    Refused,
    /// It loads, but only as a program for entries of maps: neither interfaces nor test runs take it.
    NotHere,
}
use Plain::{Loads, NotHere, Refused};

const DROP: u32 = 1;
const PASS: u32 = 2;
const TX: u32 = 3;

fn machine() -> Machine {
    let possible_cpus = xdpilot_kernel::machine::possible_cpus().unwrap() as u32;
    Machine { possible_cpus, interface_map_limit: 1024 }
}

fn modern(elf: &[u8], program: Option<&str>, rebuild_btf: bool) -> Modern {
    let (object, notes) = xdpilot_core::elf::read(elf).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    let choice = Choice { program: program.map(str::to_owned), ..Choice::default() };
    modernize(object, &Options { choice, machine: machine(), rebuild_btf, ..Options::default() }).unwrap()
}

fn load_elf(elf: &[u8], entry: &str) -> Result<Loaded, String> {
    load(&Request { elf, name: "test", entry, ..Request::default() }).map_err(|e| format!("{}\n{}", e.error, e.log))
}

fn load_modern(modern: &Modern) -> Loaded {
    let entry = modern.object.function(modern.entry).name.clone();
    let programs: Vec<String> =
        modern.object.functions.iter().filter(|f| f.section != ".text").map(|f| f.name.clone()).collect();
    let also: Vec<&str> = programs.iter().map(String::as_str).filter(|name| *name != entry).collect();
    let elf = xdpilot_core::elf::write(&modern.object);
    let request = Request { elf: &elf, name: "test", entry: &entry, also: &also, ..Request::default() };
    load(&request).unwrap_or_else(|e| panic!("{}\n{}", e.error, e.log))
}

fn run(loaded: &Loaded) -> u32 {
    try_run(loaded).unwrap()
}

fn try_run(loaded: &Loaded) -> xdpilot_core::error::Result<u32> {
    let test = TestRun { packet: &[0; 64], ingress_ifindex: 0, rx_queue: 0, repeat: 1 };
    test_run::run(loaded.entry(), &test).map(|result| result.verdict)
}

/// The whole proof for one object; gives the unwrapped one after one run.
fn prove(elf: &[u8], entry: &str, plain: Plain, verdict: u32) -> Loaded {
    prove_with(elf, entry, plain, verdict, None, false)
}

fn prove_with(elf: &[u8], entry: &str, plain: Plain, verdict: u32, program: Option<&str>, rebuild: bool) -> Loaded {
    match load_elf(elf, entry) {
        Ok(loaded) if plain == NotHere => assert!(try_run(&loaded).is_err()),
        Ok(loaded) => assert_eq!((plain, run(&loaded)), (Loads, verdict), "as it is"),
        Err(error) => assert_eq!(plain, Refused, "{error}"),
    }
    let mut modern = modern(elf, program, rebuild);
    let bare = load_modern(&modern);
    assert_eq!(run(&bare), verdict, "modernized");
    assert_eq!(bare.info().name, entry.trim_start_matches('.'), "name");
    link::wrap(&mut modern);
    let wrapped = load_modern(&modern);
    assert_eq!(run(&wrapped), verdict, "wrapped");
    let counts = wrapped.map(COUNTS).unwrap();
    for key in 0..6 {
        let wanted = if key == verdict { [1, 64] } else { [0, 0] };
        assert_eq!(counts.sum_per_cpu(key).unwrap(), wanted, "count of verdict {key}");
    }
    bare
}

fn hits(loaded: &Loaded, map: &str) -> u64 {
    u64::from_ne_bytes(loaded.map(map).unwrap().first().unwrap()[..8].try_into().unwrap())
}

#[test]
fn entries_without_section() {
    prove(&compile("text_entry"), "main", Refused, DROP);
    prove(&compile("text_entry_with_callee"), "dropper", Refused, DROP);
}

#[test]
fn sections_of_free_names() {
    for name in ["dropper_main", "prog", "xdp_drop_func", "slash_numbers", "from_netdev"] {
        prove(&compile(&format!("section_{name}")), "entry", Loads, DROP);
    }
}

#[test]
fn several_programs_in_one_section() {
    let elf = compile("several_in_section");
    for (program, verdict) in [("first", PASS), ("second", DROP), ("third", TX)] {
        prove_with(&elf, program, Loads, verdict, Some(program), false);
    }
}

#[test]
fn static_entry() {
    prove(&compile("static_entry"), "entry", Refused, DROP);
}

#[test]
fn symbols_without_type() {
    prove(&support::without_symbol_types(compile_with("plain", &[])), "entry", Refused, DROP);
    let loaded = prove(&support::without_symbol_types(compile_with("legacy_20", &[])), "entry", Refused, DROP);
    assert_eq!(hits(&loaded, "hits"), 1);
}

#[test]
fn no_license_and_no_btf() {
    prove(&compile("no_license"), "entry", Loads, DROP);
    prove(&compile_with("plain", &[]), "entry", Loads, DROP);
}

#[test]
fn btf_that_the_kernel_rejects() {
    let elf = support::with_rejected_btf(compile("array_map"));
    for rebuild in [false, true] {
        let loaded = prove_with(&elf, "entry", Loads, DROP, None, rebuild);
        assert_eq!(hits(&loaded, "hits"), 1);
    }
    // A tail call out of a subprogram needs BTF.
    let elf = support::with_rejected_btf(compile("static_prog_array"));
    prove_with(&elf, "entry", Refused, DROP, None, true);
}

#[test]
fn legacy_maps_of_all_sizes() {
    for name in ["legacy_16", "legacy_20", "legacy_24", "legacy_28", "legacy_40", "legacy_padded"] {
        for options in [&["-g"][..], &[]] {
            let loaded = prove(&compile_with(name, options), "entry", Refused, DROP);
            assert_eq!(hits(&loaded, "hits"), 1, "{name}");
            let other = loaded.map("other").unwrap();
            assert_eq!(other.lookup(&7u32.to_ne_bytes()).unwrap(), Some(3u64.to_ne_bytes().to_vec()), "{name}");
        }
    }
}

#[test]
fn iproute2_maps() {
    use xdpilot_core::object::Pinning;
    let elf = compile("iproute2_pinning");
    let modern = modern(&elf, None, false);
    let pinning = |name: &str| modern.object.maps.iter().find(|m| m.name == name).unwrap().pinning.clone();
    assert_eq!([pinning("hits"), pinning("mine"), pinning("ours")], [Pinning::None, Pinning::Object, Pinning::Global]);
    let loaded = prove(&elf, "entry", Refused, DROP);
    assert_eq!(["hits", "mine", "ours"].map(|map| hits(&loaded, map)), [1, 1, 1]);
    let loaded = prove(&compile("iproute2_map_in_map"), "entry", Refused, DROP);
    assert_eq!(hits(&loaded, "inner"), 1);
    prove(&compile("iproute2_tail_calls"), "entry", Refused, DROP);
}

#[test]
fn maps_without_size_or_too_large() {
    prove(&compile("perf_without_size"), "entry", Refused, DROP);
    prove(&compile("perf_without_size_btf"), "entry", Loads, DROP);
    prove(&compile("percpu_without_size"), "entry", Refused, DROP);
    prove(&compile("cpumap_too_large"), "entry", Refused, DROP);
    prove(&compile("devmap_hash_too_large"), "entry", Refused, DROP);
    for name in ["devmap_too_large", "xskmap_too_large"] {
        let loaded = prove(&compile(name), "entry", Loads, DROP);
        assert_eq!(loaded.map("ports").unwrap().info().max_entries, machine().interface_map_limit);
    }
}

#[test]
fn static_values() {
    prove(&compile("static_prog_array"), "entry", Refused, DROP);
    let loaded = prove(&compile("static_map_in_map"), "entry", Loads, DROP);
    assert_eq!(hits(&loaded, "inner"), 1);
}

#[test]
fn modern_things() {
    for name in ["core", "kfuncs", "kconfig", "global_data", "ringbuf", "timer", "spin_lock"] {
        prove(&compile(name), "entry", Loads, DROP);
    }
    prove(&compile("rodata_str"), "entry", Loads, DROP);
    prove(&compile("data_of_free_name"), "entry", Refused, DROP);
}

#[test]
fn places_and_types() {
    prove(&compile("frags"), "entry", Loads, PASS);
    for name in ["devmap_program", "cpumap_program"] {
        prove(&compile(name), "entry", NotHere, DROP);
    }
    prove(&compile("several_types"), "entry", Loads, DROP);
}
