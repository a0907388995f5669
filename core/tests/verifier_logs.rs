//! Real logs of programs that do not load: the telling line, its instruction and source line, and the
//! diagnosis. `verifier_logs/record.sh` made the logs on Linux 6.18 from the C files beside them.

use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use xdpilot_core::diagnose::{Facts, Source, Stage, diagnose, telling};

/// Name, row of the catalogue, telling line, instruction, line of the C file.
type Case = (&'static str, &'static str, &'static str, Option<usize>, Option<usize>);

const CASES: &[Case] = &[
    ("calls_too_deep", "E123", "the call stack of 9 frames is too deep", Some(42), Some(6)),
    (
        "co_re_missing",
        "D85",
        "failed to resolve CO-RE relocation <byte_off> [8] struct net_device.no_such_field (0:0 @ offset 0)",
        Some(1),
        Some(10),
    ),
    ("context_moved", "E118", "dereference of modified ctx ptr R1 off=4 disallowed", Some(1), Some(7)),
    ("context_outside", "E117", "invalid bpf_context access off=100 size=4", Some(0), Some(6)),
    ("context_write", "E117", "invalid bpf_context access off=0 size=4", Some(1), Some(6)),
    ("dynptr_uninitialised", "E138", "Expected an initialized dynptr as arg #2", Some(7), Some(8)),
    ("global_function_null", "E105", "R1 invalid mem access 'mem_or_null'", Some(7), Some(8)),
    ("helper_gpl", "E132", "cannot call GPL-restricted function from non-GPL compatible program", Some(3), Some(6)),
    (
        "helper_length_negative",
        "E108",
        "R4 min value is negative, either use unsigned or 'var &= const'",
        Some(8),
        Some(10),
    ),
    ("helper_length_unbounded", "E139", "R4 invalid zero-sized read: u64=[0,4294967295]", Some(4), Some(7)),
    ("helper_of_other_type", "E130", "program of this type cannot use helper bpf_skb_vlan_pop#19", Some(6), Some(8)),
    ("helper_unknown", "E131", "invalid func unknown#9999", Some(0), Some(7)),
    ("infinite_loop", "E122", "infinite loop detected at insn 0", Some(0), Some(6)),
    ("jump_out", "E127", "jump out of range from insn 0 to 101", Some(0), None),
    ("kfunc_missing_weak", "E128", "R0 !read_ok", Some(1), Some(8)),
    ("kfunc_of_other_type", "E133", "calling kernel function bpf_sock_destroy is not allowed", Some(0), Some(9)),
    ("lock_held_at_call", "E136", "function calls are not allowed while holding a lock", Some(11), Some(22)),
    (
        "lock_held_at_exit",
        "E137",
        "BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region",
        Some(15),
        Some(24),
    ),
    (
        "map_value_bounds",
        "E107",
        "R0 unbounded memory access, make sure to bounds check any such access",
        Some(13),
        Some(17),
    ),
    (
        "map_value_negative",
        "E102",
        "math between map_value pointer and register with unbounded min value is not allowed",
        Some(12),
        Some(20),
    ),
    ("map_value_null", "E104", "R0 invalid mem access 'map_value_or_null'", Some(7), Some(15)),
    ("map_value_off_by_one", "E109", "invalid access to map value, value_size=32 off=32 size=8", Some(10), Some(17)),
    ("metadata_kfunc", "D42", "metadata kfuncs require device-bound program", None, None),
    ("misaligned_stack", "E116", "misaligned stack access off 0+0+-12 size 8", Some(1), Some(6)),
    ("no_exit", "E126", "last insn is not an exit or jmp", None, None),
    ("no_return_value", "E128", "R0 !read_ok", Some(0), None),
    ("packet_big_offset", "E44", "invalid access to packet, off=0 size=1, R1(id=1,off=0,r=0)", Some(11), Some(13)),
    ("packet_bounds", "E44", "invalid access to packet, off=12 size=1, R1(id=0,off=12,r=0)", Some(1), Some(7)),
    ("packet_short_check", "E44", "invalid access to packet, off=23 size=1, R1(id=0,off=23,r=14)", Some(6), Some(10)),
    (
        "packet_unbounded_offset",
        "E101",
        "math between pkt pointer and register with unbounded min value is not allowed",
        Some(7),
        Some(10),
    ),
    ("pointer_32_bit", "E114", "R1 32-bit pointer arithmetic prohibited", Some(1), Some(6)),
    ("pointer_multiplied", "E114", "R1 pointer arithmetic with *= operator prohibited", Some(1), Some(6)),
    ("recursion", "E123", "the call stack of 9 frames is too deep", Some(9), Some(7)),
    ("register_unset", "E129", "R5 !read_ok", Some(0), Some(6)),
    (
        "scalar_as_key",
        "E140",
        "R2 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_",
        Some(3),
        Some(13),
    ),
    ("stack_of_two_calls", "E47", "combined stack size of 2 calls is 608. Too large", None, None),
    ("stack_variable_offset", "E112", "invalid unbounded variable-offset write to stack R2", Some(8), Some(7)),
    ("stack_write_outside", "E110", "invalid write to stack R10 off=-520 size=8", Some(1), Some(6)),
    ("stale_packet_pointer", "E103", "R6 invalid mem access 'scalar'", Some(11), Some(12)),
    ("too_large", "E45", "BPF program is too large. Processed 1000001 insn", Some(9), Some(7)),
    ("unreachable", "E125", "unreachable insn 1", Some(1), None),
    ("unreleased_reference", "E135", "Unreleased reference id=2 alloc_insn=11", Some(11), Some(7)),
    ("write_to_constant", "E119", "write into map forbidden, value_size=4 off=0 size=4", Some(3), Some(8)),
];

/// Name, row: what libbpf refuses before the verifier sees it.
const BEFORE_THE_VERIFIER: &[(&str, &str)] = &[
    ("kconfig_missing", "D84"),
    ("kfunc_incompatible", "D82"),
    ("kfunc_missing", "D81"),
    ("map_refused", "D86"),
    ("variable_ksym_missing", "D83"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier_logs")
}

fn read(name: &str, extension: &str) -> std::io::Result<String> {
    fs::read_to_string(folder().join(name).with_extension(extension))
}

#[test]
fn each_log_tells_its_line_instruction_and_source() {
    for (name, id, line, insn, source_line) in CASES {
        let log = read(name, "log").unwrap();
        let told = telling(&log).unwrap_or_else(|| panic!("{name}: no telling line"));
        assert_eq!(told.line, *line, "{name}");
        assert_eq!(told.insn, *insn, "{name}");
        let quoted = source_line.map(|number| {
            let text = read(name, "c").unwrap().lines().nth(number - 1).unwrap().trim().to_string();
            Source { text, place: Some((format!("{name}.c"), number)) }
        });
        assert_eq!(told.source, quoted, "{name}");
        let found = diagnose(Stage::Load, None, &log, &Facts::default()).map(|found| found.id);
        assert_eq!(found, Some(*id), "{name}");
    }
}

#[test]
fn what_libbpf_refuses_itself_is_diagnosed_though_no_verifier_spoke() {
    for (name, id) in BEFORE_THE_VERIFIER {
        let log = read(name, "log").unwrap();
        assert_eq!(telling(&log), None, "{name}");
        let found = diagnose(Stage::Load, None, &log, &Facts::default()).map(|found| found.id);
        assert_eq!(found, Some(*id), "{name}");
    }
}

#[test]
fn each_recorded_log_is_in_a_table() {
    let named: Vec<&str> =
        CASES.iter().map(|case| case.0).chain(BEFORE_THE_VERIFIER.iter().map(|case| case.0)).collect();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "c" || extension == "log") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(named.contains(&name), "{name} is in no table");
            assert!(path.with_extension("c").exists() && path.with_extension("log").exists(), "{name}");
        }
    }
}

