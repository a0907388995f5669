#include "common.h"
static u64 (*const buff_len)(struct xdp_md *ctx) = (void *)188;
SEC("xdp.frags") int entry(struct xdp_md *ctx) { return buff_len(ctx) > 5000 ? XDP_DROP : XDP_PASS; }
char _license[] SEC("license") = "GPL";
