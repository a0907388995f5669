#include "common.h"
const volatile u32 wanted = 3;
u32 runs = 2;
u32 zero;
static u32 hidden = 5;
u64 other SEC(".data.other") = 1;
SEC("xdp") int entry(struct xdp_md *ctx)
{
	zero += 1;
	hidden += 1;
	runs += 1;
	return runs >= wanted && hidden > 5 && other == 1 ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