/// Linux 5.4 prints no file and line, and all registers' states on lines of their own.
#[test]
fn a_log_of_an_old_kernel() {
    let log = "0: R1=ctx(id=0,off=0,imm=0) R10=fp0\n\
               ; void *data = (void *)(long)ctx->data;\n\
               0: (61) r1 = *(u32 *)(r1 +0)\n\
               1: R1_w=pkt(id=0,off=0,r=0,imm=0) R10=fp0\n\
               ; return eth->h_proto;\n\
               1: (71) r0 = *(u8 *)(r1 +13)\n\
               invalid access to packet, off=13 size=1, R1(id=0,off=13,r=0)\n\
               R1 offset is outside of the packet\n\
               verification time 34 usec\n\
               stack depth 0\n\
               processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n";
    let told = telling(log).unwrap();
    assert_eq!(told.line, "invalid access to packet, off=13 size=1, R1(id=0,off=13,r=0)");
    assert_eq!(told.insn, Some(1));
    assert_eq!(told.source, Some(Source { text: "return eth->h_proto;".to_string(), place: None }));
    assert!(told.to_string().ends_with("at instruction 1\nsource: return eth->h_proto;"), "{told}");
}

/// The report that Linux 7.3 adds behind the line that older kernels print too.
const REPORT: &str = "Verification failed: Register Type Safety: Unreadable register\n\
    \n\
    Reason:\n  R0 has never been initialized on this path, so the verifier cannot use it as an input.\n\
    \n\
    At:\n  insn 0\n        | ^-- error: R0 is not readable\n  Instruction context:\n  >>> 0 | (95) exit\n\
    \n\
    Causal path:\n  no retained diagnostic events on this path\n\
    \n\
    Suggestion:\n  Initialize R0 on every path before this instruction.\n\
    \n\
    processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n";

