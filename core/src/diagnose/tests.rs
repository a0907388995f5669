//! Every row of the catalogue is recognised by a text as people met it, and by no other row before it.

use super::Stage::{Attach, Compile, Detach, Load, Run};
use super::*;
use std::collections::BTreeSet;

const ANY: &Facts = &Facts {
    iface: None,
    target: None,
    enter: None,
    peer: None,
    peer_enter: None,
    driver: None,
    mtu: None,
    mode: None,
    kernel: None,
    source: None,
};

/// Row, stage, the text as kernel, libbpf or loader print it.
const TEXTS: &[(&str, Stage, &str)] = &[
    ("A1", Attach, "libbpf: Kernel error message: XDP program already attached"),
    ("A1", Attach, "libxdp: Error: XDP already loaded on device"),
    ("A2", Attach, "libbpf: Kernel error message: Native and generic XDP can't be active at the same time"),
    ("A2", Attach, "native and generic XDP can't be active at the same time"),
    ("A3", Attach, "Can't replace active BPF XDP link"),
    ("A3", Detach, "Unable to detach XDP program: Device or resource busy"),
    ("A4", Attach, "Can't replace active XDP program with BPF link"),
    ("A5", Attach, "Active program does not match expected"),
    ("A6", Attach, "Error: Underlying driver does not support XDP in native mode."),
    ("A6", Attach, "underlying driver does not support XDP in native mode"),
    ("A6", Attach, "Attaching XDP program in native mode not supported - try SKB mode."),
    ("A7", Attach, "Cannot attach when an upper device already has a program"),
    ("A8", Attach, "Slave does not support XDP"),
    ("A53", Attach, "Slave has XDP program loaded, please unload before enslaving"),
    ("A54", Attach, "No native XDP support for the current bonding mode"),
    ("A9", Attach, "More than one program loaded, unset mode is ambiguous"),
    ("A55", Attach, "Only one XDP mode flag can be set"),
    ("A56", Attach, "Invalid XDP flags for BPF link attachment"),
    ("A57", Attach, "XDP_FLAGS_REPLACE is not specified"),
    ("A58", Attach, "Using offloaded program without HW_MODE flag is not supported"),
    ("A58", Attach, "using device-bound program without HW_MODE flag is not supported"),
    ("A59", Attach, "Program bound to different device"),
    ("A59", Attach, "netdevsim: program bound to different dev"),
    ("A60", Attach, "netdevsim: xdpoffload of non-bound program"),
    ("A61", Attach, "Can't attach device-bound programs in generic mode"),
    ("A62", Attach, "BPF_XDP_DEVMAP programs can not be attached to a device"),
    ("A63", Attach, "BPF_XDP_CPUMAP programs can not be attached to a device"),
    ("B12", Attach, "libbpf: Kernel error message: veth: Peer MTU is too large to set XDP"),
    ("B13", Attach, "veth: XDP expects number of rx queues not less than peer tx queues"),
    ("B14", Attach, "veth: Cannot set XDP when peer is detached"),
    ("B69", Attach, "veth: Setup for XDP failed"),
    ("B19", Attach, "libxdp: No bpffs found at /sys/fs/bpf"),
    ("B19", Load, " libxdp: Can't use dispatcher without a working bpffs"),
    (
        "B15",
        Run,
        "ksoftirqd/0-12 [000] 812.2: xdp:xdp_redirect_err: prog_id=31 action=REDIRECT ifindex=4 to_ifindex=6 err=-6",
    ),
    ("B15", Run, "xdp:xdp_bulk_tx: ifindex=5 action=TX sent=0 drops=1 err=-6"),
    ("B17", Run, "10.0.0.1.80 > 10.0.0.2.4242: Flags [S.], cksum 0x1446 (incorrect -> 0x2e6d), seq 1"),
    ("C20", Attach, "virtio_net: Can't set XDP while host is implementing GRO_HW/CSUM, disable GRO_HW/CSUM first"),
    ("C20", Attach, "virtio_net: Can't set XDP while host is implementing LRO, disable LRO first"),
    ("C21", Attach, "virtio_net: Too few free TX rings available"),
    (
        "C72",
        Attach,
        "virtio_net virtio0 eth0: XDP request 4 queues but max is 2. XDP_TX and XDP_REDIRECT will operate in a slower locked tx mode.",
    ),
    ("C22", Attach, "virtio_net: XDP expects header/data in single page, any_header_sg required"),
    ("C23", Attach, "virtio_net: MTU too large to enable XDP"),
    ("C23", Attach, "virtio_net: MTU too large to enable XDP without frags"),
    (
        "C24",
        Attach,
        "ena: Failed to set xdp program, there is no enough space for allocating XDP queues, Check the dmesg for more info.",
    ),
    (
        "C73",
        Attach,
        "ena: Failed to set xdp program, the current MTU (9001) is larger than the maximum allowed MTU (3498) while xdp is on",
    ),
    ("C25", Attach, "bnxt_en 0000:01:00.0 eth0: MTU 9000 larger than 3502 without XDP frag support."),
    ("C25", Attach, "atlantic: prog does not support XDP frags"),
    ("C25", Attach, "ice: MTU is too large for linear frames and XDP prog does not support frags"),
    ("C74", Attach, "mvneta: Jumbo frames not supported on XDP"),
    ("C74", Attach, "mvpp2: XDP is not supported with jumbo frames enabled"),
    ("C74", Attach, "vmxnet3: MTU too large for XDP"),
    ("C74", Attach, "igb: The RX buffer size is too small for the frame size"),
    ("C26", Attach, "Error attaching XDP program to ifindex 13: Out of memory"),
    ("C77", Attach, "mvpp2: XDP_TX needs two TX queues per CPU"),
    ("C78", Attach, "ice: Please provide working DDP firmware package in order to use XDP"),
    ("C79", Attach, "mlx5_core 0000:03:00.0 eth0: can't set XDP while HW-GRO/LRO is on, disable them first"),
    ("C80", Attach, "bnxt_en 0000:01:00.0 eth0: ethtool rx/tx channels must be combined to support XDP."),
    ("C27", Run, "Interface eth1 does not support sending packets via XDP."),
    (
        "C27",
        Run,
        "xdp:xdp_redirect_map_err: prog_id=4 action=REDIRECT ifindex=3 to_ifindex=4 map_id=2 map_index=0 err=-95",
    ),
    ("C28", Run, "Driver unsupported XDP return value 4, expect packet loss!"),
    ("C28", Run, "Illegal XDP return value 7 on prog drop (id 12) dev eth0, expect packet loss!"),
    ("D29", Load, "libbpf: prog 'xdp_prog': missing BPF prog type, check ELF section name 'xdp-prog1'"),
    ("D30", Load, "libbpf: elf: legacy map definitions in 'maps' section are not supported by libbpf v1.0+"),
    ("D31", Load, "object file doesn't contain sec prog"),
    ("D32", Load, "No ELF library support compiled in."),
    ("D33", Load, "ELF contains non-{map,call} related relo data in entry 5 pointing to section 9! Compiler bug?!"),
    ("D34", Load, "Map specification differs from pinned file!"),
    ("D34", Load, "libbpf: couldn't reuse pinned map at '/sys/fs/bpf/tc/globals/m': parameter mismatch"),
    ("D35", Load, "libbpf: BTF is required, but is missing or corrupted."),
    ("D35", Load, "libxdp: Program xdp_pass has no BTF information, so we can't load it as multiprog"),
    ("D35", Load, "ERROR: xdpdump requires BTF information, but it's missing from the loaded program!"),
    ("D36", Load, "libbpf: failed to find valid kernel BTF"),
    ("D36", Load, "libbpf: Error loading vmlinux BTF: -3"),
    ("D37", Load, "BTF debug data section '.BTF' rejected: Invalid argument (22)!"),
    ("D37", Load, "libbpf: Error loading .BTF into kernel: -22. BTF is optional, ignoring."),
    (
        "D38",
        Load,
        "libbpf: Error in bpf_object__probe_loading():Operation not permitted(1). Couldn't load trivial BPF program. Make sure your kernel supports BPF (CONFIG_BPF_SYSCALL=y) and/or that RLIMIT_MEMLOCK is set to big enough value.",
    ),
    ("D38", Load, "map create: operation not permitted (MEMLOCK may be too low, consider rlimit.RemoveMemlock)"),
    ("D39", Attach, "libxdp: Failed to attach test program to dispatcher: Unknown error 524"),
    ("D39", Load, "libxdp: Compatibility check for dispatcher program failed: Argument list too long"),
    ("D39", Load, "Can't fall back to legacy load with 2 programs"),
    ("D40", Attach, "libxdp: Existing program is not using a dispatcher, can't replace; unload first"),
    ("D41", Attach, "libxdp: XDP dispatcher version 2 higher than supported 1"),
    ("D41", Attach, "libxdp: Existing dispatcher version 1 is older than our version 2"),
    ("D42", Load, "metadata kfuncs require device-bound program"),
    ("D42", Attach, "libxdp: Dispatcher was not bound to a device"),
    ("D81", Load, "libbpf: extern (func ksym) 'bpf_no_such_kfunc': not found in kernel or module BTFs"),
    ("D82", Load, "libbpf: extern (func ksym) 'f': func_proto [8] incompatible with vmlinux [65899]"),
    ("D82", Load, "libbpf: extern (func ksym) 'bpf_task_from_pid': func_proto [8] incompatible with kernel [65899]"),
    ("D83", Load, "libbpf: extern (var ksym) 'no_such_variable': not found in kernel BTF"),
    ("D84", Load, "libbpf: failed to open system Kconfig"),
    ("D85", Load, "60: <invalid CO-RE relocation>"),
    ("D85", Load, "invalid func unknown#195896080"),
    ("D86", Load, "libbpf: map 'flows': failed to create: Invalid argument(-22)"),
    ("D86", Load, "map 't': failed to create: -EINVAL"),
    ("D87", Load, "map 't': failed to create: -E2BIG"),
    ("D87", Load, "map 't': failed to create: -ENOMEM"),
    ("D87", Load, "libbpf: map 'flows': failed to create: Argument list too long(-7)"),
    ("D88", Load, "libbpf: specified path /tmp/m is not on BPF FS"),
    ("D89", Load, "libbpf: elf: failed to open prog.c as ELF file: (null)"),
    ("D89", Load, "libbpf: elf: /bin/true is not a valid eBPF object file"),
    ("D90", Load, "libbpf: kernel doesn't support global data"),
    ("D91", Load, "libbpf: prog 'xdp_prog': bad map relo against 'counter' in section '.bss'"),
    ("E44", Load, "invalid access to packet, off=12 size=1, R2(id=0,off=12,r=12)"),
    ("E44", Load, "R2 offset is outside of the packet"),
    ("E101", Load, "math between pkt pointer and register with unbounded min value is not allowed"),
    ("E102", Load, "math between map_value pointer and register with unbounded min value is not allowed"),
    ("E103", Load, "R6 invalid mem access 'scalar'"),
    ("E103", Load, "R6 invalid mem access 'inv'"),
    ("E104", Load, "R0 invalid mem access 'map_value_or_null'"),
    ("E105", Load, "R1 invalid mem access 'mem_or_null'"),
    ("E105", Load, "R1 pointer arithmetic on map_value_or_null prohibited, null-check it first"),
    ("E105", Load, "Possibly NULL pointer passed to trusted arg0"),
    ("E106", Load, "R1 invalid mem access 'map_ptr'"),
    ("E107", Load, "R0 unbounded memory access, make sure to bounds check any such access"),
    ("E107", Load, "R2 unbounded memory access, use 'var &= const' or 'if (var < const)'"),
    ("E108", Load, "R1 min value is negative, either use unsigned index or do a if (index >=0) check."),
    ("E108", Load, "R4 min value is negative, either use unsigned or 'var &= const'"),
    ("E109", Load, "invalid access to map value, value_size=32 off=32 size=8"),
    ("E109", Load, "R1 min value is outside of the allowed memory range"),
    ("E110", Load, "invalid write to stack R10 off=-520 size=8"),
    ("E110", Load, "invalid stack type R2 off=-8 access_size=16"),
    ("E111", Load, "invalid read from stack off -16+0 size 8"),
    ("E111", Load, "invalid indirect read from stack R2 off -16+4 size 8"),
    ("E112", Load, "invalid unbounded variable-offset write to stack R2"),
    ("E112", Load, "variable stack access var_off=(0xfffffffffffffff0; 0xf) off=-16 size=1"),
    ("E113", Load, "R0 leaks addr as return value"),
    ("E113", Load, "R1 pointer comparison prohibited"),
    ("E114", Load, "R1 pointer arithmetic with *= operator prohibited"),
    ("E114", Load, "R1 32-bit pointer arithmetic prohibited"),
    ("E115", Load, "frame pointer is read only"),
    ("E116", Load, "misaligned stack access off 0+0+-12 size 8"),
    ("E116", Load, "misaligned packet access off 2+0+15+0 size 4"),
    ("E117", Load, "invalid bpf_context access off=100 size=4"),
    ("E118", Load, "dereference of modified ctx ptr R1 off=4 disallowed"),
    ("E119", Load, "write into map forbidden, value_size=4 off=0 size=4"),
    ("E120", Load, "read from map forbidden, value_size=4 off=0 size=4"),
    ("E45", Load, "BPF program is too large. Processed 1000001 insn"),
    ("E121", Load, "The sequence of 8193 jumps is too complex."),
    ("E147", Load, "The total number of maps per program has reached the limit of 64"),
    ("E122", Load, "infinite loop detected at insn 0"),
    ("E46", Load, "back-edge from insn 113 to 100"),
    ("E47", Load, "combined stack size of 2 calls is 544. Too large"),
    ("E123", Load, "the call stack of 9 frames is too deep !"),
    ("E124", Load, "recursive call from down() to down()"),
    ("E125", Load, "unreachable insn 7"),
    ("E126", Load, "last insn is not an exit or jmp"),
    ("E127", Load, "jump out of range from insn 0 to 101"),
    ("E128", Load, "R0 !read_ok"),
    ("E129", Load, "R5 !read_ok"),
    ("E130", Load, "program of this type cannot use helper bpf_skb_vlan_pop#19"),
    ("E130", Load, "unknown func bpf_skb_vlan_pop#19"),
    ("E131", Load, "invalid func unknown#9999"),
    ("E132", Load, "cannot call GPL-restricted function from non-GPL compatible program"),
    ("E132", Load, "cannot call GPL only function from proprietary program"),
    ("E133", Load, "calling kernel function bpf_sock_destroy is not allowed"),
    ("E134", Load, "JIT does not support calling kernel function"),
    ("E135", Load, "Unreleased reference id=2 alloc_insn=11"),
    ("E136", Load, "function calls are not allowed while holding a lock"),
    ("E137", Load, "BPF_EXIT instruction in main prog cannot be used inside bpf_spin_lock-ed region"),
    ("E137", Load, "bpf_spin_unlock is missing"),
    ("E138", Load, "Expected an initialized dynptr as arg #2"),
    ("E139", Load, "R4 invalid zero-sized read: u64=[0,4294967295]"),
    (
        "E140",
        Load,
        "R2 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_",
    ),
    ("E141", Load, "Caller passes invalid args into func#1 ('sum')"),
    ("E142", Load, "tail_calls are not allowed in non-JITed programs with bpf-to-bpf calls"),
    ("E143", Load, "tail_call abusing map_ptr"),
    ("E144", Load, "cannot pass map_type 1 into func bpf_redirect_map#51"),
    ("E145", Load, "unknown opcode 8d"),
    ("E145", Load, "BPF_STX uses reserved fields"),
    ("E146", Load, "verifier bug: REG INVARIANTS VIOLATION (true_reg1): range bounds violation"),
    ("G2", Compile, "/usr/include/linux/types.h:5:10: fatal error: 'asm/types.h' file not found"),
    ("G3", Compile, "prog.c:2:10: fatal error: 'bpf/bpf_helpers.h' file not found"),
    ("G4", Compile, "prog.c:1:10: fatal error: 'vmlinux.h' file not found"),
    ("G5", Compile, "error: unable to create target: 'No available targets are compatible with triple \"bpf\"'"),
    (
        "G6",
        Compile,
        "prog.c:9:5: error: Looks like the BPF stack limit is exceeded. Please move large on stack variables into BPF per-cpu array map.",
    ),
    ("C74", Attach, "nfp: MTU too large w/ XDP enabled"),
    ("C74", Attach, "hns3 0000:7d:00.0 eth0: For now, XDP is not supported with MTU exceeding 1500"),
    ("C74", Attach, "hv_netvsc: XDP: mtu too large"),
    ("C77", Attach, "mvpp2: Per CPU Pools required for XDP"),
    ("C79", Attach, "vmxnet3: LRO is not supported with XDP"),
    ("C79", Attach, "Error: hv_netvsc: XDP: not support LRO."),
    ("D42", Attach, "libxdp: Dispatcher is already bound to a device"),
    ("D81", Load, "invalid kernel function call not eliminated in verifier pass"),
    ("D81", Load, "kfunc 'bpf_no_such_kfunc' is referenced but wasn't resolved"),
    ("D84", Load, "libbpf: extern 'CONFIG_NO_SUCH_OPTION' (strong): not resolved"),
    (
        "D85",
        Load,
        "failed to resolve CO-RE relocation <byte_off> [8] struct task_struct.no_such_field (0:0 @ offset 0)",
    ),
    ("D87", Load, "libbpf: map 'flows': failed to create: Cannot allocate memory(-12)"),
    ("D89", Load, "libbpf: elf: endianness mismatch in prog.o."),
    ("D91", Load, "libbpf: prog 'xdp_prog': bad call relo against 'helper' in section '.text'"),
    ("D91", Load, "libbpf: prog 'xdp_prog': bad relo against 'x' in section '.bss'"),
    ("D92", Load, "BPF map 'optional' is referenced but wasn't created"),
    ("E109", Load, "invalid access to memory, mem_size=8 off=8 size=4"),
    ("E110", Load, "invalid read from stack R10 off=-520 size=8"),
    ("E111", Load, "invalid indirect access to stack R2 off=-16 size=8"),
    ("E113", Load, "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN"),
    ("E114", Load, "R1 pointer += pointer prohibited"),
    ("E114", Load, "R1 pointer arithmetic on pkt_end prohibited"),
    ("E114", Load, "R1 subtraction from stack pointer prohibited"),
    ("E130", Load, "helper call is not allowed in probe"),
    ("E134", Load, "calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF"),
    ("E135", Load, "BPF_EXIT instruction in main prog would lead to reference leak"),
    ("E142", Load, "mixing of tail_calls and bpf-to-bpf calls is not supported"),
    ("E146", Load, "kernel subsystem misconfigured verifier"),
    ("E146", Load, "bpf verifier is misconfigured"),
    ("B15", Run, "xdp:xdp_devmap_xmit: ndo_xdp_xmit from_ifindex=3 to_ifindex=5 action=REDIRECT sent=0 drops=4 err=-6"),
    (
        "C27",
        Run,
        "xdp:xdp_devmap_xmit: ndo_xdp_xmit from_ifindex=3 to_ifindex=5 action=REDIRECT sent=0 drops=4 err=-95",
    ),
    ("C28", Run, "WARNING: CPU: 0 PID: 0 at net/core/filter.c:5304 bpf_warn_invalid_xdp_action+0x22/0x30"),
    ("G5", Compile, "error: unknown target triple 'bpf', please use -triple or -arch"),
    (
        "G6",
        Compile,
        "Looks like the BPF stack limit of 512 bytes is exceeded. Please move large on stack variables into BPF per-cpu array map.",
    ),
];

