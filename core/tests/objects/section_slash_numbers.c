#include "common.h"
SEC("2/1") int entry(struct xdp_md *ctx) { return XDP_DROP; }
char _license[] SEC("license") = "GPL";
