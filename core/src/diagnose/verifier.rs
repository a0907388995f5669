//! The verifier on memory: packets, maps, stack, context, pointers. Words: `kernel/bpf/verifier.c`.

use super::row::Row;

pub(super) const ROWS: &[Row] = &[
    Row::said(
        "E44",
        &["invalid access to packet", "offset is outside of the packet"],
        "the program reads packet bytes that it has not compared with data_end on this path",
        "before the read: if ((void *)(ptr + 1) > data_end) return XDP_PASS;   with the same pointer that is read through; an offset added to it counts only when bounded first (offset &= 0xfff)",
    ),
    Row::said(
        "E101",
        &["math between pkt pointer and register with unbounded"],
        "an offset that may be negative or huge is added to a packet pointer",
        "make it unsigned and bound it first: offset &= 0xff;   or   if (offset > 256) return XDP_PASS;",
    ),
    Row::said(
        "E102",
        &["math between*pointer and register with unbounded min value"],
        "an offset that may be negative is added to a pointer",
        "make it unsigned and bound it first: if (index >= COUNT) return XDP_PASS;",
    ),
    Row::said(
        "E103",
        &["invalid mem access 'scalar'", "invalid mem access 'inv'"],
        "a plain number is used as a pointer: the pointer was lost by arithmetic, or is old because a helper moved the packet (bpf_xdp_adjust_head and _tail)",
        "after such a helper read ctx->data and ctx->data_end anew and check the bounds again; keep pointers as pointers",
    ),
    Row::said(
        "E104",
        &["invalid mem access 'map_value_or_null'"],
        "the result of bpf_map_lookup_elem() is used before it is compared with NULL",
        "if (!value) return XDP_PASS;   right after the lookup",
    ),
    Row::said(
        "E105",
        &[
            "invalid mem access '*_or_null'",
            "_or_null prohibited, null-check it first",
            "possibly null pointer passed to",
        ],
        "a pointer that may be NULL is used before it is compared with NULL",
        "if (!ptr) return XDP_PASS;   right after the call; also at the head of a global function, for its pointer arguments",
    ),
    Row::said(
        "E106",
        &["invalid mem access '"],
        "the program reads or writes through something that is no pointer to memory",
        "read through the pointer that the kernel gave; the log (--verbose) shows what each register holds",
    ),
    Row::said(
        "E107",
        &["unbounded memory access"],
        "an index or length is not known to stay within the memory",
        "bound it first: if (index >= COUNT) return XDP_PASS;   or   index &= COUNT - 1;   with the same variable, unsigned",
    ),
    Row::said(
        "E108",
        &["min value is negative, either use unsigned"],
        "an index or length may be negative",
        "declare it unsigned, or also test   if (index < 0)",
    ),
    Row::said(
        "E109",
        &["invalid access to map value", "outside of the allowed memory range", "invalid access to memory"],
        "the program reaches beyond the end of a map value or buffer",
        "compare index + size with the size of the value; a value of N elements ends before index N",
    ),
    Row::said(
        "E110",
        &["invalid write to stack r*off=", "invalid read from stack r*off=", "invalid stack type r"],
        "the program reaches outside of its stack of 512 bytes",
        "check index and size of the local array; keep large variables in a per-CPU array map",
    ),
    Row::said(
        "E111",
        &["invalid read from stack off", "invalid indirect read from stack", "invalid indirect access to stack"],
        "the program, or a helper for it, reads local variables that were never written, padding included",
        "initialise it whole: struct key key = {};   or   __builtin_memset(&key, 0, sizeof(key));",
    ),
    Row::said(
        "E112",
        &["variable-offset*stack", "variable stack"],
        "a local array is indexed with a number that is not known to stay within it",
        "bound the index first, or use a map for the array",
    ),
    Row::said(
        "E113",
        &[
            "leaks addr",
            "pointer comparison prohibited",
            "loading/calling other bpf or kernel functions are allowed for",
        ],
        "the program does what is allowed only with CAP_PERFMON and CAP_BPF",
        "run it as root: sudo xdpilot …; in a container: --cap-add BPF --cap-add PERFMON --cap-add NET_ADMIN",
    ),
    Row::said(
        "E114",
        &[
            "pointer arithmetic with*prohibited",
            "32-bit pointer arithmetic prohibited",
            "pointer += pointer prohibited",
            "pointer arithmetic on*prohibited",
            "subtraction from stack pointer prohibited",
        ],
        "the program computes with a pointer in a way that makes it no pointer (only adding and subtracting numbers in 64 bits keeps it one)",
        "compute offsets in variables of their own and add them to the pointer last",
    ),
    Row::said(
        "E115",
        &["frame pointer is read only"],
        "the program changes register 10, its stack's pointer",
        "copy it first: r1 = r10",
    ),
    Row::said(
        "E116",
        &["misaligned*access"],
        "a value is read or written at an address that is not a multiple of its size",
        "mark the struct __attribute__((packed)), or copy the value with __builtin_memcpy()",
    ),
    Row::said(
        "E117",
        &["invalid bpf_context access"],
        "the program reads or writes a place of struct xdp_md that it may not: outside of it, a part of a field, or any write",
        "read whole fields of 4 bytes (data, data_end, data_meta, ingress_ifindex, rx_queue_index); egress_ifindex only in xdp/devmap programs; none can be written",
    ),
    Row::said(
        "E118",
        &["dereference of modified ctx ptr"],
        "the context's fields are read through a moved pointer; the verifier wants ctx itself with a constant offset",
        "read the field into a variable first; where clang does that by itself, mark the read: *(volatile __u32 *)&ctx->data",
    ),
    Row::said(
        "E119",
        &["write into map forbidden"],
        "the program writes to a read-only map, mostly a constant global variable (.rodata)",
        "drop the const, or set it from user space before loading",
    ),
    Row::said(
        "E120",
        &["read from map forbidden"],
        "the program reads a map that is write-only for programs (BPF_F_WRONLY_PROG)",
        "drop that flag from the map",
    ),
];
