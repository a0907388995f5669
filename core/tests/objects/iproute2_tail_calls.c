#include "iproute2.h"
struct bpf_elf_map SEC("maps") jumps = { .type = PROG_ARRAY, .size_key = 4, .size_value = 4, .max_elem = 8, .id = 5 };
SEC("5/0") int first(struct xdp_md *ctx) { tail_call(ctx, &jumps, 4); return XDP_ABORTED; }
SEC("0x5/0x4") int second(struct xdp_md *ctx) { return XDP_DROP; }
SEC("prog") int entry(struct xdp_md *ctx) { tail_call(ctx, &jumps, 0); return XDP_ABORTED; }
char _license[] SEC("license") = "GPL";