#[test]
fn a_report_of_a_new_kernel() {
    let told = telling(&format!("0: R1=ctx() R10=fp0\n0: (95) exit\nR0 !read_ok\n\n{REPORT}")).unwrap();
    assert_eq!((told.line.as_str(), told.insn), ("R0 !read_ok", Some(0)));
    assert_eq!(
        told.reason.as_deref(),
        Some("R0 has never been initialized on this path, so the verifier cannot use it as an input.")
    );
    assert_eq!(told.suggestion.as_deref(), Some("Initialize R0 on every path before this instruction."));
}

#[test]
fn a_report_of_an_error_that_no_row_knows_is_passed_on() {
    let report = REPORT.replace("Register Type Safety: Unreadable register", "Moon Phase: Not blue");
    let told = telling(&report).unwrap();
    assert_eq!((told.line.as_str(), told.insn), ("Verification failed: Moon Phase: Not blue", Some(0)));
    let found = diagnose(Stage::Load, Some(22), &report, &Facts::default()).unwrap();
    assert_eq!(found.id, "E0");
    assert_eq!((Some(found.cause), Some(found.mend)), (told.reason, told.suggestion));
}

#[test]
fn other_texts_are_no_verifier_logs() {
    for text in
        ["", "veth: Peer MTU is too large to set XDP", "libbpf: map 'm': failed to create: Invalid argument(-22)"]
    {
        assert_eq!(telling(text), None, "{text}");
    }
}

proptest! {
    /// A log that was cut, doubled or garbled anywhere tells something or nothing, and never panics.
    #[test]
    fn any_text_is_taken(cut in 0usize..2000, garble in "[0-9:;@ ()<>=R#.é\\n-]{0,40}") {
        let log = read("packet_short_check", "log").unwrap();
        let head: String = log.chars().take(cut).collect();
        let tail: String = log.chars().skip(cut).collect();
        for text in [&head, &tail, &format!("{head}{garble}{tail}"), &garble] {
            let told = telling(text);
            prop_assert!(told.is_none_or(|told| !told.line.is_empty()));
            let _ = diagnose(Stage::Load, None, text, &Facts::default());
        }
    }
}
