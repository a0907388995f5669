#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __noinline int inner(struct xdp_md *ctx)
{
	volatile char room[300] = {};
	return room[ctx->rx_queue_index & 255];
}

SEC("xdp") int prog(struct xdp_md *ctx)
{
	volatile char room[300] = {};
	return inner(ctx) + room[ctx->rx_queue_index & 255];
}
char LICENSE[] SEC("license") = "GPL";
