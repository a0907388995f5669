#include "common.h"
SEC("dropper_main") int entry(struct xdp_md *ctx) { return XDP_DROP; }
char _license[] SEC("license") = "GPL";
