#include "common.h"
int first(struct xdp_md *ctx);
int second(struct xdp_md *ctx);
struct {
	__uint(type, PROG_ARRAY); __uint(key_size, 4); __uint(max_entries, 4); __array(values, int(struct xdp_md *));
} jumps SEC(".maps") = { .values = { [1] = (void *)&first, [3] = (void *)&second } };
SEC("xdp") int first(struct xdp_md *ctx) { tail_call(ctx, &jumps, 3); return XDP_ABORTED; }
SEC("xdp") int second(struct xdp_md *ctx) { return XDP_DROP; }
SEC("xdp") int entry(struct xdp_md *ctx) { tail_call(ctx, &jumps, 1); return XDP_ABORTED; }
char _license[] SEC("license") = "GPL";