/// Row, stage, error number, facts: what a bare number tells.
fn numbers() -> Vec<(&'static str, Stage, i32, Facts)> {
    let driver = |name: &str| Facts { driver: Some(name.to_string()), ..Facts::default() };
    vec![
        ("A6", Attach, 95, driver("e1000")),
        ("A10", Attach, 22, Facts { kernel: Some((5, 4)), ..Facts::default() }),
        ("A82", Attach, 22, Facts { kernel: Some((6, 18)), ..Facts::default() }),
        ("A64", Attach, 16, Facts::default()),
        ("A64", Detach, -16, Facts::default()),
        ("A65", Attach, 17, Facts::default()),
        ("A66", Attach, 1, Facts::default()),
        ("A67", Attach, 19, Facts::default()),
        ("A68", Attach, 67, Facts::default()),
        ("B12", Attach, 34, driver("veth")),
        ("B13", Attach, 28, driver("veth")),
        ("B14", Attach, 107, driver("veth")),
        ("C70", Attach, 95, driver("virtio_net")),
        ("C71", Attach, 12, driver("virtio_net")),
        ("C75", Attach, 22, Facts { mtu: Some(9000), ..driver("ixgbevf") }),
        ("C76", Attach, 12, driver("bnxt_en")),
        ("C81", Load, 22, Facts { mode: Some("offload".to_string()), ..driver("nfp") }),
        ("C81", Attach, 22, Facts { mode: Some("offload".to_string()), ..driver("veth") }),
        ("D38", Load, 1, Facts::default()),
        ("D39", Load, 524, Facts::default()),
        ("D43", Run, 524, driver("ena")),
        ("E45", Load, 7, Facts::default()),
        ("G1", Compile, 2, Facts::default()),
    ]
}

