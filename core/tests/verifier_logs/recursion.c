#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __noinline int down(struct xdp_md *ctx, int depth)
{
	volatile int left = depth;
	return left ? down(ctx, left - 1) + 1 : 0;
}

SEC("xdp") int prog(struct xdp_md *ctx)
{
	return down(ctx, ctx->rx_queue_index);
}
char LICENSE[] SEC("license") = "GPL";
