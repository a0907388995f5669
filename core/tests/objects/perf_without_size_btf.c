#include "common.h"
struct { __uint(type, PERF_EVENT_ARRAY); __uint(key_size, 4); __uint(value_size, 4); } events SEC(".maps");
SEC("xdp") int entry(struct xdp_md *ctx)
{
	u32 data = 1;
	return perf_event_output(ctx, &events, 0, &data, 4) == -2 ? XDP_DROP : XDP_ABORTED;
}
char _license[] SEC("license") = "GPL";