#[test]
fn each_text_is_recognised_as_its_row() {
    for (id, stage, text) in TEXTS {
        assert_eq!(diagnose(*stage, None, text, ANY).map(|found| found.id), Some(*id), "{text}");
    }
}

#[test]
fn each_bare_number_is_recognised_as_its_row() {
    for (id, stage, errno, facts) in numbers() {
        for text in ["", &std::io::Error::from_raw_os_error(errno.abs()).to_string()] {
            let found = diagnose(stage, Some(errno), text, &facts).map(|found| found.id);
            assert_eq!(found, Some(id), "errno {errno}, text {text:?}");
        }
    }
}

#[test]
fn each_row_has_a_sample_and_a_number_of_its_own() {
    let sampled: BTreeSet<&str> =
        TEXTS.iter().map(|(id, ..)| *id).chain(numbers().iter().map(|(id, ..)| *id)).collect();
    let mut seen = BTreeSet::new();
    for row in catalogue() {
        assert!(sampled.contains(row.id), "row {} has no sample", row.id);
        assert!(seen.insert(row.id), "row {} stands twice", row.id);
    }
}

#[test]
fn each_saying_has_a_sample() {
    for row in catalogue() {
        let own: Vec<&str> = TEXTS.iter().filter(|(id, ..)| *id == row.id).map(|(.., text)| *text).collect();
        for saying in row.says {
            if row.id == "C81" {
                continue; // Its words need the mode asked for: see `offload_is_explained_as_such`.
            }
            let alone = Row { says: std::slice::from_ref(saying), ..*row };
            assert!(own.iter().any(|text| alone.is_named_by(&text.to_ascii_lowercase())), "{}: {saying}", row.id);
        }
    }
}

