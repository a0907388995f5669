#include "common.h"
SEC("filter") int first(struct xdp_md *ctx) { return XDP_PASS; }
SEC("filter") int second(struct xdp_md *ctx) { return XDP_DROP; }
SEC("filter") int third(struct xdp_md *ctx) { return XDP_TX; }
char _license[] SEC("license") = "GPL";
