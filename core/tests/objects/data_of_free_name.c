#include "common.h"
u32 runs SEC("counters") = 2;
SEC("xdp") int entry(struct xdp_md *ctx) { runs += 1; return runs >= 3 ? XDP_DROP : XDP_PASS; }
char _license[] SEC("license") = "GPL";