#[test]
fn no_place_of_a_template_stays_empty() {
    for row in catalogue() {
        let Diagnosis { cause, mend, .. } = row.diagnosis(ANY);
        for text in [cause, mend] {
            let place = ["{on}", "{iface}", "{in}", "{peer", "{driver}", "{mtu}", "{mode}", "{source}", "{program}"];
            assert!(place.iter().all(|place| !text.contains(place)), "row {}: {text}", row.id);
            assert!(!text.trim().is_empty(), "row {}", row.id);
        }
    }
}

#[test]
fn what_the_kernel_says_in_unknown_words_is_not_explained_by_its_number() {
    assert_eq!(diagnose(Attach, Some(95), "newdriver: XDP wants a blue moon", ANY), None);
    assert_eq!(diagnose(Attach, Some(71), "", ANY), None);
}

#[test]
fn a_warning_beside_the_error_does_not_explain_it() {
    let warning = "libbpf: Error loading .BTF into kernel: -22. BTF is optional, ignoring.\n";
    let refused = format!("{warning}libbpf: map 'table': failed to create: Invalid argument(-22)");
    assert_eq!(diagnose(Load, Some(22), &refused, ANY).map(|found| found.id), Some("D86"));
    let verdict = "libbpf: prog 'p': -- BEGIN PROG LOAD LOG --\n0: (95) exit\nthe moon is not blue\n";
    assert_eq!(diagnose(Load, Some(1), &format!("{warning}{verdict}"), ANY), None);
}

