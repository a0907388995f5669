#include "common.h"
SEC("xdp") static int entry(struct xdp_md *ctx) { return XDP_DROP; }
char _license[] SEC("license") = "GPL";
