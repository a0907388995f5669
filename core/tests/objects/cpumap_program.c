#include "common.h"
SEC("xdp/cpumap") int entry(struct xdp_md *ctx) { return XDP_DROP; }
char _license[] SEC("license") = "GPL";