#[test]
fn facts_fill_the_commands() {
    let facts = Facts {
        iface: Some("eth0".to_string()),
        target: Some("docker:web".to_string()),
        peer: Some("veth12".to_string()),
        mtu: Some(9500),
        ..Facts::default()
    };
    let found = diagnose(Attach, Some(34), "", &facts).unwrap();
    assert!(found.mend.starts_with("ip link set veth12 mtu 3498"), "{}", found.mend);
    assert!(found.cause.contains("(veth12) has MTU 9500"), "{}", found.cause);
    let found = diagnose(Attach, None, "XDP program already attached", &facts).unwrap();
    assert!(found.mend.contains("xdpilot unload --on docker:web"), "{}", found.mend);
    let inside = Facts { peer_enter: Some("nsenter -t 77 -n".to_string()), ..facts };
    let found = diagnose(Attach, Some(34), "", &inside).unwrap();
    assert!(found.mend.starts_with("nsenter -t 77 -n ip link set veth12"), "{}", found.mend);
}

#[test]
fn offload_is_explained_as_such() {
    let facts = Facts { mode: Some("offload".to_string()), ..Facts::default() };
    let text = "Underlying driver does not support XDP in native mode";
    assert_eq!(diagnose(Attach, Some(95), text, &facts).map(|found| found.id), Some("C81"));
}

#[test]
fn explain_fills_only_what_is_missing() {
    let error = || Error::failed("attach").kernel("XDP program already attached").errno(16);
    let explained = explain(error(), Attach, ANY);
    assert!(explained.cause_text().unwrap().contains("another XDP program"));
    assert!(explained.mend_text().unwrap().contains("--replace"));
    let explained = explain(error().cause("mine").mend("also mine"), Attach, ANY);
    assert_eq!((explained.cause_text(), explained.mend_text()), (Some("mine"), Some("also mine")));
    let unknown = Error::failed("attach").kernel("no one knows");
    assert_eq!(explain(unknown.clone(), Attach, ANY), unknown);
}
